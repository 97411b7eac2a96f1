"""What the screen shows of the ledger: its counts, the latest orders, the polls, the lanes that are late.

In: the settings. Out: a function that reads the ledger anew each time it is called; it fails as the ledger
does, which run/screen shows. A figure on the screen is read here. Called by run/system.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors import registry
from desk.overview import glance
from desk.tables import Tables
from ledger.database import open_ledger
from ledger.lateness import late_lanes
from run.screen import LatestOrder, Snapshot, utc_now

if TYPE_CHECKING:
    from collections.abc import Callable

    from settings import Settings


def ledger_reader(settings: Settings, latest: int) -> Callable[[], Snapshot]:
    ledger = open_ledger(settings.database_url)
    tables = Tables(settings)
    names = registry.read_names(settings)
    has_several = len(settings.source_names) > 1

    def read() -> Snapshot:
        seen = glance(ledger, latest, tables)
        polls = {name: seen.polls.get(name) for name in names}
        orders = [
            LatestOrder(
                order_id=f"{row.connection} {row.order_id}" if has_several else row.order_id,
                state=row.state,
                # The codes read as words and fit a column; `orders show` has the sentences.
                reason=row.reason.replace("_", " "),
                target_id=row.target_id,
                received_at=row.received_at,
                changed_at=row.state_at,
            )
            for row in seen.latest
        ]
        last = max(filter(None, polls.values()), default=None)
        several = polls if len(polls) > 1 else {}
        written = [n for n in settings.source_names if settings.connections[n].mode == "live"]
        late = late_lanes(ledger, registry.receiving_names(settings), written, utc_now())
        return Snapshot(seen.counts, orders, last, seen.counted_at, several, late)

    return read
