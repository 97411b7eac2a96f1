"""How a process stands: what was told and what was read of it, joined, and the update that it asks for.

In: what is said of a process, in its source's words. Out: a `Stand` for the ledger. Pure. Called by
tasks/listening and tasks/reconciling. Source: docs/decisions/hearing-a-transition.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import structlog

from connectors.ports import Listener
from ledger.enqueueing import Refusal
from ledger.hooks import Call
from ledger.transitions import Again, Process, Remark, Stand
from mapping.hook import Said
from mapping.profile import Profile
from mapping.updates import read_update
from tasks.accepting import asked, refusal
from tasks.endings import Spoken

log = structlog.get_logger()


def tell(
    listener: Listener, profile: Profile, process: Process, calls: Sequence[Call], origin: str
) -> tuple[list[Said | Remark | Refusal], list[Spoken]]:
    """What the calls tell, in order, and each call with the places of what it tells."""
    told: list[Said | Remark | Refusal] = []
    spoken = []
    for call in calls:
        said = listener.heard(call.fields)
        asks = profile.updates.hook.asks(process.order_id, replace(said, note=None))
        one = Spoken(call, said, asks.nothing_to_do, dict(asks.errors))
        if listener.is_nameless(said):
            said = Said(note=said.note)
        if call.repeats is None and (said.stages or said.number):
            one = replace(one, stand=len(told))
            told.append(replace(said, note=None))
        if call.repeats is None and said.note:
            remark, errors = _remark(process, call, said.note, origin)
            one = replace(one, remark=len(told), errors={**one.errors, **errors})
            told.append(remark)
        spoken.append(one)
    return told, spoken


def again_at(spoken: Sequence[Spoken]) -> frozenset[int]:
    """The places of what is told once more."""
    return frozenset(
        one.stand for one in spoken if one.stand is not None and one.call.again is not None
    )


def told_again(spoken: Sequence[Spoken], last: int | None) -> dict[int, Again]:
    """What is told once more, by its place; what a read says too at the place `last`."""
    return {
        one.stand: Again(one.call.received_at, one.call.heard, confirmed=one.stand == last)
        for one in spoken
        if one.stand is not None and one.call.again is not None
    }


def last_said(told: Sequence[Said | Remark | Refusal]) -> int | None:
    """The place of the last word on a stage or a number."""
    return next((n for n in reversed(range(len(told))) if isinstance(told[n], Said)), None)


def _remark(
    process: Process, call: Call, note: str, origin: str
) -> tuple[Remark | Refusal, Mapping[str, list[str]]]:
    """A call's own comment, under the key of that call; one that no shop takes is for a person to see, with
    its mistakes.
    """
    request, errors = read_update({"order_id": process.order_id, "note": note})
    if request is None:
        log.warning("hook_note_refused", fields=sorted(errors))
        return refusal(process.connection, process.order_id, errors, origin=origin), errors
    request = replace(request, connection=process.connection)
    key = f"{origin}:{process.external_id}:call:{call.id}"
    return Remark(asked(request, origin=origin, key=key), call.received_at), {}


def with_read(
    profile: Profile,
    told: Sequence[Said | Remark | Refusal],
    read: Said,
    *,
    again: frozenset[int] = frozenset(),
) -> list[Said | Remark | Refusal]:
    """What was told, then what was read; one thing where the last word of the hook says the same. A word that
    is told `again` may be past: the read must say it too.
    """
    last = last_said(told)
    before = None if last is None else told[last]
    if last is None or not isinstance(before, Said) or not _agree(profile, before, read):
        return [*told, read]
    if last in again and not _confirms(before, read):
        return [*told, read]
    number = before.number or read.number
    merged = Said(read.stages or before.stages, number)
    return [*told[:last], merged, *told[last + 1 :]]


def _confirms(said: Said, read: Said) -> bool:
    """Whether a read that agrees has all that was said, too."""
    return bool(read.stages or not said.stages) and bool(read.number or not said.number)


def _agree(profile: Profile, said: Said, read: Said) -> bool:
    """Whether the two may be the same moment of the process, so that nothing is lost by joining them."""
    hook = profile.updates.hook
    if said.number and read.number and said.number != read.number:
        return False
    if said.stages and read.stages:
        return hook.stage_of(said) == hook.stage_of(read)
    # A number said without a stage goes to the shop whatever the stage; one said with it only by its row.
    return not said.number or not read.stages or hook.takes_number(read)


def stand(profile: Profile, process: Process, said: Said, origin: str) -> Stand:
    """What was said of a process, with the update that it asks for. A tracking number that no shop takes
    is refused, for a person to see, and does not take the statuses down with it.
    """
    hook = profile.updates.hook
    found = hook.asks(process.order_id, said)
    refused = None
    if found.errors:
        log.warning("hook_number_refused", fields=sorted(found.errors))
        refused = refusal(process.connection, process.order_id, found.errors, origin=origin)
    request = (
        hook.asks(process.order_id, replace(said, number=None)) if refused else found
    ).request
    number = None if request is None else request.parts.get("tracking_number")
    keys = tuple(
        process_key(origin, process.external_id, stage, number) for stage in said.stages or (None,)
    )
    wanted = None
    if request is not None:
        wanted = asked(replace(request, connection=process.connection), origin=origin)
    return Stand(hook.stage_of(said), said.number, wanted, keys, refused)


def process_key(
    origin: str, external_id: str, stage: str | None, tracking_number: str | None
) -> str:
    """The key of a state of a process of which the ledger knows nothing more."""
    return f"{origin}:{external_id}:{stage or ''}:{tracking_number or ''}"
