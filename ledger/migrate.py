"""Brings a ledger to the newest version of its tables and says who it is.

In: a database URL. Fails with `WrongLedger` when a ledger of the sandbox is opened for real systems or
the other way round, and when an older release left half a migration behind. Called by `orderbridge
migrate`, by `run`, and by every process before its work.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ledger.database import Ledger, open_ledger
from ledger.faults import translated
from ledger.identity import WrongLedger, identify
from ledger.tables import IDENTITY

# What SQLite says where a migration finds its own work done: it is one transaction, but was not always.
HALF_DONE = ("already exists", "duplicate column")


def upgrade(url: str, *, sandbox: bool) -> None:
    """Run the migrations, and mark a new ledger as the sandbox's or the real systems'."""
    if url.startswith("sqlite:///"):
        path = Path(url.removeprefix("sqlite:///"))
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Its user's alone from the first moment; what SQLite keeps beside it has the same mode.
        path.touch(mode=0o600)
    ledger = open_ledger(url, unhurried=True)
    try:
        with _reached(ledger) as connection:
            _migrate(connection)
        # What a migration set on its connection ends with it.
        ledger.engine.dispose()
        with ledger.read() as connection:
            is_marked = connection.execute(select(IDENTITY.c.only)).first() is not None
        # A commit of ours would hide how old a ledger is that was just put back.
        if not is_marked:
            ledger.write(lambda c: _mark(c, sandbox=sandbox))
        identify(ledger, sandbox=sandbox)
    finally:
        ledger.close()


@contextmanager
def _reached(ledger: Ledger) -> Iterator[Connection]:
    """A connection; raises LedgerUnavailable where none is to be had, or it breaks."""
    try:
        with ledger.engine.connect() as connection:
            yield connection
    except (DBAPIError, PoolTimeout) as exc:
        raise translated(exc) from exc


def _migrate(connection: Connection) -> None:
    config = configuration()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except OperationalError as exc:
        if any(told in str(exc.orig) for told in HALF_DONE):
            raise WrongLedger(
                "A migration by an older release broke off in this ledger and left half of itself behind "
                f"({exc.orig}). Put back the copy from before that upgrade and run "
                "`orderbridge migrate`."
            ) from exc
        raise
    connection.commit()


def configuration() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def _mark(connection: Connection, *, sandbox: bool) -> None:
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    new = dialect.insert(IDENTITY).values(only=True, id=secrets.token_hex(8), sandbox=sandbox)
    connection.execute(new.on_conflict_do_nothing())
