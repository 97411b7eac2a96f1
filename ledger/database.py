"""Opens the ledger and commits to it, many callers in one transaction.

In: a database URL. Out: a `Ledger` whose `write(unit)` runs a unit of statements and returns its
result once it is committed, and whose `read()` gives a connection for queries. Fails with
`LedgerUnavailable` when the database cannot be reached: our own passing fault, never an order's.
Called by tasks, the gateway and the command line.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar, cast

import structlog
from sqlalchemy import Connection, Engine, Insert
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ledger import tides
from ledger.clock import SKEW_LIMIT, DatabaseClock, HostClock, elapsed
from ledger.engines import BUSY_SECONDS, engine_of, is_in_place, unhurried
from ledger.faults import is_deadlock, is_locked, is_outage, is_passing
from ledger.tides import FORGOTTEN, Bounds, Memory, Remembered, Standing

T = TypeVar("T")

log = structlog.get_logger()

# Milliseconds after which a writer looks again whether it is its turn.
LOOK_MILLISECONDS = 1
# Units in one transaction: enough to share a disk flush, few enough to be quick.
BATCH = 200
# How often a transaction is tried again that PostgreSQL ended so that another one can go on.
DEADLOCKS = 5
# When one unit has failed the others, each gets a transaction of its own, for so many seconds in all: where
# each must wait for a lock, nobody is to wait for two hundred of them.
APART_SECONDS = 4.0
# How often a transaction begins anew in a ledger that went back meanwhile.
BEGINNINGS = 3
# Writers of earlier connections of this process whose tides it knows.
MOST_WRITERS = 16
# A memory that could not say is asked again after so many times the time that it took: writers wait for it.
ASK_AGAIN = 10.0
# PostgreSQL's clock, and not when the transaction began.
_ITS_TIME = "SELECT clock_timestamp()"


class LedgerUnavailable(Exception):  # noqa: N818  it says what is, as the errors of clients do
    """The database could not be reached or refused the transaction; nothing was committed for sure."""


class _WentBack(Exception):  # noqa: N818  as above
    """The ledger does not know the last commit that it confirmed to this process, or is in another epoch."""


class _Entry(Generic[T]):
    __slots__ = ("done", "error", "result", "unit")

    def __init__(self, unit: Callable[[Connection], T]) -> None:
        self.unit = unit
        self.done = False
        self.result: T | None = None
        self.error: Exception | None = None


class Ledger:
    """The open database of one process; thread-safe, opened after a fork, never before."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._waiting: deque[_Entry[Any]] = deque()
        self._writing = threading.Lock()
        self._measuring = threading.Lock()
        self._connection: Connection | None = None
        self._later: dict[Insert, list[dict[str, Any]]] = {}
        self._is_file = engine.dialect.name == "sqlite"
        self._clock = HostClock() if self._is_file else DatabaseClock()
        self._memory: Memory | None = None
        self._bounds = Bounds()
        self._standing: Standing | None = None
        self._confirmed: dict[str, int] = {}
        self._confirmed_at: dict[str, float] = {}
        self._writer = ""
        self._look_at = float("-inf")

    def watch(self, memory: Memory, bounds: Bounds) -> None:
        """Let `memory` know of every commit, and compare with it. Called once, before the first commit."""
        self._memory, self._bounds = memory, bounds

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

    def write(self, unit: Callable[[Connection], T]) -> T:
        """Run `unit` in a transaction shared with whoever else is waiting, and return its result.

        Whoever gets the lock commits for all that queued up behind it: one disk flush serves many
        threads, and no thread polls a busy database. Raises what the unit raised, or LedgerUnavailable.
        """
        entry = _Entry(unit)
        self._waiting.append(entry)
        with self._writing:
            if not entry.done:
                self._commit_waiting(entry)
        if entry.error is not None:
            raise entry.error
        return entry.result  # type: ignore[return-value]  # done without error has its result

    def insert_later(self, statement: Insert, row: dict[str, Any]) -> None:
        """Called by a unit at work: insert this row at the end of its transaction, in one statement with
        those of the other units. For rows that nothing in the transaction reads.
        """
        self._later.setdefault(statement, []).append(row)

    def close(self) -> None:
        with self._writing:
            self._drop_connection()
            self.engine.dispose()

    def _commit_waiting(self, entry: _Entry[Any]) -> None:
        while not entry.done:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            try:
                self._commit(batch)
            except Exception as exc:  # noqa: BLE001  whatever it is, its owner must get it
                self._commit_apart(batch, exc)
            except BaseException:
                for other in batch:
                    other.error = LedgerUnavailable("The process is being ended.")
                raise
            finally:
                for other in batch:
                    other.done = True

    def _commit_apart(self, batch: list[_Entry[Any]], error: Exception) -> None:
        """One unit of the batch failed and took the others with it: each on its own now."""
        until = time.monotonic() + APART_SECONDS
        for entry in batch:
            entry.error = _translated(error)
            if _is_hopeless(error) or (len(batch) == 1 and not is_deadlock(error)):
                continue
            for _ in range(DEADLOCKS):
                if time.monotonic() > until:
                    entry.error = LedgerUnavailable("The ledger was busy for too long.")
                    break
                entry.error = self._commit_alone(entry)
                if entry.error is None or not is_deadlock(entry.error.__cause__):
                    break

    def _commit_alone(self, entry: _Entry[Any]) -> Exception | None:
        try:
            self._commit([entry])
        except Exception as exc:  # noqa: BLE001  as above
            return _translated(exc)
        return None

    def _commit(self, batch: list[_Entry[Any]]) -> None:
        for _ in range(BEGINNINGS):
            try:
                return self._commit_once(batch)
            except _WentBack:
                epoch = "" if self._standing is None else self._standing.epoch
                self._begin_anew(Remembered(epoch, dict(self._confirmed)))
        raise LedgerUnavailable("The ledger goes back in time again and again.")

    def _commit_once(self, batch: list[_Entry[Any]]) -> None:
        self._later.clear()
        try:
            connection = self._open()
            now = self.now()
            with connection.begin():
                if self._is_file:
                    _take_turn(connection)
                height, epoch = tides.rise(connection, self._writer, now)
                known = self._standing
                if height <= self._confirmed.get(self._writer, 0) or (
                    known is not None and epoch != known.epoch
                ):
                    raise _WentBack
                for entry in batch:
                    entry.result = entry.unit(connection)
                for statement, rows in self._later.items():
                    connection.execute(statement, rows)
        except DBAPIError as exc:
            if not is_locked(exc):
                self._drop_connection()
            raise
        self._confirmed[self._writer] = height
        self._confirmed_at[self._writer] = elapsed()
        if self._memory is not None and epoch is not None:
            self._memory.keep(epoch, self._writer, height)

    def _open(self) -> Connection:
        if self._connection is not None and not is_in_place(self._connection):
            # Another file is where this one was: what is committed to this one nobody else will ever see.
            self._drop_connection()
        self._let_go_of_old_tides()
        if self._connection is None:
            self._connection = self.engine.connect()
            if self._is_file:
                self._connection.exec_driver_sql(f"PRAGMA busy_timeout={LOOK_MILLISECONDS}")
                self._connection.rollback()
            # A tide of its own: the last connection's may be locked as long as the server holds on to it.
            self._writer = tides.new_writer()
            while len(self._confirmed) >= MOST_WRITERS:
                self._confirmed.pop(next(iter(self._confirmed)))
            # Another server may have taken over meanwhile.
            self._look_at = float("-inf")
        began = time.monotonic()
        if began > self._look_at:
            lost, is_compared = self._compare()
            took = time.monotonic() - began
            self._look_at = float("inf") if is_compared else began + (1 + ASK_AGAIN) * took
            if lost is not None:
                self._begin_anew(lost)
        return self._connection

    def _let_go_of_old_tides(self) -> None:
        """Let go of what was confirmed so long ago that the ledger may let go of it, too."""
        long_ago = elapsed() - FORGOTTEN.total_seconds()
        for writer, at in list(self._confirmed_at.items()):
            if at < long_ago:
                self._confirmed.pop(writer, None)
            if writer not in self._confirmed:
                self._confirmed_at.pop(writer, None)
                if writer == self._writer:
                    self._look_at = float("-inf")

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

    @property
    def longest_call(self) -> timedelta:
        """For how long a call may be under way that began before now."""
        return self._bounds.call

    # --- a ledger that went back in time ----------------------------------------------------------

    def look_back(self) -> Standing | None:
        """How the ledger stands, after a look whether it went back in time; if it did, it is in a new epoch
        by then. None for one that is not marked. Raises LedgerUnavailable. Called by every poll and pulse,
        and by each new connection that writes.
        """
        lost, is_compared = self._compare()
        if lost is not None:
            with self._writing:
                try:
                    self._begin_anew(lost)
                except DBAPIError as exc:
                    raise _translated(exc) from exc
        known = self._standing
        return known if known is None else replace(known, is_compared=is_compared)

    def close_gap(self) -> None:
        """Note it when all shops have been read again since the ledger went back."""
        if self._standing is None or not self._standing.is_behind:
            return
        now, sources = self.now(), self._bounds.sources
        if self.write(lambda db: tides.close_gap(db, sources, now)):
            log.warning("ledger_caught_up")

    def forget_silent(self) -> None:
        """Let go of the tides of processes that ended long ago, the memory first: one that the ledger alone
        has forgotten would look like one that it lost.
        """
        standing = self.look_back()
        if standing is None or self._memory is None:
            return
        remembered = self._memory.heights(standing.epoch)
        if remembered is None:
            return
        now = self.now()
        self.write(lambda db: tides.drop(db, now, remembered))
        with self.read() as db:
            silent = tides.silent(db, now)
        if silent:
            self._memory.forget(standing.epoch, silent)

    def _compare(self) -> tuple[Remembered | None, bool]:
        """What is remembered, if that is more than the ledger knows, and whether the memory could say.
        Memories are asked first: what they were told was committed by then.
        """
        self._let_go_of_old_tides()
        known = self._standing or self._stand()
        if known is None:
            return None, True
        heights, newest = dict(self._confirmed), known.epoch
        told: dict[str, int] | None = {}
        if self._memory is not None:
            told, later = self._memory.heights(known.epoch), self._memory.newest_epoch()
            newest = max(newest, later or "")
            told = None if later is None else told
        for writer, height in (told or {}).items():
            heights[writer] = max(height, heights.get(writer, 0))
        seen = self._stand()
        if seen is None or seen.id != known.id:
            raise LedgerUnavailable("Another ledger is in its place. Start this process again.")
        if seen.epoch > known.epoch:
            # Another process noticed and put it into a new epoch.
            self._confirmed, self._standing = {}, seen
            return self._compare()
        lost = Remembered(newest, heights if newest == known.epoch else {})
        if lost.is_ahead_of(seen):
            return lost, told is not None
        self._standing = seen
        return None, told is not None

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
                    _take_turn(connection)
                with unhurried(connection):
                    seen, since = tides.standing(connection), None
                    if seen is not None and lost.is_ahead_of(seen):
                        since = tides.begin_anew(
                            connection, seen, now, self._bounds, newest=lost.epoch
                        )
                        seen = tides.standing(connection)
        except DBAPIError:
            self._drop_connection()
            raise
        known, self._standing = self._standing, seen
        if known is None or seen is None or seen.epoch != known.epoch:
            # What was confirmed in another epoch may be gone; what this one has is still to be compared.
            self._confirmed, self._look_at = {}, float("-inf")
        if since is not None and seen is not None:
            log.critical("ledger_went_back", known_until=since.isoformat(), epoch=seen.epoch)


def _take_turn(connection: Connection) -> None:
    """Begin as a writer at once: a transaction that starts as a reader cannot wait for its turn.

    Said here and not by a listener, which SQLAlchemy would then call for every statement. Left to itself
    SQLite looks again after 1, 2, 5, 10 ms and so on, and sleeps through most of the turns that it could
    have had between the short transactions of another process.
    """
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        except OperationalError as exc:
            # Its lowest byte: the rest says why, such as a log that another process is recovering.
            code = getattr(exc.orig, "sqlite_errorcode", 0) & 0xFF
            locked = code == sqlite3.SQLITE_BUSY
            if not locked or time.monotonic() > until:
                raise
        else:
            return


def _is_hopeless(error: Exception) -> bool:
    """Whether the next unit would fail alike."""
    return isinstance(error, LedgerUnavailable) or is_outage(error)


def _translated(error: Exception) -> Exception:
    if not is_passing(error):
        return error
    unavailable = LedgerUnavailable("The ledger could not be written.")
    unavailable.__cause__ = error
    return unavailable


def open_ledger(url: str, *, unhurried: bool = False) -> Ledger:
    """Open the database at `url`; `unhurried` for migrations, whose statements take their time."""
    return Ledger(engine_of(url, unhurried=unhurried))
