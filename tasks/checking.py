"""Tests every configured connection, for `orderbridge check`.

In: the resources. Out: one line a test: what, whether it is good, and how to mend it. Writes nothing to
any remote, nor to what its workers share; reads the shop's orders only when asked to, since in some shops
reading consumes.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Literal

from clients.errors import (
    AuthFailed,
    ClientError,
    Forbidden,
    Misconfigured,
    StoreUnavailable,
    Transient,
    Unreachable,
)
from connectors.ports import Found, NotTold
from ledger import connections, orders, telling
from ledger.clock import SKEW_LIMIT
from mapping.profile import UnknownShape
from mapping.unfilled import unfilled_tables
from tasks import closings
from tasks.calling import Calls, NoTurn, place
from tasks.doorbell import ring_waiting_reads
from tasks.resources import Remote, Resources

# `unchecked`: whether it is good could not be found out, and the result says why.
Answer = Literal["good", "bad", "unchecked"]

# Seconds that a test waits for its turn, and for a place.
PATIENCE = 5.0
BUSY = "all its calls are taken"
LATER = "Try again in a minute."
MEND: tuple[tuple[type[Exception], str], ...] = (
    (AuthFailed, "Check the login and the password or secret of this connection."),
    (Forbidden, "Give the user the right to this call, in the remote's settings."),
    (Misconfigured, "Check the URL, the workflow and the stage id of this connection."),
    (Unreachable, "Check the URL, the network and that the remote is up."),
)
# The remote, or we, put it off: nothing is known of what was to be tested.
PUT_OFF = (Transient, StoreUnavailable)


@dataclass(frozen=True, slots=True)
class Line:
    """The result of one test."""

    connection: str
    what: str
    answer: Answer
    result: str
    mend: str = ""

    @property
    def good(self) -> bool | None:
        """None: that could not be found out."""
        return None if self.answer == "unchecked" else self.answer == "good"


def check(
    r: Resources, names: Sequence[str] | None = None, *, read_orders: bool = False
) -> list[Line]:
    """All tests of all connections, or of these. Raises SettingsError where nothing is called."""
    r.settings.demand_calls()
    asked = r.settings.connections if names is None else names
    lines = [_clock(r), *_channels(r), *_gates(r, asked)]
    for name, remote in {**r.sources, **r.targets}.items():
        if name in asked:
            lines += _tests(remote, read_orders=read_orders)
    return lines + [line for line in _tables(r) if line.connection in asked]


def _clock(r: Resources) -> Line:
    """The clock of this host against the database's."""
    r.ledger.measure_clock()
    good = abs(r.ledger.skew) <= SKEW_LIMIT
    told = f"{r.ledger.skew:+.1f} s from the database's"
    if good:
        return Line("ledger", "clock", "good", told)
    return Line("ledger", "clock", "bad", told, "Set the clocks of all hosts by NTP.")


def _channels(r: Resources) -> list[Line]:
    """Whether people hear what they are told: how each channel fared last."""
    fares = {
        one.name: one for one in telling.channels(r.ledger, [c.name for c in r.settings.notify])
    }
    return [_channel(channel.name, fares.get(channel.name)) for channel in r.settings.notify]


def _channel(name: str, fares: telling.Fares | None) -> Line:
    if fares is None or not fares.failures:
        at = None if fares is None else fares.told_at
        result = "was told nothing yet" if at is None else f"was told last at {_moment(at)}"
        return Line("notify", name, "good", result)
    since = "" if fares.failing_since is None else f" since {_moment(fares.failing_since)}"
    result = f"takes no message{since} ({fares.error}); tries: {fares.failures}"
    return Line("notify", name, "bad", result, "See `orderbridge notify test`.")


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _gates(r: Resources, names: Collection[str]) -> list[Line]:
    """The gates of these connections that are closed: what passes every test may still be stopped."""
    return [
        Line(
            row.connection,
            closings.CALLS[row.direction],
            "bad",
            closings.why(row) if row.is_paused else f"{closings.why(row)} {row.reason}",
            closings.how_it_opens(row),
        )
        for row in connections.gates(r.ledger)
        if row.closed_by is not None and row.connection in names
    ]


def _tests(remote: Remote, *, read_orders: bool) -> Iterator[Line]:
    """Each rests on those before it: what a login that is refused could do is not known."""
    inspector = remote.connector.inspector
    if inspector is None:
        return
    failed: Line | None = None
    for what, work in inspector.tests(read_orders=read_orders):
        if failed is not None:
            yield Line(remote.name, what, "unchecked", f"because “{failed.what}” is not good")
            continue
        line = _test(remote, what, work)
        yield line
        failed = None if line.good else line


def _test(remote: Remote, what: str, work: Callable[[], Found]) -> Line:
    try:
        found = _called(remote, work)
    except NoTurn:
        return Line(remote.name, what, "unchecked", f"because {BUSY}", LATER)
    except NotTold as exc:
        return Line(remote.name, what, "unchecked", f"because {exc}", "Look there yourself.")
    except (ClientError, UnknownShape) as exc:
        mend = next((text for kind, text in MEND if isinstance(exc, kind)), LATER)
        if isinstance(exc, PUT_OFF) and not isinstance(exc, Unreachable):
            return Line(remote.name, what, "unchecked", f"because {exc}", mend)
        return Line(remote.name, what, "bad", str(exc), mend)
    return Line(remote.name, what, "good", found.result, found.advice)


def _called(remote: Remote, work: Callable[[], Found]) -> Found:
    """What the test found: a call as any other, but also while the connection is paused."""
    holder = f"check:{uuid.uuid4().hex}"
    with place(remote, "read", holder, ring_waiting_reads, patience=PATIENCE) as has_place:
        if not has_place:
            raise NoTurn
        return Calls(remote, None, patience=PATIENCE).make(work)


def _tables(r: Resources) -> Iterator[Line]:
    """The look-up tables that leave out what orders say: good, since it may be meant so, and said."""
    for table in unfilled_tables(r.profiles, partial(orders.newest_sources, r.ledger)):
        yield Line(
            r.target_name(table.source),
            f"table {table.name}",
            "good",
            f"it is empty, while {table.orders} of the newest {table.of} orders of {table.source} say "
            f"{', '.join(table.codes)}",
            f"Fill it in {table.path}, or take {table.field} out there.",
        )
