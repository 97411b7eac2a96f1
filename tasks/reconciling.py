"""Reads the processes that may still change, and hears what no hook told.

In: nothing; the ledger says which processes are due to be read, young and lately changed ones often, old
ones ever more rarely, those at their end soon no more. Out: accepted updates. However long the ledger, a run
reads so many processes at most. Called by tasks/updates. Source: docs/decisions/hearing-a-transition.md.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import structlog
from sqlalchemy import Connection

from ledger import hearing, hooks, watching
from ledger.faults import LedgerUnavailable
from ledger.transitions import Process
from ledger.watching import Watched
from mapping.hook import Said
from mapping.profile import Profile
from tasks import reading
from tasks.doorbell import RECONCILE, ring_waiting_reads
from tasks.listening import follow_up
from tasks.resources import Remote, Resources
from tasks.standing import stand

# Processes in one order/get, and such calls in one run for one target.
BATCH = 50
MOST_CALLS = 40
# Reads that fail in one run: enough to find some processes among many that alone cannot be read, and in an
# outage not many. Such a process is read again after so long.
MOST_FAILED = 16
UNREADABLE = timedelta(hours=6)

log = structlog.get_logger()


def reconcile(r: Resources) -> int:
    """Read what is due to be read; returns how many updates came of it."""
    return sum(_reconcile(r, target) for target in r.targets.values() if target.connector.listener)


@dataclass(slots=True)
class _Run:
    """How a run for one target stands: what it made, how often it read, and whose reads failed alone."""

    produced: int = 0
    calls: int = 0
    failed: int = 0
    alone: list[Watched] = field(default_factory=list)


def _reconcile(r: Resources, target: Remote) -> int:
    run = _Run()
    goes_on = True
    while goes_on and run.calls < MOST_CALLS:
        due = watching.watched(r.ledger, target.name, r.ledger.now(), BATCH)
        by_connection: dict[str, list[Watched]] = {}
        for row in due:
            by_connection.setdefault(row.process.connection, []).append(row)
        goes_on = len(due) == BATCH
        for connection, rows in by_connection.items():
            if connection not in r.profiles:
                # Nobody is left to be told; they are looked at again as rarely as what does not change.
                watching.unchanged(r.ledger, rows, r.ledger.now(), frozenset())
            elif not _read_apart(r, target, connection, rows, run):
                goes_on = False
                break
        if run.failed < run.calls:
            # The box tells of others: these are not to stand before them the next time.
            watching.put_off(r.ledger, run.alone, r.ledger.now() + UNREADABLE)
            run.alone.clear()
    return run.produced


def _read_apart(
    r: Resources, target: Remote, connection: str, rows: list[Watched], run: _Run
) -> bool:
    """Read these processes, and where that fails each half of them, until it is known which ones alone
    cannot be read. False when the box is not to be asked further.
    """
    waiting = [rows]
    while waiting:
        if run.failed >= MOST_FAILED or run.calls >= MOST_CALLS:
            return False
        part = waiting.pop()
        try:
            said = _read(target, part)
        except reading.NotRead as exc:
            if not exc.counts:
                return False
            run.calls += 1
            run.failed += 1
            if len(part) == 1:
                run.alone += part
            else:
                middle = len(part) // 2
                waiting += [part[middle:], part[:middle]]
            continue
        if said is None:
            return False
        run.calls += 1
        run.produced += _heard(r, target, connection, part, said)
    return True


def _read(target: Remote, rows: list[Watched]) -> dict[str, Said] | None:
    """What these processes say; None when the box is not to be asked. Raises NotRead."""
    listener = target.connector.listener
    if listener is None or not reading.may_read(target):
        return None
    holder = f"{RECONCILE}:{uuid.uuid4().hex}"
    with reading.place(target, holder, RECONCILE, ring_waiting_reads) as has_place:
        if not has_place:
            return None
        return reading.read(target, listener, [row.process.external_id for row in rows])


def _heard(
    r: Resources, target: Remote, connection: str, rows: list[Watched], said: dict[str, Said]
) -> int:
    """How many updates came of what these processes say."""
    profile = r.profiles[connection]
    produced, same = 0, []
    for row in rows:
        try:
            made = _hear(r, target, profile, row, said.get(row.process.external_id))
        except LedgerUnavailable:
            raise
        except Exception as exc:
            # One that cannot be worked off must not end the run for all others.
            log.exception("process_not_heard", order=row.pk, because=type(exc).__name__)
            made = None
        if made is None:
            same.append(row)
        else:
            produced += made
    watching.unchanged(r.ledger, same, r.ledger.now(), profile.updates.hook.through)
    return produced


def _hear(
    r: Resources, target: Remote, profile: Profile, row: Watched, found: Said | None
) -> int | None:
    """How many updates came of what this process says; None when nothing is heard now."""
    stood = None if found is None else stand(profile, row.process, found, target.name)
    if stood is None or not row.differs(stood):
        return None
    heard = hearing.hear(
        r.ledger,
        row.process,
        [stood],
        r.ledger.now(),
        through=profile.updates.hook.through,
        read=True,
        begin=partial(_has_no_calls, target=target, process=row.process),
        since=row.heard,
    )
    if heard is None:
        # Its calls wait, or were worked off while this was read: who does that reads it anew.
        return None
    follow_up(row.process, heard)
    return heard.accepted


def _has_no_calls(db: Connection, target: Remote, process: Process) -> bool:
    """What the hook said earlier is heard before what is read now: its worker reads the process anew.
    An earlier version kept its calls under the name of the source.
    """
    return not any(
        hooks.are_open(db, name, process.external_id) for name in (target.name, process.connection)
    )
