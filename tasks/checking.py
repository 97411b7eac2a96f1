"""Tests every configured connection, for `orderbridge check`.

In: the resources. Out: one line a test: what, whether it is good, and how to mend it. Writes nothing to
any remote; reads the shop's orders only when asked to, since in some shops reading consumes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from clients.errors import AuthFailed, ClientError, Forbidden, Misconfigured, Unreachable
from ledger.clock import SKEW_LIMIT
from mapping.profile import UnknownShape
from tasks.resources import Resources, Source, Target

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
    """All tests of all connections, or of these."""
    asked = r.settings.connections if names is None else names
    lines = [_clock(r)]
    for source in (remote for name, remote in r.sources.items() if name in asked):
        lines.append(_test(source.name, "log in", source.client.login))
        if read_orders:
            lines.append(_test(source.name, "read orders", partial(_read_orders, r, source)))
    for target in (remote for name, remote in r.targets.items() if name in asked):
        lines.append(_test(target.name, "log in", target.client.login))
        lines.append(_test(target.name, "workflow and stage", partial(_workflow, target)))
    return lines


def _clock(r: Resources) -> Line:
    """The clock of this host against the database's."""
    r.ledger.measure_clock()
    good = abs(r.ledger.skew) <= SKEW_LIMIT
    told = f"{r.ledger.skew:+.1f} s from the database's"
    return Line(
        "ledger", "clock", good, told, "" if good else "Set the clocks of all hosts by NTP."
    )


def _test(connection: str, what: str, work: Callable[[], str | None]) -> Line:
    try:
        return Line(connection, what, good=True, result=work() or "")
    except (ClientError, UnknownShape) as exc:
        mend = next(
            (text for kind, text in MEND if isinstance(exc, kind)), "Try again in a minute."
        )
        return Line(connection, what, good=False, result=str(exc), mend=mend)


def _read_orders(r: Resources, source: Source) -> str:
    """The first page of the last day."""
    profile = r.profiles[source.name]
    now = datetime.now(UTC)
    page = profile.page(
        source.client.get_orders(profile.poll_body(now - timedelta(days=1), now, 1))
    )
    unkeyed = sum(profile.key(raw) is None for raw in page.orders)
    return f"{len(page.orders)} orders on the first page" + (
        f", {unkeyed} without id" if unkeyed else ""
    )


def _workflow(target: Target) -> str:
    """The configured workflow and stage are among those that the box lists, as far as it lists them."""
    listed = target.client.workflows()
    ours = [
        w for w in listed if str(w.get("id", w.get("workflowid"))) == target.settings.workflow_id
    ]
    if listed and not ours:
        known = [str(w.get("id", w.get("workflowid"))) for w in listed]
        raise _none_of(target, "workflow_id", target.settings.workflow_id, known)
    stages = [s for w in ours for s in w.get("statuses", []) or [] if isinstance(s, dict)]
    stage_ids = [str(stage.get("id", stage.get("statusid"))) for stage in stages]
    if stage_ids and target.settings.status_id not in stage_ids:
        raise _none_of(target, "status_id", target.settings.status_id, stage_ids)
    return f"{len(listed)} workflows"


def _none_of(target: Target, key: str, given: str, known: Sequence[str]) -> Misconfigured:
    return Misconfigured(f"{target.connection.where(key)} {given} is none of: {', '.join(known)}.")
