"""An update as it stands in the ledger, its parts and their states, and what a person may do with it.

In: plain values and aware UTC times. Out: small frozen rows. Which parts there are, what they mean and which
are strictly ordered is the caller's to say. Raises `LedgerUnavailable` when the database cannot be reached,
and `NotPossible` for what cannot be mended. Called by tasks, gateway and cli; accepted by ledger/enqueueing,
drained by ledger/queues.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Literal, TypedDict

from sqlalchemy import Connection, bindparam, select, text, update

from ledger import history, tallies
from ledger.conditions import IS_PARKED
from ledger.database import Ledger
from ledger.orders import NotPossible
from ledger.tables import QUEUES, UPDATES

STATES = tallies.UPDATES.states
# Those of which something may still be sent.
UNENDED = ("queued", "parked")
# What a person is told of an update that is sent in spite of its age.
RETRIED = "update_retried"
# And of a part that a person cancelled.
CANCELLED = "update_cancelled"

PartState = Literal["left", "sent", "parked", "withdrawn", "cancelled"]


class Told(TypedDict, total=False):
    """What a clerk is told: of a part (`fate`: what became of it), or of a field as it was asked."""

    part: str
    fate: str
    code: str
    level: str
    field: str
    before: str | None
    after: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an update: what it asks for, and whether that is done. A `personal` value is blanked in
    time.
    """

    value: Any
    state: PartState = "left"
    personal: bool = False

    def to_json(self) -> dict[str, Any]:
        plain = {"value": self.value, "state": self.state}
        return plain | {"personal": True} if self.personal else plain


@dataclass(frozen=True, slots=True)
class Update:
    """An update as it stands."""

    id: int
    connection: str
    order_id: str
    seq: int
    key: str | None
    origin: str
    accepted_at: datetime
    parts: Mapping[str, Part]
    options: Mapping[str, Any]
    state: str
    state_at: datetime
    reason: str = ""
    fates: list[Told] = field(default_factory=list)
    retried: bool = False
    apart: bool = False
    in_doubt: bool = False
    blocks: bool = False

    def parts_in(self, state: PartState) -> tuple[str, ...]:
        return tuple(name for name, part in self.parts.items() if part.state == state)

    @property
    def parts_left(self) -> tuple[str, ...]:
        return self.parts_in("left")

    @property
    def parts_parked(self) -> tuple[str, ...]:
        return self.parts_in("parked")

    @property
    def values(self) -> dict[str, Any]:
        """What is asked for, by part."""
        return {name: part.value for name, part in self.parts.items()}


@dataclass(frozen=True, slots=True)
class Due:
    """A queue to ring for."""

    connection: str
    order_id: str


COLUMNS = tuple(UPDATES.c[name] for name in Update.__dataclass_fields__)


def from_row(row: Iterable[Any]) -> Update:
    """The update of a row that was selected by COLUMNS."""
    values = dict(zip(Update.__dataclass_fields__, row, strict=False))
    parts = {name: Part(**part) for name, part in (values["parts"] or {}).items()}
    return Update(**values | {"parts": parts, "fates": values["fates"] or []})


def to_json(parts: Mapping[str, Part]) -> dict[str, Any]:
    return {name: part.to_json() for name, part in parts.items()}


def moved(parts: Mapping[str, Part], names: Iterable[str], state: PartState) -> dict[str, Part]:
    """The parts with those of these names in another state."""
    there = frozenset(names)
    return {
        name: Part(part.value, state, part.personal) if name in there else part
        for name, part in parts.items()
    }


def first_blocking(found: list[Update]) -> int | None:
    """The place of the first update that later ordered parts must not overtake."""
    return min((one.seq for one in found if one.blocks), default=None)


def sendable(one: Update, blocking: int | None, ordered: frozenset[str]) -> tuple[str, ...]:
    """The parts of an update that may go now."""
    if blocking is None or blocking >= one.seq:
        return one.parts_left
    return tuple(name for name in one.parts_left if name not in ordered)


def lock(db: Connection, of: Due, column: Any) -> Any:
    """A column of a queue, which stays as it is until this transaction ends; SQLite has one writer anyway."""
    of_queue = {"of_connection": of.connection, "of_order": of.order_id}
    return db.execute(_lock(column), of_queue).scalar_one_or_none()


@cache
def _lock(column: Any) -> Any:
    return (
        select(column)
        .where(
            QUEUES.c.connection == bindparam("of_connection"),
            QUEUES.c.order_id == bindparam("of_order"),
        )
        .with_for_update()
    )


# --- people look --------------------------------------------------------------------------------------

_BY_ID = select(*COLUMNS).where(UPDATES.c.id == bindparam("of_id"))


def find(ledger: Ledger, update_id: int) -> Update | None:
    with ledger.read() as db:
        found = db.execute(_BY_ID, {"of_id": update_id}).first()
    return None if found is None else from_row(found)


def listing(
    ledger: Ledger,
    *,
    state: str | None = None,
    connection: str | None = None,
    order_id: str | None = None,
    limit: int = 50,
) -> list[Update]:
    """Updates, the newest first."""
    query = select(*COLUMNS).order_by(UPDATES.c.id.desc()).limit(limit)
    if state is not None:
        query = query.where(UPDATES.c.state == state)
    if connection is not None:
        query = query.where(UPDATES.c.connection == connection)
    if order_id is not None:
        query = query.where(UPDATES.c.order_id == order_id)
    with ledger.read() as db:
        return [from_row(row) for row in db.execute(query)]


def parked(ledger: Ledger, now: datetime, limit: int) -> list[Update]:
    """Updates that wait for a person, those that were parked last first."""
    latest = (UPDATES.c.state_at.desc(), UPDATES.c.id.desc())
    query = select(*COLUMNS).where(text(IS_PARKED), UPDATES.c.state_at <= now).order_by(*latest)
    with ledger.read() as db:
        return [from_row(row) for row in db.execute(query.limit(limit))]


# --- people mend --------------------------------------------------------------------------------------


def retry(ledger: Ledger, update_id: int, now: datetime, *, who: str) -> Due:
    """A person asks for what is parked to be sent after all, however old. Raises NotPossible."""

    def again(found: Update) -> dict[str, Any]:
        fates = [told for told in found.fates if told.get("part") not in found.parts_parked]
        return {
            "state": "queued",
            "reason": RETRIED,
            "retried": True,
            "blocks": False,
            "parts": to_json(moved(found.parts, found.parts_parked, "left")),
            "fates": fates or None,
        }

    return _mend(ledger, update_id, now, again, "update_retried", who)


def cancel(ledger: Ledger, update_id: int, now: datetime, *, who: str) -> Due:
    """A person decides that what is not sent yet shall not be. Raises NotPossible when all was sent."""

    def end(found: Update) -> dict[str, Any]:
        open_parts = (*found.parts_left, *found.parts_parked)
        # What a clerk was asked to do about a parked part is over with it.
        fates = [told for told in found.fates if told.get("part") not in found.parts_parked]
        fates += [
            Told(part=name, fate="cancelled", code=CANCELLED, level="fixed", field=name)
            for name in open_parts
        ]
        return {
            "state": "cancelled",
            "reason": CANCELLED,
            "blocks": False,
            "parts": to_json(moved(found.parts, open_parts, "cancelled")),
            "fates": fates or None,
        }

    return _mend(ledger, update_id, now, end, "update_cancelled", who)


def _mend(
    ledger: Ledger,
    update_id: int,
    now: datetime,
    change: Callable[[Update], dict[str, Any]],
    what: history.What,
    who: str,
) -> Due:
    def unit(db: Connection) -> Due:
        of_id = {"of_id": update_id}
        found = from_row(db.execute(_BY_ID, of_id).one())
        due = Due(found.connection, found.order_id)
        # Locked before it is changed, and in the same order as a drain does it.
        lease_until = lock(db, due, QUEUES.c.lease_until)
        found = from_row(db.execute(_BY_ID, of_id).one())
        if found.state not in UNENDED:
            raise NotPossible(f"Update {update_id} is {found.state}.")
        if found.state == "queued" and lease_until is not None and lease_until > now:
            raise NotPossible(f"Update {update_id} is being sent just now. Try again in a minute.")
        changed = change(found)
        if changed["state"] == "cancelled" and found.parts_left and lease_until is not None:
            # Whoever drained this queue vanished: a call may have arrived.
            changed["in_doubt"] = True
        db.execute(update(UPDATES).where(UPDATES.c.id == update_id).values(**changed, state_at=now))
        db.execute(
            update(QUEUES)
            .where(QUEUES.c.connection == found.connection, QUEUES.c.order_id == found.order_id)
            .values(open=True, next_try_at=now, blamed_at=None, strikes=0)
        )
        after = from_row(db.execute(_BY_ID, of_id).one())
        tell(db, after, now, what, who, before=_standing(found))
        return due

    return ledger.write(unit)


def tell(
    db: Connection,
    one: Update,
    now: datetime,
    what: history.What,
    who: str,
    before: dict[str, Any] | None = None,
) -> None:
    """Write into the history that somebody did this, in the transaction that does it."""
    of = (one.connection, one.order_id, one.id)
    history.write_in(db, history.Act(now, who, what, "update", *of, before, _standing(one)))


def _standing(one: Update) -> dict[str, Any]:
    """What the history tells of an update: its state and its parts by name, not what they say."""
    told = {
        "state": one.state,
        "reason": one.reason,
        "left": list(one.parts_left),
        "parked": list(one.parts_parked),
    }
    return {name: value for name, value in told.items() if value}
