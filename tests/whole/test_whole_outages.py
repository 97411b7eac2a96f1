"""The CRM is down, refuses the login or refuses everything: noticed once, nothing held, back by itself."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update
from whole.system import System

from ledger import connections
from ledger.tables import ORDERS
from simulator.crm import Crm
from simulator.faults import Fault
from simulator.samples import reference_order

pytestmark = pytest.mark.whole

QUICK = {"ONEBOX_TIMEOUT": 1, "UNCERTAIN_WAIT": 3}


def gate(system):
    return connections.gate(system.ledger, "onebox")


def calls_between(crm, start, end):
    return sum(start <= entry.time < end for entry in list(crm.requests))


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_outage_of_the_crm_is_probed_and_not_stormed(tmp_path, database_url):
    with System(tmp_path, database_url, **QUICK) as system:
        given = system.give(300)
        system.crm.faults.add(Fault("drop", "/api/v2/order/*"))
        system.worker(threads=50)
        system.ticks()
        system.wait_until(lambda: gate(system).closed_by == "breaker")
        first = system.crm.requests[0].time
        system.wait_until(lambda: time.time() > first + 22)
        # The design's bound is for 30 s; what comes after the breaker closed is one probe in 5 s.
        assert calls_between(system.crm, first, first + 12) <= 150
        assert 1 <= calls_between(system.crm, first + 12, first + 22) <= 6
        assert system.states().get("held", 0) == 0
        system.crm.faults.reset()
        back = time.monotonic()
        system.wait_created(300)
        assert time.monotonic() - back < 60
        system.assert_each_once(given)


def test_refused_connections_and_back_though_every_order_waits_for_long(tmp_path, database_url):
    """After hours of outage each order's next try is minutes away; the probe must not wait for it."""
    with System(tmp_path, database_url, **QUICK) as system:
        system.crm_server.down()
        given = system.give(300)
        system.worker(threads=50)
        system.ticks()
        system.wait_until(lambda: gate(system).closed_by == "breaker")
        assert set(system.outcomes()) == {"failed"}
        system.wait_until(lambda: system.valkey.client.llen("create") == 0)
        later = datetime.now(UTC) + timedelta(minutes=10)
        waits = update(ORDERS).values(state="waiting", next_try_at=later)
        system.ledger.write(lambda db: db.execute(waits))
        system.crm_server.up()
        back = time.monotonic()
        system.wait_created(300)
        assert time.monotonic() - back < 60
        assert gate(system).closed_by is None
        system.assert_each_once(given)
        assert {len(times) for times in system.sent().values()} == {1}


def test_wrong_password_and_wrong_stage_pause_and_end_by_themselves(tmp_path, database_url):
    with System(tmp_path, database_url, **QUICK) as system:
        given = system.give(5)
        system.worker()
        system.ticks()
        system.wait_created(5)

        good, system.crm.password = system.crm.password, "another one"
        system.crm.kill_tokens()
        given += system.give(30, start=400_000_001)
        assert_paused(system, waiting=30, created=5)
        logins = system.crm.counts[Crm.TOKEN]
        system.crm.password = good
        system.wait_created(35)
        assert system.crm.counts[Crm.TOKEN] - logins <= 6
        assert gate(system).closed_by is None

        stages = system.crm.workflows[system.crm.workflow_id]["stages"]
        removed = stages.pop(system.crm.status_id)
        given += system.give(30, start=500_000_001)
        assert_paused(system, waiting=30, created=35)
        stages[system.crm.status_id] = removed
        system.wait_created(65)
        assert gate(system).closed_by is None

        system.assert_each_once(given)
        assert {row.tries for row in system.rows()} == {1}


def assert_paused(system, *, waiting, created):
    system.wait_until(lambda: gate(system).closed_by == "fault")
    system.wait_until(lambda: len(system.rows()) == waiting + created)
    states = system.states()
    assert (states.get("held", 0), states["created"]) == (0, created)


@pytest.mark.long
def test_the_same_refusal_for_five_orders_is_the_connections_fault(tmp_path, database_url):
    with System(tmp_path, database_url, **QUICK) as system:
        given = system.give(40)
        system.crm.faults.add(Fault("latency", Crm.ORDER_SET, seconds=0.1))
        system.crm.faults.add(Fault("refuse", Crm.ORDER_SET, body="Немає вільної ліцензії"))
        system.worker(threads=20)
        system.ticks()
        system.wait_until(lambda: gate(system).closed_by == "fault")
        system.wait_until(lambda: system.crm.in_flight == 0 and "held" not in system.states(), 20)
        assert gate(system).reason
        system.crm.faults.reset()
        system.wait_created(40)
        system.assert_each_once(given)


def test_one_refused_order_amid_good_ones_is_held(tmp_path, database_url):
    with System(tmp_path, database_url, **QUICK) as system:
        given = system.give(20)
        bad = system.shop.add(reference_order(id="900000001"))
        system.crm.faults.add(
            Fault("refuse", Crm.ORDER_SET, body="Не подобається", ids=("okl-900000001",))
        )
        system.worker()
        system.ticks()
        system.wait_created(20)
        system.wait_until(lambda: system.states().get("held") == 1)
        row = system.row(bad)
        assert (row.state, row.reason) == ("held", "crm_refused")
        assert any("Не подобається" in problem["detail"] for problem in row.problems)
        assert gate(system).closed_by is None
        system.assert_each_once(given)
