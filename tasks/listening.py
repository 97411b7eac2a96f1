"""Listens to targets: turns the calls of their hooks into updates for the order's own source.

In: a kept hook call. Out: accepted updates, as ledger/hearing makes them of each change. All open calls of
one process are worked off together and in order, with one read of the process behind them: what the hook
said and what is read both count. A read that fails is tried again; after some tries, and while the box is
paused or down, what the hook said counts alone, and the reconcile reads the process as soon as it can; for
want of a place or a turn alone it waits. Called by tasks/updates. Source:
docs/decisions/hearing-a-transition.md.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from clients.errors import StoreUnavailable
from connectors.ports import Listener
from ledger import hearing, hooks, orders
from ledger.enqueueing import Refusal
from ledger.faults import LedgerUnavailable
from ledger.hearing import Heard
from ledger.hooks import Call, Claim, Waiting
from ledger.transitions import Process, Remark
from ledger.updates import Due
from mapping.hook import Said
from mapping.profile import Profile
from mapping.source import storable
from mapping.updates import read_update
from tasks import reading, retry
from tasks.accepting import NUMBER, asked, refusal
from tasks.doorbell import ring_hook, ring_updates, ring_waiting_reads
from tasks.resources import Remote, Resources
from tasks.sender import whose
from tasks.standing import stand, with_read

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
    target = _target_of(r, waiting.connection)
    if target is None:
        log.error("connection_not_configured", connection=waiting.connection)
        return None
    if target.connector.listener is None or not reading.may_read(target):
        return _work(r, target, waiting, may_read=False)
    holder = f"hook:{hook_id}:{uuid.uuid4().hex}"
    with reading.place(target, holder, str(hook_id), ring_waiting_reads) as has_place:
        if has_place:
            return _work(r, target, waiting, may_read=True)
    return None


def _target_of(r: Resources, connection: str) -> Remote | None:
    """The target whose call it is. An earlier version kept calls under the name of the source."""
    if connection in r.targets:
        return r.targets[connection]
    return r.target_of(connection) if connection in r.sources else None


def _work(r: Resources, target: Remote, waiting: Waiting, *, may_read: bool) -> float | None:
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


def _worked_off(r: Resources, target: Remote, claim: Claim, *, may_read: bool) -> float | None:
    """Hear what these calls say; seconds until the next try when the box could not be read yet."""
    calls = [replace(call, fields=storable(call.fields)) for call in claim.calls]
    is_new = claim.process.startswith(NUMBER)
    coming = is_new and orders.are_coming(r.ledger, target.name)
    process, outcomes = _process_of(r, target, calls)
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
    listener, profile = _listener_of(target), r.profiles[process.connection]
    told = [listener.heard(call.fields) for call in calls]
    said: Said | None = None
    if may_read:
        try:
            said = _read(target, listener, process, claim.tries, told)
        except reading.NotRead as exc:
            tries = claim.tries + exc.counts
            young = r.ledger.now() - calls[0].received_at <= LONGEST_WAIT
            # For want of a turn it waits, however long: the box is well, and would be read in a moment.
            if not exc.counts or (tries < MOST_READS and young):
                return _try_again(r, claim, exc.wait, counted=exc.counts)
        if hooks.came_later(r.ledger, claim):
            said = None  # what was read may be what these say, and must not be heard before them
    nameless = any(listener.is_nameless(one) for one in told)
    young = r.ledger.now() - calls[0].received_at <= LONGEST_WAIT
    if (said is None and listener.needs_names(told)) or (nameless and young):
        # A stage that only the box can name: alone these words mean nothing, and would be lost.
        return _try_again(r, claim, UNNAMED_WAIT, counted=False)
    _hear(r, _Told(target, listener, profile), process, claim, calls, said)
    return None


def _listener_of(target: Remote) -> Listener:
    listener = target.connector.listener
    if listener is None:
        raise ValueError(f"{target.name} tells nothing")
    return listener


def _process_of(
    r: Resources, target: Remote, calls: Sequence[Call]
) -> tuple[Process | None, dict[int, str]]:
    """Whom the calls speak of; None with the outcome of each when that is no source's order."""
    outcomes: dict[int, str] = {}
    for call in calls:
        source, said = whose(r, target.name, call.fields)
        if source is not None and said.order_id is not None:
            external_id = r.profiles[source].external_id(said.order_id)
            return Process(source, said.order_id, external_id), {}
        outcomes[call.id] = said.nothing_to_do or "no_order"
    return None, outcomes


def _read(
    target: Remote, listener: Listener, process: Process, tries: int, told: Sequence[Said]
) -> Said:
    """What the process says; nothing, where the box does not have it."""
    found = reading.read(target, listener, [process.external_id], tries, told)
    return found.get(process.external_id, Said())


@dataclass(frozen=True, slots=True)
class _Told:
    """Who tells, how it is heard, and what it means to the order's source."""

    target: Remote
    listener: Listener
    profile: Profile


def _hear(
    r: Resources,
    by: _Told,
    process: Process,
    claim: Claim,
    calls: Sequence[Call],
    read: Said | None,
) -> None:
    profile, origin = by.profile, by.target.name
    told: list[Said | Remark | Refusal] = []
    outcomes: dict[int, str] = {}
    for call in calls:
        said = by.listener.heard(call.fields)
        outcome = _outcome(profile, process, replace(said, note=None))
        if by.listener.is_nameless(said):
            said = Said(note=said.note)
        if call.repeats:
            outcomes[call.id] = "repeated"
            continue
        if said.stages or said.number:
            told.append(replace(said, note=None))
        outcomes[call.id] = outcome
        if said.note:
            remark = _remark(process, call, said.note, origin)
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
        [stand(profile, process, one, origin) if isinstance(one, Said) else one for one in told],
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


def _remark(process: Process, call: Call, note: str, origin: str) -> Remark | Refusal:
    """A call's own comment, under the key of that call; one that no shop takes is for a person to see."""
    request, errors = read_update({"order_id": process.order_id, "note": note})
    if request is None:
        log.warning("hook_note_refused", fields=sorted(errors))
        return refusal(process.connection, process.order_id, errors, origin=origin)
    request = replace(request, connection=process.connection)
    key = f"{origin}:{process.external_id}:call:{call.id}"
    return Remark(asked(request, origin=origin, key=key), call.received_at)


def follow_up(process: Process, heard: Heard) -> None:
    """Ring for the queue of the order of which something new was heard."""
    if heard.reused:
        log.warning("hook_key_reused", external_id=process.external_id)
    if heard.accepted:
        ring_updates([Due(process.connection, process.order_id)])


def _log_done(outcomes: dict[int, str]) -> None:
    for hook_id, outcome in outcomes.items():
        log.info("hook_done", hook_id=hook_id, outcome=outcome)
