"""What a person sees of a running system: the live screen on a terminal, lines elsewhere.

In: snapshots of the ledger, the programs' statuses, queue lengths. Out: text that names orders by
their ids alone, never by who ordered. A ledger or broker that cannot be read is shown as such and
stops nothing. Called by run/system.py.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from redis import Redis
from redis.exceptions import RedisError
from rich.console import Group
from rich.table import Table
from rich.text import Text

from lanes import QUEUES, unserved
from plain_text import line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from rich.console import RenderableType

    from run.processes import Status

# Lines that are not orders: title, counts, blank lines, heads, programs, queues, hint.
FRAME_LINES = 12
MOST_ORDERS = 12
# Counts that are no older are not told to be so.
COUNTED_NOW = timedelta(seconds=5)

STATES = {
    "received": ("received", "cyan"),
    "waiting": ("waiting", "yellow"),
    "created": ("created", "green"),
    "held": ("needs a person", "bold red"),
    "ignored": ("ignored", "dim"),
}


@dataclass(frozen=True, slots=True)
class LatestOrder:
    """An order on the screen. `order_id` is what it is called there, with its connection where there are
    several; `target_id` is its id in the CRM, times are aware.
    """

    order_id: str
    state: str
    reason: str
    target_id: str | None
    received_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The ledger at one moment: orders by state as of `counted_at` (None: now), the latest changed first,
    the last good poll, and that of each source where there are several, the lanes that are `late`.
    """

    counts: Mapping[str, int]
    latest: Sequence[LatestOrder]
    last_poll: datetime | None
    counted_at: datetime | None = None
    polls: Mapping[str, datetime | None] = field(default_factory=dict)
    late: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class View:
    """What was last seen; None is what could not be read."""

    snapshot: Snapshot | None = None
    queues: Mapping[str, int] | None = field(default=None)
    unserved: Sequence[str] = ()


class Watch:
    """Reads the ledger and the queues each `every` seconds, in a thread of its own: a database that
    hangs must not keep the supervisor from its work.
    """

    def __init__(
        self, read: Callable[[], Snapshot], broker_url: str, *, every: float = 1.0
    ) -> None:
        self._read = read
        self._broker = Redis.from_url(broker_url, socket_connect_timeout=1, socket_timeout=1)
        self._every = every
        self._stopped = threading.Event()
        self.view = View()

    def start(self) -> None:
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self.view = View(self._snapshot(), self._queue_lengths(), self._unserved())
            self._stopped.wait(self._every)

    def _snapshot(self) -> Snapshot | None:
        try:
            return self._read()
        except Exception:  # noqa: BLE001  whatever is wrong with the ledger, the screen goes on
            return None

    def _queue_lengths(self) -> dict[str, int] | None:
        try:
            pipeline = self._broker.pipeline(transaction=False)
            for name in QUEUES:
                pipeline.llen(name)
            return dict(zip(QUEUES, map(int, pipeline.execute()), strict=True))
        except RedisError:
            return None

    def _unserved(self) -> list[str]:
        try:
            return unserved(self._broker)
        except RedisError:
            return []


class Lines:
    """Plain lines, for pipes and CI: one for each order that arrives or changes, one for each
    program that had to be started again.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, datetime]] = {}
        self._restarts: dict[str, int] = {}

    def new(self, snapshot: Snapshot | None, statuses: Iterable[Status]) -> list[str]:
        """The lines for what changed since the last call, oldest first."""
        return [*self._of_programs(statuses), *self._of_orders(snapshot)]

    def _of_programs(self, statuses: Iterable[Status]) -> list[str]:
        lines = []
        for status in statuses:
            if status.restarts > self._restarts.get(status.name, 0):
                why = status.said or "its log says why"
                lines.append(f"{status.name} ended and was started again: {why}")
            self._restarts[status.name] = status.restarts
        return lines

    def _of_orders(self, snapshot: Snapshot | None) -> list[str]:
        if snapshot is None:
            return []
        lines = [
            plain_line(order)
            for order in reversed(snapshot.latest)
            if self._seen.get(order.order_id) != (order.state, order.changed_at)
        ]
        # What is no longer shown needs no memory: a change brings it to the top again.
        self._seen = {o.order_id: (o.state, o.changed_at) for o in snapshot.latest}
        return lines


def plain_line(order: LatestOrder) -> str:
    word, _ = STATES.get(order.state, (order.state, ""))
    clock = f"{order.changed_at.astimezone():%H:%M:%S}"
    return f"{clock}  order {order.order_id}  {word}{_after(order)}"


def frame(
    title: str, view: View, statuses: Iterable[Status], now: datetime, height: int
) -> RenderableType:
    """The whole live screen, at most `height` lines high as long as no line is wrapped."""
    programs = list(statuses)
    most = height - FRAME_LINES - sum(bool(one.said) for one in programs)
    return Group(
        _title(title, view, now),
        _counts(view.snapshot),
        "",
        _orders(view.snapshot, most=max(1, min(MOST_ORDERS, most))),
        "",
        _programs(programs),
        _queues(view),
        Text("Ctrl-C stops everything; the next start goes on from here.", style="dim"),
    )


def age(moment: datetime | None, now: datetime) -> str:
    """How long ago, in one unit: "4 s ago"."""
    if moment is None:
        return "not yet"
    seconds = max(0, int((now - moment).total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def _title(title: str, view: View, now: datetime) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append("orderbridge", style="bold").append(f" · {title} · ")
    if view.snapshot is None:
        return text.append("the ledger cannot be read", style="bold red")
    polls = [f"{name} {age(at, now)}" for name, at in view.snapshot.polls.items()]
    text.append(f"last poll: {', '.join(polls) or age(view.snapshot.last_poll, now)}")
    counted_at = view.snapshot.counted_at
    if counted_at is not None and now - counted_at > COUNTED_NOW:
        text.append(f" · orders counted {age(counted_at, now)}", style="dim")
    return text


def _counts(snapshot: Snapshot | None) -> Text:
    text = Text("orders  ", no_wrap=True)
    if snapshot is None:
        return text.append("?", style="dim")
    counts = snapshot.counts
    for state, (word, style) in STATES.items():
        number = counts.get(state, 0)
        text.append(f"{number} {word}   ", style=style if number else "dim")
    return text


def _orders(snapshot: Snapshot | None, most: int) -> RenderableType:
    if snapshot is None:
        return Text()
    if not snapshot.latest:
        since = "the first poll is on its way" if snapshot.last_poll is None else "none has come"
        return Text(f"No orders yet: {since}.", style="dim")
    table = Table(box=None, expand=True, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("time", width=8)
    table.add_column("order", no_wrap=True, max_width=24)
    table.add_column("state", no_wrap=True, width=14)
    table.add_column("CRM", no_wrap=True, max_width=12)
    table.add_column("why", no_wrap=True, overflow="ellipsis", ratio=1)
    for order in snapshot.latest[:most]:
        word, style = STATES.get(order.state, (order.state, ""))
        table.add_row(
            f"{order.changed_at.astimezone():%H:%M:%S}",
            Text(line(order.order_id)),
            Text(word, style=style),
            Text(line(order.target_id or "–")),
            Text(line(order.reason)),
        )
    return table


def _programs(statuses: Sequence[Status]) -> Text:
    text = Text("programs  ")
    for status in statuses:
        style, note = "green", ""
        if status.again_in is not None:
            style, note = "bold red", f" down, again in {status.again_in:.0f} s"
        elif status.restarts:
            style, note = "yellow", f" ({status.restarts}× restarted)"
        # Lines may break between programs, not within one.
        text.append("●\xa0", style=style)
        text.append(
            (status.name + note).replace(" ", "\xa0"), style="" if style == "green" else style
        )
        text.append("   ")
    for status in statuses:
        if status.said:
            text.append(f"\n{status.name}: {line(status.said)}", style="red")
    return text


def _queues(view: View) -> Text:
    text = Text("queues  ", no_wrap=True)
    if view.queues is None:
        return text.append("the broker does not answer", style="bold red")
    late = () if view.snapshot is None else view.snapshot.late
    for name, length in view.queues.items():
        text.append(f"{name} {length}", style="" if length else "dim")
        if name in view.unserved:
            text.append(" nobody serves it", style="bold red")
        elif name in late:
            text.append(" late", style="bold red")
        text.append("   ")
    return text


def _after(order: LatestOrder) -> str:
    if order.target_id:
        return f"  CRM {order.target_id}"
    return f"  {order.reason}" if order.reason else ""


def utc_now() -> datetime:
    return datetime.now(UTC)
