"""The queue of one order's updates: claimed by one drain at a time, recorded step by step, given back.

In: plain values and aware UTC times. Out: the claimed queue with its updates. What is
strictly ordered is told by the caller. Raises `LedgerUnavailable` when the database cannot be reached.
Called by tasks/delivering and tasks/draining.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, insert, or_, select, update

from ledger.database import Ledger
from ledger.orders import EARLY
from ledger.updates import (
    ATTEMPTS,
    COLUMNS,
    QUEUES,
    UNENDED,
    UPDATES,
    Call,
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


_THIS_QUEUE = (
    QUEUES.c.connection == bindparam("of_connection"),
    QUEUES.c.order_id == bindparam("of_order"),
)
_OF_THIS_ORDER = (
    UPDATES.c.connection == bindparam("of_connection"),
    UPDATES.c.order_id == bindparam("of_order"),
)
_CLAIM = (
    update(QUEUES)
    .where(
        *_THIS_QUEUE,
        QUEUES.c.open,
        QUEUES.c.next_try_at <= bindparam("soon"),
        or_(QUEUES.c.lease_until.is_(None), QUEUES.c.lease_until < bindparam("now")),
    )
    .values(lease_until=bindparam("until"), lease_token=bindparam("token"))
    .returning(
        QUEUES.c.tries,
        QUEUES.c.settled_at,
        QUEUES.c.known,
        QUEUES.c.known_at,
        QUEUES.c.doubted,
        QUEUES.c.blamed_at,
        QUEUES.c.strikes,
    )
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
    token = secrets.token_hex(8)
    until = now + timedelta(seconds=lease)
    of = {"of_connection": due.connection, "of_order": due.order_id}

    def unit(db: Connection) -> tuple[Queue, list[Update], bool] | None:
        left_behind = lock(db, due, QUEUES.c.lease_token)
        row = db.execute(
            _CLAIM, {**of, "now": now, "soon": now + EARLY, "until": until, "token": token}
        ).first()
        if row is None:
            return None
        found = [from_row(one) for one in db.execute(_UNENDED, of)]
        parked = tuple(one for one in found if one.parts_parked)
        queue = Queue(due.connection, due.order_id, token, until, parked, *row)
        return queue, [one for one in found if one.state == "queued"], left_behind is not None

    return ledger.write(unit)


def record(
    ledger: Ledger,
    queue: Queue,
    after: Update,
    now: datetime,
    *,
    lease: float | None = None,
    call: Call | None = None,
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
        held = _held(db, queue, **values)
        if call is not None:
            ledger.insert_later(_NEW_ATTEMPT, _attempt(call, after.id))
        if held:
            db.execute(_STAND, _standing(after, now))
        return held

    return ledger.write(unit)


def _attempt(call: Call, update_id: int) -> dict[str, Any]:
    values = {name: getattr(call, name) for name in Call.__dataclass_fields__}
    # PostgreSQL takes no NUL, which a garbled answer may have.
    return values | {"update_id": update_id, "excerpt": call.excerpt.replace("\0", "")}


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
            "lease_until": None,
            "lease_token": None,
            "open": sendable,
            "next_try_at": next_try_at or now,
            "tries": (tries or 0) + counted if next_try_at else 0,
            "settled_at": queue.settled_at,
            "blamed_at": queue.blamed_at,
            "strikes": queue.strikes,
        }
        return _held(db, queue, **values) and sendable and next_try_at is None

    return ledger.write(unit)


def _is_sendable(db: Connection, queue: Queue, ordered: frozenset[str]) -> bool:
    """Whether anything waits in this queue that no parked part holds up."""
    of = {"of_connection": queue.connection, "of_order": queue.order_id}
    found = [from_row(one) for one in db.execute(_UNENDED, of)]
    return any(sendable(one, first_blocking(found), ordered) for one in found)


def _held(db: Connection, queue: Queue, **values: Any) -> bool:
    """Change a queue if its lease is still held; whether it was."""
    of_queue = {
        "of_connection": queue.connection,
        "of_order": queue.order_id,
        "of_token": queue.token,
    }
    return bool(db.execute(_hold(*values), of_queue | values).rowcount)


# Statements are built once: building one costs as much as running it.

_NEW_ATTEMPT = insert(ATTEMPTS)
_STOOD = (
    *("state", "reason", "parts", "fates", "retried", "apart", "in_doubt", "blocks", "state_at"),
)
_STAND = (
    update(UPDATES)
    .where(UPDATES.c.id == bindparam("of_id"), UPDATES.c.state.in_(UNENDED))
    .values({name: bindparam(name) for name in _STOOD})
)


@cache
def _hold(*names: str) -> Any:
    held = QUEUES.c.lease_token == bindparam("of_token")
    return (
        update(QUEUES).where(*_THIS_QUEUE, held).values({name: bindparam(name) for name in names})
    )
