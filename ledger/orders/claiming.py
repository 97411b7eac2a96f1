"""The right to work on one order: taken, let go of, and what it says of the body that is sent.

The claim itself notes the hash of the body that it sends, so that it stands before the call does; of an
order whose last call may have arrived it leaves what that one carried, until that is known not to be there.
Raises `LedgerUnavailable`. Called, by its package, by tasks/creating.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, false, func, select

from ledger import attempts
from ledger.attempts import Try
from ledger.conditions import IS_OPEN
from ledger.database import Ledger
from ledger.leases import Leases
from ledger.orders.rows import OPEN, Claim, Trouble
from ledger.tables import ORDERS

_TAKEN_OVER = ORDERS.c.lease_until.is_not(None)
# That a person lets it go, as it is now, although in shadow mode.
IS_LET_THROUGH = func.coalesce(ORDERS.c.let_through_hash == ORDERS.c.content_hash, false())
_IS_CERTAIN = ORDERS.c.uncertain_since.is_(None)

LEASES = Leases(
    table=ORDERS,
    key={"of_id": ORDERS.c.id},
    open=IS_OPEN,
    is_open=ORDERS.c.state.in_(OPEN),
    remote=ORDERS.c.target,
    tie=ORDERS.c.id,
    shown=(ORDERS.c.id, ORDERS.c.connection, ORDERS.c.target),
    claimed=(
        ORDERS.c.connection,
        ORDERS.c.target,
        ORDERS.c.order_id,
        ORDERS.c.external_id,
        ORDERS.c.source,
        ORDERS.c.content_hash,
        func.coalesce(ORDERS.c.accepted_hash == ORDERS.c.content_hash, false()),
        ORDERS.c.tries,
        ORDERS.c.uncertain_since,
        ORDERS.c.lookups,
        ORDERS.c.sent_hash,
        ORDERS.c.blamed_at,
        ORDERS.c.strikes,
        ORDERS.c.sends,
        ORDERS.c.troubled_since,
        ORDERS.c.lost_lease,
        IS_LET_THROUGH.label("let_through"),
        ORDERS.c.state_at,
    ),
    on_claim={
        "claimed_at": bindparam("now"),
        # From now on, and not from the lease's end: a clock that leapt ahead ends leases in mid-call.
        "uncertain_since": case((_TAKEN_OVER, bindparam("now")), else_=ORDERS.c.uncertain_since),
        "lookups": case((_TAKEN_OVER, 0), else_=ORDERS.c.lookups),
        "lost_lease": _TAKEN_OVER,
        "reason": case((_TAKEN_OVER, "lost_lease"), else_=ORDERS.c.reason),
        "sent_hash": case(
            (and_(_IS_CERTAIN, ~_TAKEN_OVER), ORDERS.c.wanted_hash), else_=ORDERS.c.sent_hash
        ),
        "known_source": case((and_(_IS_CERTAIN, ~_TAKEN_OVER), None), else_=ORDERS.c.known_source),
    },
    on_return={
        "lost_lease": False,
        "reason": case((ORDERS.c.lost_lease, "uncertain"), else_=ORDERS.c.reason),
        "sent_hash": case((_IS_CERTAIN, None), else_=ORDERS.c.sent_hash),
    },
    unblamed=(ORDERS.c.blamed_at.is_(None), ORDERS.c.troubled_since.is_(None), _IS_CERTAIN),
    first=(ORDERS.c.id.desc(),),
    sleeps=(
        ORDERS.c.state == "waiting",
        _IS_CERTAIN,
        ORDERS.c.blamed_at.is_(None),
        ORDERS.c.state_at <= bindparam("opened_at"),
    ),
)


def claim(
    ledger: Ledger, pk: int, now: datetime, lease: float, task_id: str | None = None
) -> Claim | None:
    """Take the order for `lease` seconds, or None: someone else has it, or it is not due, or done.

    A lease that ran out counts as a try whose fate is unknown and which may have gone on until now.
    """

    def unit(db: Connection) -> Claim | None:
        taken = LEASES.claim(db, {"of_id": pk}, now, lease)
        if taken is None:
            return None
        row = taken.rows[0]
        if row.lost_lease:
            took = timedelta(seconds=lease)
            lost = Try("create", now - took, int(lease * 1000), "lost", task_id=task_id)
            attempts.note(ledger, row.target, lost, order_pk=pk)
        found: tuple[Any, ...] = (pk, taken.token, taken.until, *row[:11], Trouble(*row[11:15]))
        return replace(Claim(*found), let_through=row.let_through, state_at=row.state_at)

    return ledger.write(unit)


def is_let_through(ledger: Ledger, pk: int) -> bool:
    """Whether a person lets this order go although in shadow mode; what counts is what its claim says."""
    with ledger.read() as db:
        return bool(db.execute(_LET_THROUGH, {"of_pk": pk}).scalar())


_LET_THROUGH = select(IS_LET_THROUGH).where(ORDERS.c.id == bindparam("of_pk"))


def give_back(ledger: Ledger, claim: Claim, next_try_at: datetime) -> None:
    """Let go of an order with which nothing was done: no try is counted, no state changes."""
    of = {"of_id": claim.pk}
    ledger.write(lambda db: LEASES.give_back(db, of, claim.token, next_try_at))


def begin_again(ledger: Ledger, claim: Claim, sent_hash: str | None, now: datetime) -> None:
    """Note that what was sent earlier is certain not to be there, and that a second call of this try, which
    carries the body of this hash, begins only now.
    """
    values = {"claimed_at": now, "sent_hash": sent_hash, "known_source": None}
    ledger.write(lambda db: LEASES.change(db, {"of_id": claim.pk}, claim.token, **values))


def certain(claim: Claim, sent_hash: str | None) -> Claim:
    """The claim of an order of which it is certain by now that no earlier call took effect."""
    return replace(claim, uncertain_since=None, lookups=0, sent_hash=sent_hash)
