"""Alarms about a ledger that went back that would be false, and rollbacks that would be overlooked."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update
from structlog.testing import capture_logs
from tide_calls import BOUNDS, claim, row, standing, store

from ledger import orders
from ledger.attempts import Try
from ledger.database import open_ledger
from ledger.faults import LedgerUnavailable
from ledger.migrate import upgrade
from ledger.orders import Outcome
from ledger.tables import ATTEMPTS, CURSORS, ORDERS, TIDES


def age_of_tides(ledger, by):
    with ledger.engine.begin() as db:
        if db.dialect.name == "sqlite":
            db.exec_driver_sql("BEGIN IMMEDIATE")
        db.execute(update(TIDES).values(at=datetime.now(UTC) - by))


def test_process_that_lives_for_months_takes_no_forgotten_tide_for_a_lost_one(
    opened, memory, monkeypatch
):
    """It reconnected long ago, or has written nothing for long: the ledger has let go of its tides."""
    clock = [1000.0]
    monkeypatch.setattr("ledger.lookout.elapsed", lambda: clock[0])
    idle, reconnected, other = opened(), opened(), opened()
    store(idle, "1")
    store(reconnected, "2")
    reconnected._drop_connection()
    clock[0] += timedelta(days=40).total_seconds()
    age_of_tides(other, timedelta(days=40))
    store(other, "3")
    for _ in range(2):
        other.forget_silent()
    with other.read() as db:
        assert len(set(db.execute(select(TIDES.c.writer)).scalars())) == 1
    store(reconnected, "4")
    store(idle, "5")
    for ledger in (reconnected, idle, other):
        assert ledger.look_back().epoch == ""


def test_ledger_that_was_replaced_by_an_older_one_for_a_while_is_noticed_when_it_is_put_back(
    opened, backup
):
    """The wrong backup was restored, or a server took over for an hour: then the old one comes back, as
    high as it was ever known to be in its own epoch.
    """
    first = opened()
    store(first, "1")
    wrong = backup()
    store(first, "2")
    right = backup()
    first.close()
    wrong.put_back()
    second = opened()
    store(second, "sent meanwhile")
    assert second.look_back().is_behind
    second.close()
    right.put_back()
    third = opened()
    store(third, "sent meanwhile")
    assert row(third, "sent meanwhile").uncertain_since is not None
    epoch = third.look_back().epoch
    assert opened().look_back().epoch == epoch


def test_process_that_only_writes_learns_the_new_epoch_and_is_remembered_in_it(
    opened, backup, memory
):
    """It never polls, nor beats; and its connection holds."""
    writer, other = opened(), opened()
    store(writer, "1")
    store(other, "2")
    before = backup()
    store(other, "3")
    before.put_back()
    epoch = other.look_back().epoch
    (pk,) = store(writer, "4")
    again = backup()
    claim(writer, pk)
    assert set(writer._lookout._confirmed) <= set(memory.kept[epoch])
    writer.close()
    again.put_back()
    assert opened().look_back().epoch != epoch


def test_a_read_that_lags_behind_raises_no_alarm(opened, monkeypatch):
    """Reads may go to a standby that has not yet all that was committed."""
    ledger = opened()
    store(ledger, "1")
    old = standing(ledger)
    store(ledger, "2")
    monkeypatch.setattr(ledger._lookout, "_stand", lambda: old)
    assert ledger.look_back().epoch == ""
    monkeypatch.undo()
    assert ledger.look_back().epoch == ""
    assert row(ledger, "1").uncertain_since is None


def test_two_threads_of_one_process_that_notice_at_once_begin_one_epoch(
    opened, backup, together, monkeypatch
):
    ledger = opened()
    store(ledger, "1")
    before = backup()
    store(ledger, "2")
    before.put_back()
    looked = threading.Barrier(4)
    compare = ledger._lookout.compare

    def wait_for_all():
        found = compare()
        looked.wait(20)
        return found

    monkeypatch.setattr(ledger._lookout, "compare", wait_for_all)
    with capture_logs() as said:
        together(lambda _: ledger.look_back(), 4)
    assert [line["event"] for line in said].count("ledger_went_back") == 1


def test_a_migration_of_what_was_put_back_does_not_hide_how_old_it_is(opened, backup, ledger_url):
    """Whoever restores a ledger migrates it before its first process starts."""
    first = opened()
    store(first, "1")
    age_of_tides(first, timedelta(days=3))
    before = backup()
    store(first, "2")
    first.close()
    before.put_back()
    upgrade(ledger_url, sandbox=True)
    started = opened()
    with capture_logs() as said:
        store(started, "3")
    (alarm,) = [line for line in said if line["event"] == "ledger_went_back"]
    assert datetime.fromisoformat(alarm["known_until"]) < datetime.now(UTC) - timedelta(days=2)
    with started.read() as db:
        start = db.execute(
            select(CURSORS.c.start_at).where(CURSORS.c.connection == "shop")
        ).scalar_one()
    assert start < datetime.now(UTC) - timedelta(days=2)


def test_memory_that_hangs_holds_up_no_writer_that_has_looked_already(opened, memory, monkeypatch):
    monkeypatch.setattr("ledger.lookout.ASK_AGAIN", 0.0)
    ledger = opened()
    store(ledger, "1")
    memory.away = True
    ledger.look_back()
    asked = []
    monkeypatch.setattr(memory, "heights", asked.append)
    store(ledger, "2")
    assert asked == []


def test_late_outcome_of_an_order_whose_key_another_one_has_blames_nobody(opened, backup):
    ledger = opened()
    before = backup()
    (pk,) = store(ledger, "1")
    held = claim(ledger, pk)
    before.put_back()
    ledger.look_back()
    assert orders.doubled(ledger, held, "7") is None
    store(ledger, "2")
    created = ORDERS.update().values(id=pk, state="created", target_id="8")
    ledger.write(lambda db: db.execute(created))
    assert orders.doubled(ledger, held, "7") is None
    assert row(ledger, "2").problems == []


@pytest.mark.parametrize("first", ["write", "look"])
def test_file_in_whose_place_another_was_put_is_opened_anew(tmp_path, migrated_file, memory, first):
    """A copy is moved to where the ledger was while a process, such as the gateway, has it open: what it
    commits from then on must be in the file that others see, or nobody will ever see it.
    """
    path = tmp_path / "ledger.db"
    url = f"sqlite:///{shutil.copy(migrated_file, path)}"
    with closing(open_ledger(url)) as ledger, closing(open_ledger(url)) as other:
        ledger.watch(memory, BOUNDS)
        other.watch(memory, BOUNDS)
        store(ledger, "1")
        with (
            closing(sqlite3.connect(path)) as source,
            closing(sqlite3.connect(tmp_path / "c")) as to,
        ):
            source.backup(to)
        store(ledger, "2")
        store(other, "3")
        for ending in ("-wal", "-shm"):
            (tmp_path / f"ledger.db{ending}").unlink(missing_ok=True)
        (tmp_path / "c").rename(path)
        if first == "look":
            assert ledger.look_back().is_behind
        store(ledger, "4")
        with closing(sqlite3.connect(path)) as db:
            found = {one for (one,) in db.execute("SELECT order_id FROM orders")}
        assert found == {"1", "4"}
        assert row(ledger, "4").uncertain_since is not None
        assert other.look_back().epoch == ledger.look_back().epoch != ""
        assert {one.order_id for one in orders.listing(other, other.now())} == {"1", "4"}


def test_file_that_is_gone_takes_no_commit(tmp_path, migrated_file, memory):
    path = tmp_path / "ledger.db"
    url = f"sqlite:///{shutil.copy(migrated_file, path)}"
    with closing(open_ledger(url)) as ledger:
        ledger.watch(memory, BOUNDS)
        store(ledger, "1")
        path.rename(tmp_path / "aside")
        for work in (lambda: store(ledger, "2"), ledger.look_back):
            with pytest.raises(LedgerUnavailable):
                work()
        assert not path.exists()
        (tmp_path / "aside").rename(path)
        store(ledger, "3")
        assert ledger.look_back().epoch == ""


@pytest.mark.parametrize("taken", [False, True])
def test_outcome_of_an_order_that_is_gone_fails_no_one_and_is_told_of_no_other(
    opened, backup, taken
):
    ledger = opened()
    before = backup()
    (pk,) = store(ledger, "1")
    held = claim(ledger, pk)
    before.put_back()
    ledger.look_back()
    if taken:
        store(ledger, "2")
        ledger.write(lambda db: db.execute(ORDERS.update().values(id=pk)))
    now = ledger.now()
    tried = Try("create", now, 1, "created")
    assert not orders.record(ledger, held, Outcome("created", target_id="7"), tried, now)
    with ledger.read() as db:
        assert db.execute(select(ATTEMPTS.c.id)).all() == []
