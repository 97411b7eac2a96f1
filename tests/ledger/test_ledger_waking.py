"""What waited is made due in chunks, by whoever comes first, and a death in between loses nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from mapped_as import mapped_as
from sqlalchemy import insert, select, update

from ledger import connections, enqueueing, orders, queues, waking
from ledger.enqueueing import Asked
from ledger.leases import CHUNK
from ledger.orders import Arrived, Outcome
from ledger.tables import ORDERS, QUEUES
from ledger.updates import Due
from ledger.waking import Waking

BOX, SHOP = "onebox", "okliving"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LEASE = 70.0
MANY = 2 * CHUNK + 10


def at(seconds):
    return NOW + timedelta(seconds=seconds)


def store(ledger, *order_ids):
    arrived = [Arrived(i, f"okl-{i}", "{}", "a" * 32, NOW) for i in order_ids]
    return orders.store(ledger, SHOP, BOX, arrived, NOW, mapped_as())


def fail(ledger, pk, now=NOW, reason="crm_unavailable", **more):
    """Claim and record a failure that waits for ten minutes."""
    claim = orders.claim(ledger, pk, now, LEASE)
    outcome = Outcome("waiting", reason, next_try_at=now + timedelta(minutes=10), **more)
    assert orders.record(ledger, claim, outcome, None, now)


def due(ledger, now):
    return {d.pk for d in orders.due(ledger, BOX, now, 10 * MANY)}


def open_again(ledger, connection):
    """Close a gate and open it, as a call that goes through does."""
    connections.close(ledger, connection, "fault", NOW, 15, "x")
    assert connections.open_gate(ledger, connection)


@pytest.fixture
def ledger(ledger, monkeypatch):
    monkeypatch.setattr(ledger, "now", lambda: at(1))
    return ledger


def test_what_waited_is_made_due_but_for_what_waits_for_itself(ledger):
    certain, uncertain, blamed, later, held = store(ledger, *"12345")
    fail(ledger, certain)
    fail(ledger, uncertain, uncertain_since=NOW)
    fail(ledger, blamed)
    fail(ledger, later, now=at(2))
    claim = orders.claim(ledger, held, NOW, LEASE)
    orders.record(ledger, claim, Outcome("held", "phone_missing"), None, NOW)
    ledger.write(
        lambda db: db.execute(update(ORDERS).where(ORDERS.c.id == blamed).values(blamed_at=NOW))
    )
    assert waking.wake(ledger, Waking("other box", at(1)), 1)
    assert due(ledger, at(1)) == set()
    assert waking.wake(ledger, Waking(BOX, at(1)), 1)
    assert due(ledger, at(1)) == {certain}


def test_an_opened_gate_says_that_what_waited_is_to_be_woken_until_all_is(ledger):
    assert not connections.open_gate(ledger, BOX)
    assert waking.gates_waking(ledger) == []
    open_again(ledger, BOX)
    assert waking.gates_waking(ledger) == [Waking(BOX, at(1))]
    connections.close(ledger, BOX, "fault", at(2), 15, "x")
    assert waking.gates_waking(ledger) == []  # to no purpose while it is closed
    connections.open_gate(ledger, BOX)
    waking.is_awake(ledger, Waking(BOX, at(-100)))  # of an earlier opening
    (gate,) = waking.gates_waking(ledger)
    waking.is_awake(ledger, gate)
    assert waking.gates_waking(ledger) == []


def test_a_gate_of_reads_wakes_nothing(ledger):
    connections.close(ledger, BOX, "fault", NOW, 15, "x", "read")
    assert connections.open_gate(ledger, BOX, "read")
    assert waking.gates_waking(ledger) == []


class Killed(BaseException):
    """The process ends here."""


def kill_after(ledger, monkeypatch, writes):
    """The process dies after so many of its transactions."""
    commit, left = ledger.write, [writes]

    def write(unit):
        if not left[0]:
            raise Killed
        left[0] -= 1
        return commit(unit)

    monkeypatch.setattr(ledger, "write", write)


def test_a_worker_that_dies_in_the_middle_of_waking_loses_nothing(ledger, monkeypatch):
    pks = store(ledger, *map(str, range(MANY)))
    values = {"state": "waiting", "next_try_at": at(600)}
    ledger.write(lambda db: db.execute(update(ORDERS).values(values)))
    open_again(ledger, BOX)
    (gate,) = waking.gates_waking(ledger)
    with monkeypatch.context() as patched:
        kill_after(ledger, patched, 1)
        with pytest.raises(Killed):
            waking.wake(ledger, gate, 10)
    assert len(due(ledger, at(1))) == CHUNK
    (gate,) = waking.gates_waking(ledger)
    assert waking.wake(ledger, gate, 10)
    assert due(ledger, at(1)) == set(pks)


def test_waking_goes_on_where_the_last_run_ended(ledger):
    store(ledger, *map(str, range(MANY)))
    values = {"state": "waiting", "next_try_at": at(600)}
    ledger.write(lambda db: db.execute(update(ORDERS).values(values)))
    gate = Waking(BOX, at(1))
    runs = [(waking.wake(ledger, gate, 1), len(due(ledger, at(1)))) for _ in range(3)]
    assert runs == [(False, CHUNK), (False, 2 * CHUNK), (True, MANY)]


def test_those_that_stay_asleep_do_not_keep_others_from_being_woken(ledger):
    *_, last = store(ledger, *map(str, range(MANY)))
    asleep_values = {"state": "waiting", "next_try_at": at(600), "blamed_at": NOW}
    ledger.write(lambda db: db.execute(update(ORDERS).values(asleep_values)))
    last_values = {"next_try_at": at(700), "blamed_at": None}
    of_last = update(ORDERS).where(ORDERS.c.id == last)
    ledger.write(lambda db: db.execute(of_last.values(last_values)))
    assert waking.wake(ledger, Waking(BOX, at(1)), 1)
    assert due(ledger, at(1)) == {last}


def test_queues_of_updates_are_woken_in_chunks_too(ledger):
    names = [str(n) for n in range(MANY)]
    for name in names[:2]:
        enqueueing.accept(ledger, Asked(SHOP, name, "d", "t", {"note": "n"}), NOW)
    model = {"connection": SHOP, "last_seq": 1, "open": True, "tries": 1, "next_try_at": at(600)}
    rows = [model | {"order_id": name} for name in names[2:]]
    ledger.write(lambda db: db.execute(insert(QUEUES), rows))
    ledger.write(lambda db: db.execute(update(QUEUES).values(next_try_at=at(600))))
    of_first = update(QUEUES).where(QUEUES.c.order_id == "0")
    ledger.write(lambda db: db.execute(of_first.values(blamed_at=NOW)))
    open_again(ledger, SHOP)
    (gate,) = waking.gates_waking(ledger)
    runs = [waking.wake(ledger, gate, 1) for _ in range(4)]
    assert runs[:2] == [False, False]
    assert runs[-1]
    found = queues.due(ledger, SHOP, at(1), 10 * MANY)
    assert {d.order_id for d in found} == set(names[1:])
    assert Due(SHOP, "0") not in found


def test_what_shadow_mode_mapped_is_made_due(ledger):
    *mapped, failed = store(ledger, *map(str, range(MANY)))
    fail(ledger, failed)
    values = {"state": "waiting", "reason": "shadow", "shadow": True, "next_try_at": at(900)}
    of_mapped = update(ORDERS).where(ORDERS.c.id.in_(mapped))
    ledger.write(lambda db: db.execute(of_mapped.values(values)))
    assert orders.leave_shadow(ledger, [SHOP], [BOX], at(1), 1) == CHUNK
    assert orders.leave_shadow(ledger, [SHOP], [BOX], at(1), 10) == len(mapped) - CHUNK
    assert orders.leave_shadow(ledger, [SHOP], [BOX], at(1), 10) == 0
    assert due(ledger, at(1)) == set(mapped)
    with ledger.read() as db:
        reasons = set(db.execute(select(ORDERS.c.reason)).scalars())
    assert reasons == {"", "crm_unavailable"}
