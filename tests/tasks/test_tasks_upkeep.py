"""Sweep and pulse: what an outage left behind is made due and rung for, whoever died meanwhile."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from datetime import timedelta

import pytest
from celery import signals
from kombu.exceptions import OperationalError
from mapped_as import mapped_as
from structlog.testing import capture_logs

from ledger import connections, leases, orders, tallies, waking
from ledger.orders import Arrived, Outcome

BOX, SHOP = "onebox", "okliving"


@pytest.fixture
def upkeep(r, monkeypatch, clock):
    """The upkeep's tasks on these resources; `rung` are the keys that were rung for."""
    from tasks import upkeep  # noqa: PLC0415  after the settings of conftest

    upkeep.rung = deque()

    def ring(due):
        found = list(due)
        upkeep.rung.extend(one.pk for one in found)
        return len(found)

    monkeypatch.setattr(upkeep, "resources", lambda: r)
    monkeypatch.setattr(upkeep, "ring", ring)
    monkeypatch.setattr(upkeep, "ring_updates", lambda due: len(list(due)))
    return upkeep


def waiting(r, count, now):
    """So many orders that wait for an hour since a call failed."""
    arrived = [Arrived(str(n), f"okl-{n}", "{}", "a" * 32, now) for n in range(count)]
    pks = orders.store(r.ledger, SHOP, BOX, arrived, now, mapped_as())
    outcome = Outcome("waiting", "crm_unavailable", next_try_at=now + timedelta(hours=1))
    for pk in pks:
        orders.record(r.ledger, orders.claim(r.ledger, pk, now, 70), outcome, None, now)
    return pks


def open_and_die(r, now):
    """A call goes through and opens the gate; its worker dies before it has told anyone."""
    connections.close(r.ledger, BOX, "breaker", now, 5, "down")
    assert connections.open_gate(r.ledger, BOX)


def test_the_pulse_wakes_what_a_dead_worker_left_asleep(r, clock, upkeep):
    pks = waiting(r, 3, clock.now)
    open_and_die(r, clock.now)
    assert orders.due(r.ledger, BOX, clock.now, 10) == []
    upkeep.pulse()
    assert {due.pk for due in orders.due(r.ledger, BOX, clock.now, 10)} == set(pks)
    assert waking.gates_waking(r.ledger) == []


def test_a_sweep_rings_for_what_it_wakes_and_the_next_one_goes_on(r, clock, upkeep, monkeypatch):
    monkeypatch.setattr(upkeep, "MOST_CHUNKS", 1)
    pks = waiting(r, leases.CHUNK + 1, clock.now)
    open_and_die(r, clock.now)
    upkeep.sweep(grace=0.0)
    assert len(upkeep.rung) == leases.CHUNK
    upkeep.sweep(grace=0.0)
    assert set(upkeep.rung) == set(pks)
    upkeep.sweep(grace=0.0)
    assert waking.gates_waking(r.ledger) == []


def test_the_pulse_renews_the_tallies_of_what_is_too_much_to_count(r, clock, upkeep, monkeypatch):
    monkeypatch.setattr(tallies, "MOST_EXACT", 2)
    waiting(r, 5, clock.now)
    upkeep.pulse()
    clock.go(30)
    counted = tallies.counts(r.ledger, tallies.ORDERS, clock.now)
    assert (counted.rows["waiting"], counted.at) == (5, clock.now - timedelta(seconds=30))


# --- from shadow to live ------------------------------------------------------------------------------


def in_shadow(r, count, now):
    """So many orders that shadow mode has just mapped."""
    arrived = [Arrived(str(n), f"okl-{n}", "{}", "a" * 32, now) for n in range(count)]
    pks = orders.store(r.ledger, SHOP, BOX, arrived, now, mapped_as())
    outcome = Outcome("waiting", "shadow", next_try_at=now + timedelta(minutes=15), shadow=True)
    for pk in pks:
        orders.record(r.ledger, orders.claim(r.ledger, pk, now, 70), outcome, None, now)
    return pks


def test_the_first_sweep_in_live_mode_rings_for_what_waited_in_shadow_the_oldest_first(
    r, clock, upkeep
):
    pks = in_shadow(r, 5, clock.now)
    upkeep.sweep()
    assert list(upkeep.rung) == sorted(pks)
    assert all(orders.claim(r.ledger, pk, clock.now, 70) for pk in pks)


def test_what_waited_in_shadow_is_rung_for_in_bounded_parts_and_in_order(
    r, clock, upkeep, monkeypatch
):
    monkeypatch.setattr(upkeep, "MOST_CHUNKS", 1)
    pks = sorted(in_shadow(r, leases.CHUNK + 5, clock.now))
    upkeep.sweep()
    assert list(upkeep.rung) == pks[: leases.CHUNK]
    for pk in upkeep.rung:
        orders.claim(r.ledger, pk, clock.now, 70)
    upkeep.rung.clear()
    clock.go(1)
    upkeep.sweep()
    assert list(upkeep.rung) == pks[leases.CHUNK :]


@pytest.mark.parametrize("shadow", ["okliving", "onebox"])
def test_in_shadow_nothing_is_rung_for(make, clock, monkeypatch, shadow):
    from tasks import upkeep  # noqa: PLC0415  after the settings of conftest

    r = make()
    remotes = r.sources if shadow == SHOP else r.targets
    one = remotes[shadow]
    remotes[shadow] = replace(one, connection=replace(one.connection, mode="shadow"))
    in_shadow(r, 2, clock.now)
    monkeypatch.setattr(upkeep, "resources", lambda: r)
    monkeypatch.setattr(upkeep, "ring", lambda due: pytest.fail("rung") if list(due) else 0)
    upkeep.sweep()


def test_what_waited_in_shadow_waits_on_while_its_target_is_closed(r, clock, upkeep):
    in_shadow(r, 2, clock.now)
    connections.pause(r.ledger, BOX, ["write"], clock.now, reason="moving", who="anna")
    upkeep.sweep()
    assert list(upkeep.rung) == []


@pytest.mark.parametrize(("served", "sweeps"), [("upkeep", 1), ("create", 0)])
def test_a_worker_that_starts_has_all_that_is_due_rung_for(monkeypatch, served, sweeps):
    from tasks import app as celery  # noqa: PLC0415  after the settings of conftest

    sent = []
    monkeypatch.setattr(celery.amqp.queues, "_consume_from", {served: None})
    monkeypatch.setattr(celery, "send_task", lambda name, **given: sent.append((name, given)))
    signals.worker_ready.send(sender=None)
    assert [(name, given["kwargs"]) for name, given in sent] == [
        ("upkeep.sweep", {"grace": 0.0})
    ] * sweeps


def test_a_worker_starts_although_no_broker_takes_the_ring(monkeypatch):
    from tasks import app as celery  # noqa: PLC0415  as above

    def away(*_, **__):
        raise OperationalError("no route")

    monkeypatch.setattr(celery.amqp.queues, "_consume_from", {"upkeep": None})
    monkeypatch.setattr(celery, "send_task", away)
    with capture_logs() as lines:
        signals.worker_ready.send(sender=None)
    assert [line["event"] for line in lines] == ["ring_failed"]
