"""What a person decides about one order: try again, accept its doubts, never send it, say that it is there,
send it in shadow mode, take note of a change.

In: its key, an aware UTC time, and who decides, for the history. Raises `NotPossible` with a plain sentence,
and `LedgerUnavailable`. Called, by its package, by desk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Connection,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    update,
)

from ledger import history
from ledger.conditions import IS_CHANGED
from ledger.database import Ledger
from ledger.orders.recording import FIRST_CHECK
from ledger.orders.rows import NO_LOOKUP, NO_TROUBLE, UNKNOWN, NotPossible
from ledger.tables import ORDERS

_CHANGED_SINCE = "Order {} has changed in the shop; look at it again."


def retry(ledger: Ledger, pk: int, now: datetime, *, who: str) -> None:
    """A person asks for a try now: held and ignored orders go back to work, waiting ones become due.

    An uncertain order keeps its wait: it is looked up now, and not sent before its time. Raises
    NotPossible for a created one.
    """
    allowed = ("received", "waiting", "held", "ignored")
    act = _Act("order_retried", who, "waiting", "released")
    _mend(ledger, pk, now, act, allowed, **asdict(NO_TROUBLE))


def release(ledger: Ledger, pk: int, now: datetime, *, who: str) -> None:
    """A person accepts the doubts for which an order is held; what is missing stays missing, and holds it
    again. One that is held because nobody can say whether its target has it counts as not there, by that
    person's word. Raises NotPossible for any other state.
    """
    act = _Act("order_released", who, "waiting", "released")
    is_unknown = ORDERS.c.reason == NO_LOOKUP
    accepted: dict[str, Any] = {
        "accepted_hash": case((is_unknown, ORDERS.c.accepted_hash), else_=ORDERS.c.content_hash),
        "uncertain_since": case((is_unknown, None), else_=ORDERS.c.uncertain_since),
        "sent_hash": case((is_unknown, None), else_=ORDERS.c.sent_hash),
    }
    _mend(ledger, pk, now, act, ("held",), **accepted, **asdict(NO_TROUBLE))


def ignore(ledger: Ledger, pk: int, now: datetime, *, who: str) -> None:
    """A person decides that an order shall not be sent. Raises NotPossible when it is created or is
    being sent at this moment.
    """
    act = _Act("order_ignored", who, "ignored", "ignored")
    _mend(ledger, pk, now, act, ("received", "waiting", "held"))


def adopt(ledger: Ledger, pk: int, now: datetime, *, target_id: str, who: str) -> None:
    """A person says that its target has the order, under this id: it is created, and nobody sends it. What an
    earlier call may have carried is what the target has; where there was none the person has made it as it
    stands, so that only what comes after is a change. Raises NotPossible for a created one, one that is being
    sent at this moment, and where another order of this target has that id.
    """

    def takes_id(db: Connection, found: Any) -> dict[str, Any]:
        of = {"of_target": found.target, "of_target_id": target_id}
        other = db.execute(_UNDER_ID, of).first()
        if other is not None:
            raise NotPossible(
                f"{found.target} {target_id} is order {other.order_id} of {other.connection} already."
            )
        return {"target_id": target_id}

    may_be_sent = or_(ORDERS.c.uncertain_since.is_not(None), ORDERS.c.lease_until.is_not(None))
    was_sent = and_(may_be_sent, ORDERS.c.sent_hash.is_not(None))
    taken: dict[str, Any] = {
        "target_id": target_id,
        "sent_hash": case((was_sent, ORDERS.c.sent_hash), else_=UNKNOWN),
        "noted_hash": case((was_sent, None), else_=func.coalesce(ORDERS.c.wanted_hash, "-")),
        "known_source": case((was_sent, ORDERS.c.known_source), else_=None),
        "uncertain_since": None,
        "lookups": 0,
        "lease_until": None,
        "lease_token": None,
        "lost_lease": False,
        "check_at": now + FIRST_CHECK,
    }
    act = _Act("order_adopted", who, "created", "")
    allowed = ("received", "waiting", "held", "ignored")
    _mend(ledger, pk, now, act, allowed, demand=takes_id, **taken, **asdict(NO_TROUBLE))


_UNDER_ID = (
    select(ORDERS.c.connection, ORDERS.c.order_id)
    .where(
        ORDERS.c.target == bindparam("of_target"),
        ORDERS.c.target_id == bindparam("of_target_id"),
    )
    .limit(1)
)


def let_through(ledger: Ledger, pk: int, content_hash: str, now: datetime, *, who: str) -> None:
    """A person has this one order sent, as it is now, although in shadow mode. An uncertain one is looked up
    first, as always. Raises NotPossible when it is not open, or is another one than the person has seen.
    """
    act = _Act("order_sent_in_shadow", who, "waiting", "released")
    _mend(
        ledger,
        pk,
        now,
        act,
        ("received", "waiting"),
        seen=content_hash,
        let_through_hash=content_hash,
    )


def take_back(ledger: Ledger, pk: int, now: datetime, *, who: str) -> bool:
    """Such an order that nobody has begun with stays in shadow mode after all; False: it was begun with."""
    free = or_(ORDERS.c.lease_until.is_(None), ORDERS.c.lease_until < now)
    untouched = and_(ORDERS.c.state == "waiting", ORDERS.c.reason == "released", free)

    def unit(db: Connection) -> bool:
        row = db.execute(
            update(ORDERS)
            .where(ORDERS.c.id == pk, untouched, ORDERS.c.let_through_hash.is_not(None))
            .values(let_through_hash=None)
            .returning(ORDERS.c.connection, ORDERS.c.order_id)
        ).first()
        if row is not None:
            act = history.Act(
                now, who, "order_kept_in_shadow", "order", row.connection, row.order_id
            )
            history.write_in(db, act)
        return row is not None

    return ledger.write(unit)


def acknowledge(
    ledger: Ledger,
    pk: int,
    now: datetime,
    *,
    who: str,
    seen: str | None = None,
    fields: Sequence[str] = (),
) -> None:
    """A person takes note of how the order was changed: it counts as changed again once it is another one
    than now. `fields` are the names of what differs, for the history. Raises NotPossible when nothing does,
    and when it is another one by now than the person has `seen`.
    """

    def unit(db: Connection) -> None:
        found = db.execute(_CHANGED, {"of_pk": pk}).one()
        if not found.changed:
            raise NotPossible(
                f"Order {found.order_id} has not changed since it was created or last acknowledged."
            )
        if seen not in {None, found.content_hash}:
            raise NotPossible(_CHANGED_SINCE.format(found.order_id))
        db.execute(
            update(ORDERS)
            .where(ORDERS.c.id == pk)
            .values(noted_hash=func.coalesce(ORDERS.c.wanted_hash, "-"), known_source=None)
        )
        after = {"state": "created", "changed": list(fields)} if fields else {"state": "created"}
        of = (found.connection, found.order_id)
        history.write_in(db, history.Act(now, who, "order_acknowledged", "order", *of, after=after))

    ledger.write(unit)


_CHANGED = (
    select(
        ORDERS.c.connection,
        ORDERS.c.order_id,
        ORDERS.c.content_hash,
        literal_column(IS_CHANGED, Boolean).label("changed"),
    )
    .where(ORDERS.c.id == bindparam("of_pk"))
    .with_for_update()
)


@dataclass(frozen=True, slots=True)
class _Act:
    """What a person does to an order, and the state and reason that it has then."""

    what: history.What
    who: str
    state: str
    reason: str


def _mend(
    ledger: Ledger,
    pk: int,
    now: datetime,
    act: _Act,
    allowed: tuple[str, ...],
    *,
    seen: str | None = None,
    demand: Callable[[Connection, Any], dict[str, Any]] = lambda *_: {},
    **more: Any,
) -> None:
    """`demand` looks at the row once it is locked; what it says stands in the history beside the state."""
    values = {"shadow": False, "let_through_hash": None, "state_at": now, "next_try_at": now} | more

    def unit(db: Connection) -> None:
        # Locked, so that the history tells what this act has changed.
        found = db.execute(_MENDED, {"of_pk": pk}).one()
        if found.lease_until is not None and found.lease_until >= now:
            raise NotPossible(f"Order {found.order_id} is being worked on; try again in a minute.")
        if found.state not in allowed:
            raise NotPossible(f"Order {found.order_id} is {found.state}.")
        if seen not in {None, found.content_hash}:
            raise NotPossible(_CHANGED_SINCE.format(found.order_id))
        after = {"state": act.state, "reason": act.reason}
        told = demand(db, found)
        db.execute(update(ORDERS).where(ORDERS.c.id == pk).values(**after, **values))
        before = {"state": found.state, "reason": found.reason}
        of = (found.connection, found.order_id)
        done = history.Act(now, act.who, act.what, "order", *of, before=before, after=after | told)
        history.write_in(db, done)

    ledger.write(unit)


_MENDED = (
    select(
        ORDERS.c.connection,
        ORDERS.c.order_id,
        ORDERS.c.target,
        ORDERS.c.state,
        ORDERS.c.reason,
        ORDERS.c.lease_until,
        ORDERS.c.content_hash,
    )
    .where(ORDERS.c.id == bindparam("of_pk"))
    .with_for_update()
)
