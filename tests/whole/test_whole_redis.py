"""Redis takes no more, or may only be read: workers go on, and nothing is lost."""

from __future__ import annotations

import signal

import pytest
from whole.system import System

from simulator.faults import Fault

pytestmark = pytest.mark.whole


def fill_up(client):
    client.config_set("maxmemory", "1")


def has_room(client):
    client.config_set("maxmemory", "0")


def may_only_be_read(client):
    client.execute_command("REPLICAOF", "127.0.0.1", "1")


def may_be_written(client):
    client.execute_command("REPLICAOF", "NO", "ONE")


@pytest.mark.parametrize(
    ("begin", "end"),
    [(fill_up, has_room), pytest.param(may_only_be_read, may_be_written, marks=pytest.mark.long)],
)
def test_redis_that_takes_nothing_ends_no_worker(tmp_path, database_url, begin, end):
    with System(tmp_path, database_url) as system:
        given = system.give(30)
        workers = [system.worker(), system.worker()]
        system.ticks()
        system.wait_created(30)
        # It comes while orders wait, and a worker meets it for certain as it takes a message: two are
        # on their way to workers that stand still, so that no polling by chance has to bring one.
        system.crm.faults.add(Fault("latency", system.crm.ORDER_SET, seconds=2.0))
        given += system.give(150, start=400_000_001)
        client = system.valkey.client
        system.wait_until(lambda: client.llen("create") + client.zcard("ob:onebox:line") > 5)
        for worker in workers:
            system.signal(worker, signal.SIGSTOP)
        for _ in workers:
            system.send("upkeep.pulse", "upkeep")
        begin(client)
        for worker in workers:
            system.signal(worker, signal.SIGCONT)
        system.wait_until(lambda: "Connection to broker lost" in system.logs())
        assert [worker.poll() for worker in workers] == [None, None]
        system.crm.faults.reset()
        end(client)
        system.wait_created(180)
        assert [worker.poll() for worker in workers] == [None, None]
        system.assert_each_once(given)
