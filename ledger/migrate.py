"""Brings a ledger to the newest version of its tables and says who it is.

In: a database URL. Fails with `WrongLedger` when a ledger of the sandbox is opened for real systems or
the other way round. Called by `orderbridge migrate`, by `run`, and by every process before its work.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from ledger.database import Ledger, open_ledger
from ledger.models import Identity


class WrongLedger(Exception):  # noqa: N818  it says what is, as the errors of clients do
    """The database belongs to the other world, or is not migrated; the message says what to do."""


def upgrade(url: str, *, sandbox: bool) -> None:
    """Run the migrations, and mark a new ledger as the sandbox's or the real systems'."""
    if url.startswith("sqlite:///"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    ledger = open_ledger(url)
    try:
        with ledger.engine.connect() as connection:
            config = configuration()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
        ledger.write(lambda c: _mark(c, sandbox=sandbox))
        identify(ledger, sandbox=sandbox)
    finally:
        ledger.close()


def identify(ledger: Ledger, *, sandbox: bool) -> str:
    """The id of this ledger; raises WrongLedger when it is of the other world or not migrated."""
    with ledger.read() as connection:
        at = MigrationContext.configure(connection).get_current_revision()
        head = ScriptDirectory.from_config(configuration()).get_current_head()
        if at != head:
            raise WrongLedger("The ledger is not at this version. Run: orderbridge migrate")
        row = connection.execute(select(Identity.id, Identity.sandbox)).one_or_none()
    if row is None:
        raise WrongLedger("The ledger is not marked yet. Run: orderbridge migrate")
    if row.sandbox != sandbox:
        raise WrongLedger(
            "This ledger holds orders of the "
            + ("sandbox" if row.sandbox else "real systems")
            + ", and simulated and real systems are never mixed. Give the other one a database of its "
            "own (DATABASE_URL) or a folder of its own (ORDERBRIDGE_DATA)."
        )
    return str(row.id)


def configuration() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def _mark(connection: Connection, *, sandbox: bool) -> None:
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    new = dialect.insert(Identity).values(only=True, id=secrets.token_hex(8), sandbox=sandbox)
    connection.execute(new.on_conflict_do_nothing())
