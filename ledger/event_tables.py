"""The tables of what was told and done, of the ledger: calls of hooks, acts of people. As in ledger/tables,
from where they are taken.

A change here needs a migration.
"""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Index, Integer, String, Table

from ledger import conditions
from ledger.columns import METADATA, Key, UtcDateTime, may, must
from ledger.conditions import partial_index

# One call of a target's hook. `process` is whom it speaks of, whose calls go in order; `digest` is of what
# it said, `became` what a person is told of it, `heard` which change of its order it told.
HOOKS = Table(
    "hook_calls",
    METADATA,
    must("id", Key, primary_key=True),
    must("connection", String(64)),
    must("fields", JSON),
    must("received_at", UtcDateTime),
    may("done_at", UtcDateTime),
    must("outcome", String(32), default=""),
    must("process", String(120), default="", server_default=""),
    must("digest", String(32), default="", server_default=""),
    may("became", JSON(none_as_null=True)),
    may("heard", Integer),
    may("replayed_at", UtcDateTime),
    must("tries", Integer, default=0, server_default="0"),
    may("next_try_at", UtcDateTime),
    may("lease_until", UtcDateTime),
    may("lease_token", String(32)),
    Index("ix_hook_calls_outcome", "connection", "outcome", "id"),
    Index("ix_hook_calls_done_at", "done_at"),
    Index("ix_hook_calls_latest", "process", "id"),
    partial_index("ix_hook_calls_due", conditions.IS_UNDONE, "next_try_at"),
    partial_index("ix_hook_calls_process", conditions.IS_UNDONE, "process", "id"),
)

# One act of a person, or of a caller with a name, on an order, update or connection. `before` and `after` are
# states and reasons, never personal data. Rows are only added.
HISTORY = Table(
    "history",
    METADATA,
    must("id", Key, primary_key=True),
    must("at", UtcDateTime),
    must("who", String(64)),
    must("what", String(32)),
    must("about", String(16)),
    must("connection", String(64)),
    may("order_id", String(64)),
    may("update_id", BigInteger),
    may("before", JSON),
    may("after", JSON),
    Index("ix_history_of_order", "connection", "order_id", "id"),
    Index("ix_history_at", "at"),
)
