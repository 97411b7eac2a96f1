"""The ledger goes back in time, by a power cut, a server that took over or a restored backup, while Redis
remembers everything: nothing is lost and nothing is sent twice.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, select, text, update
from sqlalchemy.pool import NullPool
from whole.chaos.rollback import FileCopy
from whole.system import System

from ledger.tables import IDENTITY, METADATA
from ledger.tides import SHOP_SKEW
from simulator.faults import Fault
from simulator.samples import many

pytestmark = pytest.mark.whole

both_databases = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
# No call outlives 12 seconds, so that what a lost ledger may have begun is settled soon.
QUICK = {
    **dict.fromkeys(("ONEBOX_TIMEOUT", "OKLIVING_TIMEOUT", "CREATEORDER_TIMEOUT"), 1),
    "UNCERTAIN_WAIT": 3,
}
LATER = 400_000_001
LAST = 500_000_001


class RowsCopy:
    """A copy of all rows of a PostgreSQL, put back in one transaction. `breaks`: as when another server
    takes over, every connection breaks; without, as by a restore into a database that is in use.
    """

    def __init__(self, url, *, breaks=True):
        self.url, self.breaks = url, breaks
        self.tables = METADATA.sorted_tables
        with self._connection() as db:
            db.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            self.rows = {table: db.execute(select(table)).mappings().all() for table in self.tables}

    def put_back(self):
        with self._connection() as db:
            names = ", ".join(table.name for table in self.tables)
            if self.breaks:
                mine = "pid <> pg_backend_pid() AND datname = current_database()"
                db.execute(
                    text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}")
                )
            db.execute(text(f"TRUNCATE {names}"))
            for table in self.tables:
                if self.rows[table]:
                    db.execute(table.insert(), [dict(row) for row in self.rows[table]])
            db.commit()

    def _connection(self):
        return closing(create_engine(self.url, poolclass=NullPool).connect())


def copy_of(system):
    if not system.database_url.startswith("sqlite"):
        return RowsCopy(system.database_url)
    copy = FileCopy(system.database_url)
    copy.take()
    return copy


def put_back(system, copy):
    """Nobody has the ledger open meanwhile, the test itself included."""
    system.ledger.close()
    copy.put_back()


def assert_sent_once(system):
    """Whatever came in again was looked up and adopted."""
    assert {one: times for one, times in system.sent().items() if len(times) != 1} == {}


def standing(system):
    return system.ledger.look_back()


def gap_is_closed(system):
    found = standing(system)
    return found.went_back_at is not None and not found.is_behind


@both_databases
def test_what_a_power_cut_takes_from_the_ledger_is_read_again_and_sent_once(tmp_path, database_url):
    """Some orders are in the copy and were sent since, some came since and were sent, some came and were
    not; some are created for the ledger as well.
    """
    with System(tmp_path, database_url, **QUICK) as system:
        given = system.give(10)
        first = system.worker()
        system.ticks()
        system.wait_created(10)
        system.kill(first)
        # From here on orders come in, and nobody sends them yet.
        given += system.give(10, start=LATER)
        reader = system.worker("-Q", "fetch,upkeep")
        system.wait_until(lambda: system.states().get("received") == 10)
        copy = copy_of(system)
        second = system.worker("-Q", "create")
        system.wait_created(20)
        given += system.give(10, start=LAST)
        system.wait_created(30)
        system.kill(second)
        given += system.give(5, start=LAST + 100)
        system.wait_until(lambda: system.states().get("received") == 5)
        system.kill(reader)
        put_back(system, copy)
        system.worker()
        system.wait_created(35)
        system.wait_until(lambda: gap_is_closed(system))
        system.assert_each_once(given)
        assert_sent_once(system)
        assert "ledger_went_back" in system.logs()
        assert system.logs().count("ledger_caught_up") == 1


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.long
@pytest.mark.parametrize("breaks", [True, False])
def test_server_that_lost_its_last_commits_while_workers_go_on(tmp_path, database_url, breaks):
    with System(tmp_path, database_url, **QUICK) as system:
        given = system.give(60)
        system.crm.faults.add(Fault("latency", system.crm.ORDER_SET, seconds=0.1, up_to=0.3))
        system.ticks()
        for _ in range(2):
            system.worker(threads=4)
        system.wait_until(lambda: len(system.crm.processes) >= 10)
        copy = RowsCopy(database_url, breaks=breaks)
        system.wait_until(lambda: len(system.crm.processes) >= 35)
        copy.put_back()
        given += system.give(10, start=LATER)
        system.wait_created(70)
        system.wait_until(lambda: gap_is_closed(system))
        system.assert_each_once(given)
        assert_sent_once(system)


def test_file_whose_newest_pages_never_reached_the_disk(tmp_path):
    """The log of a SQLite file is cut in its middle: what a disk may leave that only said it had written."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    log = tmp_path / "ledger.db-wal"
    with System(tmp_path, url, **QUICK) as system:
        given = system.give(15)
        system.ticks()
        worker = system.worker()
        system.wait_created(15)
        # From here on everything is in the log.
        with closing(sqlite3.connect(tmp_path / "ledger.db")) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        given += system.give(15, start=LATER)
        system.wait_created(30)
        system.kill(worker)
        written = log.read_bytes()
        # The system's own reader would write the log back when it is the last to close the file.
        system.ledger.close()
        for ending in ("-wal", "-shm"):
            Path(f"{tmp_path / 'ledger.db'}{ending}").unlink(missing_ok=True)
        assert len(written) > 20_000
        log.write_bytes(written[: len(written) // 3])
        system.worker()
        system.wait_created(30)
        system.wait_until(lambda: gap_is_closed(system))
        system.assert_each_once(given)
        assert_sent_once(system)


@pytest.mark.long
def test_old_orders_that_no_poll_reads_again_are_looked_up_when_they_come(tmp_path):
    """A back-fill of old days was lost. Once the gap is closed, the same days are filled again."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    old = datetime.now(UTC) - timedelta(days=200)
    days = [f"--{end}={date(old.year, old.month, old.day):%Y-%m-%d}" for end in ("from", "to")]
    start = (datetime.now(UTC) - timedelta(days=30)).isoformat()
    with System(tmp_path, url, ORDERBRIDGE_START_FROM=start, **QUICK) as system:
        given = system.give(3)
        noon = old.replace(hour=12)
        ancient = [system.shop.add(order) for order in many(4, start=LATER, newest=noon)]
        system.ticks()
        worker = system.worker()
        system.wait_created(3)
        copy = copy_of(system)
        assert system.cli("backfill", *days).returncode == 0
        system.wait_created(7)
        system.kill(worker)
        put_back(system, copy)
        system.worker()
        system.wait_until(lambda: gap_is_closed(system))
        assert system.all_created(3)
        assert system.cli("backfill", *days).returncode == 0
        system.wait_created(7)
        system.assert_each_once(given + ancient)
        assert_sent_once(system)


@pytest.mark.long
def test_new_orders_go_on_without_a_look_once_the_gap_is_closed(tmp_path):
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with System(tmp_path, url, **QUICK) as system:
        given = system.give(3)
        system.ticks()
        worker = system.worker()
        system.wait_created(3)
        copy = copy_of(system)
        given += system.give(3, start=LATER)
        system.wait_created(6)
        system.kill(worker)
        put_back(system, copy)
        system.worker()
        system.wait_until(lambda: gap_is_closed(system))
        system.wait_created(6)
        looked = system.crm.counts[system.crm.ORDER_GET]
        # As in a later hour: the shop's clock may differ from the ledger's by as much.
        long_ago = datetime.now(UTC) - SHOP_SKEW - timedelta(minutes=1)
        system.ledger.write(lambda db: db.execute(update(IDENTITY).values(went_back_at=long_ago)))
        given += system.give(3, start=LAST)
        system.wait_created(9)
        assert system.crm.counts[system.crm.ORDER_GET] == looked
        system.assert_each_once(given)


@pytest.mark.long
@both_databases
def test_workers_at_work_lose_nothing_of_what_they_committed_to_a_killed_system(
    tmp_path, database_url
):
    """Everything is killed at once, again and again, and its database keeps each commit it confirmed."""
    with System(tmp_path, database_url, **QUICK) as system:
        given = system.give(60)
        system.ticks()
        for round_ in range(1, 4):
            worker = system.worker(threads=8)
            system.wait_until(lambda least=round_ * 15: len(system.crm.processes) >= least)
            system.kill(worker)
            threading.Event().wait(0.2)
        system.worker()
        system.wait_created(60)
        system.assert_each_once(given)
        assert standing(system).went_back_at is None
