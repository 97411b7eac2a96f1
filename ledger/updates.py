"""What one may do to updates in the ledger: accept one, drain an order's queue, record, list, mend.

In: plain values and aware UTC times. Out: small frozen rows. An update gets its place in its order's queue
in the transaction that accepts it, so the order of acceptance is the order of sending. Raises
`LedgerUnavailable` when the database cannot be reached. Called by tasks/updates, gateway and cli.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any, cast

from sqlalchemy import Connection, bindparam, case, func, insert, or_, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from ledger import tallies
from ledger.database import Ledger
from ledger.orders import EARLY, NotPossible
from ledger.tables import IS_OPEN_QUEUE, QUEUES, UPDATE_ATTEMPTS, UPDATES

ATTEMPTS = UPDATE_ATTEMPTS

# The reason of an update that a person sends in spite of its age.
RETRIED = "update_retried"
STATES = tallies.UPDATES.states
# The parts that are strictly ordered.
MACHINES = frozenset({"order", "delivery"})
# Outcomes of calls after which nothing is known but that the same must be tried again.
FAILED = frozenset({"failed", "uncertain", "connection_fault"})


class KeyReused(Exception):  # noqa: N818  it says what is, as the errors of clients do
    """The idempotency key was used before, for something else."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An update as it is accepted; what is None is not meant."""

    connection: str
    order_id: str
    digest: str
    origin: str
    tracking_number: str | None = None
    order_action: str | None = None
    delivery_action: str | None = None
    note: str | None = None
    replace: bool = False
    key: str | None = None
    warnings: tuple[dict[str, Any], ...] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """What is asked for, in the order in which it is sent when it is sent apart."""
        meant = {
            "tracking_number": self.tracking_number,
            "order": self.order_action,
            "delivery": self.delivery_action,
            "note": self.note,
        }
        return tuple(name for name, value in meant.items() if value is not None)


@dataclass(frozen=True, slots=True)
class Row:
    """An update as it stands."""

    id: int
    connection: str
    order_id: str
    seq: int
    key: str | None
    origin: str
    accepted_at: datetime
    tracking_number: str | None
    order_action: str | None
    delivery_action: str | None
    note: str | None
    replace: bool
    state: str
    reason: str
    left: str
    parked: str
    fates: list[dict[str, Any]] | None
    apart: bool
    in_doubt: bool
    state_at: datetime

    @property
    def parts_left(self) -> tuple[str, ...]:
        return tuple(filter(None, self.left.split(",")))

    @property
    def parts_parked(self) -> tuple[str, ...]:
        return tuple(filter(None, self.parked.split(",")))


@dataclass(frozen=True, slots=True)
class Queue:
    """The right to drain one order's queue until `lease_until`, and what is known of the order."""

    connection: str
    order_id: str
    token: str
    lease_until: datetime
    tries: int
    settled_at: datetime | None
    order_state: str | None
    delivery_state: str | None
    order_certain: bool
    delivery_certain: bool
    known_at: datetime | None
    tracking_number: str | None
    blamed_at: datetime | None = None
    strikes: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the order in the shop after a call."""

    order_state: str | None = None
    delivery_state: str | None = None
    order_certain: bool = False
    delivery_certain: bool = False
    tracking_number: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One call to the shop: `parts` are those it carried, `excerpt` is masked."""

    parts: str
    started_at: datetime
    duration_ms: int
    outcome: str
    status: int | None = None
    excerpt: str = ""
    task_id: str | None = None


@dataclass(frozen=True, slots=True)
class Fate:
    """How an update stands after a step: parts still `left`, what became of the others, whether parts go
    one by one from now on, and whether a note may have arrived already.
    """

    state: str
    left: tuple[str, ...] = ()
    parked: tuple[str, ...] = ()
    reason: str = ""
    fates: list[dict[str, Any]] = field(default_factory=list)
    apart: bool = False
    in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class Due:
    """A queue to ring for."""

    connection: str
    order_id: str


_ROW = tuple(UPDATES.c[name] for name in Row.__dataclass_fields__)


# --- an update comes in -------------------------------------------------------------------------------


def accept(ledger: Ledger, asked: Asked, now: datetime) -> Row:
    """Write an update behind the others of its order. A repeated key with the same content gives the
    update of the first time; raises KeyReused for other content.
    """
    return ledger.write(lambda db: accept_in(db, asked, now))


def accept_in(db: Connection, asked: Asked, now: datetime) -> Row:
    """As `accept`, in a transaction that does more; after KeyReused it can go on."""
    if asked.key is not None:
        found = _by_key(db, asked)
        if found is not None:
            return found
    seq = db.execute(
        _NEXT_SEQ[db.dialect.name],
        {"connection": asked.connection, "order_id": asked.order_id, "now": now},
    ).scalar_one()
    row = Row(
        id=0,
        connection=asked.connection,
        order_id=asked.order_id,
        seq=seq,
        key=asked.key,
        origin=asked.origin,
        accepted_at=now,
        tracking_number=asked.tracking_number,
        order_action=asked.order_action,
        delivery_action=asked.delivery_action,
        note=asked.note,
        replace=asked.replace,
        state="queued",
        reason="",
        left=",".join(asked.parts),
        parked="",
        fates=list(asked.warnings) or None,
        apart=False,
        in_doubt=False,
        state_at=now,
    )
    values = _values(row) | {"digest": asked.digest}
    del values["id"]  # the database gives it
    number = db.execute(_INSERT[db.dialect.name], values).scalar_one_or_none()
    if number is not None:
        return replace(row, id=number)
    # Another process took the key between our look and our insert: the place is given back.
    db.execute(
        update(QUEUES)
        .where(QUEUES.c.connection == asked.connection, QUEUES.c.order_id == asked.order_id)
        .values(last_seq=QUEUES.c.last_seq - 1)
    )
    found = _by_key(db, asked)
    if found is None:
        raise KeyReused("The key is taken.")
    return found


def _by_key(db: Connection, asked: Asked) -> Row | None:
    found = db.execute(_BY_KEY, {"of_key": asked.key}).first()
    if found is None:
        return None
    if found.digest != asked.digest:
        raise KeyReused("This key was used before, for another update.")
    return Row(*db.execute(_BY_ID, {"of_id": found.id}).one())


def _next_seq(dialect: Any) -> Any:
    new = dialect.insert(QUEUES).values(
        connection=bindparam("connection"),
        order_id=bindparam("order_id"),
        last_seq=1,
        open=True,
        tries=0,
        order_certain=False,
        delivery_certain=False,
        next_try_at=bindparam("now"),
    )
    return new.on_conflict_do_update(
        index_elements=[QUEUES.c.connection, QUEUES.c.order_id],
        # A queue that waits for a remote keeps its time: a new update does not make it due sooner.
        set_={"last_seq": QUEUES.c.last_seq + 1, "open": True},
    ).returning(QUEUES.c.last_seq)


_NEXT_SEQ = {"sqlite": _next_seq(sqlite), "postgresql": _next_seq(postgresql)}
_INSERT = {
    name: dialect.insert(UPDATES).on_conflict_do_nothing().returning(UPDATES.c.id)
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}
_BY_KEY = select(UPDATES.c.id, UPDATES.c.digest).where(UPDATES.c.key == bindparam("of_key"))
_BY_ID = select(*_ROW).where(UPDATES.c.id == bindparam("of_id"))


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a door that cannot answer did not take, and why, for a person to see."""

    asked: Asked
    reason: str
    fates: list[dict[str, Any]]


def refuse(ledger: Ledger, refusal: Refusal, now: datetime) -> int:
    """Keep what was asked by a door that cannot answer, so that a person sees the refusal."""
    return ledger.write(lambda db: refuse_in(db, refusal, now))


def refuse_in(db: Connection, refusal: Refusal, now: datetime) -> int:
    """As `refuse`, in a transaction that does more."""
    asked, reason, fates = refusal.asked, refusal.reason, refusal.fates
    values = {
        "connection": asked.connection,
        "order_id": asked.order_id,
        "seq": 0,
        "key": None,
        "digest": asked.digest,
        "origin": asked.origin,
        "accepted_at": now,
        "replace": asked.replace,
        "state": "refused",
        "reason": reason,
        "left": "",
        "parked": "",
        "fates": fates,
        "state_at": now,
    }
    return cast(
        "int", db.execute(insert(UPDATES).values(values).returning(UPDATES.c.id)).scalar_one()
    )


# --- a worker drains a queue --------------------------------------------------------------------------

_CLAIM = (
    update(QUEUES)
    .where(
        QUEUES.c.connection == bindparam("of_connection"),
        QUEUES.c.order_id == bindparam("of_order"),
        QUEUES.c.open,
        QUEUES.c.next_try_at <= bindparam("soon"),
        or_(QUEUES.c.lease_until.is_(None), QUEUES.c.lease_until < bindparam("now")),
    )
    .values(lease_until=bindparam("until"), lease_token=bindparam("token"))
    .returning(
        QUEUES.c.tries,
        QUEUES.c.settled_at,
        QUEUES.c.order_state,
        QUEUES.c.delivery_state,
        QUEUES.c.order_certain,
        QUEUES.c.delivery_certain,
        QUEUES.c.known_at,
        QUEUES.c.tracking_number,
        QUEUES.c.blamed_at,
        QUEUES.c.strikes,
    )
)
_WAITING = (
    select(*_ROW)
    .where(
        UPDATES.c.connection == bindparam("of_connection"),
        UPDATES.c.order_id == bindparam("of_order"),
        UPDATES.c.state == "queued",
    )
    .order_by(UPDATES.c.seq)
)


def claim(
    ledger: Ledger, due: Due, now: datetime, lease: float
) -> tuple[Queue, list[Row], bool] | None:
    """Take an order's queue for `lease` seconds with what waits in it, or None: someone drains it, or it
    is empty or not due. The flag says that the last holder vanished: a call of its may have arrived.
    """
    token = secrets.token_hex(8)
    until = now + timedelta(seconds=lease)
    of = {"of_connection": due.connection, "of_order": due.order_id}

    def unit(db: Connection) -> tuple[Queue, list[Row], bool] | None:
        left_behind = _locked(db, due, QUEUES.c.lease_token)
        row = db.execute(
            _CLAIM, {**of, "now": now, "soon": now + EARLY, "until": until, "token": token}
        ).first()
        if row is None:
            return None
        rows = [Row(*found) for found in db.execute(_WAITING, of)]
        return (
            Queue(due.connection, due.order_id, token, until, *row),
            rows,
            left_behind is not None,
        )

    return ledger.write(unit)


def record(
    ledger: Ledger,
    queue: Queue,
    row: Row,
    fate: Fate,
    now: datetime,
    *,
    lease: float | None = None,
    call: Call | None = None,
    known: Known | None = None,
) -> bool:
    """Commit what a step did to one update, what is known now, and prolong the lease to `lease` seconds
    from now; a call that got an answer ends the count of failed tries. False when the lease was lost:
    then another drain has gone on from the ledger, and only the call is noted.
    """

    def unit(db: Connection) -> bool:
        values: dict[str, Any] = {"settled_at": queue.settled_at}
        if lease is not None:
            values["lease_until"] = now + timedelta(seconds=lease)
        if known is not None:
            values |= _values(known) | {"known_at": now}
        if call is not None and call.outcome not in FAILED:
            values |= {"tries": 0, "blamed_at": None, "strikes": 0}
        held = _held(db, queue, **values)
        if call is not None:
            # PostgreSQL takes no NUL, which a garbled answer may have.
            said = call.excerpt.replace("\0", "")
            ledger.insert_later(
                _NEW_ATTEMPT, _values(call) | {"update_id": row.id, "excerpt": said}
            )
        if held:
            db.execute(
                _STAND,
                {
                    "of_id": row.id,
                    "state": fate.state,
                    "reason": fate.reason,
                    "left": ",".join(fate.left),
                    "parked": ",".join(fate.parked),
                    "fates": fate.fates or None,
                    "apart": fate.apart,
                    "in_doubt": fate.in_doubt,
                    "state_at": now,
                },
            )
        return held

    return ledger.write(unit)


def _values(of: Row | Known | Call) -> dict[str, Any]:
    """As `dataclasses.asdict`, which copies deeply and takes ten times as long."""
    return {name: getattr(of, name) for name in of.__dataclass_fields__}


def rest(
    ledger: Ledger,
    queue: Queue,
    now: datetime,
    *,
    next_try_at: datetime | None = None,
    counted: bool = False,
) -> bool:
    """Give a queue back: done for now, or due again at `next_try_at`. True when something that can be
    sent came in meanwhile: then ring once more. A queue that only waits behind what is parked is closed
    until a person mends that, or something new comes.
    """

    def unit(db: Connection) -> bool:
        # Locked before it is looked at: an update accepted meanwhile must not end up in a closed queue.
        tries = _locked(db, queue, QUEUES.c.tries)
        sendable = _is_sendable(db, queue)
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


def _is_sendable(db: Connection, queue: Queue) -> bool:
    """Whether anything waits in this queue that no parked status holds up."""
    waiting = [
        (row.seq, set(row.left.split(",")))
        for row in db.execute(
            _WAITING_PARTS, {"of_connection": queue.connection, "of_order": queue.order_id}
        )
    ]
    if not any(left & MACHINES for _, left in waiting):
        return bool(waiting)
    blocked = _first_parked(db, queue.connection, queue.order_id)
    return any(blocked is None or seq <= blocked or not left <= MACHINES for seq, left in waiting)


def _locked(db: Connection, of: Queue | Due, column: Any) -> Any:
    """A column of a queue, which stays as it is until this transaction ends; SQLite has one writer anyway."""
    of_queue = {"of_connection": of.connection, "of_order": of.order_id}
    return db.execute(_lock(column), of_queue).scalar_one_or_none()


def _held(db: Connection, queue: Queue, **values: Any) -> bool:
    """Change a queue if its lease is still held; whether it was."""
    of_queue = {
        "of_connection": queue.connection,
        "of_order": queue.order_id,
        "of_token": queue.token,
    }
    return bool(db.execute(_hold(*values), of_queue | values).rowcount)


# Statements are built once: building one costs as much as running it.

_THIS_QUEUE = (
    QUEUES.c.connection == bindparam("of_connection"),
    QUEUES.c.order_id == bindparam("of_order"),
)
_WAITING_PARTS = select(UPDATES.c.seq, UPDATES.c.left).where(
    UPDATES.c.connection == bindparam("of_connection"),
    UPDATES.c.order_id == bindparam("of_order"),
    UPDATES.c.state == "queued",
)
_NEW_ATTEMPT = insert(ATTEMPTS)
_STAND = (
    update(UPDATES)
    .where(UPDATES.c.id == bindparam("of_id"), UPDATES.c.state.in_(("queued", "parked")))
    .values(
        {
            name: bindparam(name)
            for name in (
                "state",
                "reason",
                "left",
                "parked",
                "fates",
                "apart",
                "in_doubt",
                "state_at",
            )
        }
    )
)


@cache
def _lock(column: Any) -> Any:
    return select(column).where(*_THIS_QUEUE).with_for_update()


@cache
def _hold(*names: str) -> Any:
    held = QUEUES.c.lease_token == bindparam("of_token")
    return (
        update(QUEUES).where(*_THIS_QUEUE, held).values({name: bindparam(name) for name in names})
    )


# --- what is due, and what makes it due ---------------------------------------------------------------


def due(ledger: Ledger, connection: str, now: datetime, most: int, grace: float = 0.0) -> list[Due]:
    """Queues nobody drains whose time came `grace` seconds ago or more, the longest due first."""
    query = (
        select(QUEUES.c.connection, QUEUES.c.order_id)
        .where(
            text(IS_OPEN_QUEUE),  # as the partial index says it, which serves no other words
            QUEUES.c.connection == connection,
            QUEUES.c.next_try_at <= now - timedelta(seconds=grace),
            or_(QUEUES.c.lease_until.is_(None), QUEUES.c.lease_until < now),
        )
        .order_by(QUEUES.c.next_try_at)
        .limit(most)
    )
    with ledger.read() as db:
        return [Due(*row) for row in db.execute(query)]


def probe(
    ledger: Ledger, connection: str, now: datetime, *, unblamed_only: bool = False
) -> list[Due]:
    """The queue to try a closed gate with, made due: the one whose time comes first, of those that did not
    meet what closed it, else of all.
    """
    of = {"of_connection": connection, "now": now}

    def unit(db: Connection) -> list[Due]:
        order_id = db.execute(_UNBLAMED, of).scalar_one_or_none()
        if order_id is None and not unblamed_only:
            order_id = db.execute(_FIRST, of).scalar_one_or_none()
        if order_id is None:
            return []
        db.execute(
            update(QUEUES)
            .where(QUEUES.c.connection == connection, QUEUES.c.order_id == order_id)
            .values(next_try_at=case((QUEUES.c.next_try_at < now, QUEUES.c.next_try_at), else_=now))
        )
        return [Due(connection, order_id)]

    return ledger.write(unit)


_FIRST = (
    select(QUEUES.c.order_id)
    .where(
        text(IS_OPEN_QUEUE),
        QUEUES.c.connection == bindparam("of_connection"),
        or_(QUEUES.c.lease_until.is_(None), QUEUES.c.lease_until < bindparam("now")),
    )
    .order_by(QUEUES.c.next_try_at)
    .limit(1)
)
_UNBLAMED = _FIRST.where(QUEUES.c.blamed_at.is_(None))


def went_through_since(
    ledger: Ledger, connection: str, order_id: str, since: datetime | None
) -> bool:
    """Whether this shop took an update of another order by a call that began after that moment."""
    if since is None:
        return False
    query = (
        select(ATTEMPTS.c.id)
        .join(UPDATES, UPDATES.c.id == ATTEMPTS.c.update_id)
        .where(
            ATTEMPTS.c.started_at > since,
            ATTEMPTS.c.outcome == "sent",
            UPDATES.c.connection == connection,
            UPDATES.c.order_id != order_id,
        )
        .limit(1)
    )
    with ledger.read() as db:
        return db.execute(query).first() is not None


# --- people look and mend -----------------------------------------------------------------------------


def find(ledger: Ledger, update_id: int) -> Row | None:
    with ledger.read() as db:
        found = db.execute(_BY_ID, {"of_id": update_id}).first()
    return None if found is None else Row(*found)


def listing(
    ledger: Ledger,
    *,
    state: str | None = None,
    connection: str | None = None,
    order_id: str | None = None,
    limit: int = 50,
) -> list[Row]:
    """Updates, the newest first."""
    query = select(*_ROW).order_by(UPDATES.c.id.desc()).limit(limit)
    if state is not None:
        query = query.where(UPDATES.c.state == state)
    if connection is not None:
        query = query.where(UPDATES.c.connection == connection)
    if order_id is not None:
        query = query.where(UPDATES.c.order_id == order_id)
    with ledger.read() as db:
        return [Row(*row) for row in db.execute(query)]


def calls(ledger: Ledger, update_id: int) -> list[Call]:
    """Every call made for one update, the oldest first."""
    query = (
        select(
            ATTEMPTS.c.parts,
            ATTEMPTS.c.started_at,
            ATTEMPTS.c.duration_ms,
            ATTEMPTS.c.outcome,
            ATTEMPTS.c.status,
            ATTEMPTS.c.excerpt,
            ATTEMPTS.c.task_id,
        )
        .where(ATTEMPTS.c.update_id == update_id)
        .order_by(ATTEMPTS.c.id)
    )
    with ledger.read() as db:
        return [Call(*row) for row in db.execute(query)]


def first_parked(ledger: Ledger, connection: str, order_id: str) -> int | None:
    """The sequence number of a parked status, which later statuses of this order must not overtake."""
    with ledger.read() as db:
        return _first_parked(db, connection, order_id)


def parked(ledger: Ledger, connection: str, order_id: str) -> list[Row]:
    """The updates of this order of which a part waits for a person, the oldest first."""
    query = (
        select(*_ROW)
        .where(
            UPDATES.c.connection == connection,
            UPDATES.c.order_id == order_id,
            UPDATES.c.state.in_(("queued", "parked")),
            UPDATES.c.parked != "",
        )
        .order_by(UPDATES.c.seq)
    )
    with ledger.read() as db:
        return [Row(*found) for found in db.execute(query)]


_FIRST_PARKED = select(func.min(UPDATES.c.seq)).where(
    UPDATES.c.connection == bindparam("of_connection"),
    UPDATES.c.order_id == bindparam("of_order"),
    UPDATES.c.state.in_(("queued", "parked")),
    or_(*(UPDATES.c.parked.contains(machine) for machine in sorted(MACHINES))),
)


def _first_parked(db: Connection, connection: str, order_id: str) -> int | None:
    of_order = {"of_connection": connection, "of_order": order_id}
    return cast("int | None", db.execute(_FIRST_PARKED, of_order).scalar_one())


def our_tracking_numbers(ledger: Ledger, connection: str, order_id: str) -> set[str]:
    """The tracking numbers that updates brought for this order; a call of ours may have set any of them."""
    query = select(UPDATES.c.tracking_number).where(
        UPDATES.c.connection == connection,
        UPDATES.c.order_id == order_id,
        UPDATES.c.tracking_number.is_not(None),
    )
    with ledger.read() as db:
        return set(db.execute(query).scalars())


def retry(ledger: Ledger, update_id: int, now: datetime) -> Due:
    """A person asks for what is parked to be sent after all, however old. Raises NotPossible."""

    def again(found: Row) -> dict[str, Any]:
        fates = [fate for fate in found.fates or [] if fate.get("part") not in found.parts_parked]
        left = ",".join((*found.parts_left, *found.parts_parked))
        return {
            "state": "queued",
            "reason": RETRIED,
            "left": left,
            "parked": "",
            "fates": fates or None,
        }

    return _mend(ledger, update_id, now, again)


def cancel(ledger: Ledger, update_id: int, now: datetime) -> Due:
    """A person decides that what is not sent yet shall not be. Raises NotPossible when all was sent."""

    def end(_found: Row) -> dict[str, Any]:
        return {"state": "cancelled", "reason": "update_cancelled", "left": "", "parked": ""}

    return _mend(ledger, update_id, now, end)


def _mend(
    ledger: Ledger, update_id: int, now: datetime, change: Callable[[Row], dict[str, Any]]
) -> Due:
    def unit(db: Connection) -> Due:
        of_id = {"of_id": update_id}
        row = Row(*db.execute(_BY_ID, of_id).one())
        due = Due(row.connection, row.order_id)
        # Locked before it is changed, and in the same order as a drain does it.
        lease_until = _locked(db, due, QUEUES.c.lease_until)
        row = Row(*db.execute(_BY_ID, of_id).one())
        if row.state not in {"queued", "parked"}:
            raise NotPossible(f"Update {update_id} is {row.state}.")
        if row.state == "queued" and lease_until is not None and lease_until > now:
            raise NotPossible(f"Update {update_id} is being sent just now. Try again in a minute.")
        db.execute(
            update(UPDATES).where(UPDATES.c.id == update_id).values(**change(row), state_at=now)
        )
        db.execute(
            update(QUEUES)
            .where(QUEUES.c.connection == row.connection, QUEUES.c.order_id == row.order_id)
            .values(open=True, next_try_at=now, blamed_at=None, strikes=0)
        )
        return due

    return ledger.write(unit)
