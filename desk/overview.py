"""The system at a glance, for the live screen and a console: orders by state, the newest, the last good poll.

In: the open ledger. Out: plain rows; its cost does not grow with the ledger. Raises `LedgerUnavailable`.
Called by run.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ledger import connections, orders
from ledger.database import Ledger
from ledger.orders import Row


@dataclass(frozen=True, slots=True)
class Glance:
    """Orders by state as of `counted_at`, those that changed last, the age of the oldest that is due, and
    when each source was last read.
    """

    counts: dict[str, int]
    counted_at: datetime | None
    latest: list[Row]
    oldest_due_at: datetime | None
    polls: dict[str, datetime | None]


def glance(ledger: Ledger, latest: int) -> Glance:
    """What there is to see now, with so many of the orders that changed last."""
    seen = orders.overview(ledger, ledger.now(), latest=latest)
    polls = {cursor.connection: cursor.polled_at for cursor in connections.cursors(ledger)}
    return Glance(seen.counts, seen.counted_at, seen.latest, seen.oldest_due_at, polls)
