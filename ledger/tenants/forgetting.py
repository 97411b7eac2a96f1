"""Time passes: the names and addresses of accounts that orders brought are blanked.

In: a moment; whose newest order is from before it is forgotten. Out: how many accounts. Their numbers and
external ids stay, by which they are found again; loaded accounts are the merchant's own and stay whole.
Raises `LedgerUnavailable`. Called by tasks/upkeep. Source: docs/decisions/the-purge-reaches-the-files.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, and_, bindparam, select, text, update

from ledger.conditions import IS_OF_ORDERS
from ledger.database import Ledger
from ledger.purging import CHUNK, in_chunks
from ledger.tables import ACCOUNTS, ADDRESSES


def accounts(ledger: Ledger, before: datetime) -> int:
    """Blank accounts whose newest order was placed before that moment."""
    old = and_(text(IS_OF_ORDERS), ACCOUNTS.c.last_order_at < before)
    found = select(ACCOUNTS.c.id).where(old).order_by(ACCOUNTS.c.last_order_at).limit(CHUNK)

    def blank(db: Connection, ids: Sequence[int]) -> int:
        # As far as they are still old: an order may have come meanwhile.
        blanked = update(ACCOUNTS).where(ACCOUNTS.c.id.in_(ids), old).values(customer_name="")
        rows = db.execute(blanked.returning(ACCOUNTS.c.tenant, ACCOUNTS.c.account_id)).all()
        if rows:
            # One by one: SQLite looks through the whole table for a list of pairs.
            db.execute(_BLANK, [{"of_tenant": row[0], "of_account": row[1]} for row in rows])
        return len(rows)

    return in_chunks(ledger, found, blank)


_BLANK = (
    update(ADDRESSES)
    .where(
        ADDRESSES.c.tenant == bindparam("of_tenant"),
        ADDRESSES.c.account_id == bindparam("of_account"),
    )
    .values(text="")
)
