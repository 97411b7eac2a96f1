"""The embedded Valkey keeps what it was given, and gives it to nobody without the password."""

from __future__ import annotations

import os
import signal
import stat

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError

from run import broker
from run.ports import Ports
from run.processes import Supervisor


@pytest.fixture
def ports():
    taken = Ports()
    yield taken
    taken.close()


@pytest.fixture
def running(tmp_path, ports, until):
    supervisor = Supervisor()
    # A quoted name, as a person's folder may have.
    folder, port = tmp_path / 'var "x"' / "valkey", ports.take()
    supervisor.start(
        broker.valkey(folder, port, tmp_path / "valkey.log", stop_rank=0, stop_seconds=5)
    )
    address = broker.url(folder, port)
    until(lambda: broker.answers(address))
    yield supervisor, address, folder
    supervisor.stop()


def test_what_was_written_survives_a_kill_at_the_same_address(running, until):
    supervisor, address, _ = running
    with Redis.from_url(address) as client:
        client.rpush("create", "1", "2")
        # Appended within the second of appendfsync; a killed process loses no page of the system's.
        client.waitaof(1, 0, 5_000)
    os.kill(supervisor.statuses()[0].pid, signal.SIGKILL)
    until(lambda: supervisor.tick() or supervisor.statuses()[0].restarts == 1)
    until(lambda: broker.answers(address))
    with Redis.from_url(address) as client:
        assert client.lrange("create", 0, -1) == [b"1", b"2"]


def test_nobody_gets_in_without_the_password(running):
    _, address, folder = running
    bare = "redis://" + address.partition("@")[2]
    with Redis.from_url(bare) as client, pytest.raises(AuthenticationError):
        client.ping()
    assert not broker.answers(bare)
    for name in ("valkey.conf", "password"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600


def test_queues_are_never_evicted_and_every_write_is_appended(running):
    _, address, _ = running
    with Redis.from_url(address, decode_responses=True) as client:
        kept = client.config_get("appendonly", "appendfsync", "maxmemory-policy", "bind", "save")
    assert kept == {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "bind": "127.0.0.1",
        "save": "",
    }


def test_a_port_where_nobody_listens_does_not_answer(ports):
    assert not broker.answers(f"redis://127.0.0.1:{ports.take()}/0")
