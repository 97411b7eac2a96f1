"""What a ledger that went back begins with: what may have been sent is looked up, sources are read again."""

from __future__ import annotations

import shutil
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update
from tide_calls import BOUNDS, LEASE, claim, row, standing, store

from ledger import connections, enqueueing, orders, queues, tides
from ledger.database import open_ledger
from ledger.enqueueing import Asked
from ledger.orders import Outcome
from ledger.tables import CURSORS, ORDERS, TIDES
from ledger.updates import Due as DueQueue


@pytest.mark.parametrize("state", ["received", "waiting", "held", "ignored"])
def test_what_is_not_known_as_created_is_looked_up_first(opened, backup, state):
    ledger = opened()
    (pk,) = store(ledger, "1")
    if state != "received":
        now = ledger.now()
        outcome = Outcome(state, next_try_at=now)
        orders.record(ledger, claim(ledger, pk), outcome, None, now)
    before = backup()
    store(ledger, "lost")
    before.put_back()
    began = ledger.now()
    ledger.look_back()
    found = row(ledger, "1")
    assert found.state == state
    # Behind the moment by which a call that the ledger has forgotten is over.
    assert found.uncertain_since >= began + BOUNDS.call - timedelta(seconds=1)
    orders.retry(ledger, pk, ledger.now(), who="olena")
    again = claim(ledger, pk)
    assert (again.uncertain_since, again.lookups) == (found.uncertain_since, 1)


def test_a_created_order_stays_created(opened, backup):
    ledger = opened()
    (pk,) = store(ledger, "1")
    orders.record(ledger, claim(ledger, pk), Outcome("created", target_id="7"), None, ledger.now())
    before = backup()
    store(ledger, "lost")
    before.put_back()
    ledger.look_back()
    found = row(ledger, "1")
    assert (found.state, found.target_id, found.uncertain_since) == ("created", "7", None)


def test_whoever_holds_an_order_holds_it_no_more_and_its_id_is_kept(opened, backup):
    ledger = opened()
    (pk,) = store(ledger, "1")
    held = claim(ledger, pk)
    before = backup()
    store(ledger, "lost")
    before.put_back()
    ledger.look_back()
    assert claim(ledger, pk) is not None
    outcome = Outcome("created", target_id="7")
    assert orders.record(ledger, held, outcome, None, ledger.now())
    assert (row(ledger, "1").state, row(ledger, "1").target_id) == ("created", "7")


def test_an_id_that_comes_late_is_not_given_to_another_order_with_the_same_key(opened, backup):
    """The row is gone, and its key was given to the next order that came."""
    ledger = opened()
    before = backup()
    (pk,) = store(ledger, "1")
    held = claim(ledger, pk)
    before.put_back()
    ledger.look_back()
    store(ledger, "2")
    moved = ORDERS.update().values(id=pk)
    ledger.write(lambda db: db.execute(moved))
    outcome = Outcome("created", target_id="7")
    assert not orders.record(ledger, held, outcome, None, ledger.now())
    assert row(ledger, "2").state == "received"


def test_cursors_move_back_polls_under_way_end_and_unknown_shops_begin_where_it_was(opened, backup):
    ledger = opened()
    known = ledger.now()
    poll = connections.begin_poll(ledger, "other", known, LEASE)
    connections.end_poll(ledger, poll, known, known + timedelta(minutes=5))
    before = backup()
    running = connections.begin_poll(ledger, "other", ledger.now(), LEASE)
    before.put_back()
    ledger.look_back()
    rows = {r.connection: r for r in connections.cursors(ledger)}
    assert rows["other"].watermark <= known - tides.MARGIN + timedelta(seconds=5)
    assert not connections.end_poll(ledger, running, ledger.now(), ledger.now())
    with ledger.read() as db:
        start = db.execute(
            select(CURSORS.c.start_at).where(CURSORS.c.connection == "shop")
        ).scalar_one()
    assert start <= known - tides.MARGIN + timedelta(seconds=5)


def test_order_that_comes_in_before_the_shops_are_read_again_is_looked_up(lost):
    ledger = lost(lambda _: None)
    late = ledger.now() + timedelta(days=1)
    store(ledger, "new", stamp=late)
    found = row(ledger, "new")
    assert found.uncertain_since is not None
    assert found.state == "received"


def test_gap_is_closed_once_every_shop_was_read_to_the_end(lost):
    ledger = lost(lambda _: None)
    ledger.close_gap()
    assert standing(ledger).is_behind
    # A back-fill reads old days, not what is new since.
    day = connections.begin_poll(ledger, "shop", ledger.now(), LEASE)
    connections.end_poll(ledger, day, ledger.now(), None, whole=False)
    ledger.close_gap()
    assert standing(ledger).is_behind
    poll = connections.begin_poll(ledger, "shop", ledger.now(), LEASE)
    connections.end_poll(ledger, poll, ledger.now(), ledger.now())
    ledger.close_gap()
    assert not standing(ledger).is_behind


def test_after_the_gap_only_what_was_there_before_it_is_looked_up(lost):
    ledger = lost(lambda _: None)
    poll = connections.begin_poll(ledger, "shop", ledger.now(), LEASE)
    connections.end_poll(ledger, poll, ledger.now(), ledger.now())
    ledger.close_gap()
    store(ledger, "old", stamp=ledger.now() - timedelta(days=300))
    store(ledger, "unstamped")
    store(ledger, "new", stamp=ledger.now() + tides.SHOP_SKEW + timedelta(minutes=1))
    assert row(ledger, "old").uncertain_since is not None
    assert row(ledger, "unstamped").uncertain_since is not None
    assert row(ledger, "new").uncertain_since is None


def test_calls_may_have_been_made_for_what_is_queued(opened, backup):
    ledger = opened()
    now = ledger.now()
    asked = Asked("shop", "1", "d", "http", {"order": "process", "note": "hello"})
    accepted = enqueueing.accept(ledger, asked, now)
    before = backup()
    store(ledger, "lost")
    before.put_back()
    ledger.look_back()
    queue, (queued,), left_behind = queues.claim(ledger, DueQueue("shop", "1"), ledger.now(), LEASE)
    assert queued.id == accepted.id
    assert (queued.in_doubt, left_behind) == (True, False)
    assert queue.doubted
    assert queue.settled_at > now + BOUNDS.call + BOUNDS.effect - timedelta(seconds=5)


def test_writers_that_ended_long_ago_are_forgotten_by_the_memory_first(opened, memory):
    first, second = opened(), opened()
    store(first, "1")
    store(second, "2")
    old, older = sorted(memory.kept[""])
    ages = ((old, timedelta(days=10)), (older, timedelta(days=40)))
    for writer, age in ages:
        with first.engine.begin() as db:
            if db.dialect.name == "sqlite":
                db.exec_driver_sql("BEGIN IMMEDIATE")
            at = datetime.now(UTC) - age
            db.execute(update(TIDES).where(TIDES.c.writer == writer).values(at=at))
    third = opened()
    store(third, "3")
    known = []
    for _ in range(2):
        third.forget_silent()
        assert third.look_back().epoch == ""
        assert set(memory.kept[""]) & {old, older} == set()
        with third.read() as db:
            known.append(older in set(db.execute(select(TIDES.c.writer)).scalars()))
    assert known == [True, False]


def test_a_file_put_back_is_noticed_at_the_next_start(tmp_path, migrated_file, memory):
    path = tmp_path / "ledger.db"
    url = f"sqlite:///{shutil.copy(migrated_file, path)}"
    with closing(open_ledger(url)) as ledger:
        ledger.watch(memory, BOUNDS)
        store(ledger, "1")
    shutil.copy(path, tmp_path / "copy.db")
    with closing(open_ledger(url)) as ledger:
        ledger.watch(memory, BOUNDS)
        store(ledger, "2")
    shutil.copy(tmp_path / "copy.db", path)
    with closing(open_ledger(url)) as ledger:
        ledger.watch(memory, BOUNDS)
        store(ledger, "3")
        assert standing(ledger).is_behind
        assert row(ledger, "1").uncertain_since is not None
