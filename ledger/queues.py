"""The queue of one order's updates: claimed by one drain at a time, recorded step by step, given back.

In: plain values and aware UTC times. Out: the claimed queue with its updates, and queues to ring for. What is
strictly ordered is told by the caller. Raises `LedgerUnavailable` when the database cannot be reached.
Called by tasks/delivering, tasks/draining and tasks/upkeep.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, bindparam, select, update

from ledger import attempts
from ledger.attempts import Try
from ledger.conditions import IS_OPEN_QUEUE
from ledger.database import Ledger
from ledger.leases import Leases
from ledger.tables import QUEUES, UPDATES
from ledger.updates import (
    COLUMNS,
    UNENDED,
    Due,
    Update,
    first_blocking,
    from_row,
    lock,
    sendable,
    to_json,
)

# Outcomes of calls after which nothing is known but that the same must be tried again.
FAILED = frozenset({"failed", "uncertain", "connection_fault"})


@dataclass(frozen=True, slots=True)
class Queue:
    """The right to drain one order's queue until `lease_until`, and what is known of the order. `parked` are
    the updates of which a part waits for a person, as they stood when it was claimed.
    """

    connection: str
    order_id: str
    token: str
    lease_until: datetime
    parked: tuple[Update, ...]
    tries: int
    settled_at: datetime | None
    known: dict[str, Any] | None
    known_at: datetime | None
    doubted: bool
    blamed_at: datetime | None = None
    strikes: int = 0

    @property
    def due(self) -> Due:
        return Due(self.connection, self.order_id)


LEASES = Leases(
    table=QUEUES,
    key={"of_connection": QUEUES.c.connection, "of_order": QUEUES.c.order_id},
    open=IS_OPEN_QUEUE,
    is_open=cast("ColumnElement[bool]", QUEUES.c.open),
    remote=QUEUES.c.connection,
    tie=QUEUES.c.order_id,
    shown=(QUEUES.c.connection, QUEUES.c.order_id),
    claimed=(
        QUEUES.c.tries,
        QUEUES.c.settled_at,
        QUEUES.c.known,
        QUEUES.c.known_at,
        QUEUES.c.doubted,
        QUEUES.c.blamed_at,
        QUEUES.c.strikes,
    ),
    unblamed=(QUEUES.c.blamed_at.is_(None),),
    sleeps=(QUEUES.c.blamed_at.is_(None),),
)
_OF_THIS_ORDER = (
    UPDATES.c.connection == bindparam("of_connection"),
    UPDATES.c.order_id == bindparam("of_order"),
)
_UNENDED = (
    select(*COLUMNS).where(*_OF_THIS_ORDER, UPDATES.c.state.in_(UNENDED)).order_by(UPDATES.c.seq)
)


def claim(
    ledger: Ledger, due: Due, now: datetime, lease: float
) -> tuple[Queue, list[Update], bool] | None:
    """Take an order's queue for `lease` seconds with what waits in it, or None: someone drains it, or it
    is empty or not due. The flag says that the last holder vanished: a call of its may have arrived.
    """
    of = _named(due)

    def unit(db: Connection) -> tuple[Queue, list[Update], bool] | None:
        left_behind = lock(db, due, QUEUES.c.lease_token)
        taken = LEASES.claim(db, of, now, lease)
        if taken is None:
            return None
        found = [from_row(one) for one in db.execute(_UNENDED, of)]
        parked = tuple(one for one in found if one.parts_parked)
        (row,) = taken.rows
        queue = Queue(due.connection, due.order_id, taken.token, taken.until, parked, *row)
        return queue, [one for one in found if one.state == "queued"], left_behind is not None

    return ledger.write(unit)


def record(
    ledger: Ledger,
    queue: Queue,
    after: Update,
    now: datetime,
    *,
    lease: float | None = None,
    call: Try | None = None,
    known: dict[str, Any] | None = None,
) -> bool:
    """Commit how an update stands after a step and what is known now, and prolong the lease to `lease`
    seconds from now; a call that got an answer ends the count of failed tries. False when the lease was
    lost: then another drain has gone on from the ledger, and only the call is noted.
    """

    def unit(db: Connection) -> bool:
        values: dict[str, Any] = {"settled_at": queue.settled_at}
        if lease is not None:
            values["lease_until"] = now + timedelta(seconds=lease)
        if known is not None:
            values |= {"known": known, "known_at": now, "doubted": False}
        if call is not None and call.outcome not in FAILED:
            values |= {"tries": 0, "blamed_at": None, "strikes": 0}
        held = LEASES.change(db, _named(queue), queue.token, **values)
        if call is not None:
            attempts.note(ledger, queue.connection, call, update_id=after.id)
        if held:
            db.execute(_STAND, _standing(after, now))
        return held

    return ledger.write(unit)


def _standing(after: Update, now: datetime) -> dict[str, Any]:
    return {
        "of_id": after.id,
        "state": after.state,
        "reason": after.reason,
        "parts": to_json(after.parts),
        "fates": after.fates or None,
        "retried": after.retried,
        "apart": after.apart,
        "in_doubt": after.in_doubt,
        "blocks": after.blocks,
        "state_at": now,
    }


def rest(
    ledger: Ledger,
    queue: Queue,
    now: datetime,
    *,
    ordered: frozenset[str] = frozenset(),
    next_try_at: datetime | None = None,
    counted: bool = False,
) -> bool:
    """Give a queue back: done for now, or due again at `next_try_at`. True when something that can be
    sent came in meanwhile: then ring once more. A queue that only waits with its `ordered` parts behind
    such a part that is parked is closed until a person mends that, or something new comes.
    """

    def unit(db: Connection) -> bool:
        # Locked before it is looked at: an update accepted meanwhile must not end up in a closed queue.
        tries = lock(db, queue.due, QUEUES.c.tries)
        sendable = _is_sendable(db, queue, ordered)
        values: dict[str, Any] = {
            "open": sendable,
            "tries": (tries or 0) + counted if next_try_at else 0,
            "settled_at": queue.settled_at,
            "blamed_at": queue.blamed_at,
            "strikes": queue.strikes,
        }
        at = next_try_at or now
        held = LEASES.give_back(db, _named(queue), queue.token, at, **values)
        return held and sendable and next_try_at is None

    return ledger.write(unit)


def _is_sendable(db: Connection, queue: Queue, ordered: frozenset[str]) -> bool:
    """Whether anything waits in this queue that no parked part holds up."""
    found = [from_row(one) for one in db.execute(_UNENDED, _named(queue))]
    return any(sendable(one, first_blocking(found), ordered) for one in found)


def _named(of: Queue | Due) -> dict[str, str]:
    """The parameters that name a queue."""
    return {"of_connection": of.connection, "of_order": of.order_id}


_STOOD = (
    *("state", "reason", "parts", "fates", "retried", "apart", "in_doubt", "blocks", "state_at"),
)
_STAND = (
    update(UPDATES)
    .where(UPDATES.c.id == bindparam("of_id"), UPDATES.c.state.in_(UNENDED))
    .values({name: bindparam(name) for name in _STOOD})
)


# --- what is due, and what makes it due ---------------------------------------------------------------


def due(ledger: Ledger, connection: str, now: datetime, most: int, grace: float = 0.0) -> list[Due]:
    """Queues nobody drains whose time came `grace` seconds ago or more, the longest due first."""
    return [Due(*row) for row in LEASES.due(ledger, connection, now, most, grace)]


def probe(
    ledger: Ledger, connection: str, now: datetime, *, unblamed_only: bool = False
) -> list[Due]:
    """The queue to try a closed gate with, made due: the one whose time comes first, of those that did not
    meet what closed it, else of all.
    """
    found = LEASES.probe(ledger, connection, now, unblamed_only=unblamed_only)
    return [Due(*row) for row in found]


def wake(ledger: Ledger, connection: str, opened_at: datetime, chunks: int) -> bool:
    """Make due the queues that waited when this gate was opened; True when none is left."""
    return LEASES.wake(ledger, connection, opened_at, chunks)


def oldest_due_at(db: Connection, now: datetime) -> datetime | None:
    """Since when the oldest open queue that nobody drains has been due."""
    return LEASES.oldest_due_at(db, now, free=True)
