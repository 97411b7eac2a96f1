"""What lies waiting for people, in piles: orders held and updates parked, by connection and first reason.

In: an open ledger. Out: a `Pile` for each, by ids and codes, without personal data. To ask costs the same
however much is held: the newest MOST are looked at, and it is said when there are more. Raises
`LedgerUnavailable`. Called by tasks/concerns.py.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select, text

from ledger.conditions import IS_HELD, IS_PARKED
from ledger.database import Ledger
from ledger.tables import ORDERS, UPDATES

# The newest of those held, and of those parked, that are looked at.
MOST = 1000
# Of a pile so many are named.
MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Pile:
    """So many rows of one connection that wait for people for the same reason. `ids` are those of orders, or
    the numbers of updates, the newest first; `order_id` is of the newest.
    """

    connection: str
    code: str
    rows: int
    ids: tuple[str, ...]
    order_id: str
    since: datetime
    newest: datetime


@dataclass(frozen=True, slots=True)
class Piles:
    """All of one kind; `is_whole` unless there were more than were looked at."""

    piles: list[Pile]
    is_whole: bool


_HELD = (
    select(ORDERS.c.connection, ORDERS.c.reason, ORDERS.c.order_id, ORDERS.c.state_at)
    .where(text(IS_HELD), ORDERS.c.state_at <= bindparam("now"))
    .order_by(ORDERS.c.state_at.desc())
    .limit(MOST)
)
_PARKED = (
    select(
        UPDATES.c.connection,
        UPDATES.c.reason,
        UPDATES.c.order_id,
        UPDATES.c.state_at,
        UPDATES.c.id.label("number"),
    )
    .where(text(IS_PARKED), UPDATES.c.state_at <= bindparam("now"))
    .order_by(UPDATES.c.state_at.desc())
    .limit(MOST)
)
# By when the state last changed, of which there is an index: it is never before the order came.
_NEW = (
    select(ORDERS.c.id)
    .where(
        ORDERS.c.state_at >= bindparam("since"),
        ORDERS.c.received_at >= bindparam("since"),
        ORDERS.c.connection == bindparam("of_connection"),
    )
    .limit(1)
)


def held(ledger: Ledger, now: datetime) -> Piles:
    return _piles(ledger, now, _HELD, lambda row: str(row.order_id))


def parked(ledger: Ledger, now: datetime) -> Piles:
    return _piles(ledger, now, _PARKED, lambda row: str(row.number))


def brought_any(ledger: Ledger, connection: str, since: datetime) -> bool:
    """Whether a new order of this connection came since then."""
    with ledger.read() as db:
        found = db.execute(_NEW, {"since": since, "of_connection": connection})
        return found.first() is not None


def _piles(ledger: Ledger, now: datetime, query: Any, named: Any) -> Piles:
    with ledger.read() as db:
        rows = db.execute(query, {"now": now}).all()
    found: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for row in rows:
        found[row.connection, row.reason.partition(",")[0].strip()].append(row)
    return Piles(
        [
            Pile(
                connection,
                code,
                len(same),
                tuple(named(row) for row in same[:MOST_NAMED]),
                same[0].order_id,
                same[-1].state_at,
                same[0].state_at,
            )
            for (connection, code), same in found.items()
        ],
        is_whole=len(rows) < MOST,
    )
