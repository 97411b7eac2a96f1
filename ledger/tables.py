"""The tables of the ledger, which is the truth about every order.

What the machinery does (tries, leases, next_try_at) and what the business says (state, reason, target_id)
never share a column; what code asks for is one, never a word inside `reason`. A change needs a migration.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from ledger import conditions
from ledger.channel_tables import CHANNELS, TELLINGS
from ledger.columns import FOUND_BY, METADATA, Key, SearchKey, UtcDateTime, may, must
from ledger.conditions import partial_index
from ledger.event_tables import HISTORY, HOOKS
from ledger.tenant_tables import (
    ACCOUNTS,
    ADDRESSES,
    CATALOG,
    PLACED_ORDERS,
    PLACED_POSITIONS,
    TENANTS,
)

__all__ = ["ACCOUNTS", "ADDRESSES", "ATTEMPTS", "CATALOG", "CHANNELS", "CURSORS", "GATES", "HISTORY", "HOOKS",
           "IDENTITY", "INTAKE", "METADATA", "ORDERS", "PLACED_ORDERS", "PLACED_POSITIONS", "QUEUES",
           "TALLIES", "TELLINGS", "TENANTS", "TIDES", "UPDATES"]  # fmt: skip

# One order of one source. `source` is its JSON as text, `reason` the codes of mapping/texts, comma
# separated; `problems` what a clerk is shown. `wanted_hash` is of the body that the target should have, as
# last mapped; `sent_hash` of what was last sent and may have arrived (None: nothing is known to have been,
# "": something of which nobody knows what it was); `noted_hash` of what a person took note of since, and
# while it differs `known_source` is its source as it was then ("": not kept). `accepted_hash` is of the
# content that a person lets go with its doubts, `let_through_hash` of that which goes although in shadow.
# `lost_lease`: the claim found the lease of another run out. `shadow`: nothing is written. `blamed_at`: it
# met what looked like the connection's fault; `strikes`: how often others went through. `sends`: calls since
# `troubled_since` without answer. `heard_*`: what the target was last heard to say. A default is the
# server's: to say it costs time.
ORDERS = Table(
    "orders",
    METADATA,
    must("id", Key, primary_key=True),
    must("connection", String(64)),
    must("order_id", String(64)),
    must("target", String(64)),
    must("external_id", String(100)),
    must("source", Text),
    must("content_hash", String(32)),
    may("shop_updated_at", UtcDateTime),
    must("received_at", UtcDateTime),
    must("state", String(16)),
    must("reason", Text, default=""),
    may("problems", JSON),
    may("target_id", String(64)),
    *(
        may(f"{name}_hash", String(32))
        for name in ("wanted", "sent", "accepted", "noted", "let_through")
    ),
    may("known_source", Text),
    must("state_at", UtcDateTime),
    must("tries", Integer, default=0),
    must("next_try_at", UtcDateTime),
    may("lease_until", UtcDateTime),
    may("lease_token", String(32)),
    may("claimed_at", UtcDateTime),
    must("lost_lease", Boolean, server_default=false()),
    must("shadow", Boolean, server_default=false()),
    may("uncertain_since", UtcDateTime),
    must("lookups", Integer, default=0),
    must("sends", Integer, server_default="0"),
    may("troubled_since", UtcDateTime),
    may("blamed_at", UtcDateTime),
    must("strikes", Integer, server_default="0"),
    may("heard_stage", String(100)),
    may("heard_number", String(64)),
    must("heard", Integer, server_default="0"),
    may("heard_at", UtcDateTime),
    may("check_at", UtcDateTime),
    *(may(name, SearchKey) for name in FOUND_BY),
    UniqueConstraint("connection", "order_id", name="uq_orders_connection_order_id"),
    Index("uq_orders_target_external_id", "target", "external_id", unique=True),
    Index("ix_orders_in_state", "state", "id"),
    Index("ix_orders_order_id", "order_id"),
    Index("ix_orders_state_at", "state_at", "id"),
    Index("ix_orders_target_id", "target_id"),
    partial_index("ix_orders_open", conditions.IS_OPEN, "target", "next_try_at", "id"),
    partial_index("ix_orders_open_by_age", conditions.IS_OPEN, "target", "id"),
    partial_index("ix_orders_shadow", conditions.IS_IN_SHADOW, "id"),
    partial_index("ix_orders_purgeable", conditions.IS_PURGEABLE, "state_at"),
    partial_index("ix_orders_held", conditions.IS_HELD, "state_at"),
    partial_index("ix_orders_watched", conditions.IS_WATCHED, "target", "check_at"),
    partial_index("ix_orders_changed", conditions.IS_CHANGED, "state", "id"),
    partial_index("ix_orders_heard_number", conditions.IS_HEARD, "heard_number"),
    *(partial_index(f"ix_orders_{name}", f"{name} IS NOT NULL", name) for name in FOUND_BY),
)

# One try at an order or an update: the `connection` that was called, when, how long, what came back.
# `parts` are those of an update that it carried, comma separated; `excerpt` is masked.
ATTEMPTS = Table(
    "attempts",
    METADATA,
    must("id", Key, primary_key=True),
    may("order_pk", Key, ForeignKey("orders.id", ondelete="CASCADE")),
    may("update_id", Key, ForeignKey("updates.id", ondelete="CASCADE")),
    must("connection", String(64)),
    must("kind", String(16)),
    must("parts", Text, default=""),
    may("task_id", String(64)),
    must("started_at", UtcDateTime),
    must("duration_ms", Integer),
    may("status", Integer),
    must("outcome", String(32)),
    must("excerpt", Text, default=""),
    partial_index("ix_attempts_of_order", conditions.OF_AN_ORDER, "order_pk"),
    partial_index("ix_attempts_of_update", conditions.OF_AN_UPDATE, "update_id"),
    partial_index("ix_attempts_at_orders", conditions.OF_AN_ORDER, "started_at"),
    partial_index("ix_attempts_at_updates", conditions.OF_AN_UPDATE, "started_at"),
    partial_index("ix_attempts_answered", conditions.HAS_ANSWER, "started_at"),
)

# How far one source has been read, and who reads it now. `start_at` is the moment of the first attempt,
# `counts_from` the one from which its orders count, fixed then: a setting that is changed later changes no
# order's fate. `behind` until it was read again since the ledger went back in time.
CURSORS = Table(
    "cursors",
    METADATA,
    must("connection", String(64), primary_key=True),
    may("start_at", UtcDateTime),
    may("counts_from", UtcDateTime),
    may("watermark", UtcDateTime),
    must("behind", Boolean, default=False, server_default=false()),
    may("lease_until", UtcDateTime),
    may("lease_token", String(32)),
    may("polled_at", UtcDateTime),
    may("failed_at", UtcDateTime),
    must("error", Text, default=""),
)

# Whether calls to one remote may go out, writes and reads apart. Closed by the breaker, a fault of the
# connection, the remote (Retry-After), or a person, `who`; `probe_at` is when one call may try it. `failed`:
# whose calls failed in a row, each once; `cleared`: a reason that turned out to be single orders' own. While
# `waking`, what waited for the gate is still being made due: all that failed before `opened_at`.
GATES = Table(
    "gates",
    METADATA,
    must("connection", String(64), primary_key=True),
    must("direction", String(8), primary_key=True, default="write"),
    must("failures", Integer, default=0),
    must("failed", Text, default=""),
    may("closed_by", String(16)),
    may("closed_at", UtcDateTime),
    must("reason", Text, default=""),
    must("who", String(64), default="", server_default=""),
    may("probe_at", UtcDateTime),
    must("cleared", Text, default=""),
    may("cleared_at", UtcDateTime),
    may("opened_at", UtcDateTime),
    must("waking", Boolean, default=False),
)

# What came in a list of orders and is none: kept raw, so that a person can look.
INTAKE = Table(
    "intake",
    METADATA,
    must("id", Key, primary_key=True),
    must("connection", String(64)),
    must("content_hash", String(32)),
    must("raw", Text),
    must("received_at", UtcDateTime),
    UniqueConstraint("connection", "content_hash", name="uq_intake_connection_content_hash"),
    Index("ix_intake_received_at", "received_at"),
)

# Who this ledger is: one row. `id` and `epoch` name its dedupe keys in Redis, so that a new ledger never
# trusts the keys of an old one, nor one that went back in time those of its lost future; `sandbox` keeps
# simulated and real systems apart. `went_back_at` is when it was last noticed that the ledger had gone back
# in time, `caught_up_at` when the sources had been read again since (None: not yet).
IDENTITY = Table(
    "identity",
    METADATA,
    must("only", Boolean, primary_key=True, default=True),
    must("id", String(32)),
    must("sandbox", Boolean),
    must("epoch", String(32), default="", server_default=""),
    may("went_back_at", UtcDateTime),
    may("caught_up_at", UtcDateTime),
)

# How far a writing process has come: each commit raises it. Redis remembers it too, so a loss is noticed.
TIDES = Table(
    "tides",
    METADATA,
    must("writer", String(32), primary_key=True),
    must("height", BigInteger),
    must("at", UtcDateTime),
)

# How many rows of a large table are in a state, as counted a while ago.
TALLIES = Table(
    "tallies",
    METADATA,
    must("name", String(40), primary_key=True),
    must("rows", BigInteger),
    must("at", UtcDateTime),
)

# The updates of one order as a queue. `known` is the source's connector's own record of what our calls taught
# us by `known_at`, `doubted` once nothing of it is certain. `settled_at` is when a lost call is over.
QUEUES = Table(
    "update_queues",
    METADATA,
    must("connection", String(64), primary_key=True),
    must("order_id", String(64), primary_key=True),
    must("last_seq", Integer, default=0),
    must("open", Boolean, default=True),
    must("next_try_at", UtcDateTime),
    must("tries", Integer, default=0),
    may("lease_until", UtcDateTime),
    may("lease_token", String(32)),
    may("settled_at", UtcDateTime),
    may("known", JSON(none_as_null=True)),
    may("known_at", UtcDateTime),
    must("doubted", Boolean, default=False, server_default=false()),
    may("blamed_at", UtcDateTime),
    must("strikes", Integer, default=0, server_default="0"),
    Index("ix_update_queues_due", "open", "next_try_at"),
    partial_index(
        "ix_update_queues_open", conditions.IS_OPEN_QUEUE, "connection", "next_try_at", "order_id"
    ),
)

# One update on its way to its source. `parts` is what it asks for, each with its value and state, `options`
# how; `fates` what a clerk is told. `retried`: a person sends it in spite of its age; `apart`: part by part;
# `in_doubt`: a call for it may have arrived; `blocks`: a part that is strictly ordered is parked; `personal`:
# what it says is still there, to be blanked in time.
UPDATES = Table(
    "updates",
    METADATA,
    must("id", Key, primary_key=True),
    must("connection", String(64)),
    must("order_id", String(64)),
    must("seq", Integer),
    may("key", String(200)),
    must("digest", String(64)),
    must("origin", String(64)),
    must("accepted_at", UtcDateTime),
    must("parts", JSON),
    must("options", JSON),
    must("state", String(16)),
    must("reason", Text, default=""),
    may("fates", JSON),
    must("retried", Boolean, default=False, server_default=false()),
    must("apart", Boolean, default=False),
    must("in_doubt", Boolean, default=False),
    must("blocks", Boolean, default=False, server_default=false()),
    must("personal", Boolean, default=False, server_default=false()),
    must("state_at", UtcDateTime),
    UniqueConstraint("key", name="uq_updates_key"),
    Index("ix_updates_of_order", "order_id", "connection", "seq"),
    Index("ix_updates_in_state", "state", "id"),
    partial_index("ix_updates_purgeable", conditions.HAS_OLD_WORDS, "state_at"),
    partial_index("ix_updates_parked", conditions.IS_PARKED, "state_at"),
)
