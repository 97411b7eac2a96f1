"""The system at a glance, for the live screen and a console: orders by state, the newest, the last good poll,
and the look-up tables that are empty while orders carry codes.

In: the open ledger, the settings. Out: plain rows; its cost does not grow with the ledger. Raises
`LedgerUnavailable`, and `ProfileError` where profiles are loaded. Called by run.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from connectors import registry
from ledger import connections, orders
from ledger.database import Ledger
from ledger.orders import Row
from mapping.profile import Profile
from mapping.unfilled import UnfilledTable, unfilled_tables
from settings import Settings

# Seconds for which what was seen of the tables is kept.
TABLES_KEPT = 60.0


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


class Tables:
    """The look-up tables of all flows: orders are mapped to see what they ask of them, so not each time."""

    def __init__(self, chosen: Settings) -> None:
        self._profiles = {
            name: profile for name in chosen.source_names if (profile := _profile(chosen, name))
        }
        self._seen: list[UnfilledTable] = []
        self._look_at = float("-inf")

    def unfilled(self, ledger: Ledger) -> list[UnfilledTable]:
        """Those that are empty while orders carry codes for them, as of a minute ago at most."""
        if time.monotonic() >= self._look_at:
            self._seen = unfilled_tables(self._profiles, partial(orders.newest_sources, ledger))
            self._look_at = time.monotonic() + TABLES_KEPT
        return self._seen


def _profile(chosen: Settings, source: str) -> Profile | None:
    one = chosen.connections[source]
    target = chosen.connections.get(one.target or "")
    return None if target is None else registry.joined(one, target)


def glance(ledger: Ledger, latest: int, tables: Tables | None = None) -> Glance:
    """What there is to see now, with so many of the orders that changed last."""
    seen = orders.overview(ledger, ledger.now(), latest=latest)
    polls = {cursor.connection: cursor.polled_at for cursor in connections.cursors(ledger)}
    unfilled = [] if tables is None else tables.unfilled(ledger)
    return Glance(seen.counts, seen.counted_at, seen.latest, seen.oldest_due_at, polls, unfilled)
