"""Orders that wait: what is due, what tries a closed gate, what an end of waiting makes due.

In: an open ledger, aware UTC times. Out: orders to ring for. Raises `LedgerUnavailable`. Called, by its
package, by tasks/upkeep, tasks/verdicts and ledger/waking.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from sqlalchemy import Connection, bindparam, select, text, update

from ledger.conditions import IS_IN_SHADOW, IS_OPEN
from ledger.database import Ledger
from ledger.leases import CHUNK
from ledger.orders.claiming import LEASES
from ledger.orders.rows import Due
from ledger.tables import ORDERS


def due(ledger: Ledger, target: str, now: datetime, most: int, grace: float = 0.0) -> list[Due]:
    """Orders nobody works on whose time came `grace` seconds ago or more, the longest due first."""
    return [Due(*row) for row in LEASES.due(ledger, target, now, most, grace)]


def probe(ledger: Ledger, target: str, now: datetime, *, unblamed_only: bool = False) -> list[Due]:
    """The order to try a closed gate with, made due: the newest of those that met nothing bad yet, since
    what is older stood there when the gate was closed. Without such a one the order whose time comes first;
    an uncertain one is only looked up before its time, never sent.
    """
    return [Due(*row) for row in LEASES.probe(ledger, target, now, unblamed_only=unblamed_only)]


def wake(ledger: Ledger, target: str, opened_at: datetime, chunks: int) -> bool:
    """Make due the orders that waited when this gate was opened; True when none is left. Not the uncertain
    ones, whose wait is for the target, nor those that met what closed the gate, whose wait is for themselves.
    """
    return LEASES.wake(ledger, target, opened_at, chunks)


def oldest_due_at(db: Connection, now: datetime, *, free: bool = False) -> datetime | None:
    """Since when the oldest open order has been due; `free`: the oldest that nobody works on."""
    return LEASES.oldest_due_at(db, now, free=free)


def astray(ledger: Ledger, targets: Sequence[str], most: int) -> list[Due]:
    """Open orders whose target is none of these. Read by the gaps between the names, which an index serves
    however many orders are open.
    """
    names = ["", *sorted(targets), None]
    found: list[Due] = []
    with ledger.read() as db:
        for low, high in pairwise(names):
            above = (ORDERS.c.target < high,) if high is not None else ()
            query = (
                select(ORDERS.c.id, ORDERS.c.connection, ORDERS.c.target)
                .where(text(IS_OPEN), ORDERS.c.target > low, *above)
                .limit(most)
            )
            found += [Due(*row) for row in db.execute(query)]
    return found


def wait_again(
    ledger: Ledger, pks: Sequence[int], reason: str, now: datetime, pause: float
) -> None:
    """Orders that were held for what seems to be the connection's fault go back to waiting, for `pause`
    seconds: others try first whether it is.
    """
    ledger.write(
        lambda db: db.execute(
            update(ORDERS)
            .where(ORDERS.c.id.in_(pks), ORDERS.c.state == "held")
            .values(
                state="waiting",
                reason=reason,
                state_at=now,
                next_try_at=now + timedelta(seconds=pause),
                blamed_at=now,
            )
        )
    )


def are_coming(ledger: Ledger, target: str) -> bool:
    """Whether an order is on its way to this target, whose process there may be before we know of it."""
    with ledger.read() as db:
        return db.execute(_COMING, {"target": target}).first() is not None


# In the order of the index, without which PostgreSQL may choose to read the whole table.
_COMING = (
    select(ORDERS.c.id)
    .where(text(IS_OPEN), ORDERS.c.target == bindparam("target"))
    .order_by(ORDERS.c.next_try_at, ORDERS.c.id)
    .limit(1)
)


_SHADOWED = (
    select(ORDERS.c.id)
    .where(
        text(IS_IN_SHADOW),
        ORDERS.c.id > bindparam("after"),
        ORDERS.c.connection.in_(bindparam("sources", expanding=True)),
        ORDERS.c.target.in_(bindparam("targets", expanding=True)),
    )
    .order_by(ORDERS.c.id)
    .limit(CHUNK)
)


def leave_shadow(
    ledger: Ledger, sources: Sequence[str], targets: Sequence[str], now: datetime, chunks: int
) -> int:
    """Make due what shadow mode mapped and did not send, of these sources to these targets; returns how
    many orders that are.
    """
    if not sources or not targets:
        return 0
    of = {"sources": list(sources), "targets": list(targets)}
    statement = (
        update(ORDERS)
        .where(ORDERS.c.id.in_(bindparam("keys", expanding=True)), text(IS_IN_SHADOW))
        .values(shadow=False, reason="", next_try_at=now)
    )
    total, after = 0, 0
    for _ in range(chunks):
        with ledger.read() as db:
            keys = list(db.execute(_SHADOWED, of | {"after": after}).scalars())
        if not keys:
            break
        after = keys[-1]

        def unit(db: Connection, keys: list[int] = keys) -> int:
            return db.execute(statement, {"keys": keys}).rowcount

        total += ledger.write(unit)
    return total
