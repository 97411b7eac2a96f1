"""What people must be told: found in the ledger, and compared with what they were told before.

In: the resources, the time, what a channel was told by subject. Out: `News` for it: each matter once,
again when it has become more, a reminder after a day, and its end. Raises `LedgerUnavailable`. How soon
and how often something is said is changed here. Called by tasks/telling.py. Source:
docs/decisions/apprise-tells.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import cast

from clients.errors import masked
from ledger import connections, piles
from ledger.connections import CursorRow, GateRow
from ledger.piles import Piles
from ledger.telling import Told
from mapping.telling import MOST, PILED, Concern, Kind, News
from tasks.freshness import late_after
from tasks.resources import Resources

# What is over sooner is not worth a message: the rest of a wave still comes, a remote is back by itself.
SETTLED: Mapping[Kind, timedelta] = {
    "held": timedelta(minutes=1),
    "parked": timedelta(minutes=1),
    "stopped": timedelta(minutes=2),
    "silent": timedelta(0),
    "quiet": timedelta(0),
}
# The same matter is said again, having become more or come back, after so long; unchanged after REMINDED.
AGAIN = timedelta(hours=1)
REMINDED = timedelta(days=1)
# What of the same connection is not known beside it.
HIDES: Mapping[Kind, tuple[Kind, ...]] = {"stopped": ("silent", "quiet"), "silent": ("quiet",)}
# What is quoted of a gate's or a poll's reason.
LONGEST_DETAIL = 120
# In messengers these call people, make links or formats.
_STEERING = str.maketrans(dict.fromkeys("@<>[]`|\\#", " "))


@dataclass(frozen=True, slots=True)
class Found:
    """All matters there are now. Of others it is not known that they are over: of these kinds there were too
    many to be looked at, what is hidden has something graver beside it, a connection may be configured no
    more.
    """

    concerns: tuple[Concern, ...]
    cut: frozenset[Kind] = frozenset()
    hidden: frozenset[tuple[Kind, str]] = frozenset()
    removed: Callable[[str], bool] = lambda _: False

    def is_unknown(self, subject: str) -> bool:
        kind, name = _parts(subject)
        gone = kind not in PILED and self.removed(name)
        return gone or kind in self.cut or (kind, name) in self.hidden


def found(r: Resources, now: datetime) -> Found:
    """What waits for a person now."""
    held, parked = piles.held(r.ledger, now), piles.parked(r.ledger, now)
    # What is stopped is not read, either, and what is not read brings nothing: the gravest is said.
    stopped = list(_stopped(r))
    names = {one.connection for one in stopped}
    unread = [one for one in _unread(r, now) if one.connection not in names]
    both: tuple[tuple[Kind, Piles], ...] = (("held", held), ("parked", parked))
    return Found(
        (*_piled(r, "held", held), *_piled(r, "parked", parked), *stopped, *unread),
        frozenset(kind for kind, one in both if not one.is_whole),
        frozenset(
            (kind, one.connection)
            for one in (*stopped, *unread)
            for kind in HIDES.get(one.kind, ())
        ),
        lambda name: name not in r.settings.connections,
    )


def _piled(r: Resources, kind: Kind, found: Piles) -> Iterator[Concern]:
    for pile in found.piles:
        yield Concern(
            kind,
            pile.connection,
            pile.since,
            pile.newest,
            code=pile.code,
            rows=pile.rows,
            is_more=not found.is_whole,
            ids=pile.ids,
            order_id=pile.order_id,
            is_read=r.is_asked_again(pile.connection),
        )


def _stopped(r: Resources) -> Iterator[Concern]:
    """One matter for a connection, whichever of its gates is closed."""
    closed: dict[str, list[GateRow]] = {}
    for gate in connections.gates(r.ledger):
        if gate.closed_by is not None and gate.connection in r.settings.connections:
            closed.setdefault(gate.connection, []).append(gate)
    for name, gates in closed.items():
        moments = [gate.closed_at for gate in gates if gate.closed_at is not None]
        first = max(gates, key=lambda gate: gate.direction)  # "write" before "read"
        if moments:
            yield Concern(
                "stopped",
                name,
                min(moments),
                max(moments),
                code=first.closed_by or "",
                detail=quotable(first.reason),
            )


def _unread(r: Resources, now: datetime) -> Iterator[Concern]:
    cursors = {row.connection: row for row in connections.cursors(r.ledger)}
    for name in r.feeds:
        row = cursors.get(name)
        if row is None:
            continue  # the first poll has not begun
        since = row.polled_at or row.start_at
        if since is not None and now - since > late_after(r.settings.fetch_interval):
            code = "" if row.polled_at else "never"
            yield Concern("silent", name, since, since, code=code, detail=quotable(row.error))
        else:
            yield from _quiet(r, row, now)


def _quiet(r: Resources, row: CursorRow, now: datetime) -> Iterator[Concern]:
    """A source that brings nothing for as long as a setting says."""
    hours = r.settings.notify_no_orders_hours
    since = now - timedelta(hours=hours)
    if not hours or row.start_at is None or row.start_at > since:
        return
    if not piles.brought_any(r.ledger, row.connection, since):
        # The moment moves on with the clock: it is no news each time.
        yield Concern("quiet", row.connection, since, row.start_at)


def quotable(text: str) -> str:
    """A bounded excerpt of what a remote, or a person, gave as a reason: masked, and fit for a messenger."""
    told = masked(text, length=LONGEST_DETAIL).replace("://", ":").translate(_STEERING)
    return " ".join(told.split())


def news(what: Found, told: Mapping[str, Told], now: datetime) -> News:
    """What a channel that was told this is to hear now, MOST matters at once. Pure."""
    begun: list[Concern] = []
    more: list[Concern] = []
    still: list[Concern] = []
    for concern in what.concerns:
        row = told.get(concern.subject)
        if row is None or row.ended_at is not None:
            if _is_settled(concern, now) and (row is None or now - row.told_at >= AGAIN):
                begun.append(concern)
        elif concern.newest > row.newest and now - row.told_at >= AGAIN:
            more.append(concern)
        elif now - row.told_at >= REMINDED:
            still.append(concern)
    begun, more = begun[:MOST], more[: max(0, MOST - len(begun))]
    still = still[: max(0, MOST - len(begun) - len(more))]
    return News(tuple(begun), tuple(more), tuple(still), tuple(_over(what, told)))


def _is_settled(concern: Concern, now: datetime) -> bool:
    return now - concern.since >= SETTLED[concern.kind]


def _gone(what: Found, told: Mapping[str, Told]) -> dict[str, Told]:
    """What was told and is not so any more."""
    there = {concern.subject for concern in what.concerns}
    return {
        subject: row
        for subject, row in told.items()
        if row.ended_at is None and subject not in there and not what.is_unknown(subject)
    }


def _over(what: Found, told: Mapping[str, Told]) -> Iterator[tuple[Kind, str]]:
    """What is worth saying of that: each connection, and of piles that none of the kind is left."""
    left = {concern.kind for concern in what.concerns}
    kinds = [_parts(subject) for subject in sorted(_gone(what, told))]
    for kind in PILED:
        if kind not in left and any(one == kind for one, _ in kinds):
            yield kind, ""
    yield from ((kind, name) for kind, name in kinds if kind not in PILED)


def ended(what: Found, told: Mapping[str, Told], said: News, now: datetime) -> list[Told]:
    """What is noted as over: what the channel hears of, and a pile that is gone while it has heard of another
    of its kind, which is worth no message.
    """
    heard = {kind for kind, _ in said.over}
    known = {
        concern.kind
        for concern in what.concerns
        if (row := told.get(concern.subject)) is not None and row.ended_at is None
    }
    return [
        replace(row, ended_at=now)
        for subject, row in _gone(what, told).items()
        if _parts(subject)[0] in heard | known
    ]


def _parts(subject: str) -> tuple[Kind, str]:
    """The kind and the connection, as Concern.subject wrote them."""
    kind, name, _ = subject.split(":", 2)
    return cast("Kind", kind), name


def as_told(said: News, now: datetime) -> list[Told]:
    """What is noted of the matters that a channel has heard of."""
    return [Told(one.subject, one.newest, now) for one in (*said.begun, *said.more, *said.still)]
