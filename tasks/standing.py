"""How a process stands: what was told and what was read of it, joined, and the update that it asks for.

In: what is said of a process, in its source's words. Out: a `Stand` for the ledger. Pure. Called by
tasks/listening and tasks/reconciling. Source: docs/decisions/hearing-a-transition.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import structlog

from ledger.enqueueing import Refusal
from ledger.transitions import Process, Remark, Stand
from mapping.hook import Said
from mapping.profile import Profile
from tasks.accepting import asked, refusal

log = structlog.get_logger()


def with_read(
    profile: Profile, told: Sequence[Said | Remark | Refusal], read: Said
) -> list[Said | Remark | Refusal]:
    """What was told, then what was read; one thing where the last word of the hook says the same."""
    last = next((n for n in reversed(range(len(told))) if isinstance(told[n], Said)), None)
    before = None if last is None else told[last]
    if last is None or not isinstance(before, Said) or not _agree(profile, before, read):
        return [*told, read]
    number = before.number or read.number
    merged = Said(read.stages or before.stages, number)
    return [*told[:last], merged, *told[last + 1 :]]


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
