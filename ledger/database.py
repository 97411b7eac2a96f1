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
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine, Insert, create_engine, event
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

T = TypeVar("T")

# Seconds that a writer waits for another process's transaction on SQLite.
BUSY_SECONDS = 30
# Milliseconds after which a writer looks again whether it is its turn.
LOOK_MILLISECONDS = 1
# Units in one transaction: enough to share a disk flush, few enough to be quick.
BATCH = 200
# PostgreSQL's codes for a transaction that it ended so that another one can go on, and how often such a one
# is tried again.
DEADLOCK = ("40001", "40P01")
DEADLOCKS = 5


class LedgerUnavailable(Exception):  # noqa: N818  it says what is, as the errors of clients do
    """The database could not be reached or refused the transaction; nothing was committed for sure."""


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
        self._connection: Connection | None = None
        self._later: dict[Insert, list[dict[str, Any]]] = {}
        self._is_file = engine.dialect.name == "sqlite"

    def now(self) -> datetime:
        """The time, aware and in UTC, by which leases and waits are counted."""
        return datetime.now(UTC)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for queries; raises LedgerUnavailable."""
        try:
            with self.engine.connect() as connection:
                yield connection
        except (OperationalError, InterfaceError) as exc:
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
        for entry in batch:
            entry.error = _translated(error)
            if _is_outage(error) or (len(batch) == 1 and not _is_deadlock(error)):
                continue
            for _ in range(DEADLOCKS):
                entry.error = self._commit_alone(entry)
                if entry.error is None or not _is_deadlock(entry.error.__cause__):
                    break

    def _commit_alone(self, entry: _Entry[Any]) -> Exception | None:
        try:
            self._commit([entry])
        except Exception as exc:  # noqa: BLE001  as above
            return _translated(exc)
        return None

    def _commit(self, batch: list[_Entry[Any]]) -> None:
        self._later.clear()
        try:
            connection = self._open()
            with connection.begin():
                if self._is_file:
                    _take_turn(connection)
                for entry in batch:
                    entry.result = entry.unit(connection)
                for statement, rows in self._later.items():
                    connection.execute(statement, rows)
        except DBAPIError:
            self._drop_connection()
            raise

    def _open(self) -> Connection:
        if self._connection is None:
            self._connection = self.engine.connect()
            if self._is_file:
                self._connection.exec_driver_sql(f"PRAGMA busy_timeout={LOOK_MILLISECONDS}")
                self._connection.rollback()
        return self._connection

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None


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


def _is_deadlock(error: BaseException | None) -> bool:
    """Whether PostgreSQL ended this transaction to let another one, of another process, go on."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in DEADLOCK


def _is_outage(error: Exception) -> bool:
    return isinstance(error, OperationalError | InterfaceError) and not _is_deadlock(error)


def _translated(error: Exception) -> Exception:
    if not (_is_outage(error) or _is_deadlock(error)):
        return error
    unavailable = LedgerUnavailable("The ledger could not be written.")
    unavailable.__cause__ = error
    return unavailable


def open_ledger(url: str, *, durable: bool = False) -> Ledger:
    """Open the database at `url`.

    `durable`: on SQLite every commit reaches the disk before it is answered (synchronous=FULL), for
    doors that promise something to a caller. Workers do without: what a power cut takes back is polled
    again and looked up.
    """
    if url.startswith("sqlite"):
        engine = create_engine(
            url,
            hide_parameters=True,  # an order's text must not reach a log through an error
            connect_args={"timeout": BUSY_SECONDS, "isolation_level": None},
        )
        _prepare_sqlite(engine, durable=durable)
    else:
        engine = create_engine(
            url,
            pool_size=10,
            max_overflow=10,
            pool_pre_ping=True,
            hide_parameters=True,  # as above
            connect_args={"connect_timeout": 5},
        )
    return Ledger(engine)


def _prepare_sqlite(engine: Engine, *, durable: bool) -> None:
    def on_connect(raw: Any, _record: object) -> None:
        cursor = raw.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    event.listen(engine, "connect", on_connect)
