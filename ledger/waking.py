"""Makes due what waited for something that is over: for a closed gate, or for shadow mode.

In: an open ledger, how many chunks at most. Out: how much was made due, and whether that was all. Half a
million orders may have waited, so each chunk is a transaction of its own, short enough for others to write
between two. What is done is marked by the rows themselves, and that it is to be done by the gate
(`opened_at`, `waking`), in the transaction that opened it: a worker that dies between two chunks loses
nothing. Raises `LedgerUnavailable`. Called by tasks/upkeep.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, select, text, tuple_, update

from ledger.columns import UtcDateTime
from ledger.database import Ledger
from ledger.tables import GATES, IS_IN_SHADOW, IS_OPEN, IS_OPEN_QUEUE, ORDERS, QUEUES

# Rows in one transaction. They lie all over the table, so each is a page of its own: some 6 ms on SQLite.
CHUNK = 100
# The least that a time can be later than another one.
TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Waking:
    """A gate that was opened at that moment, and for which not everything is awake yet."""

    connection: str
    opened_at: datetime


def gates_waking(ledger: Ledger) -> list[Waking]:
    """The open gates of which not everything that waited is awake."""
    query = select(GATES.c.connection, GATES.c.opened_at).where(
        GATES.c.waking, GATES.c.closed_by.is_(None), GATES.c.opened_at.is_not(None)
    )
    with ledger.read() as db:
        return [Waking(*row) for row in db.execute(query)]


def is_awake(ledger: Ledger, waking: Waking) -> None:
    """Everything that waited for this gate is awake; unless it was closed and opened again meanwhile."""
    statement = (
        update(GATES)
        .where(GATES.c.connection == waking.connection, GATES.c.opened_at == waking.opened_at)
        .values(waking=False)
    )
    ledger.write(lambda db: db.execute(statement))


# The partial indexes serve these only in the words that they were made with.
_POSITION: tuple[Any, Any] = (bindparam("after", type_=UtcDateTime()), bindparam("after_key"))
_ORDERS = (
    select(
        ORDERS.c.next_try_at,
        ORDERS.c.id,
        ORDERS.c.state,
        ORDERS.c.state_at,
        ORDERS.c.uncertain_since,
        ORDERS.c.blamed_at,
    )
    .where(
        text(IS_OPEN),
        ORDERS.c.target == bindparam("of"),
        tuple_(ORDERS.c.next_try_at, ORDERS.c.id) > tuple_(*_POSITION),
    )
    .order_by(ORDERS.c.next_try_at, ORDERS.c.id)
    .limit(CHUNK)
)
_WAKE_ORDERS = (
    update(ORDERS)
    .where(
        ORDERS.c.id.in_(bindparam("keys", expanding=True)),
        ORDERS.c.state == "waiting",
        ORDERS.c.uncertain_since.is_(None),
        ORDERS.c.blamed_at.is_(None),
        ORDERS.c.state_at <= bindparam("opened_at"),
        ORDERS.c.next_try_at > bindparam("opened_at"),
    )
    .values(next_try_at=bindparam("opened_at"))
)
_QUEUES = (
    select(QUEUES.c.next_try_at, QUEUES.c.order_id, QUEUES.c.blamed_at)
    .where(
        text(IS_OPEN_QUEUE),
        QUEUES.c.connection == bindparam("of"),
        tuple_(QUEUES.c.next_try_at, QUEUES.c.order_id) > tuple_(*_POSITION),
    )
    .order_by(QUEUES.c.next_try_at, QUEUES.c.order_id)
    .limit(CHUNK)
)
_WAKE_QUEUES = (
    update(QUEUES)
    .where(
        QUEUES.c.connection == bindparam("of"),
        QUEUES.c.order_id.in_(bindparam("keys", expanding=True)),
        QUEUES.c.open,
        QUEUES.c.blamed_at.is_(None),
        QUEUES.c.next_try_at > bindparam("opened_at"),
    )
    .values(next_try_at=bindparam("opened_at"))
)


def wake_orders(ledger: Ledger, waking: Waking, chunks: int) -> bool:
    """Make due the orders that waited when this gate was opened; True when none is left. Not the uncertain
    ones, whose wait is for the CRM, nor those that met what closed the gate, whose wait is for themselves.
    """

    def waited(row: Any) -> bool:
        return (
            row.state == "waiting"
            and row.uncertain_since is None
            and row.blamed_at is None
            and row.state_at <= waking.opened_at
        )

    return _wake(ledger, waking, chunks, _Rows(_ORDERS, _WAKE_ORDERS, waited, 0))


def wake_updates(ledger: Ledger, waking: Waking, chunks: int) -> bool:
    """Make due the queues of updates that waited when this gate was opened; True when none is left."""
    return _wake(
        ledger,
        waking,
        chunks,
        _Rows(_QUEUES, _WAKE_QUEUES, lambda row: row.blamed_at is None, ""),
    )


@dataclass(frozen=True, slots=True)
class _Rows:
    """How to find the next rows by time, to wake those by their keys, which of them `waited`, and a key
    before all others.
    """

    find: Any
    wake: Any
    waited: Callable[[Any], bool]
    lowest: Any


def _wake(ledger: Ledger, waking: Waking, chunks: int, rows: _Rows) -> bool:
    """The rows are found outside the transaction that wakes them: those that stay asleep cost no writer."""
    after, after_key = waking.opened_at + TICK, rows.lowest
    while chunks > 0:
        with ledger.read() as db:
            page = db.execute(
                rows.find, {"of": waking.connection, "after": after, "after_key": after_key}
            ).all()
        keys = [row[1] for row in page if rows.waited(row)]
        if keys:
            chunks -= 1
            values = {"of": waking.connection, "keys": keys, "opened_at": waking.opened_at}
            ledger.write(lambda db, values=values: db.execute(rows.wake, values))  # type: ignore[misc]
        if len(page) < CHUNK:
            return True
        after, after_key = page[-1][0], page[-1][1]
    return False


_SHADOWED = select(ORDERS.c.id).where(text(IS_IN_SHADOW)).order_by(ORDERS.c.id).limit(CHUNK)


def leave_shadow(ledger: Ledger, now: datetime, chunks: int) -> int:
    """Make due what shadow mode mapped and did not send; returns how many orders that are."""
    statement = (
        update(ORDERS)
        .where(ORDERS.c.id.in_(bindparam("keys", expanding=True)), text(IS_IN_SHADOW))
        .values(reason="", next_try_at=now)
    )
    total = 0
    for _ in range(chunks):
        with ledger.read() as db:
            keys = list(db.execute(_SHADOWED).scalars())
        if not keys:
            break

        def unit(db: Connection, keys: list[int] = keys) -> int:
            return db.execute(statement, {"keys": keys}).rowcount

        total += ledger.write(unit)
    return total
