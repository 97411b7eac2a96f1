"""The system at a glance, for the live screen and a console: orders by state, the newest, the last good poll,
and the look-up tables that are empty while orders carry codes.

In: the open ledger, the profiles' tables. Out: plain rows; its cost does not grow with the ledger. Raises
`LedgerUnavailable`. Called by run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from desk.tables import Tables
from ledger import connections, orders
from ledger.database import Ledger
from ledger.orders import Row
from mapping.unfilled import UnfilledTable


@dataclass(frozen=True, slots=True)
class Glance:
    """Orders by state as of `counted_at`, those that changed last, the age of the oldest that is due, and
    when each source was last read. `unfilled` are the tables of the profiles that orders ask in vain.
    """

    counts: dict[str, int]
    counted_at: datetime | None
    latest: list[Row]
    oldest_due_at: datetime | None
    polls: dict[str, datetime | None]
    unfilled: list[UnfilledTable] = field(default_factory=list)


def glance(ledger: Ledger, latest: int, tables: Tables | None = None) -> Glance:
    """What there is to see now, with so many of the orders that changed last."""
    seen = orders.overview(ledger, ledger.now(), latest=latest)
    polls = {cursor.connection: cursor.polled_at for cursor in connections.cursors(ledger)}
    unfilled = [] if tables is None else tables.unfilled(ledger)
    return Glance(seen.counts, seen.counted_at, seen.latest, seen.oldest_due_at, polls, unfilled)
