"""What the screen shows of the ledger: counts, what waits for a person, is stopped, is new, the polls.

In: the settings. Out: a function that reads the ledger anew each time it is called; it fails as the ledger
does, which run/frame shows. A figure on the screen is read here. Called by run/system.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors import registry
from desk.gates import Closed
from desk.overview import glance
from desk.tables import Tables
from desk.zones import Zones
from ledger.connections import PERSON
from ledger.database import open_ledger
from ledger.lateness import late_lanes
from run.screen import utc_now
from run.views import ForPerson, LatestOrder, Snapshot, Stopped
from tasks import closings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ledger.orders import Row
    from ledger.updates import Update
    from mapping.unfilled import UnfilledTable
    from settings import Settings


def ledger_reader(settings: Settings, latest: int) -> Callable[[], Snapshot]:
    ledger = open_ledger(settings.database_url)
    tables = Tables(settings)
    names = registry.read_names(settings)
    zones = Zones(settings)
    # Whose orders need not be told apart: those of the only source, else of the only one that is read.
    alone = settings.source_names if len(settings.source_names) == 1 else names

    def called(row: Row | Update) -> str:
        is_alone = [row.connection] == list(alone)
        return row.order_id if is_alone else f"{row.connection} {row.order_id}"

    def waiting(name: str, row: Row | Update) -> ForPerson:
        since = zones.local(row.state_at, row.connection)
        return ForPerson(name, row.state, _words(row.reason), since)

    def read() -> Snapshot:
        seen = glance(ledger, settings.connections, tables, latest=latest, for_people=latest)
        polls = {name: seen.polls.get(name) for name in names}
        orders = [
            LatestOrder(
                order_id=called(row),
                state=row.state,
                reason=_words(row.reason),
                target_id=row.target_id,
                received_at=zones.local(row.received_at, row.connection),
                changed_at=zones.local(row.state_at, row.connection),
            )
            for row in seen.latest
        ]
        held = [waiting(f"order {called(row)}", row) for row in seen.held]
        parked = [waiting(f"update {row.id} of {called(row)}", row) for row in seen.parked]
        last = max(filter(None, polls.values()), default=None)
        written = [n for n in settings.source_names if settings.connections[n].mode == "live"]
        return Snapshot(
            counts=seen.counts,
            latest=orders,
            last_poll=last,
            counted_at=seen.counted_at,
            polls=polls if len(polls) > 1 else {},
            late=late_lanes(ledger, registry.receiving_names(settings), written, utc_now()),
            for_people=sorted([*held, *parked], key=lambda one: one.since, reverse=True),
            parked=seen.parked_count,
            stopped=[_stopped(one) for one in seen.closed],
            notices=_notices(seen.unfilled),
        )

    return read


def _words(reason: str) -> str:
    """The codes read as words and fit a column; `orders show` has the sentences."""
    return reason.replace("_", " ")


def _notices(unfilled: Sequence[UnfilledTable]) -> list[str]:
    """One line for all: a screen is for what waits for a person, `check` tells of each table."""
    names = ", ".join(dict.fromkeys(table.name for table in unfilled))
    return [f"`orderbridge check` names empty tables: {names}"] if names else []


def _stopped(one: Closed) -> Stopped:
    """With what the remote said: who sees the screen runs the system."""
    said = f" It says: {one.said}" if one.said else ""
    calls = f"{one.connection}: {closings.CALLS[one.direction]}"
    return Stopped(calls, f"{one.why}{said}", one.since, one.how_it_opens, one.by == PERSON)
