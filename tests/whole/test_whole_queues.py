"""A misspelt queue is refused at once, by the worker that would serve it and by whoever sends to it."""

from __future__ import annotations

import subprocess

import pytest
from whole.system import System

pytestmark = pytest.mark.whole


def test_unknown_queues_are_refused(tmp_path, database_url):
    with System(tmp_path, database_url) as system:
        worker = system.worker("-Q", "nonsense")
        assert worker.wait(60) != 0
        assert "nonsense" in system.logs()
        with pytest.raises(subprocess.CalledProcessError) as refused:
            system.send("orders.fetch", "fetsh", connection="okliving")
        assert "fetsh" in refused.value.output
        assert system.valkey.client.keys("fetsh") == []


def test_a_worker_of_the_other_world_does_not_start(tmp_path, database_url):
    """A ledger of the sandbox is never worked on with the real systems, nor the other way round."""
    with System(tmp_path, database_url, ORDERBRIDGE_SANDBOX="") as system:
        worker = system.worker()
        assert worker.wait(60) != 0
        assert "orderbridge:" in system.logs()
