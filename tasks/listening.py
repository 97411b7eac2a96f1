"""Listens to OneBox: turns the calls of its hook into updates for the shop.

In: a kept hook call. Out: accepted updates, as ledger/hearing makes them of each change. All open calls of
one process are worked off together and in order, with one read of the process behind them: what the hook
said and what is read both count. A read that fails is tried again; after some tries, and while the box may
not be read, what the hook said counts alone, and the reconcile reads the process as soon as it can. Called
by tasks/updates. Source: contract onebox; docs/decisions/hearing-a-transition.md.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import structlog

from clients.errors import StoreUnavailable
from ledger import hearing, hooks, orders
from ledger.database import LedgerUnavailable
from ledger.enqueueing import Refusal
from ledger.hearing import Heard, Process, Remark, Stand
from ledger.hooks import Call, Claim, Waiting
from ledger.updates import Due
from mapping.hook import Said
from mapping.profile import Profile
from mapping.updates import read_update
from tasks import reading, retry
from tasks.accepting import NUMBER, asked, refusal, storable
from tasks.doorbell import ring_hook, ring_parked, ring_updates
from tasks.resources import Resources, Target

# After so many reads that failed, or so long, what the hook said counts alone.
MOST_READS = 3
LONGEST_WAIT = timedelta(minutes=5)
# Seconds between two tries to learn the names of the box's stages, without which a call means nothing.
UNNAMED_WAIT = 10.0
# Seconds before a process whose order is not known is looked for again, at first; and for how long it is:
# a create whose answer was lost is through by then.
UNKNOWN_WAIT = 1.0
LONGEST_UNKNOWN = timedelta(minutes=15)
# What cannot be worked off for a reason that nobody thought of ends after so many tries.
MOST_TRIES = 5

log = structlog.get_logger()


def act(r: Resources, hook_id: int) -> float | None:
    """Act on a kept hook call and on all others of its process, once. Out: seconds until it is to be
    tried again, None for never.
    """
    waiting = hooks.find(r.ledger, hook_id)
    if waiting is None:
        return None
    target = r.target_of(waiting.connection)
    if not reading.may_read(target):
        return _work(r, target, waiting, may_read=False)
    holder = f"hook:{hook_id}:{uuid.uuid4().hex}"
    with reading.place(target, holder, str(hook_id), ring_parked) as has_place:
        if has_place:
            return _work(r, target, waiting, may_read=True)
    if r.ledger.now() - waiting.received_at > LONGEST_WAIT:
        return _work(r, target, waiting, may_read=False)
    return None


def _work(r: Resources, target: Target, waiting: Waiting, *, may_read: bool) -> float | None:
    claim = hooks.claim(r.ledger, waiting, r.ledger.now(), target.settings.lease)
    if claim is None:
        return None
    try:
        wait = _worked_off(r, target, claim, may_read=may_read)
    except LedgerUnavailable:
        raise
    except StoreUnavailable:
        return _try_again(r, claim, 5.0, counted=False)
    except Exception as exc:
        # A call must end: tried for ever it would take the place of others.
        log.exception("hook_failed", calls=len(claim.calls), because=type(exc).__name__)
        if claim.tries + 1 < MOST_TRIES:
            return _try_again(r, claim, retry.wait(claim.tries), counted=True)
        hooks.finish(r.ledger, claim, dict.fromkeys(claim.ids, "failed"), r.ledger.now())
        return None
    if wait is None:
        more = hooks.next_of(r.ledger, claim)
        if more is not None:
            ring_hook(more)
    return wait


def _try_again(r: Resources, claim: Claim, wait: float, *, counted: bool) -> float:
    next_try_at = r.ledger.now() + timedelta(seconds=wait)
    hooks.give_back(r.ledger, claim, next_try_at, counted=counted)
    return wait


def _worked_off(r: Resources, target: Target, claim: Claim, *, may_read: bool) -> float | None:
    """Hear what these calls say; seconds until the next try when the box could not be read yet."""
    calls = [replace(call, fields=storable(call.fields)) for call in claim.calls]
    profile = r.profiles[claim.connection]
    is_new = claim.process.startswith(NUMBER)
    coming = is_new and orders.are_coming(r.ledger, target.name)
    process, outcomes = _process_of(r, target, profile, claim, calls)
    if process is not None and is_new:
        first = hooks.rename(r.ledger, claim, process.external_id, r.ledger.now())
        if first is not None:
            ring_hook(first)
        return None
    age = r.ledger.now() - calls[0].received_at
    if process is None and coming and age <= LONGEST_UNKNOWN:
        # The box may call for a process that it has just made before its answer is known here.
        return _try_again(r, claim, max(age.total_seconds() / 2, UNKNOWN_WAIT), counted=False)
    if process is None:
        hooks.finish(r.ledger, claim, outcomes, r.ledger.now())
        _log_done(outcomes)
        return None
    told = [profile.updates.hook.said(call.fields) for call in calls]
    said: Said | None = None
    if may_read:
        try:
            said = _read(target, profile, process, claim.tries, told)
        except reading.NotRead as exc:
            tries = claim.tries + exc.counts
            young = r.ledger.now() - calls[0].received_at <= LONGEST_WAIT
            if tries < MOST_READS and young:
                return _try_again(r, claim, exc.wait, counted=exc.counts)
        if hooks.came_later(r.ledger, claim):
            said = None  # what was read may be what these say, and must not be heard before them
    nameless = any(reading.is_nameless(target, profile, one) for one in told)
    young = r.ledger.now() - calls[0].received_at <= LONGEST_WAIT
    if (said is None and reading.needs_names(target, profile, told)) or (nameless and young):
        # A stage that only the box can name: alone these words mean nothing, and would be lost.
        return _try_again(r, claim, UNNAMED_WAIT, counted=False)
    _hear(r, profile, process, claim, calls, said)
    return None


def _process_of(
    r: Resources, target: Target, profile: Profile, claim: Claim, calls: Sequence[Call]
) -> tuple[Process | None, dict[int, str]]:
    """Whom the calls speak of; None with the outcome of each when that is no order of this shop."""
    outcomes: dict[int, str] = {}
    for call in calls:
        said = profile.hook_update(
            call.fields, lambda number: orders.by_process(r.ledger, target.name, number)
        )
        if said.order_id is not None:
            external_id = profile.external_id(said.order_id)
            return Process(claim.connection, said.order_id, external_id), {}
        outcomes[call.id] = said.nothing_to_do or "no_order"
    return None, outcomes


def _read(
    target: Target, profile: Profile, process: Process, tries: int, told: Sequence[Said]
) -> Said:
    """What the process says; nothing, where the box does not have it."""
    found = reading.read(target, profile, [process.external_id], tries, told)
    return found.get(process.external_id, Said())


def _hear(
    r: Resources,
    profile: Profile,
    process: Process,
    claim: Claim,
    calls: Sequence[Call],
    read: Said | None,
) -> None:
    target = r.target_of(process.connection)
    names = reading.stage_names(target)
    told: list[Said | Remark | Refusal] = []
    outcomes: dict[int, str] = {}
    for call in calls:
        said = profile.updates.hook.said(call.fields).named(names)
        outcome = _outcome(profile, process, replace(said, note=None))
        if reading.is_nameless(target, profile, said):
            said = Said(note=said.note)
        if call.repeats:
            outcomes[call.id] = "repeated"
            continue
        if said.stages or said.number:
            told.append(replace(said, note=None))
        outcomes[call.id] = outcome
        if said.note:
            remark = _remark(process, call, said.note)
            outcomes[call.id] = "invalid" if isinstance(remark, Refusal) else "accepted"
            told.append(remark)
    if read is not None:
        told = with_read(profile, told, read)
        if _outcome(profile, process, read) == "accepted":
            outcomes |= {i: "accepted" for i, found in outcomes.items() if found in _NOTHING}
    now = r.ledger.now()
    heard = hearing.hear(
        r.ledger,
        process,
        [stand(profile, process, one) if isinstance(one, Said) else one for one in told],
        now,
        through=profile.updates.hook.through,
        read=read is not None,
        begin=lambda db: hooks.finish_in(db, claim, outcomes, now),
    )
    if heard is None:
        return
    follow_up(process, heard)
    _log_done(outcomes)


# What a call that asks for nothing by itself came to.
_NOTHING = frozenset({"nothing_said", "unknown_stage"})


def _outcome(profile: Profile, process: Process, said: Said) -> str:
    found = profile.updates.hook.asks(process.order_id, said)
    return found.nothing_to_do or ("invalid" if found.errors else "accepted")


def _remark(process: Process, call: Call, note: str) -> Remark | Refusal:
    """A call's own comment, under the key of that call; one that no shop takes is for a person to see."""
    request, errors = read_update({"order_id": process.order_id, "note": note})
    if request is None:
        log.warning("hook_note_refused", fields=sorted(errors))
        return refusal(process.connection, process.order_id, errors, origin="onebox")
    request = replace(request, connection=process.connection)
    key = f"onebox:{process.external_id}:call:{call.id}"
    return Remark(asked(request, origin="onebox", key=key), call.received_at)


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


def stand(profile: Profile, process: Process, said: Said) -> Stand:
    """What was said of a process, with the update that it asks for. A tracking number that no shop takes
    is refused, for a person to see, and does not take the statuses down with it.
    """
    hook = profile.updates.hook
    found = hook.asks(process.order_id, said)
    refused = None
    if found.errors:
        log.warning("hook_number_refused", fields=sorted(found.errors))
        refused = refusal(process.connection, process.order_id, found.errors, origin="onebox")
    request = (
        hook.asks(process.order_id, replace(said, number=None)) if refused else found
    ).request
    number = None if request is None else request.parts.get("tracking_number")
    keys = tuple(
        process_key(process.external_id, stage, number) for stage in said.stages or (None,)
    )
    wanted = None
    if request is not None:
        wanted = asked(replace(request, connection=process.connection), origin="onebox")
    return Stand(hook.stage_of(said), said.number, wanted, keys, refused)


def process_key(external_id: str, stage: str | None, tracking_number: str | None) -> str:
    """The key of a state of a process of which the ledger knows nothing more."""
    return f"onebox:{external_id}:{stage or ''}:{tracking_number or ''}"


def follow_up(process: Process, heard: Heard) -> None:
    """Ring for the queue of the order of which something new was heard."""
    if heard.reused:
        log.warning("hook_key_reused", external_id=process.external_id)
    if heard.accepted:
        ring_updates([Due(process.connection, process.order_id)])


def _log_done(outcomes: dict[int, str]) -> None:
    for hook_id, outcome in outcomes.items():
        log.info("hook_done", hook_id=hook_id, outcome=outcome)
