"""Tests every configured connection, for `orderbridge check`.

In: the resources. Out: one line a test: what, whether it is good, and how to mend it. Writes nothing to
any remote; reads the shop's orders only when asked to, since in some shops reading consumes.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from clients.errors import AuthFailed, ClientError, Forbidden, Misconfigured, Unreachable
from ledger import telling
from ledger.clock import SKEW_LIMIT
from mapping.profile import UnknownShape
from tasks.calling import Calls, NoTurn, place
from tasks.doorbell import ring_waiting_reads
from tasks.resources import Remote, Resources

# Seconds that a test waits for its turn, and for a place.
PATIENCE = 5.0
BUSY = "not tested: all its calls are taken"
LATER = "Try again in a minute."
MEND: tuple[tuple[type[Exception], str], ...] = (
    (AuthFailed, "Check the login and the password or secret of this connection."),
    (Forbidden, "Give the user the right to this call, in the remote's settings."),
    (Misconfigured, "Check the URL, the workflow and the stage id of this connection."),
    (Unreachable, "Check the URL, the network and that the remote is up."),
)


@dataclass(frozen=True, slots=True)
class Line:
    """The result of one test."""

    connection: str
    what: str
    good: bool
    result: str
    mend: str = ""


def check(
    r: Resources, names: Sequence[str] | None = None, *, read_orders: bool = False
) -> list[Line]:
    """All tests of all connections, or of these. Raises SettingsError where nothing is called."""
    r.settings.demand_calls()
    asked = r.settings.connections if names is None else names
    lines = [_clock(r), *_channels(r)]
    for name, remote in {**r.sources, **r.targets}.items():
        inspector = remote.connector.inspector
        if inspector is not None and name in asked:
            tests = inspector.tests(read_orders=read_orders)
            lines += [_test(remote, what, work) for what, work in tests]
    return lines


def _clock(r: Resources) -> Line:
    """The clock of this host against the database's."""
    r.ledger.measure_clock()
    good = abs(r.ledger.skew) <= SKEW_LIMIT
    told = f"{r.ledger.skew:+.1f} s from the database's"
    return Line(
        "ledger", "clock", good, told, "" if good else "Set the clocks of all hosts by NTP."
    )


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
        return Line("notify", name, good=True, result=result)
    since = "" if fares.failing_since is None else f" since {_moment(fares.failing_since)}"
    result = f"takes no message{since} ({fares.error}); tries: {fares.failures}"
    return Line("notify", name, good=False, result=result, mend="See `orderbridge notify test`.")


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _test(remote: Remote, what: str, work: Callable[[], str]) -> Line:
    try:
        return Line(remote.name, what, good=True, result=_called(remote, work))
    except NoTurn:
        return Line(remote.name, what, good=False, result=BUSY, mend=LATER)
    except (ClientError, UnknownShape) as exc:
        mend = next((text for kind, text in MEND if isinstance(exc, kind)), LATER)
        return Line(remote.name, what, good=False, result=str(exc), mend=mend)


def _called(remote: Remote, work: Callable[[], str]) -> str:
    """What the test found: a call as any other, but also while the connection is paused."""
    holder = f"check:{uuid.uuid4().hex}"
    with place(remote, "read", holder, ring_waiting_reads, patience=PATIENCE) as has_place:
        if not has_place:
            raise NoTurn
        return Calls(remote, patience=PATIENCE).make(work)
