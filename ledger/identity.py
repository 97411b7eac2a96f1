"""Says who a ledger is, and refuses one of the other world or of another version.

In: an open ledger. Out: its id, which names its dedupe keys in Redis. Fails with `WrongLedger`. Called by
every process before its work; knows nothing of Alembic, whose import would cost each a quarter of a second.
"""

from __future__ import annotations

from sqlalchemy import inspect, select, text

from ledger.database import Ledger
from ledger.tables import IDENTITY

# The newest migration in ledger/migrations/versions; a test holds it to that.
VERSION = "0013"


class WrongLedger(Exception):  # noqa: N818  it says what is, as the errors of clients do
    """The database belongs to the other world, or is not migrated; the message says what to do."""


def identify(ledger: Ledger, *, sandbox: bool) -> str:
    """The id of this ledger; raises WrongLedger when there is none yet, and when it is of the other world or
    not migrated.
    """
    missing = ledger.missing_file
    if missing is not None:
        raise WrongLedger(
            f"There is no ledger yet ({missing}): nothing has run here. Start with `make run`; where the "
            "parts are started one by one, run `orderbridge migrate`."
        )
    with ledger.read() as connection:
        migrated = inspect(connection).has_table("alembic_version")
        at = (
            connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
            if migrated
            else None
        )
        if at != VERSION:
            raise WrongLedger("The ledger is not at this version. Run `orderbridge migrate`.")
        row = connection.execute(select(IDENTITY.c.id, IDENTITY.c.sandbox)).one_or_none()
    if row is None:
        raise WrongLedger("The ledger is not marked yet. Run `orderbridge migrate`.")
    if row.sandbox != sandbox:
        raise WrongLedger(
            "This ledger holds orders of the "
            + ("sandbox" if row.sandbox else "real systems")
            + ", and simulated and real systems are never mixed. Give the other one a database of its "
            "own (DATABASE_URL) or a folder of its own (ORDERBRIDGE_DATA)."
        )
    return str(row.id)
