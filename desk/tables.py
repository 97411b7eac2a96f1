"""The look-up tables of all flows, and which of them are empty while orders carry codes for them.

In: the settings, once; then the open ledger. Out: rows, at most a minute old: orders are mapped to see what
they ask. Raises `ProfileError` when made, later `LedgerUnavailable`. Called by those who show an overview.
"""

from __future__ import annotations

import time
from functools import partial

from connectors import registry
from ledger import orders
from ledger.database import Ledger
from mapping.profile import Profile
from mapping.unfilled import UnfilledTable, unfilled_tables
from settings import Settings

# Seconds for which what was seen is kept.
KEPT = 60.0


class Tables:
    """Of the flows that these settings name."""

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
            self._look_at = time.monotonic() + KEPT
        return self._seen


def _profile(chosen: Settings, source: str) -> Profile | None:
    one = chosen.connections[source]
    target = chosen.connections.get(one.target or "")
    return None if target is None else registry.joined(one, target)
