"""Limits over all workers: calls in flight, calls per second, and lanes that do not block each other."""

from __future__ import annotations

import pytest
from whole.system import System

from simulator.crm import Crm
from simulator.faults import Fault

pytestmark = [pytest.mark.whole, pytest.mark.long]


def test_calls_in_flight_stay_in_their_slots_and_a_kill_leaks_none(tmp_path, database_url):
    with System(
        tmp_path, database_url, ONEBOX_CONCURRENCY=3, ONEBOX_TIMEOUT=1, UNCERTAIN_WAIT=3
    ) as system:
        given = system.give(60)
        system.crm.faults.add(Fault("latency", Crm.ORDER_SET, seconds=0.2))
        doomed = system.worker(threads=20)
        system.worker(threads=20)
        system.ticks()
        system.wait_until(lambda: len(system.crm.processes) >= 10 and system.crm.in_flight == 3)
        system.kill(doomed)
        system.wait_created(60)
        assert system.crm.max_in_flight == 3
        system.assert_each_once(given)
        system.wait_until(lambda: system.valkey.client.zcard("ob:onebox:slots") == 0)
        fresh = system.give(20, start=400_000_001)
        system.crm.max_in_flight = 0
        system.wait_created(80)
        assert system.crm.max_in_flight == 3
        system.assert_each_once(given + fresh)


def test_rate_is_kept_over_two_workers(tmp_path, database_url):
    with System(tmp_path, database_url, ONEBOX_RATE=20) as system:
        given = system.give(1)
        system.worker(threads=20)
        system.worker(threads=20)
        system.ticks()
        # The first call logs in, and what was let go meanwhile would arrive in one bunch.
        system.wait_created(1)
        given += system.give(100, start=400_000_001)
        system.wait_created(101)
        times = sorted(time for many in system.sent().values() for time in many)
        most = max(sum(start <= time < start + 1 for time in times) for start in times)
        # Each call has its own turn; on a busy machine some arrive a little late, and so a few in a bunch.
        assert most <= 20 + 5
        assert times[-1] - times[1] >= 99 / 20 - 1
        system.assert_each_once(given)


def test_hanging_crm_does_not_stop_the_reading_of_the_shop(tmp_path, database_url):
    """One worker for all queues, all of whose create slots hang."""
    with System(tmp_path, database_url, ONEBOX_CONCURRENCY=4, ONEBOX_TIMEOUT=60) as system:
        system.give(100)
        system.crm.faults.add(Fault("hang", Crm.ORDER_SET, effect="applied"))
        system.worker(threads=10)
        system.ticks()
        system.wait_until(lambda: system.crm.in_flight == 4)
        for count in (110, 120, 130):
            system.give(10, start=400_000_000 + 100 * count)
            system.wait_until(lambda count=count: len(system.rows()) == count, 40)
        assert system.crm.in_flight == 4
