"""Nobody is promised what no worker will do: whether anybody goes on, and if not, why and how to start."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import fakeredis
import pytest
import redis

import lanes
from desk import running

URL = "redis://127.0.0.1:1/0"


@pytest.fixture
def store(monkeypatch):
    found = fakeredis.FakeRedis(server=fakeredis.FakeServer())
    monkeypatch.setattr(redis.Redis, "from_url", lambda *_, **__: found)
    return found


@pytest.fixture
def ended():
    """The number of a process that is no more."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return str(done.pid)


def silence(url=URL, queue="create"):
    return running.silence(SimpleNamespace(redis_url=url), queue)


def test_without_a_broker_nothing_runs():
    assert silence(None).startswith("The system does not run: this waits until it does. Start it")


def test_a_run_that_was_killed_left_a_record_and_its_redis_comes_back_with_it_alone(
    process_environment, ended
):
    process_environment["ORDERBRIDGE_RUN_PID"] = ended
    assert silence().startswith("The system does not run")
    process_environment["ORDERBRIDGE_RUN_PID"] = str(os.getpid())
    assert silence().startswith("Redis does not answer")


def test_who_is_served_needs_no_run(process_environment, ended, store):
    lanes.sign(store, lanes.USED)
    process_environment["ORDERBRIDGE_RUN_PID"] = ended
    assert silence() is None


def test_a_redis_that_does_not_answer_is_waited_for():
    assert silence().startswith("Redis does not answer (REDIS_URL)")


@pytest.mark.parametrize("queue", ["create", "updates"])
def test_a_lane_without_a_worker_is_named(store, queue):
    lanes.sign(store, [other for other in lanes.USED if other != queue])
    assert silence(queue=queue).startswith(
        f"No worker serves `{queue}`: this waits until one does."
    )
    lanes.sign(store, [queue])
    assert silence(queue=queue) is None
