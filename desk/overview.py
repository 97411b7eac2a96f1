"""The system at a glance, for the live screen and a console: what waits for a person, is stopped, is new, and
the look-up tables that are empty while orders carry codes.

In: the open ledger, the connections' names, the profiles' tables. Out: plain rows; its cost does not grow
with the ledger. Raises `LedgerUnavailable`. Called by run.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from desk.gates import Closed, closed, failing
from desk.tables import Tables
from ledger import connections, orders, tallies, updates
from ledger.database import Ledger
from ledger.orders import Row
from ledger.updates import Update
from mapping.unfilled import UnfilledTable


@dataclass(frozen=True, slots=True)
class Glance:
    """Orders by state as of `counted_at`, those that changed last, the age of the oldest that is due, and
    when each source was last read. Of the `held` orders and the `parked` updates those that became so last,
    how many updates are parked; the gates that are `closed`, and the polls that fail. `unfilled` are the
    tables of the profiles that orders ask in vain.
    """

    counts: dict[str, int]
    counted_at: datetime | None
    latest: list[Row]
    oldest_due_at: datetime | None
    polls: dict[str, datetime | None]
    held: list[Row]
    parked: list[Update]
    parked_count: int
    closed: list[Closed]
    unfilled: list[UnfilledTable]


def glance(
    ledger: Ledger, names: Collection[str], tables: Tables, *, latest: int, for_people: int
) -> Glance:
    """What there is to see now of these connections, with so many of the orders that changed last, and of
    each kind of what waits for a person.
    """
    now = ledger.now()
    seen = orders.overview(ledger, now, latest=latest)
    stopped = closed(ledger, names)
    cursors = connections.cursors(ledger)
    return Glance(
        counts=seen.counts,
        counted_at=seen.counted_at,
        latest=seen.latest,
        oldest_due_at=seen.oldest_due_at,
        polls={cursor.connection: cursor.polled_at for cursor in cursors},
        held=orders.held(ledger, now, for_people) if seen.counts.get("held") else [],
        parked=updates.parked(ledger, now, for_people),
        parked_count=tallies.counts(ledger, tallies.UPDATES, now).rows["parked"],
        closed=[*stopped, *failing(cursors, names, stopped)],
        unfilled=tables.unfilled(ledger),
    )
