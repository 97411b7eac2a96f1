"""Celery speaks to its broker by our transport, and by TLS where the address says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lanes import QUEUES

ROOT = Path(__file__).resolve().parents[2]
ASK = """
import json
from tasks.app import app
with app.connection_for_write() as connection:
    made = connection.transport.Channel
    ssl = connection.ssl
    told = [type(connection.transport).__module__, made.__module__, connection.hostname, connection.port]
    told += [connection.virtual_host, connection.password, str(ssl and ssl.get("ssl_cert_reqs").name)]
    print(json.dumps(told))
"""


@pytest.mark.parametrize(
    ("url", "certificate"),
    [
        ("redis://:secret@127.0.0.1:1/3", "False"),
        ("rediss://:secret@127.0.0.1:1/3", "CERT_REQUIRED"),
    ],
)
def test_the_broker_is_spoken_to_as_its_address_says(tmp_path, url, certificate):
    environment = {
        "PATH": os.environ["PATH"],
        "ORDERBRIDGE_DOTENV": os.devnull,
        "ORDERBRIDGE_DATA": str(tmp_path),
        "REDIS_URL": url,
    }
    told = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    own = "tasks.broker"
    assert json.loads(told.stdout) == [own, own, "127.0.0.1", 1, "3", "secret", certificate]


ASK_FLOWER = """
import json
from flower.utils.broker import Broker
from flower.views import BaseHandler
from tasks import app

class Handler(BaseHandler):
    def __init__(self): pass
    capp = app
    class application: workers = {}

with app.connection() as broker:
    told = broker.as_uri(include_password=True)
client = Broker(told, broker_options=app.conf.broker_transport_options, broker_use_ssl={})
print(json.dumps([told, client.host, client.port, client.vhost, Handler().get_active_queue_names()]))
"""


@pytest.mark.parametrize(
    "url", ["redis://user:p%40w@127.0.0.1:1/3", "rediss://user:p%40w@127.0.0.1:1/3"]
)
def test_flower_reads_of_it_where_the_broker_is_and_which_queues_it_has(tmp_path, url):
    """Each of its pages in truth: tests/whole/test_whole_flower.py."""
    told = subprocess.run(
        [sys.executable, "-c", ASK_FLOWER],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "ORDERBRIDGE_DATA": str(tmp_path), "REDIS_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout) == [url, "127.0.0.1", 1, 3, sorted(QUEUES)]
