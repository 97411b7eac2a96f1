"""The conditions of the partial indexes, in the words that a query must use to be answered by one.

As literals: with bound values neither database knows that the index will do. A change here is a change of an
index, so it needs a migration; nothing fails, but a query that says other words is slow. Used by
ledger/tables and by every query of such an index.
"""

from __future__ import annotations

from sqlalchemy import Index, text

IS_OPEN = "state IN ('received', 'waiting')"
IS_PURGEABLE = "state IN ('created', 'ignored') AND source <> ''"
IS_HELD = "state = 'held'"
IS_IN_SHADOW = "shadow"
# That the target has another body than the one wanted, and no person took note of that. Where neither is
# known, as of an order created before hashes were kept, nothing says that it has. As an equality, which
# PostgreSQL takes for rare; of an inequality it expects half of all orders, and walks through them.
IS_CHANGED = (
    "state = 'created' AND CASE WHEN coalesce(wanted_hash, '-') <> coalesce(noted_hash, sent_hash, '-')"
    " THEN 1 ELSE 0 END = 1"
)
IS_WATCHED = "check_at IS NOT NULL"
IS_HEARD = "heard_number IS NOT NULL"
IS_UNDONE = "done_at IS NULL"
IS_OPEN_QUEUE = "open"
HAS_OLD_WORDS = "state NOT IN ('queued', 'parked') AND personal"
IS_PARKED = "state = 'parked'"
HAS_ANSWER = "excerpt <> ''"
OF_AN_ORDER = "order_pk IS NOT NULL"
OF_AN_UPDATE = "update_id IS NOT NULL"

HAS_EXTERNAL_ID = "external_customer_id IS NOT NULL"
HAS_REQUEST_KEY = "request_key IS NOT NULL"
# An account that orders brought, while it still has a name.
IS_OF_ORDERS = "NOT is_loaded AND customer_name <> ''"


def partial_index(name: str, condition: str, *columns: str, unique: bool = False) -> Index:
    """An index over the rows that meet the condition."""
    where = text(condition)
    return Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)
