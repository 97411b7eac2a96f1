"""How a try at an order went: its outcome, an id that came late, an order that a target has twice.

In: the claim, an `Outcome`, aware UTC times. Out: whether it was of use. Raises `LedgerUnavailable`.
Called, by its package, by tasks/verdicts and tasks/creating.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, case, func, select, update

from ledger import attempts
from ledger.attempts import Try
from ledger.columns import UtcDateTime
from ledger.database import Ledger
from ledger.orders.claiming import LEASES
from ledger.orders.rows import Claim, Outcome, Trouble
from ledger.tables import ORDERS

# What the target says of a new process is read for the first time so long after it was made.
FIRST_CHECK = timedelta(minutes=10)

# What was mapped is what is wanted, unless the order has changed since it was claimed.
_IS_AS_CLAIMED = ORDERS.c.content_hash == bindparam("claimed_hash")
_WANTED = case(
    (_IS_AS_CLAIMED, func.coalesce(bindparam("new_wanted_hash"), ORDERS.c.wanted_hash)),
    else_=ORDERS.c.wanted_hash,
)
_SENT: ColumnElement[str | None] = func.coalesce(bindparam("new_sent_hash"), ORDERS.c.sent_hash)
_UNCERTAIN_SINCE = bindparam("new_uncertain_since", type_=UtcDateTime())
_CHECK_AT = bindparam("new_check_at", type_=UtcDateTime())
_RECORD = (
    update(ORDERS)
    .where(LEASES.held)
    .values(
        # What changed while a worker held it back is mapped anew, not held for its old content.
        state=case(
            (and_(~_IS_AS_CLAIMED, bindparam("new_state") == "held"), "waiting"),
            else_=bindparam("new_state"),
        ),
        wanted_hash=_WANTED,
        # After a call that certainly failed nothing has arrived; after one of unknown fate what it carried
        # may have.
        sent_hash=case(
            (bindparam("new_state") == "created", _SENT),
            (_UNCERTAIN_SINCE.is_(None), None),
            else_=_SENT,
        ),
        **{name: bindparam(f"new_{name}") for name in Trouble.__dataclass_fields__},
        reason=bindparam("new_reason"),
        problems=bindparam("new_problems"),
        target_id=func.coalesce(bindparam("new_target_id"), ORDERS.c.target_id),
        state_at=bindparam("now"),
        tries=ORDERS.c.tries + bindparam("counted"),
        next_try_at=bindparam("new_next_try_at"),
        uncertain_since=_UNCERTAIN_SINCE,
        lookups=bindparam("new_lookups"),
        lease_until=None,
        lease_token=None,
        lost_lease=False,
        shadow=bindparam("new_shadow"),
        # A person's word for one order to go in shadow mode ends with it.
        let_through_hash=case(
            (bindparam("new_state") == "waiting", ORDERS.c.let_through_hash), else_=None
        ),
        check_at=case((bindparam("new_state") == "created", _CHECK_AT), else_=ORDERS.c.check_at),
    )
)

# An id that the target gave is kept even when the lease was lost meanwhile: it is the truth.
_ADOPT_LATE = (
    update(ORDERS)
    .where(
        LEASES.these,
        # In a ledger that went back the key may belong to another order by now.
        ORDERS.c.external_id == bindparam("of_external_id"),
        ORDERS.c.target_id.is_(None),
    )
    .values(
        state="created",
        reason="",
        target_id=bindparam("new_target_id"),
        state_at=bindparam("now"),
        wanted_hash=_WANTED,
        sent_hash=_SENT,
        lease_until=None,
        lease_token=None,
        lost_lease=False,
        shadow=False,
        let_through_hash=None,
        uncertain_since=None,
        check_at=_CHECK_AT,
    )
)


def record(
    ledger: Ledger, claim: Claim, outcome: Outcome, tried: Try | None, now: datetime
) -> bool:
    """Commit the outcome of a claim and give the order back; False when the lease was lost and the
    outcome was of no more use (someone else has gone on with the order).
    """
    values = {
        "of_id": claim.pk,
        "claimed_hash": claim.content_hash,
        "new_wanted_hash": outcome.wanted_hash,
        "new_sent_hash": outcome.sent_hash,
        "new_target_id": outcome.target_id,
        "new_check_at": now + FIRST_CHECK,
        "now": now,
    }
    more = {
        "of_token": claim.token,
        "new_state": outcome.state,
        "new_reason": outcome.reason,
        "new_problems": outcome.problems,
        "new_next_try_at": outcome.next_try_at or now,
        "new_uncertain_since": outcome.uncertain_since,
        "new_lookups": outcome.lookups,
        "new_shadow": outcome.shadow,
        "new_blamed_at": outcome.trouble.blamed_at,
        "new_strikes": outcome.trouble.strikes,
        "new_sends": outcome.trouble.sends,
        "new_troubled_since": outcome.trouble.troubled_since,
        "counted": int(outcome.counts),
    }

    def unit(db: Connection) -> bool:
        kept = bool(db.execute(_RECORD, values | more).rowcount)
        if not kept and outcome.target_id is not None:
            late = values | {"of_external_id": claim.external_id}
            kept = bool(db.execute(_ADOPT_LATE, late).rowcount)
        if tried is not None and (kept or _is_there(db, claim)):
            attempts.note(ledger, claim.target, tried, order_pk=claim.pk)
        return kept

    return ledger.write(unit)


def _is_there(db: Connection, claim: Claim) -> bool:
    """Whether the row is still this order's: a ledger that went back may have none, or another one by its
    key.
    """
    found = select(ORDERS.c.external_id).where(ORDERS.c.id == claim.pk)
    return db.execute(found).scalar_one_or_none() == claim.external_id


def doubled(ledger: Ledger, claim: Claim, target_id: str) -> str | None:
    """The id that another holder recorded for this order, where it is not this one: the CRM has it twice. A
    person is told by a problem of the order.
    """

    def unit(db: Connection) -> str | None:
        row = db.execute(
            select(ORDERS.c.target_id, ORDERS.c.problems)
            # In a ledger that went back the key may belong to another order by now, or to none.
            .where(ORDERS.c.id == claim.pk, ORDERS.c.external_id == claim.external_id)
            .with_for_update()
        ).first()
        if row is None or row.target_id in {None, target_id}:
            return None
        problems = [*(row.problems or []), doubled_problem([row.target_id, target_id])]
        db.execute(update(ORDERS).where(ORDERS.c.id == claim.pk).values(problems=problems))
        return str(row.target_id)

    return ledger.write(unit)


def doubled_problem(target_ids: Sequence[str]) -> dict[str, Any]:
    """What a clerk is shown of an order that the CRM has more than once."""
    detail = ", ".join(target_ids)
    return {"code": "order_doubled", "level": "warning", "field": "", "detail": detail}
