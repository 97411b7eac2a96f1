"""Personal data of what ended long ago is blanked and its calls deleted; what is open stays whole."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from mapped_as import mapped_as
from sqlalchemy import func, insert, select, update

from ledger import attempts, enqueueing, history, orders, purging, queues, updates
from ledger.attempts import Try
from ledger.enqueueing import Asked
from ledger.orders import Arrived, Outcome
from ledger.purging import CHUNK
from ledger.tables import ATTEMPTS, HOOKS, INTAKE, ORDERS, UPDATES
from ledger.updates import Due

SHOP = "okliving"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LEASE = 70.0
MANY = 2 * CHUNK + 1


def at(seconds):
    return NOW + timedelta(seconds=seconds)


def store(ledger, *order_ids):
    arrived = [Arrived(i, f"okl-{i}", '{"phone": 1}', "a" * 32, NOW) for i in order_ids]
    return orders.store(ledger, SHOP, "onebox", arrived, NOW, mapped_as())


def put_in(ledger, pk, state):
    """One failed try, then that state."""
    claim = orders.claim(ledger, pk, NOW, LEASE)
    attempt = Try("create", NOW, 12, "failed", 500, "he said", "task")
    target_id = "77" if state == "created" else None
    orders.record(ledger, claim, Outcome(state, target_id=target_id), attempt, NOW)


def count(ledger, table):
    with ledger.read() as db:
        return db.execute(select(func.count()).select_from(table)).scalar_one()


def value(ledger, column):
    with ledger.read() as db:
        return db.execute(select(column)).scalar_one()


@pytest.mark.parametrize("state", orders.STATES)
def test_purge_blanks_what_was_finished_long_ago_and_keeps_ids(ledger, state):
    (pk,) = store(ledger, "1")
    put_in(ledger, pk, state)
    finished = state in {"created", "ignored"}
    assert purging.orders(ledger, NOW) == 0
    assert purging.orders(ledger, at(1)) == int(finished)
    assert purging.orders(ledger, at(1)) == 0
    assert orders.source(ledger, pk) == ("" if finished else '{"phone": 1}')
    assert [t.excerpt for t in attempts.of_order(ledger, pk)] == ["" if finished else "he said"]
    (row,) = orders.listing(ledger, NOW)
    assert (row.order_id, row.state) == ("1", state)
    assert row.target_id == ("77" if state == "created" else None)


@pytest.mark.parametrize("state", orders.STATES)
def test_attempts_are_deleted_after_the_retention_but_for_those_of_open_orders(ledger, state):
    (pk,) = store(ledger, "1")
    put_in(ledger, pk, state)
    assert purging.attempts(ledger, NOW) == 0
    gone = int(state in {"created", "ignored"})
    assert purging.attempts(ledger, at(1)) == gone
    assert count(ledger, ATTEMPTS) == 1 - gone


def test_all_is_purged_however_many_chunks_it_takes(ledger):
    pks = store(ledger, *map(str, range(MANY)))
    values = {"state": "created", "state_at": NOW}
    ledger.write(lambda db: db.execute(update(ORDERS).values(values)))
    tried = {"kind": "create", "connection": "onebox", "started_at": NOW, "duration_ms": 1}
    rows = [tried | {"outcome": "created", "excerpt": "x", "order_pk": pk} for pk in pks * 3]
    ledger.write(lambda db: db.execute(insert(ATTEMPTS), rows))
    assert purging.orders(ledger, at(1)) == MANY
    assert purging.attempts(ledger, at(1)) == 3 * MANY
    assert count(ledger, ATTEMPTS) == 0


def test_kept_attempts_do_not_end_the_walk_before_those_that_are_over(ledger):
    open_pk, over_pk = store(ledger, "1", "2")
    put_in(ledger, over_pk, "created")
    tried = {"kind": "create", "connection": "onebox", "started_at": NOW, "duration_ms": 1}
    rows = [
        tried | {"outcome": "failed", "excerpt": "", "order_pk": pk}
        for pk in [*[open_pk] * (purging.PAGE + 1), over_pk]
    ]
    ledger.write(lambda db: db.execute(insert(ATTEMPTS), rows))
    assert purging.attempts(ledger, at(1)) == 2
    assert len(attempts.of_order(ledger, open_pk)) == purging.PAGE + 1


def test_purge_removes_old_scraps(ledger):
    orders.keep_aside(ledger, SHOP, [("a" * 32, "old")], NOW)
    orders.keep_aside(ledger, SHOP, [("b" * 32, "new")], at(10))
    assert purging.intake(ledger, at(5)) == 1
    assert value(ledger, INTAKE.c.raw) == "new"


def test_purged_order_that_comes_again_unchanged_stays_blank(ledger):
    (pk,) = store(ledger, "1")
    put_in(ledger, pk, "created")
    purging.orders(ledger, at(1))
    assert store(ledger, "1") == []
    assert orders.source(ledger, pk) == ""


def ask(ledger, order_id, note):
    asked = Asked(SHOP, order_id, "d", "t", {"note": note, "order": "process"}, {"note"})
    return enqueueing.accept(ledger, asked, NOW)


def call(ledger, order_id, state):
    """One call for the update of this order, which then stands so."""
    queue, (row,), _ = queues.claim(ledger, Due(SHOP, order_id), NOW, LEASE)
    made = Try("update", NOW, 5, "sent", 200, "said", "task", parts="note")
    queues.record(ledger, queue, replace(row, state=state), NOW, call=made)


def test_the_purge_blanks_updates_that_are_over_and_keeps_what_waits(ledger):
    over, waits = ask(ledger, "1", "over"), ask(ledger, "2", "waits")
    call(ledger, "1", "sent")
    call(ledger, "2", "queued")
    assert purging.updates(ledger, NOW) == 0
    assert purging.updates(ledger, at(1)) == 1
    assert purging.updates(ledger, at(1)) == 0
    assert updates.find(ledger, over.id).values == {"note": None, "order": "process"}
    assert updates.find(ledger, waits.id).values == {"note": "waits", "order": "process"}
    assert [c.excerpt for c in attempts.of_update(ledger, over.id)] == [""]
    assert [c.excerpt for c in attempts.of_update(ledger, waits.id)] == ["said"]
    assert purging.attempts(ledger, NOW) == 0
    assert purging.attempts(ledger, at(1)) == 1
    assert count(ledger, ATTEMPTS) == 1
    assert count(ledger, UPDATES) == 2


def test_hook_calls_are_deleted_when_they_were_worked_off_or_came_in_long_ago(ledger):
    row = {"connection": SHOP, "fields": {}, "outcome": "accepted"}
    times = [(NOW, NOW), (NOW, at(10)), (at(10), at(10)), (at(10), None), (NOW, None)]
    rows = [row | {"received_at": come, "done_at": done} for come, done in times]
    ledger.write(lambda db: db.execute(insert(HOOKS), rows))
    assert purging.hook_calls(ledger, NOW) == 0
    assert purging.hook_calls(ledger, at(1)) == 2
    assert count(ledger, HOOKS) == 3


def test_purge_takes_acts_in_chunks_and_who_stays_as_long_as_the_row(ledger):
    (pk,) = store(ledger, "1")
    act = history.Act(NOW, "olena", "backfill_run", "connection", SHOP)
    for _ in range(3):
        history.write(ledger, act)
    orders.retry(ledger, pk, at(10), who="petro")
    assert purging.history(ledger, NOW) == 0
    assert purging.history(ledger, at(5)) == 3
    assert [act.who for act in history.of_order(ledger, SHOP, "1")] == ["petro"]
