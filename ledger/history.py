"""What people did, and callers with a name: one row an act, written with the act and never changed.

In: who, what, about what, and how it stood before and after, as states and reasons without personal data.
Out: the acts on one order. The words of `what` are static, so that they can be counted and translated.
Raises `LedgerUnavailable`. Called by ledger/orders, ledger/updates,
ledger/connections and desk.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, bindparam, insert, select

from ledger.database import Ledger
from ledger.tables import HISTORY

# What the ledger keeps of a name.
LONGEST_NAME = 64
What = Literal[
    "order_retried",
    "order_released",
    "order_ignored",
    "order_adopted",
    "order_acknowledged",
    "update_accepted",
    "update_retried",
    "update_cancelled",
    "backfill_run",
    "connection_paused",
    "connection_resumed",
    "order_sent_in_shadow",
    "order_kept_in_shadow",
    "hook_replayed",
]
About = Literal["order", "update", "connection"]


@dataclass(frozen=True, slots=True)
class Act:
    """One act as it is kept. Without an order it is one on a connection."""

    at: datetime
    who: str
    what: What
    about: About
    connection: str
    order_id: str | None = None
    update_id: int | None = None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


_COLUMNS = tuple(HISTORY.c[name] for name in Act.__dataclass_fields__)
_INSERT = insert(HISTORY)
_OF_ORDER = (
    select(*_COLUMNS)
    .where(
        HISTORY.c.connection == bindparam("of_connection"),
        HISTORY.c.order_id == bindparam("of_order"),
    )
    .order_by(HISTORY.c.id)
)


def write_in(db: Connection, act: Act) -> None:
    """Add an act, in the transaction that does it."""
    values = {name: getattr(act, name) for name in Act.__dataclass_fields__}
    db.execute(_INSERT, values | {"who": storable(act.who)})


def write(ledger: Ledger, act: Act) -> None:
    """Add an act that has no transaction of its own."""
    ledger.write(lambda db: write_in(db, act))


def of_order(ledger: Ledger, connection: str, order_id: str) -> list[Act]:
    """The acts on one order and on its updates, the oldest first."""
    with ledger.read() as db:
        of = {"of_connection": connection, "of_order": order_id}
        return [Act(*row) for row in db.execute(_OF_ORDER, of)]


def storable(who: str) -> str:
    """A name fit for the ledger: PostgreSQL takes no NUL, nothing takes half a pair."""
    return "".join(filter(str.isprintable, who))[:LONGEST_NAME]
