"""Many writers in one transaction: each gets its own result or its own error, once it is committed."""

from __future__ import annotations

import shutil
import sqlite3
import threading

import pytest
from sqlalchemy import event, insert, select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from ledger import engines
from ledger.database import open_ledger
from ledger.faults import LedgerUnavailable
from ledger.tables import GATES


def put(name):
    return lambda db: (
        db.execute(insert(GATES).values(connection=name, failures=0, reason="")) and name
    )


def names(ledger):
    with ledger.read() as db:
        return set(db.execute(select(GATES.c.connection)).scalars())


def test_each_of_many_threads_gets_its_own_result_after_the_commit(ledger, ledger_url, together):
    reader = open_ledger(ledger_url)

    def write_and_look(number):
        written = ledger.write(put(f"c{number}"))
        return written, written in names(reader)

    assert together(write_and_look, 32) == [(f"c{n}", True) for n in range(32)]
    reader.close()


def test_failing_units_fail_alone(ledger, together):
    def unit_of(number):
        if number % 8 == 3:
            return lambda db: put("twice")(db) and put("twice")(db)
        if number % 8 == 5:
            return lambda _: 1 // 0
        return put(f"c{number}")

    results = together(lambda number: ledger.write(unit_of(number)), 32)
    for number, result in enumerate(results):
        kind = {3: IntegrityError, 5: ZeroDivisionError}.get(number % 8, str)
        assert isinstance(result, kind)
    assert names(ledger) == {f"c{n}" for n in range(32) if n % 8 not in {3, 5}}


def test_writers_that_queue_up_share_a_commit(ledger, together):
    commits = []
    event.listen(ledger.engine, "commit", commits.append)
    begun, go_on = threading.Event(), threading.Event()

    def slow(_):
        begun.set()
        assert go_on.wait(20)

    first = threading.Thread(target=ledger.write, args=(slow,))
    first.start()
    begun.wait(20)
    rest = threading.Thread(target=together, args=(lambda n: ledger.write(put(f"c{n}")), 20))
    rest.start()
    while len(ledger._group._waiting) < 20:
        threading.Event().wait(0.005)
    go_on.set()
    first.join()
    rest.join()
    assert len(names(ledger)) == 20
    assert len(commits) == 2


def test_lost_connection_is_an_outage_and_then_the_ledger_works_again(ledger, ledger_url):
    if ledger_url.startswith("sqlite"):
        pytest.skip("a file has no connection to lose")
    ledger.write(put("before"))
    other = open_ledger(ledger_url)
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    other.write(lambda db: db.execute(text(kill)).all())
    other.close()
    with pytest.raises(LedgerUnavailable):
        ledger.write(put("during"))
    assert ledger.write(put("after")) == "after"
    assert names(ledger) == {"before", "after"}


def test_locked_file_is_an_outage_and_then_the_ledger_works_again(
    tmp_path, migrated_file, together, monkeypatch
):
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.05)
    url = f"sqlite:///{shutil.copy(migrated_file, tmp_path / 'ledger.db')}"
    ledger, other = open_ledger(url), open_ledger(url)

    def while_locked(db):
        db.execute(insert(GATES).values(connection="x", failures=0, reason=""))
        return together(lambda n: ledger.write(put(f"c{n}")), 4)

    results = other.write(while_locked)
    other.close()
    assert {type(result) for result in results} == {LedgerUnavailable}
    assert ledger.write(put("after")) == "after"
    assert names(ledger) == {"x", "after"}
    ledger.close()


@pytest.mark.parametrize(
    ("code", "waits"),
    [
        (sqlite3.SQLITE_BUSY, True),
        (sqlite3.SQLITE_BUSY_RECOVERY, True),
        (sqlite3.SQLITE_READONLY, False),
    ],
)
def test_every_kind_of_busy_file_is_waited_for_and_no_other_fault(code, waits):
    error = sqlite3.OperationalError("as SQLite says it")
    error.sqlite_errorcode = code
    begun = []

    class Connection:
        def exec_driver_sql(self, statement):
            begun.append(statement)
            if len(begun) == 1:
                raise OperationalError(statement, None, error)

    if waits:
        engines.take_turn(Connection())
    else:
        with pytest.raises(OperationalError):
            engines.take_turn(Connection())
    assert begun == ["BEGIN IMMEDIATE"] * (2 if waits else 1)


def test_database_that_is_not_there_is_an_outage(tmp_path):
    ledger = open_ledger(f"sqlite:///{tmp_path / 'no such folder' / 'ledger.db'}")
    with pytest.raises(LedgerUnavailable):
        names(ledger)
    with pytest.raises(LedgerUnavailable):
        ledger.write(put("x"))
    ledger.close()


def test_every_commit_waits_for_the_disk(tmp_path):
    """2 is FULL."""
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    with ledger.read() as db:
        assert db.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
        assert db.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert db.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1
    ledger.close()
