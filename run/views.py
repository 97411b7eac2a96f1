"""What is seen of a running system at one moment, and the words for it: no password and no buyer in them.

In: what run/snapshots read. Out: plain rows, for the live screen (run/frame) and the lines (run/screen).
Nothing fails. A figure that is to be seen has its field here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The states of orders, in the order of their way, with their colours.
STYLES = {
    "received": "cyan",
    "waiting": "yellow",
    "created": "green",
    "held": "bold red",
    "ignored": "dim",
    "parked": "bold red",
}
ORDER_STATES = ("received", "waiting", "created", "held", "ignored")


@dataclass(frozen=True, slots=True)
class LatestOrder:
    """An order on the screen. `order_id` is what it is called there, with its connection where there are
    several; `target_id` is its id in the CRM, times are those of its shop's clock.
    """

    order_id: str
    state: str
    reason: str
    target_id: str | None
    received_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class ForPerson:
    """Something that waits for a person: a held order or a parked update, what it is called, why, and since
    when by its shop's clock.
    """

    name: str
    state: str
    reason: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Stopped:
    """Calls to a connection that are stopped: which, why in words, since when, and what is done about it;
    `paused` by a person.
    """

    name: str
    why: str
    since: datetime | None
    how_it_opens: str
    paused: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The ledger at one moment: orders by state as of `counted_at` (None: now), the latest changed first,
    the last good poll, and that of each source where there are several, the lanes that are `late`. Of what
    waits `for_people` the newest, held orders and parked updates apart, and how many updates are `parked`;
    what is `stopped`; and `notices`, sentences for the engineer.
    """

    counts: Mapping[str, int]
    latest: Sequence[LatestOrder]
    last_poll: datetime | None
    counted_at: datetime | None = None
    polls: Mapping[str, datetime | None] = field(default_factory=dict)
    late: Sequence[str] = ()
    for_people: Sequence[ForPerson] = ()
    parked: int = 0
    stopped: Sequence[Stopped] = ()
    notices: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class View:
    """What was last seen; None is what could not be read."""

    snapshot: Snapshot | None = None
    queues: Mapping[str, int] | None = field(default=None)
    unserved: Sequence[str] = ()


def age(moment: datetime | None, now: datetime) -> str:
    """How long ago, in one unit: "4 s ago"."""
    if moment is None:
        return "not yet"
    seconds = max(0, int((now - moment).total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def clock(moment: datetime) -> str:
    """The time of day, by the moment's own clock."""
    return f"{moment:%H:%M:%S}"


def offset(moment: datetime) -> str:
    """Of that clock from UTC: +02:00."""
    return moment.isoformat()[-6:]


def day_or_clock(moment: datetime, now: datetime) -> str:
    """When it was, by the moment's own clock: the time of today, the day of what is older."""
    today = now.astimezone(moment.tzinfo).date()
    return clock(moment) if moment.date() == today else f"{moment:%d %b}"
