"""What waited for a person for too long is ended, and what it says is blanked with it.

In: a moment; an order held, or an update parked, since before it. Out: how many. The order is ignored, the
update cancelled, both told in the history as done by the retention. In chunks, as in ledger/purging. Raises
`LedgerUnavailable`. Called by tasks/upkeep.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, text, true

from ledger import history, purging
from ledger import updates as stored
from ledger.conditions import IS_HELD, IS_PARKED
from ledger.database import Ledger
from ledger.orders import NotPossible
from ledger.tables import ORDERS, UPDATES

# Who the history says has done it.
WHO = "retention"
# Orders in one transaction, each with its line in the history.
CHUNK = 50


def held(ledger: Ledger, before: datetime, now: datetime) -> int:
    """Ignore the orders that are held since before that moment, and blank them."""
    old = (text(IS_HELD), ORDERS.c.state_at < before)
    found = select(ORDERS.c.id).where(*old).order_by(ORDERS.c.state_at).limit(CHUNK)

    def end(db: Connection, ids: Sequence[int]) -> int:
        # Still held when it is locked: a person may release it meanwhile.
        still = select(ORDERS.c.id, ORDERS.c.connection, ORDERS.c.order_id, ORDERS.c.reason)
        rows = db.execute(still.where(ORDERS.c.id.in_(ids), *old).with_for_update()).all()
        after = {"state": "ignored", "reason": "ignored"}
        for row in rows:
            before_it = {"state": "held", "reason": row.reason}
            of = (row.connection, row.order_id)
            act = history.Act(
                now, WHO, "order_ignored", "order", *of, before=before_it, after=after
            )
            history.write_in(db, act)
        return purging.blank_orders(db, [row.id for row in rows], true(), state_at=now, **after)

    return purging.in_chunks(ledger, found, end, CHUNK)


def parked(ledger: Ledger, before: datetime, now: datetime) -> int:
    """Cancel the updates that are parked since before that moment, and blank them. What they held back
    goes.
    """
    old = (text(IS_PARKED), UPDATES.c.state_at < before)
    found = select(UPDATES.c.id).where(*old).order_by(UPDATES.c.state_at).limit(CHUNK)
    total = 0
    for _ in purging.restful():
        with ledger.read() as db:
            ids = list(db.execute(found).scalars())
        for update_id in ids:
            with suppress(NotPossible):  # a person was first
                stored.cancel(ledger, update_id, now, who=WHO)
                total += ledger.write(lambda db, one=update_id: _blank(db, one, before))  # type: ignore[misc]
        if len(ids) < CHUNK:
            break
    return total


def _blank(db: Connection, update_id: int, before: datetime) -> int:
    ended: Any = UPDATES.c.state == "cancelled"
    return purging.blank_updates(db, [update_id], ended, before)
