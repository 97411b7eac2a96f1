"""Calls to the CRM whose answer is lost, spoilt or late: looked up and adopted, never sent twice."""

from __future__ import annotations

import random

import pytest
from whole.system import System

from simulator.crm import Crm
from simulator.faults import Fault, everything

pytestmark = pytest.mark.whole

both_databases = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
CREATE = Crm.ORDER_SET
APPLIED_BUT_UNANSWERED = [
    Fault("drop", CREATE, effect="applied"),
    Fault("hang", CREATE, effect="applied"),
    Fault("status", CREATE, effect="applied", status=500),
    Fault("status", CREATE, effect="applied", status=502, body="<html>Bad Gateway</html>"),
    Fault("status", CREATE, effect="applied", status=504, body=""),
    Fault("garbled", CREATE),
    Fault("cut", CREATE),
    Fault("html", CREATE, effect="applied"),
    Fault("empty", CREATE, effect="applied"),
    Fault("drip", CREATE, seconds=5.0),
]


def only(fault, order_id):
    """The fault for the first call that carries this order."""
    return Fault(
        fault.kind,
        fault.path,
        effect=fault.effect,
        times=1,
        seconds=fault.seconds,
        status=fault.status,
        body=fault.body,
        ids=(f"okl-{order_id}",),
    )


@both_databases
def test_what_took_effect_without_an_answer_is_adopted(tmp_path, database_url):
    with System(tmp_path, database_url, ONEBOX_TIMEOUT=1, UNCERTAIN_WAIT=6) as system:
        given = system.give(20)
        spoilt = given[: len(APPLIED_BUT_UNANSWERED)]
        for order_id, fault in zip(spoilt, APPLIED_BUT_UNANSWERED, strict=False):
            system.crm.faults.add(only(fault, order_id))
        system.worker(threads=5)
        system.ticks()
        system.wait_created(20)
        system.assert_each_once(given)
        assert {len(times) for times in system.sent().values()} == {1}
        assert system.outcomes().count("adopted") == len(spoilt)


@both_databases
def test_effects_after_the_time_out_are_adopted(tmp_path, database_url):
    with System(tmp_path, database_url, ONEBOX_TIMEOUT=1, UNCERTAIN_WAIT=8) as system:
        given = system.give(12)
        late = [(kind, seconds) for kind in ("drop", "hang") for seconds in (1.5, 3.0, 5.0, 7.0)]
        for order_id, (kind, seconds) in zip(given, late, strict=False):
            fault = Fault(kind, CREATE, effect="late", seconds=seconds)
            system.crm.faults.add(only(fault, order_id))
        system.worker(threads=5)
        system.ticks()
        system.wait_created(12)
        system.assert_each_once(given)
        assert {len(times) for times in system.sent().values()} == {1}


def test_what_never_took_effect_is_sent_again_but_not_before_the_wait(tmp_path, database_url):
    wait = 5.0
    with System(tmp_path, database_url, ONEBOX_TIMEOUT=1, UNCERTAIN_WAIT=wait) as system:
        given = system.give(12)
        for order_id, kind in zip(given, ("drop", "hang", "html", "empty", "status"), strict=False):
            system.crm.faults.add(only(Fault(kind, CREATE, effect="none"), order_id))
        system.worker(threads=5)
        system.ticks()
        system.wait_created(12)
        system.assert_each_once(given)
        again = [times for times in system.sent().values() if len(times) > 1]
        assert sorted(map(len, again)) == [2] * 5
        assert min(second - first for first, second in again) >= wait


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.long
def test_everything_at_once(tmp_path, database_url):
    """Two workers, and a CRM and a shop that fail in every way there is."""
    with System(tmp_path, database_url, ONEBOX_TIMEOUT=1, OKLIVING_TIMEOUT=1) as system:
        given = system.give(60)
        system.crm.faults.seed(random.randrange(10**6))
        system.crm.faults.add(everything(probability=0.3))
        system.shop.faults.add(everything(probability=0.3))
        system.worker(threads=8)
        system.worker(threads=8)
        system.ticks()
        system.wait_until(lambda: system.states().get("created", 0) >= 40)
        system.crm.faults.reset()
        system.shop.faults.reset()
        system.wait_created(60)
        system.assert_each_once(given)
