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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog
from sqlalchemy import Connection

from clients.errors import StoreUnavailable
from connectors.ports import Listener
from ledger import hearing, hooks, orders
from ledger.faults import LedgerUnavailable
from ledger.hearing import Heard
from ledger.hook_endings import Ending
from ledger.hook_intake import LONGEST_PROCESS
from ledger.hooks import Call, Claim, Waiting
from ledger.transitions import Came, Process
from ledger.updates import Due
from mapping.hook import Said
from mapping.profile import Profile
from mapping.source import storable
from tasks import judging, reading, retry
from tasks.accepting import NUMBER
from tasks.doorbell import ring_hook, ring_updates, ring_waiting_reads
from tasks.endings import endings
from tasks.resources import Remote, Resources
from tasks.sender import whose
from tasks.standing import again_at, last_said, stand, tell, told_again, with_read

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

FAILED = Ending("failed", [{"code": "hook_failed"}])

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
        _finish(r, claim, dict.fromkeys(claim.ids, FAILED))
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
    is_number = claim.process.startswith(NUMBER)
    coming = is_number and orders.are_coming(r.ledger, target.name)
    of_each, ended = _processes_of(r, target, calls)
    if _straightened(r, claim, of_each):
        return None
    process = next(iter(of_each.values()), None)
    age = r.ledger.now() - calls[0].since
    if process is None and coming and age <= LONGEST_UNKNOWN:
        # The box may call for a process that it has just made before its answer is known here.
        return _try_again(r, claim, max(age.total_seconds() / 2, UNKNOWN_WAIT), counted=False)
    if process is None:
        _finish(r, claim, ended)
        return None
    listener, profile = _listener_of(target), r.profiles[process.connection]
    told = [listener.heard(call.fields) for call in calls]
    said: Said | None = None
    if may_read:
        try:
            said = _read(target, listener, process, claim.tries, told)
        except reading.NotRead as exc:
            tries = claim.tries + exc.counts
            young = r.ledger.now() - calls[0].since <= LONGEST_WAIT
            # For want of a turn it waits, however long: the box is well, and would be read in a moment.
            if not exc.counts or (tries < MOST_READS and young):
                return _try_again(r, claim, exc.wait, counted=exc.counts)
        if hooks.came_later(r.ledger, claim):
            said = None  # what was read may be what these say, and must not be heard before them
    nameless = any(listener.is_nameless(one) for one in told)
    young = r.ledger.now() - calls[0].since <= LONGEST_WAIT
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


def _processes_of(
    r: Resources, target: Remote, calls: Sequence[Call]
) -> tuple[dict[int, Process], dict[int, Ending]]:
    """Of which order each call speaks; and the ending of those that speak of no source's."""
    found: dict[int, Process] = {}
    ended: dict[int, Ending] = {}
    for call in calls:
        source, said = whose(r, target.name, call.fields)
        if source is not None and said.order_id is not None:
            external_id = r.profiles[source].external_id(said.order_id)
            found[call.id] = Process(source, said.order_id, external_id)
        else:
            outcome, told = judging.nobodys(r, target.name, call.fields, said)
            ended[call.id] = Ending(outcome, [one.to_dict() for one in told])
    return found, ended


def _straightened(r: Resources, claim: Claim, of_each: Mapping[int, Process]) -> bool:
    """Whether calls were given back under another name: whose they are is known only now. What else is open
    of that process is worked off with them, in order, and no call is taken for another order's.
    """
    names = {hook_id: one.external_id[:LONGEST_PROCESS] for hook_id, one in of_each.items()}
    strays = [name for name in names.values() if name != claim.process]
    if not strays:
        return False
    ids = [hook_id for hook_id, name in names.items() if name == strays[0]]
    whole = len(set(names.values())) == 1
    first = hooks.rename(r.ledger, claim, strays[0], r.ledger.now(), None if whole else ids)
    for hook_id in (first, hooks.next_of(r.ledger, claim) if claim.process else None):
        if hook_id is not None:
            ring_hook(hook_id)
    return True


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
    profile, hook = by.profile, by.profile.updates.hook
    said, spoken = tell(by.listener, profile, process, calls, by.target.name)
    told = said if read is None else with_read(profile, said, read, again=again_at(spoken))
    # What was read is a thing of its own, unless the last word of the hook says the same.
    at = len(said) if len(told) > len(said) else None
    again = told_again(spoken, None if read is None or at is not None else last_said(said))
    now = r.ledger.now()

    def end(db: Connection, came: Sequence[Came]) -> None:
        ended.update(endings(process, hook, spoken, came, at))
        hooks.tell_in(db, ended)

    ended: dict[int, Ending] = {}
    heard = hearing.hear(
        r.ledger,
        process,
        [
            replace(stand(profile, process, one, by.target.name), again=again.get(number))
            if isinstance(one, Said)
            else one
            for number, one in enumerate(told)
        ],
        now,
        through=hook.through,
        read=read is not None,
        begin=lambda db: hooks.end_in(db, claim, now),
        end=end,
    )
    if heard is None:
        return
    follow_up(process, heard)
    _log_done(ended)


def follow_up(process: Process, heard: Heard) -> None:
    """Ring for the queue of the order of which something new was heard."""
    if heard.reused:
        log.warning("hook_key_reused", external_id=process.external_id)
    if heard.accepted:
        ring_updates([Due(process.connection, process.order_id)])


def _finish(r: Resources, claim: Claim, ended: Mapping[int, Ending]) -> None:
    if hooks.finish(r.ledger, claim, ended, r.ledger.now()):
        _log_done(ended)


def _log_done(ended: Mapping[int, Ending]) -> None:
    for hook_id, ending in ended.items():
        log.info("hook_done", hook_id=hook_id, outcome=ending.outcome)
