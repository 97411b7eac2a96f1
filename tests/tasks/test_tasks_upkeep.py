"""Sweep and pulse: what an outage left behind is made due and rung for, whoever died meanwhile."""

from __future__ import annotations

from collections import deque
from datetime import timedelta

import pytest
from mapped_as import mapped_as

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
