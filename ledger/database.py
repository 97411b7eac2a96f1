"""Opens the ledger and commits to it, many callers in one transaction.

In: a database URL. Out: a `Ledger` whose `write(unit)` runs a unit of statements and returns its
result once it is committed, and whose `read()` gives a connection for queries. Fails with
`LedgerUnavailable` when the database cannot be reached: our own passing fault, never an order's.
What one transaction consists of, and how a new beginning is made, is changed here. Called by tasks, the
gateway and the command line.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

import structlog
from sqlalchemy import Connection, Engine, Insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ledger import tides
from ledger.clock import SKEW_LIMIT, DatabaseClock, HostClock
from ledger.engines import empty_log, engine_of, is_in_place, look_often, take_turn, unhurried
from ledger.faults import LedgerUnavailable, is_locked, is_passing, translated
from ledger.group_commit import Entry, GroupCommit
from ledger.lookout import Lookout, WentBack
from ledger.tides import Bounds, Memory, Remembered, Standing

T = TypeVar("T")

log = structlog.get_logger()

# How often a transaction begins anew in a ledger that went back meanwhile.
BEGINNINGS = 3
# PostgreSQL's clock, and not when the transaction began.
_ITS_TIME = "SELECT clock_timestamp()"


class Ledger:
    """The open database of one process; thread-safe, opened after a fork, never before."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._measuring = threading.Lock()
        self._connection: Connection | None = None
        self._later: dict[Insert, list[dict[str, Any]]] = {}
        self._is_file = engine.dialect.name == "sqlite"
        self._clock = HostClock() if self._is_file else DatabaseClock()
        self._group = GroupCommit(self._commit)
        self._lookout = Lookout(self._stand)

    def watch(self, memory: Memory, bounds: Bounds) -> None:
        """Let `memory` know of every commit, and compare with it. Called once, before the first commit."""
        self._lookout.memory, self._lookout.bounds = memory, bounds

    def now(self) -> datetime:
        """The time, aware and in UTC, by which leases and waits are counted: the database's. Raises
        LedgerUnavailable when that was never reached: this host's own clock may be quite another.
        """
        known = self._clock.is_known
        if (self._clock.is_due() or not known) and self._measuring.acquire(blocking=not known):
            try:
                # Of many that wait for the first answer one asks; a failure counts for all of them.
                if self._clock.is_due():
                    self.measure_clock()
            except LedgerUnavailable:
                if not self._clock.is_known:
                    raise
            finally:
                self._measuring.release()
        if not self._clock.is_known:
            raise LedgerUnavailable("The ledger could not be asked for its time.")
        return self._clock.now()

    @property
    def missing_file(self) -> Path | None:
        """The file of this ledger where it is missing: SQLite would make an empty one. None: it is not."""
        path = Path(self.engine.url.database or "")
        return path if self._is_file and not os.path.exists(path) else None  # noqa: PTH110  pathlib raises where a folder is closed

    @property
    def skew(self) -> float:
        """Seconds by which this host's clock is ahead of the database's, as last measured."""
        return self._clock.skew

    def measure_clock(self) -> None:
        """Ask the database for its time, and tell a person when this host has quite another. Raises
        LedgerUnavailable. Called at the start of a process, by each pulse, and by `now` once a minute.
        """
        if self._is_file:
            return
        self._clock.measure(self._ask_time)
        if abs(self.skew) > SKEW_LIMIT:
            log.error("clock_differs_from_the_database", seconds=round(self.skew, 1))

    def _ask_time(self) -> datetime:
        with self.read() as db:
            return cast("datetime", db.exec_driver_sql(_ITS_TIME).scalar())

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for queries; raises LedgerUnavailable."""
        try:
            with self.engine.connect() as connection:
                yield connection
        except (DBAPIError, PoolTimeout) as exc:
            if not is_passing(exc):
                raise
            raise LedgerUnavailable("The ledger could not be read.") from exc

    def write(self, unit: Callable[[Connection], T], *, locks: str = "") -> T:
        """Run `unit` in a transaction shared with whoever else is waiting, and return its result. `locks`
        names a row that it keeps from the units of other processes, if it does.

        Whoever gets the lock commits for all that queued up behind it: one disk flush serves many
        threads, and no thread polls a busy database. Raises what the unit raised, or LedgerUnavailable.
        """
        return self._group.write(unit, locks)

    def insert_later(self, statement: Insert, row: dict[str, Any]) -> None:
        """Called by a unit at work: insert this row at the end of its transaction, in one statement with
        those of the other units. For rows that nothing in the transaction reads.
        """
        self._later.setdefault(statement, []).append(row)

    def empty_log(self) -> bool:
        """Whether nothing that was blanked or deleted stands in a log of ours any more. That of PostgreSQL,
        and what it keeps until its next VACUUM, is the server's. Raises LedgerUnavailable.
        """
        if not self._is_file:
            return True
        try:
            return empty_log(self.engine)
        except (DBAPIError, PoolTimeout) as exc:
            raise translated(exc) from exc

    def close(self) -> None:
        with self._group.turn:
            self._drop_connection()
            self.engine.dispose()

    def _commit(self, batch: list[Entry[Any]]) -> None:
        for _ in range(BEGINNINGS):
            try:
                return self._commit_once(batch)
            except WentBack:
                self._begin_anew(self._lookout.own())
        raise LedgerUnavailable("The ledger goes back in time again and again.")

    def _commit_once(self, batch: list[Entry[Any]]) -> None:
        self._later.clear()
        try:
            connection = self._open()
            now = self.now()
            with connection.begin():
                if self._is_file:
                    take_turn(connection)
                height, epoch = tides.rise(connection, self._lookout.writer, now)
                self._lookout.demand(height, epoch)
                for entry in batch:
                    entry.result = entry.unit(connection)
                for statement, rows in self._later.items():
                    connection.execute(statement, rows)
        except DBAPIError as exc:
            if not is_locked(exc):
                self._drop_connection()
            raise
        self._lookout.confirm(height, epoch)

    def _open(self) -> Connection:
        if self._connection is not None and not is_in_place(self._connection):
            # Another file is where this one was: what is committed to this one nobody else will ever see.
            self._drop_connection()
        self._lookout.let_go_of_old_tides()
        if self._connection is None:
            self._connection = self.engine.connect()
            if self._is_file:
                look_often(self._connection)
            self._lookout.begin_writer()
        lost = self._lookout.look()
        if lost is not None:
            self._begin_anew(lost)
        return self._connection

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

    @property
    def longest_call(self) -> timedelta:
        """For how long a call may be under way that began before now."""
        return self._lookout.bounds.call

    # --- a ledger that went back in time ----------------------------------------------------------

    def look_back(self) -> Standing | None:
        """How the ledger stands, after a look whether it went back in time; if it did, it is in a new epoch
        by then. None for one that is not marked. Raises LedgerUnavailable. Called by every poll and pulse,
        and by each new connection that writes.
        """
        lost, is_compared = self._lookout.compare()
        if lost is not None:
            with self._group.turn:
                try:
                    self._begin_anew(lost)
                except DBAPIError as exc:
                    raise translated(exc) from exc
        known = self._lookout.standing
        return known if known is None else replace(known, is_compared=is_compared)

    def close_gap(self) -> None:
        """Note it when all shops have been read again since the ledger went back."""
        standing = self._lookout.standing
        if standing is None or not standing.is_behind:
            return
        now, sources = self.now(), self._lookout.bounds.sources
        if self.write(lambda db: tides.close_gap(db, sources, now)):
            log.warning("ledger_caught_up")

    def forget_silent(self) -> None:
        """Let go of the tides of processes that ended long ago, the memory first: one that the ledger alone
        has forgotten would look like one that it lost.
        """
        standing, memory = self.look_back(), self._lookout.memory
        if standing is None or memory is None:
            return
        remembered = memory.heights(standing.epoch)
        if remembered is None:
            return
        now = self.now()
        self.write(lambda db: tides.drop(db, now, remembered))
        with self.read() as db:
            silent = tides.silent(db, now)
        if silent:
            memory.forget(standing.epoch, silent)

    def _stand(self) -> Standing | None:
        with self.read() as db:
            return tides.standing(db)

    def _begin_anew(self, lost: Remembered) -> None:
        """Put the ledger into a new epoch, unless another process or thread was first, or what seemed lost
        was only not seen. Called by who may write.
        """
        now = self.now()
        try:
            connection = self._connection
            if connection is None or not is_in_place(connection):
                connection = self._open()
            with connection.begin():
                if self._is_file:
                    take_turn(connection)
                with unhurried(connection):
                    seen, since = tides.standing(connection), None
                    if seen is not None and lost.is_ahead_of(seen):
                        since = tides.begin_anew(
                            connection, seen, now, self._lookout.bounds, newest=lost.epoch
                        )
                        seen = tides.standing(connection)
        except DBAPIError:
            self._drop_connection()
            raise
        self._lookout.take(seen)
        if since is not None and seen is not None:
            log.critical("ledger_went_back", known_until=since.isoformat(), epoch=seen.epoch)


def open_ledger(url: str, *, unhurried: bool = False) -> Ledger:
    """Open the database at `url`; `unhurried` for migrations, whose statements take their time."""
    return Ledger(engine_of(url, unhurried=unhurried))
