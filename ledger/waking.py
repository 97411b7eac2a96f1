"""Makes due what waited for a gate that is open again.

In: an open ledger, how many chunks at most. Out: whether that was all. Half a million orders may have
waited, so each chunk is a transaction of its own, short enough for others to write between two. What is
done is marked by the rows themselves, and that it is to be done by the gate (`opened_at`, `waking`), in the
transaction that opened it: a worker that dies between two chunks loses nothing. Raises `LedgerUnavailable`.
Called by tasks/upkeep.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update

from ledger import orders, queues
from ledger.database import Ledger
from ledger.tables import GATES


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


def wake(ledger: Ledger, waking: Waking, chunks: int) -> bool:
    """Make due the orders and the queues of updates that waited for this gate; True when none is left."""
    remote, opened_at = waking.connection, waking.opened_at
    return orders.wake(ledger, remote, opened_at, chunks) and queues.wake(
        ledger, remote, opened_at, chunks
    )
