"""What Redis remembers of the ledger's tides, and how long a writer may have to wait for it."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing
from types import SimpleNamespace

import fakeredis
import pytest

from tasks import resources
from tasks.memory import RedisMemory


@pytest.fixture
def memory():
    return RedisMemory(fakeredis.FakeRedis(), "ledger")


def wait_for(condition):
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        threading.Event().wait(0.01)


def test_what_was_told_is_remembered_by_epoch(memory):
    memory.keep("", "a", 3)
    memory.keep("000001-x", "a", 4)
    memory.keep("000001-x", "b", 1)
    wait_for(lambda: memory.heights("000001-x") == {"a": 4, "b": 1})
    assert memory.heights("") == {"a": 3}
    assert memory.newest_epoch() == "000001-x"


def test_a_new_ledger_has_no_newest_epoch(memory):
    assert (memory.heights(""), memory.newest_epoch()) == ({}, "")


@pytest.mark.parametrize("listens", [True, False])
def test_redis_that_hangs_or_is_away_is_not_waited_for(listens):
    """Whoever writes to the ledger may wait for the answer."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
        if not listens:
            server.close()
        chosen = SimpleNamespace(broker=f"redis://127.0.0.1:{port}/0")
        memory = RedisMemory(resources._impatient(chosen), "ledger")
        began = time.monotonic()
        assert memory.heights("") is None
        assert memory.newest_epoch() is None
        assert time.monotonic() - began < 3
