"""One order meets what looks like the connection's fault, amid good ones: they do not wait for it."""

from __future__ import annotations

import statistics
import time

import pytest
from whole.system import System

from ledger import connections
from simulator.crm import Crm
from simulator.faults import Fault
from simulator.samples import many, reference_order

pytestmark = pytest.mark.whole

QUICK = {"ONEBOX_TIMEOUT": 1, "UNCERTAIN_WAIT": 3}
FAULTS = {
    "403": Fault("status", Crm.ORDER_SET, status=403, body="<html>firewall</html>"),
    "404": Fault("status", Crm.ORDER_SET, status=404, body="<html>not here</html>"),
    "redirect": Fault("status", Crm.ORDER_SET, status=302, body="<html>elsewhere</html>"),
}


def spoil(system, ids, fault):
    """Each call that carries one of these orders meets the fault."""
    for order_id in ids:
        system.shop.add(reference_order(id=order_id))
    external_ids = tuple(f"okl-{order_id}" for order_id in ids)
    system.crm.faults.add(
        Fault(fault.kind, fault.path, status=fault.status, body=fault.body, ids=external_ids)
    )


def trickle(system, count, seconds):
    """Good orders one by one; their ids, and when each was given."""
    given = {}
    for order in many(count, start=400_000_001):
        given[system.shop.add(order)] = time.time()
        time.sleep(seconds)
    return given


def waits(system, given):
    """How long each good order waited from the moment when it was in the ledger."""
    sent = system.sent()
    rows = {row.order_id: row for row in system.rows()}
    return [sent[f"okl-{one}"][0] - rows[one].received_at.timestamp() for one in given]


@pytest.mark.long
@pytest.mark.parametrize(("kind", "bad"), [("403", 1), ("404", 1), ("redirect", 1), ("403", 10)])
def test_good_orders_do_not_wait_for_what_a_single_one_meets(tmp_path, database_url, kind, bad):
    with System(tmp_path, database_url, **QUICK) as system:
        ids = [str(900_000_001 + number) for number in range(bad)]
        spoil(system, ids, FAULTS[kind])
        system.worker(threads=5)
        system.ticks()
        given = trickle(system, 25, 1.0)
        system.wait_created(25)
        assert statistics.median(waits(system, given)) < 2.0
        # Only others that go through show whose fault it is.
        for start in range(500_000_001, 500_004_001, 100):
            if system.states().get("held") == bad:
                break
            given |= dict.fromkeys(system.give(1, start=start))
            time.sleep(2)
        assert system.states()["held"] == bad
        system.wait_created(len(given))
        rows = [system.row(order_id) for order_id in ids]
        assert {(row.state, row.reason) for row in rows} == {("held", "crm_refused")}
        assert connections.gate(system.ledger, "onebox").closed_by is None
        system.assert_each_once(list(given))


def test_wave_of_equal_refusals_lets_the_good_ones_through(tmp_path, database_url):
    with System(tmp_path, database_url, **QUICK) as system:
        ids = [str(900_000_001 + number) for number in range(60)]
        for order_id in ids:
            system.shop.add(reference_order(id=order_id))
        refused = tuple(f"okl-{order_id}" for order_id in ids)
        system.crm.faults.add(Fault("refuse", Crm.ORDER_SET, body="Немає складу", ids=refused))
        system.worker(threads=5)
        system.ticks()
        system.wait_until(lambda: len(system.rows()) == 60)
        given = trickle(system, 3, 5.0)
        system.wait_created(3)
        system.wait_until(lambda: system.states().get("held") == 60)
        system.assert_each_once(list(given))


@pytest.mark.long
def test_order_that_alone_gets_a_server_error_stops_no_other(tmp_path, database_url):
    with System(tmp_path, database_url, **QUICK) as system:
        system.shop.add(reference_order(id="900000001"))
        system.crm.faults.add(Fault("status", Crm.ORDER_SET, status=500, ids=("okl-900000001",)))
        system.worker(threads=5)
        system.ticks()
        given = trickle(system, 20, 1.0)
        system.wait_created(20)
        assert statistics.median(waits(system, given)) < 2.0
        assert connections.gate(system.ledger, "onebox").closed_by is None
        assert len(system.sent()["okl-900000001"]) <= 3
        system.assert_each_once(list(given))
