"""Reads processes of a CRM through its guards: a place, the gate of reads, the rate.

In: a target and external ids. Out: what each process says, the names of stages beside their ids. Fails with
`NotRead`, which says after how long to ask again, and with `StoreUnavailable`. Called by tasks/listening and
tasks/reconciling. Source: contract onebox, order/get.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary

import structlog

from clients.errors import AuthFailed, ConnectionFault, Rejected, RemoteError
from mapping.hook import Said
from mapping.profile import Profile
from tasks import retry
from tasks.accepting import storable
from tasks.gate import Admission, Gate
from tasks.resources import Target

# A read waits this long for its turn under the rate limit, in seconds.
PATIENCE = 5.0
# The names of stages are asked for again when an id is unknown, but not more often than this, in seconds;
# nor, after the box refused to tell them, than the second.
NAMES_KEPT = 300.0
NAMES_REFUSED = 15.0

log = structlog.get_logger()


class NotRead(Exception):  # noqa: N818  it says what is, as the errors of clients do
    """The box was not read; it may be after `wait` seconds. `counts`: it was asked, and failed."""

    def __init__(self, wait: float, *, counts: bool) -> None:
        super().__init__("The processes could not be read.")
        self.wait = wait
        self.counts = counts


def may_read(target: Target) -> bool:
    """Whether the box may be asked now: not while it is paused, nor while its reads fail."""
    if target.gate.row().closed_by is not None:
        return False
    return target.read_gate.admit() is not Admission.CLOSED


@contextmanager
def place(
    target: Target, holder: str, waiting: str, ring: Callable[[list[str]], object]
) -> Iterator[bool]:
    """A place among the reads of this box for as long as the block runs, or False: then `waiting` is
    parked, and whoever frees a place rings for it. No thread waits.
    """
    if not target.read_slots.acquire(holder, waiting):
        yield False
        return
    try:
        yield True
    finally:
        ring(target.read_slots.release(holder))


def read(
    target: Target,
    profile: Profile,
    external_ids: Sequence[str],
    tries: int = 0,
    told: Sequence[Said] = (),
) -> dict[str, Said]:
    """What these processes say, by external id, of those that the box has. The names of stages are known
    afterwards, also of what was `told`, if the box tells any.
    """
    wait = target.rate.acquire(PATIENCE)
    if wait > 0:
        raise NotRead(wait, counts=False)
    asked = ["externalid", "statusid", *profile.updates.hook.names["tracking_number"]]
    try:
        # No word of the box may be one that a database refuses.
        rows = [storable(row) for row in target.client.get_orders(external_ids, asked)]
        said = {
            str(row["externalid"]): replace(profile.updates.hook.said(row), note=None)
            for row in rows
        }
        names = _names(target, profile, [*said.values(), *told])
    except RemoteError as exc:
        _tell(target.read_gate, exc, external_ids)
        log.warning("process_not_read", target=target.name, because=type(exc).__name__)
        raise NotRead(retry.wait(tries, exc.retry_after), counts=True) from exc
    target.read_gate.succeeded()
    return {
        external_id: one.named(names)
        for external_id, one in said.items()
        if not is_nameless(target, profile, one)
    }


def _tell(gate: Gate, exc: RemoteError, external_ids: Sequence[str]) -> None:
    """Tell the gate of reads what an error says about the connection. What looks like its fault may be that
    of a process: several different ones that meet it in a row close the gate, read together they do not.
    """
    if exc.retry_after is not None:
        gate.asked_to_wait(exc.retry_after, str(exc))
    elif isinstance(exc, ConnectionFault):
        if isinstance(exc, AuthFailed):
            gate.fault(str(exc))
        elif len(external_ids) == 1:
            gate.suspect(str(exc), external_ids[0])
    elif exc.counts_for_breaker:
        gate.failed(str(exc))


# --- the names of stages ------------------------------------------------------------------------------


_NEVER_ASKED = float("-inf")


@dataclass(slots=True)
class _Names:
    """What one box calls its stages, as last asked, and from when on they may be asked for anew."""

    ask_at: float = _NEVER_ASKED
    by_id: dict[str, str] = field(default_factory=dict)
    asking: threading.Lock = field(default_factory=threading.Lock)


_kept: WeakKeyDictionary[object, _Names] = WeakKeyDictionary()


def stage_names(target: Target) -> dict[str, str]:
    """The names of the box's stages by id, as far as they were asked for."""
    return _kept.setdefault(target.client, _Names()).by_id


def _names(target: Target, profile: Profile, said: Sequence[Said]) -> dict[str, str]:
    """As `stage_names`, asked for anew when a stage is said of which the profile's table has no row and
    no name is known. A box that does not tell them has no names: then only ids can match.
    """
    kept = _kept.setdefault(target.client, _Names())
    with kept.asking:
        if _is_strange(profile, said, kept) and time.monotonic() > kept.ask_at:
            again = NAMES_KEPT
            try:
                target.rate.acquire(PATIENCE)
                kept.by_id = _by_id(target.client.workflows())
            except (Rejected, ConnectionFault) as exc:
                again = NAMES_REFUSED
                log.warning("stages_not_named", target=target.name, because=type(exc).__name__)
            # Not after an outage: then the read has failed, and the next one asks again.
            kept.ask_at = time.monotonic() + again
        return kept.by_id


def needs_names(target: Target, profile: Profile, said: Sequence[Said]) -> bool:
    """Whether a stage is said that only the box can name, which was not asked for its names yet."""
    kept = _kept.setdefault(target.client, _Names())
    return kept.ask_at == _NEVER_ASKED and _is_strange(profile, said, kept)


def is_nameless(target: Target, profile: Profile, said: Said) -> bool:
    """Whether a stage is said by an id that nobody has named, while the table goes by names: it may be any of
    them, the one last heard too, so that it says nothing.
    """
    hook = profile.updates.hook
    names = stage_names(target)
    return bool(
        said.stages
        and all(stage.isdecimal() and stage not in names for stage in said.stages)
        and not hook.has_row(said)
        and not all(word.isdecimal() for word in hook.stages)
    )


def _is_strange(profile: Profile, said: Sequence[Said], kept: _Names) -> bool:
    """Whether one says a stage of which neither the profile's table nor the box's names tell anything."""
    hook = profile.updates.hook
    return any(
        one.stages and not hook.has_row(one) and not any(s in kept.by_id for s in one.stages)
        for one in said
    )


def _by_id(workflows: list[dict[str, Any]]) -> dict[str, str]:
    """The stages of all business processes: their ids are the box's own, so no two are equal."""
    stages = [
        stage
        for workflow in workflows
        for stage in workflow.get("statuses") or []
        if isinstance(stage, dict)
    ]
    return {
        str(stage.get("id", stage.get("statusid"))): str(stage["name"]).strip()
        for stage in map(storable, stages)
        if stage.get("name")
    }
