"""Secrets are made once and are private; ports are handed out once."""

from __future__ import annotations

import socket
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from run.ports import Ports, accepts
from run.private import kept_secret, write_private


@pytest.fixture
def ports():
    taken = Ports()
    yield taken
    taken.close()


def test_a_secret_is_the_same_for_all_who_ask_at_once(tmp_path):
    path = tmp_path / "new" / "secret"
    with ThreadPoolExecutor(8) as pool:
        secrets = set(pool.map(lambda _: kept_secret(path), range(8)))
    assert len(secrets) == 1
    assert len(secrets.pop()) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [left.name for left in path.parent.iterdir()] == ["secret"]


def test_a_private_file_is_replaced_whole_and_stays_private(tmp_path):
    path = tmp_path / "run.env"
    path.write_text("readable by all")
    path.chmod(0o644)
    write_private(path, "A='1'\n")
    assert path.read_text() == "A='1'\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_preferred_port_is_given_when_free_and_the_next_one_when_not(ports):
    free = ports.take()
    ports.close()
    assert ports.take(free) == free
    assert free < ports.take(free) < free + 50


def test_a_port_where_somebody_listens_is_not_given(ports):
    free = ports.take()
    ports.close()
    with socket.create_server(("127.0.0.1", free)):
        assert ports.take(free) > free


def test_another_run_on_this_machine_gets_other_ports(ports):
    other = Ports()
    first = ports.take()
    second = other.take(first)
    other.close()
    assert second > first


def test_a_server_can_listen_on_its_reserved_port(ports):
    port = ports.take()
    assert not accepts(port)
    with socket.create_server(("127.0.0.1", port)):
        assert accepts(port)


def test_ports_lie_below_those_of_outgoing_connections(ports):
    assert all(ports.take() < 32_768 for _ in range(20))
