"""What one may do to updates in the ledger: accept one, drain an order's queue, record, list, mend.

In: plain values and aware UTC times. Out: small frozen rows. An update gets its place in its order's queue
in the transaction that accepts it, so the order of acceptance is the order of sending. Raises
`LedgerUnavailable` when the database cannot be reached. Called by tasks/updates, gateway and cli.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from ledger import attempts, tallies
from ledger.attempts import Try
from ledger.database import Ledger
from ledger.leases import Leases
from ledger.orders import NotPossible
from ledger.tables import IS_OPEN_QUEUE, QUEUES, UPDATES

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
        QUEUES.c.order_state,
        QUEUES.c.delivery_state,
        QUEUES.c.order_certain,
        QUEUES.c.delivery_certain,
        QUEUES.c.known_at,
        QUEUES.c.tracking_number,
        QUEUES.c.blamed_at,
        QUEUES.c.strikes,
    ),
    unblamed=(QUEUES.c.blamed_at.is_(None),),
    sleeps=(QUEUES.c.blamed_at.is_(None),),
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
    of = _named(due)

    def unit(db: Connection) -> tuple[Queue, list[Row], bool] | None:
        left_behind = _locked(db, due, QUEUES.c.lease_token)
        taken = LEASES.claim(db, of, now, lease)
        if taken is None:
            return None
        rows = [Row(*found) for found in db.execute(_WAITING, of)]
        queue = Queue(due.connection, due.order_id, taken.token, taken.until, *taken.rows[0])
        return queue, rows, left_behind is not None

    return ledger.write(unit)


def record(
    ledger: Ledger,
    queue: Queue,
    row: Row,
    fate: Fate,
    now: datetime,
    *,
    lease: float | None = None,
    call: Try | None = None,
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
        held = LEASES.change(db, _named(queue), queue.token, **values)
        if call is not None:
            attempts.note(ledger, queue.connection, call, update_id=row.id)
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


def _values(of: Row | Known) -> dict[str, Any]:
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
    return db.execute(_lock(column), _named(of)).scalar_one_or_none()


def _named(of: Queue | Due) -> dict[str, str]:
    """The parameters that name a queue."""
    return {"of_connection": of.connection, "of_order": of.order_id}


# Statements are built once: building one costs as much as running it.

_WAITING_PARTS = select(UPDATES.c.seq, UPDATES.c.left).where(
    UPDATES.c.connection == bindparam("of_connection"),
    UPDATES.c.order_id == bindparam("of_order"),
    UPDATES.c.state == "queued",
)
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
    return select(column).where(LEASES.these).with_for_update()


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
