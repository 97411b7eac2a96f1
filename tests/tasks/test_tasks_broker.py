"""Celery speaks to its broker by our transport, and by TLS where the address says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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
