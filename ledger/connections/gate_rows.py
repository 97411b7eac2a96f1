"""How the gates of a connection stand in the ledger: one for its writes, one for its reads.

In and out: rows, aware UTC times. Raises `LedgerUnavailable` when the database cannot be reached. Called by
the rules beside it, which close and open gates (gating.py, pausing.py), and, by its package, by tasks, desk
and gateway.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ledger.database import Ledger
from ledger.tables import GATES

# Before the name of who met what looked like the connection's fault, among those that failed in a row.
SUSPECT = "!"
# What a gate guards: the calls that change something there, or those that only read.
Direction = Literal["write", "read"]
# By whom a gate is closed that opens by a person's word alone.
PERSON = "person"


@dataclass(frozen=True, slots=True)
class GateRow:
    """How one gate of a connection stands; open when `closed_by` is None. `who` closed it, where a person
    did.
    """

    connection: str
    direction: str = "write"
    failures: int = 0
    closed_by: str | None = None
    closed_at: datetime | None = None
    reason: str = ""
    probe_at: datetime | None = None
    failed: str = ""
    cleared: str = ""
    cleared_at: datetime | None = None
    who: str = ""

    @property
    def suspects(self) -> int:
        """How many different orders met what looks like the connection's fault, one after the other."""
        return sum(name.startswith(SUSPECT) for name in self.failed.split())

    @property
    def is_paused(self) -> bool:
        """Whether a person closed it."""
        return self.closed_by == PERSON


COLUMNS = tuple(GATES.c[name] for name in GateRow.__dataclass_fields__)


def gate(ledger: Ledger, connection: str, direction: Direction = "write") -> GateRow:
    with ledger.read() as db:
        row = db.execute(select(*COLUMNS).where(*this(connection, direction))).first()
    return GateRow(connection, direction) if row is None else GateRow(*row)


def gates(ledger: Ledger) -> list[GateRow]:
    with ledger.read() as db:
        query = select(*COLUMNS).order_by(GATES.c.connection, GATES.c.direction)
        return [GateRow(*row) for row in db.execute(query)]


# --- for the rules, within their transactions ----------------------------------------------------------


def this(connection: str, direction: str) -> tuple[Any, Any]:
    return GATES.c.connection == connection, GATES.c.direction == direction


def locked(db: Connection, connection: str, direction: str) -> GateRow:
    """A gate, which stays as it is until this transaction ends."""
    ensure(db, connection, direction)
    query = select(*COLUMNS).where(*this(connection, direction)).with_for_update()
    return GateRow(*db.execute(query).one())


def change(db: Connection, connection: str, direction: str, **values: Any) -> GateRow:
    statement = update(GATES).where(*this(connection, direction)).values(**values)
    return GateRow(*db.execute(statement.returning(*COLUMNS)).one())


def ensure(db: Connection, connection: str, direction: str) -> None:
    new = (sqlite if db.dialect.name == "sqlite" else postgresql).insert(GATES)
    values = {"connection": connection, "direction": direction}
    db.execute(new.values(values).on_conflict_do_nothing())


def opened(row: GateRow, now: datetime) -> dict[str, Any]:
    """What an open gate is, after it stood like this. What waited for it is noted as to be made due, with the
    opening itself: see ledger/waking.
    """
    values: dict[str, Any] = {"failures": 0, "failed": "", "closed_by": None, "closed_at": None}
    values |= {"reason": "", "probe_at": None, "who": ""}
    if row.closed_by is not None and row.direction == "write":
        values |= {"opened_at": now, "waking": True}
    return values
