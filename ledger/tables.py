"""The tables of the ledger, which is the truth about every order.

What the machinery does (tries, leases, next_try_at) and what the business says (state, reason,
target_id) never share a column, and what code asks for is a column, never a word inside `reason`. A change
here needs a migration; a test holds the two together.
"""

from __future__ import annotations

from functools import partial

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from ledger.columns import Key, UtcDateTime

# The conditions of the partial indexes. A query uses such an index only when it says the same words, as
# literals: with bound values neither database knows that the index will do.
IS_OPEN = "state IN ('received', 'waiting')"
IS_PURGEABLE = "state IN ('created', 'ignored') AND source <> ''"
IS_IN_SHADOW = "shadow"
IS_WATCHED = "check_at IS NOT NULL"
IS_UNDONE = "done_at IS NULL"
IS_OPEN_QUEUE = "open"
HAS_OLD_WORDS = "state NOT IN ('queued', 'parked') AND personal"
OF_AN_ORDER = "order_pk IS NOT NULL"
OF_AN_UPDATE = "update_id IS NOT NULL"

METADATA = MetaData()

_must = partial(Column, nullable=False)
_may = partial(Column, nullable=True)


def _partial(name: str, condition: str, *columns: str) -> Index:
    """An index over the rows that meet the condition."""
    where = text(condition)
    return Index(name, *columns, sqlite_where=where, postgresql_where=where)


# One order of one source. `source` is its JSON as text, `reason` the codes of mapping/texts, comma
# separated; `problems` what a clerk is shown. `wanted_hash` is of the body that the target should have, as
# last mapped; `sent_hash` of what was last sent and may have arrived (None: nothing is known to have been,
# "": something of which nobody knows what it was). `lost_lease`: the claim that holds it found the lease of
# another run out. `shadow`: it waits because nothing is written in shadow mode.
# `blamed_at` is when this order last met what looked like the connection's fault, `strikes` how often
# others went through all the same. `sends` are the calls since `troubled_since` that got no answer.
# `heard_*` is what the target was last heard to say of it, `heard` how often that changed; `check_at` is
# when it is read next (None: no more).
ORDERS = Table(
    "orders",
    METADATA,
    _must("id", Key, primary_key=True),
    _must("connection", String(64)),
    _must("order_id", String(64)),
    _must("target", String(64)),
    _must("external_id", String(100)),
    _must("source", Text),
    _must("content_hash", String(32)),
    _may("shop_updated_at", UtcDateTime),
    _must("received_at", UtcDateTime),
    _must("state", String(16)),
    _must("reason", Text, default=""),
    _may("problems", JSON),
    _may("target_id", String(64)),
    _may("wanted_hash", String(32)),
    _may("sent_hash", String(32)),
    _may("accepted_hash", String(32)),
    _must("state_at", UtcDateTime),
    _must("tries", Integer, default=0),
    _must("next_try_at", UtcDateTime),
    _may("lease_until", UtcDateTime),
    _may("lease_token", String(32)),
    _may("claimed_at", UtcDateTime),
    _must("lost_lease", Boolean, default=False, server_default=false()),
    _must("shadow", Boolean, default=False, server_default=false()),
    _may("uncertain_since", UtcDateTime),
    _must("lookups", Integer, default=0),
    _must("sends", Integer, default=0, server_default="0"),
    _may("troubled_since", UtcDateTime),
    _may("blamed_at", UtcDateTime),
    _must("strikes", Integer, default=0, server_default="0"),
    _may("heard_stage", String(100)),
    _may("heard_number", String(64)),
    _must("heard", Integer, default=0, server_default="0"),
    _may("heard_at", UtcDateTime),
    _may("check_at", UtcDateTime),
    UniqueConstraint("connection", "order_id", name="uq_orders_connection_order_id"),
    Index("uq_orders_target_external_id", "target", "external_id", unique=True),
    Index("ix_orders_in_state", "state", "id"),
    Index("ix_orders_order_id", "order_id"),
    Index("ix_orders_state_at", "state_at", "id"),
    Index("ix_orders_target_id", "target_id"),
    _partial("ix_orders_open", IS_OPEN, "target", "next_try_at", "id"),
    _partial("ix_orders_open_by_age", IS_OPEN, "target", "id"),
    _partial("ix_orders_shadow", IS_IN_SHADOW, "id"),
    _partial("ix_orders_purgeable", IS_PURGEABLE, "state_at"),
    _partial("ix_orders_watched", IS_WATCHED, "target", "check_at"),
)

# One try at an order or an update: the `connection` that was called, when, how long, what came back.
# `parts` are those of an update that it carried, comma separated; `excerpt` is masked.
ATTEMPTS = Table(
    "attempts",
    METADATA,
    _must("id", Key, primary_key=True),
    _may("order_pk", Key, ForeignKey("orders.id", ondelete="CASCADE")),
    _may("update_id", Key, ForeignKey("updates.id", ondelete="CASCADE")),
    _must("connection", String(64)),
    _must("kind", String(16)),
    _must("parts", Text, default=""),
    _may("task_id", String(64)),
    _must("started_at", UtcDateTime),
    _must("duration_ms", Integer),
    _may("status", Integer),
    _must("outcome", String(32)),
    _must("excerpt", Text, default=""),
    _partial("ix_attempts_of_order", OF_AN_ORDER, "order_pk"),
    _partial("ix_attempts_of_update", OF_AN_UPDATE, "update_id"),
    _partial("ix_attempts_at_orders", OF_AN_ORDER, "started_at"),
    _partial("ix_attempts_at_updates", OF_AN_UPDATE, "started_at"),
)

# How far one source has been read, and who reads it now. `start_at` is the moment of the first attempt: what
# "from now on" means for it. `behind` until it was read again since the ledger went back in time.
CURSORS = Table(
    "cursors",
    METADATA,
    _must("connection", String(64), primary_key=True),
    _may("start_at", UtcDateTime),
    _may("watermark", UtcDateTime),
    _must("behind", Boolean, default=False, server_default=false()),
    _may("lease_until", UtcDateTime),
    _may("lease_token", String(32)),
    _may("polled_at", UtcDateTime),
    _may("failed_at", UtcDateTime),
    _must("error", Text, default=""),
)

# Whether calls to one remote may go out, writes and reads apart. Closed by the breaker, a fault of the
# connection, the remote (Retry-After), or a person; `probe_at` is when one call may try it. `failed` names
# whose calls failed in a row, each once; `cleared` a reason that turned out to be single orders' own.
# While `waking`, what waited for the gate is still being made due: all that failed before `opened_at`.
GATES = Table(
    "gates",
    METADATA,
    _must("connection", String(64), primary_key=True),
    _must("direction", String(8), primary_key=True, default="write"),
    _must("failures", Integer, default=0),
    _must("failed", Text, default=""),
    _may("closed_by", String(16)),
    _may("closed_at", UtcDateTime),
    _must("reason", Text, default=""),
    _may("probe_at", UtcDateTime),
    _must("cleared", Text, default=""),
    _may("cleared_at", UtcDateTime),
    _may("opened_at", UtcDateTime),
    _must("waking", Boolean, default=False),
)

# What came in a list of orders and is none: kept raw, so that a person can look.
INTAKE = Table(
    "intake",
    METADATA,
    _must("id", Key, primary_key=True),
    _must("connection", String(64)),
    _must("content_hash", String(32)),
    _must("raw", Text),
    _must("received_at", UtcDateTime),
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
    _must("only", Boolean, primary_key=True, default=True),
    _must("id", String(32)),
    _must("sandbox", Boolean),
    _must("epoch", String(32), default="", server_default=""),
    _may("went_back_at", UtcDateTime),
    _may("caught_up_at", UtcDateTime),
)

# How far a writing process has come: each of its commits raises it. Redis remembers it too, so that a ledger
# that lost commits is noticed.
TIDES = Table(
    "tides",
    METADATA,
    _must("writer", String(32), primary_key=True),
    _must("height", BigInteger),
    _must("at", UtcDateTime),
)

# How many rows of a large table are in a state, as counted a while ago.
TALLIES = Table(
    "tallies",
    METADATA,
    _must("name", String(40), primary_key=True),
    _must("rows", BigInteger),
    _must("at", UtcDateTime),
)

# The updates of one order as a queue. `known` is the source's connector's own record of what our calls taught
# us by `known_at`, `doubted` once nothing of it is certain. `settled_at` is when a lost call is over.
QUEUES = Table(
    "update_queues",
    METADATA,
    _must("connection", String(64), primary_key=True),
    _must("order_id", String(64), primary_key=True),
    _must("last_seq", Integer, default=0),
    _must("open", Boolean, default=True),
    _must("next_try_at", UtcDateTime),
    _must("tries", Integer, default=0),
    _may("lease_until", UtcDateTime),
    _may("lease_token", String(32)),
    _may("settled_at", UtcDateTime),
    _may("known", JSON(none_as_null=True)),
    _may("known_at", UtcDateTime),
    _must("doubted", Boolean, default=False, server_default=false()),
    _may("blamed_at", UtcDateTime),
    _must("strikes", Integer, default=0, server_default="0"),
    Index("ix_update_queues_due", "open", "next_try_at"),
    _partial("ix_update_queues_open", IS_OPEN_QUEUE, "connection", "next_try_at", "order_id"),
)

# One update on its way to its source. `parts` is what it asks for, each with its value and state, `options`
# how; `fates` what a clerk is told. `retried`: a person sends it in spite of its age; `apart`: part by part;
# `in_doubt`: a call for it may have arrived; `blocks`: a part that is strictly ordered is parked; `personal`:
# a value is still there that is to be blanked in time.
UPDATES = Table(
    "updates",
    METADATA,
    _must("id", Key, primary_key=True),
    _must("connection", String(64)),
    _must("order_id", String(64)),
    _must("seq", Integer),
    _may("key", String(200)),
    _must("digest", String(64)),
    _must("origin", String(64)),
    _must("accepted_at", UtcDateTime),
    _must("parts", JSON),
    _must("options", JSON),
    _must("state", String(16)),
    _must("reason", Text, default=""),
    _may("fates", JSON),
    _must("retried", Boolean, default=False, server_default=false()),
    _must("apart", Boolean, default=False),
    _must("in_doubt", Boolean, default=False),
    _must("blocks", Boolean, default=False, server_default=false()),
    _must("personal", Boolean, default=False, server_default=false()),
    _must("state_at", UtcDateTime),
    UniqueConstraint("key", name="uq_updates_key"),
    Index("ix_updates_of_order", "order_id", "connection", "seq"),
    Index("ix_updates_in_state", "state", "id"),
    _partial("ix_updates_purgeable", HAS_OLD_WORDS, "state_at"),
)

# One call of a target's hook, kept raw until a worker has acted on it. `process` is whom it speaks of: calls
# of one process are worked off in order; `digest` is of what it said, which a repeated call says again.
HOOKS = Table(
    "hook_calls",
    METADATA,
    _must("id", Key, primary_key=True),
    _must("connection", String(64)),
    _must("fields", JSON),
    _must("received_at", UtcDateTime),
    _may("done_at", UtcDateTime),
    _must("outcome", String(32), default=""),
    _must("process", String(120), default="", server_default=""),
    _must("digest", String(32), default="", server_default=""),
    _must("tries", Integer, default=0, server_default="0"),
    _may("next_try_at", UtcDateTime),
    _may("lease_until", UtcDateTime),
    _may("lease_token", String(32)),
    Index("ix_hook_calls_done_at", "done_at"),
    Index("ix_hook_calls_latest", "process", "id"),
    _partial("ix_hook_calls_due", IS_UNDONE, "next_try_at"),
    _partial("ix_hook_calls_process", IS_UNDONE, "process", "id"),
)

# One act of a person, or of a caller with a name: who did what to which order, update or connection. `before`
# and `after` are states and reasons, never personal data. Rows are only added.
HISTORY = Table(
    "history",
    METADATA,
    _must("id", Key, primary_key=True),
    _must("at", UtcDateTime),
    _must("who", String(64)),
    _must("what", String(32)),
    _must("about", String(16)),
    _must("connection", String(64)),
    _may("order_id", String(64)),
    _may("update_id", BigInteger),
    _may("before", JSON),
    _may("after", JSON),
    Index("ix_history_of_order", "connection", "order_id", "id"),
    Index("ix_history_at", "at"),
)
