"""The live screen on a terminal: what waits for a person first, then what goes by itself.

In: what was last seen, the programs' statuses, the terminal's height. Out: what rich draws, of a height that
fits. Orders stand there by their ids alone. Nothing fails. Called by run/system.py.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from desk.naming import as_called
from plain_text import line
from run.views import ORDER_STATES, STYLES, age, day_or_clock, offset

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import RenderableType

    from run.processes import Status
    from run.views import Snapshot, Stopped, View

# Lines that are always there: title, counts, two blank ones, heads, programs (in two), queues, hint.
FRAME_LINES = 10
MOST_ORDERS = 12
# What stands above the orders at most, so that they are still seen on a small terminal.
MOST_STOPPED = 2
MOST_NOTICES = 2
MOST_FOR_PEOPLE = 8
# Lines of a part that are neither its rows nor its commands: the head, a blank one.
PART_LINES = 2
# Counts that are no older are not told to be so.
COUNTED_NOW = timedelta(seconds=5)
# What shows all of what waits for a person.
SHOWS = {
    "held": "`orderbridge orders list --state held`",
    "parked": "`orderbridge updates list --state parked`",
}


def frame(
    title: str, view: View, statuses: Iterable[Status], now: datetime, height: int
) -> RenderableType:
    """The whole live screen, at most `height` lines high as long as no line is wrapped."""
    seen = view.snapshot
    above = [] if seen is None else [*_stopped(seen.stopped, now), *_notices(seen.notices)]
    programs = list(statuses)
    said = sum(bool(one.said) for one in programs)
    room = max(2, height - FRAME_LINES - len(above) - said)
    needing = 0 if seen is None else _rows_for_people(seen, room)
    left = room - (needing + _lines_beside(seen) if seen and needing else 0)
    when = _When(seen, now)
    return Group(
        _title(title, view, now),
        *above,
        _counts(seen),
        "",
        *(() if seen is None or not needing else _for_people(seen, needing, when)),
        _orders(seen, max(1, min(MOST_ORDERS, left)), when),
        "",
        _programs(programs),
        _queues(view),
        Text("Ctrl-C stops everything; the next start goes on from here.", style="dim"),
    )


def _rows_for_people(seen: Snapshot, room: int) -> int:
    """How many rows of what waits for a person are shown: all of a few, else half of the room."""
    return min(len(seen.for_people), MOST_FOR_PEOPLE, max(1, (room - _lines_beside(seen)) // 2))


def _waiting(seen: Snapshot) -> dict[str, int]:
    """How many of each kind wait for a person."""
    numbers = {"held": seen.counts.get("held", 0), "parked": seen.parked}
    return {state: number for state, number in numbers.items() if number}


def _lines_beside(seen: Snapshot) -> int:
    return PART_LINES + len(_waiting(seen))


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


def _stopped(stopped: Sequence[Stopped], now: datetime) -> list[Text]:
    """A banner for each connection to which no calls go, and what is done about it."""
    lines: list[Text] = []
    for one in stopped[:MOST_STOPPED]:
        word, style = (
            (" PAUSED ", "bold black on yellow") if one.paused else (" DOWN ", "bold white on red")
        )
        banner = Text(no_wrap=True, overflow="ellipsis").append(word, style=style)
        lines.append(banner.append(f" {line(one.why)}", style="bold"))
        since = f"{age(one.since, now)}. " if one.since else ""
        lines.append(
            Text(f"  {since}{as_called(one.how_it_opens)}", no_wrap=True, overflow="ellipsis")
        )
    more = len(stopped) - MOST_STOPPED
    if more > 0:
        lines.append(Text(as_called(f"  and {more} more: `orderbridge check`"), style="bold"))
    return lines


def _notices(notices: Sequence[str]) -> list[Text]:
    shown = [as_called(line(notice)) for notice in notices[:MOST_NOTICES]]
    return [Text(text, style="yellow", no_wrap=True, overflow="ellipsis") for text in shown]


def _counts(seen: Snapshot | None) -> Text:
    text = Text("orders  ", no_wrap=True)
    if seen is None:
        return text.append("?", style="dim")
    for state in ORDER_STATES:
        number = seen.counts.get(state, 0)
        text.append(f"{number} {state}   ", style=STYLES[state] if number else "dim")
    return text


class _When:
    """The first column. How far the clock is from UTC is said once where it is one; else in each row."""

    def __init__(self, seen: Snapshot | None, now: datetime) -> None:
        self._now = now
        moments = [one.since for one in seen.for_people] if seen else []
        moments += [one.changed_at for one in seen.latest] if seen else []
        offsets = {offset(moment) for moment in moments}
        self.together = len(offsets) <= 1
        self.head = " ".join(("time", *offsets)) if self.together else "time"
        self.width = (
            max(len(self.head), len("12:00:00")) if self.together else len("12:00:00 +02:00")
        )

    def __call__(self, moment: datetime) -> str:
        told = day_or_clock(moment, self._now)
        return told if self.together else f"{told} {offset(moment)}"


def _for_people(seen: Snapshot, most: int, when: _When) -> list[RenderableType]:
    """How much waits for a person, the newest of it, and the commands that show all."""
    numbers = _waiting(seen)
    head = Text("waits for a person   ", style=STYLES["held"], no_wrap=True, overflow="ellipsis")
    head.append("   ".join(f"{number} {state}" for state, number in numbers.items()))
    table = _table(when, "what", "state", "why")
    table.show_header = False
    for one in seen.for_people[:most]:
        state = Text(one.state, style=STYLES[one.state])
        table.add_row(when(one.since), Text(line(one.name)), state, Text(line(one.reason)))
    commands = [as_called(SHOWS[state]) for state in numbers]
    return [
        head,
        table,
        *(Text(text, style="dim", no_wrap=True, overflow="ellipsis") for text in commands),
        "",
    ]


def _orders(seen: Snapshot | None, most: int, when: _When) -> RenderableType:
    if seen is None:
        return Text()
    if not seen.latest:
        since = "the first poll is on its way" if seen.last_poll is None else "none has come"
        return Text(f"No orders yet: {since}.", style="dim")
    table = _table(when, "order", "state", "CRM", "why")
    for order in seen.latest[:most]:
        table.add_row(
            when(order.changed_at),
            Text(line(order.order_id)),
            Text(order.state, style=STYLES.get(order.state, "")),
            Text(line(order.target_id or "–")),
            Text(line(order.reason)),
        )
    return table


# The widths of columns, so that both tables stand in line; the last one has the rest.
WIDTHS = {"state": 8, "CRM": 10}


def _table(when: _When, *heads: str) -> Table:
    table = Table(box=None, expand=True, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column(when.head, no_wrap=True, width=when.width)
    for head in heads[:-1]:
        table.add_column(
            head, no_wrap=True, overflow="ellipsis", width=WIDTHS.get(head), max_width=30
        )
    table.add_column(heads[-1], no_wrap=True, overflow="ellipsis", ratio=1)
    return table


def _programs(programs: Sequence[Status]) -> Text:
    text = Text("programs  ")
    for status in programs:
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
    for status in programs:
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
