"""Reads the processes that may still change, and hears what no hook told.

In: nothing; the ledger says which processes are due to be read, young and lately changed ones often, old
ones ever more rarely, those at their end soon no more. Out: accepted updates. However long the ledger, a run
reads so many processes at most. Called by tasks/updates. Source: docs/decisions/hearing-a-transition.md.
"""

from __future__ import annotations

import uuid
from functools import partial

import structlog
from sqlalchemy import Connection

from ledger import hearing, hooks
from ledger.hearing import Process, Watched
from tasks import reading
from tasks.doorbell import RECONCILE, ring_parked
from tasks.listening import follow_up, stand
from tasks.resources import Resources, Target

# Processes in one order/get, and such calls in one run for one target.
BATCH = 50
MOST_CALLS = 40

log = structlog.get_logger()


def reconcile(r: Resources) -> int:
    """Read what is due to be read; returns how many updates came of it."""
    return sum(_reconcile(r, target) for target in r.targets.values())


def _reconcile(r: Resources, target: Target) -> int:
    produced = calls = 0
    while calls < MOST_CALLS:
        due = hearing.watched(r.ledger, target.name, r.ledger.now(), BATCH)
        by_connection: dict[str, list[Watched]] = {}
        for row in due:
            by_connection.setdefault(row.process.connection, []).append(row)
        for connection, rows in by_connection.items():
            heard = _read(r, target, connection, rows)
            if heard is None:
                return produced
            produced += heard
            calls += 1
        if len(due) < BATCH:
            break
    return produced


def _read(r: Resources, target: Target, connection: str, rows: list[Watched]) -> int | None:
    """How many updates reading these processes made; None when the box is not to be asked further."""
    profile = r.profiles.get(connection)
    if profile is None:
        # Nobody is left to be told; it is looked at again as rarely as what does not change.
        hearing.unchanged(r.ledger, rows, r.ledger.now(), frozenset())
        return 0
    if not reading.may_read(target):
        return None
    holder = f"{RECONCILE}:{uuid.uuid4().hex}"
    with reading.place(target, holder, RECONCILE, ring_parked) as has_place:
        if not has_place:
            return None
        try:
            said = reading.read(target, profile, [row.process.external_id for row in rows])
        except reading.NotRead:
            return None
    through = profile.updates.hook.through
    produced, same = 0, []
    for row in rows:
        found = said.get(row.process.external_id)
        stood = None if found is None else stand(profile, row.process, found)
        if stood is None or not row.differs(stood):
            same.append(row)
            continue
        heard = hearing.hear(
            r.ledger,
            row.process,
            [stood],
            r.ledger.now(),
            through=through,
            read=True,
            begin=partial(_has_no_calls, target=target, process=row.process),
        )
        if heard is not None:
            follow_up(row.process, heard)
            produced += heard.accepted
    hearing.unchanged(r.ledger, same, r.ledger.now(), through)
    return produced


def _has_no_calls(db: Connection, target: Target, process: Process) -> bool:
    """What the hook said earlier is heard before what is read now: its worker reads the process anew.
    An earlier version kept its calls under the name of the source.
    """
    return not any(
        hooks.are_open(db, name, process.external_id) for name in (target.name, process.connection)
    )
