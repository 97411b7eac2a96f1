"""The rival: a bare Celery task that makes one keep-alive httpx POST, and nothing else.

`BENCH_URL`, `BENCH_BODY` and `BENCH_TOKEN` say what is posted; the broker and its options are ours.
"""

import os

import httpx
from celery import Celery

import celeryconfig

app = Celery("bare")
app.config_from_object(celeryconfig)
app.conf.imports = ()
app.conf.worker_hijack_root_logger = True
client = httpx.Client(limits=httpx.Limits(max_connections=64, max_keepalive_connections=64))
BODY = os.environ.get("BENCH_BODY", "{}").encode()
HEADERS = {"token": os.environ.get("BENCH_TOKEN", ""), "content-type": "application/json"}


@app.task(name="bare.post", queue="create", ignore_result=True, acks_late=True)
def post(_number: int) -> None:
    client.post(os.environ["BENCH_URL"], content=BODY, headers=HEADERS).raise_for_status()
