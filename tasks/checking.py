"""Tests every configured connection, for `orderbridge check`.

In: the resources. Out: one line a test: what, whether it is good, and how to mend it. Writes nothing to
any remote; reads the shop's orders only when asked to, since in some shops reading consumes.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from clients.errors import AuthFailed, ClientError, Forbidden, Misconfigured, Unreachable
from ledger import connections
from ledger.clock import SKEW_LIMIT
from mapping.profile import UnknownShape
from tasks import closings
from tasks.calling import Calls, NoTurn, place
from tasks.doorbell import ring_waiting_reads
from tasks.resources import Remote, Resources

# Seconds that a test waits for its turn, and for a place.
PATIENCE = 5.0
CALLS = {"read": "reads", "write": "writes"}
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
    lines = [_clock(r), *_gates(r, asked)]
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


def _gates(r: Resources, names: Collection[str]) -> list[Line]:
    """The gates of these connections that are closed: what passes every test may still be stopped."""
    return [
        Line(
            row.connection,
            CALLS[row.direction],
            good=False,
            result=closings.why(row) if row.is_paused else f"{closings.why(row)} {row.reason}",
            mend=closings.how_it_opens(row),
        )
        for row in connections.gates(r.ledger)
        if row.closed_by is not None and row.connection in names
    ]


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
        return Calls(remote, None, patience=PATIENCE).make(work)
