"""Makes the connections to a database, so that none of them waits for ever.

In: a database URL. Out: an engine. A silent host, a frozen server, a lock that somebody holds, a session that
we left open: each ends as an error within seconds, which ledger/faults.py tells apart. How long anybody waits
is changed here. Called by ledger/database.py.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DisconnectionError, OperationalError

# Seconds that a writer waits for another process's transaction on SQLite, and milliseconds after which it
# looks again whether it is its turn.
BUSY_SECONDS = 30
LOOK_MILLISECONDS = 1
# A log is cut so often at most, each time with so many milliseconds in which nobody else writes, and seconds
# between.
CHECKPOINTS = 40
CHECKPOINT_MILLISECONDS = 10
CHECKPOINT_REST = 0.25
# PostgreSQL: seconds for a connection, for a lock, for a statement, for the next word of a session in a
# transaction, and for a free connection of the pool.
CONNECT_SECONDS = 4
LOCK_SECONDS = 1.0
STATEMENT_SECONDS = 8.0
IDLE_SECONDS = 10.0
POOL_SECONDS = 8.0
# What the server ends by itself comes before this. The server or the way to it may be frozen: then only our
# own clock tells.
PATIENCE = 9.0
# Milliseconds for which what was sent may go unacknowledged, and seconds between signs of life when idle.
UNACKNOWLEDGED_MILLISECONDS = 9000
SIGNS = {"keepalives": 1, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 2}


def engine_of(url: str, *, unhurried: bool = False) -> Engine:
    """The engine for `url`. `unhurried`: a statement may take its time, for migrations."""
    if url.startswith("sqlite"):
        return _sqlite(url)
    return _postgresql(make_url(url), unhurried=unhurried)


def _sqlite(url: str) -> Engine:
    engine = create_engine(
        url,
        hide_parameters=True,  # an order's text must not reach a log through an error
        connect_args={"timeout": BUSY_SECONDS, "isolation_level": None},
    )
    path = Path(engine.url.database or "")
    was_there = False

    def connect(*_: object) -> None:
        # SQLite would make a new one in the place of a ledger that was moved away.
        if was_there and _file_at(path) is None:
            raise sqlite3.OperationalError("the file is gone")

    def connected(raw: Any, record: Any) -> None:
        nonlocal was_there
        _prepare_sqlite(raw, record)
        was_there = was_there or _file_at(path) is not None
        record.info[_PATH], record.info[_FILE] = path, _file_at(path)

    def checked_out(_raw: Any, record: Any, _proxy: object) -> None:
        if not _is_in_place(record.info):
            raise DisconnectionError

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "connect", connected)
    event.listen(engine, "checkout", checked_out)
    return engine


# What a connection to a file knows of it.
_PATH, _FILE = "path", "file"


def is_in_place(connection: Connection) -> bool:
    """Whether the file that this connection has open is still the one at its path, where a copy may have been
    put meanwhile. Raises OperationalError when there is none.
    """
    return _is_in_place(connection.info)


def _is_in_place(info: Any) -> bool:
    if info.get(_FILE) is None:
        return True
    found = _file_at(info[_PATH])
    if found is None:
        gone = sqlite3.OperationalError("the file is gone")
        raise OperationalError("stat", None, gone)
    return bool(found == info[_FILE])


def _file_at(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def look_often(connection: Connection) -> None:
    """Have a connection to a file look every millisecond whether it is its turn to write."""
    connection.exec_driver_sql(f"PRAGMA busy_timeout={LOOK_MILLISECONDS}")
    connection.rollback()


def take_turn(connection: Connection) -> None:
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


def empty_log(engine: Engine) -> bool:
    """Bring what was committed into a file's own pages and cut its log (-wal), which holds what was there
    before, to nothing. Almost all of it while others write; a reader that stays keeps the log as it is, and
    the answer is False. Source: sqlite.org/pragma.html, "PRAGMA wal_checkpoint".
    """
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")
        connection.rollback()
        waits = connection.exec_driver_sql("PRAGMA busy_timeout").scalar()
        connection.exec_driver_sql(f"PRAGMA busy_timeout={CHECKPOINT_MILLISECONDS}")
        try:
            for _ in range(CHECKPOINTS):
                busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0]
                connection.rollback()
                if not busy:
                    return True
                time.sleep(CHECKPOINT_REST)
        finally:
            connection.exec_driver_sql(f"PRAGMA busy_timeout={waits}")
    return False


def _prepare_sqlite(raw: Any, _record: object) -> None:
    cursor = raw.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # Every commit reaches the disk before it counts: what was claimed, sent or answered for must outlive
    # a power cut. Many writers share one flush.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    # What is blanked or deleted is overwritten in the file. SQLite's own choice depends on how it was built.
    cursor.execute("PRAGMA secure_delete=ON")
    cursor.close()


def _postgresql(url: URL, *, unhurried: bool) -> Engine:
    # Only where PostgreSQL is used: the driver takes a tenth of a second to load.
    from ledger.patience import Patient  # noqa: PLC0415

    limits = {
        "lock_timeout": LOCK_SECONDS,
        "statement_timeout": 0 if unhurried else STATEMENT_SECONDS,
        "idle_in_transaction_session_timeout": 0 if unhurried else IDLE_SECONDS,
    }
    options = [f"-c {name}={int(seconds * 1000)}" for name, seconds in limits.items()]
    # What an address says itself comes last, and counts.
    options.append(str(url.query.get("options", "")))
    engine = create_engine(
        url,
        pool_size=10,
        max_overflow=10,
        pool_timeout=POOL_SECONDS,
        pool_pre_ping=True,
        hide_parameters=True,  # as above
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            "tcp_user_timeout": UNACKNOWLEDGED_MILLISECONDS,
            "options": " ".join(options).strip(),
            **SIGNS,
        },
    )

    def connect(_dialect: object, _record: object, args: Any, given: dict[str, Any]) -> Patient:
        patience = None if unhurried else PATIENCE
        made = Patient.connect(*args, **given)
        made.patience = patience
        return made

    event.listen(engine, "do_connect", connect)
    return engine


@contextmanager
def unhurried(connection: Connection) -> Iterator[None]:
    """Inside, one transaction of this connection may take its time. Enter it once that has begun."""
    if connection.dialect.name == "sqlite":
        yield
        return
    raw: Any = connection.connection.driver_connection
    patience = raw.patience
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {int(STATEMENT_SECONDS * 1000)}")
    raw.patience = None
    try:
        yield
    finally:
        raw.patience = patience
