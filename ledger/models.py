"""The tables of the ledger, which is the truth about every order.

What the machinery does (tries, leases, next_try_at) and what the business says (state, reason,
target_id) never share a column. A change here needs a migration in ledger/migrations/versions; a test
holds the two together.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeEngine


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC, on SQLite (which keeps no offset) as on PostgreSQL."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[datetime]:
        return dialect.type_descriptor(DateTime(timezone=dialect.name != "sqlite"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("A time without a zone was given to the ledger.")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


Key = BigInteger().with_variant(Integer, "sqlite")


# The conditions of the partial indexes. A query uses such an index only when it says the same words, as
# literals: with bound values neither database knows that the index will do.
IS_OPEN = "state IN ('received', 'waiting')"
IS_PURGEABLE = "state IN ('created', 'ignored') AND source <> ''"
IS_IN_SHADOW = "state = 'waiting' AND reason = 'shadow'"
IS_WATCHED = "check_at IS NOT NULL"
IS_UNDONE = "done_at IS NULL"
IS_OPEN_QUEUE = "open"
HAS_OLD_WORDS = "state NOT IN ('queued', 'parked') AND personal"


def _partial(name: str, condition: str, *columns: str) -> Index:
    """An index over the rows that meet the condition."""
    where = text(condition)
    return Index(name, *columns, sqlite_where=where, postgresql_where=where)


class Base(DeclarativeBase):
    type_annotation_map = {  # noqa: RUF012  SQLAlchemy reads this as a plain attribute
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        list[dict[str, Any]]: JSON,
    }


class Order(Base):
    """One order of one shop. `source` is the shop's JSON as text, `reason` the codes of mapping/texts,
    comma separated; `problems` what a clerk is shown.

    `sent_source` is the shop's JSON as a call of unknown fate carried it, where it has changed since.
    `blamed_at` is when this order last met what looked like the connection's fault, `strikes` how often
    others went through all the same. `sends` are the calls since `troubled_since` that got no answer.
    `heard_*` is what the CRM was last heard to say of the process, `heard` how often that changed;
    `check_at` is when it is read next (None: no more).
    """

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    connection: Mapped[str] = mapped_column(String(64))
    order_id: Mapped[str] = mapped_column(String(64))
    target: Mapped[str] = mapped_column(String(64))
    external_id: Mapped[str] = mapped_column(String(100))
    source: Mapped[str] = mapped_column(Text)
    content_hash: Mapped[str] = mapped_column(String(32))
    shop_updated_at: Mapped[datetime | None]
    received_at: Mapped[datetime]

    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text, default="")
    problems: Mapped[list[dict[str, Any]] | None]
    target_id: Mapped[str | None] = mapped_column(String(64))
    changed: Mapped[bool] = mapped_column(default=False)
    accepted_hash: Mapped[str | None] = mapped_column(String(32))
    state_at: Mapped[datetime]

    tries: Mapped[int] = mapped_column(default=0)
    next_try_at: Mapped[datetime]
    lease_until: Mapped[datetime | None]
    lease_token: Mapped[str | None] = mapped_column(String(32))
    claimed_at: Mapped[datetime | None]
    uncertain_since: Mapped[datetime | None]
    lookups: Mapped[int] = mapped_column(default=0)
    sent_source: Mapped[str | None] = mapped_column(Text)
    sends: Mapped[int] = mapped_column(default=0)
    troubled_since: Mapped[datetime | None]
    blamed_at: Mapped[datetime | None]
    strikes: Mapped[int] = mapped_column(default=0)

    heard_stage: Mapped[str | None] = mapped_column(String(100))
    heard_number: Mapped[str | None] = mapped_column(String(64))
    heard: Mapped[int] = mapped_column(default=0)
    heard_at: Mapped[datetime | None]
    check_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("connection", "order_id", name="uq_orders_connection_order_id"),
        Index("ix_orders_in_state", "state", "id"),
        Index("ix_orders_order_id", "order_id"),
        Index("ix_orders_state_at", "state_at", "id"),
        Index("ix_orders_target_id", "target_id"),
        _partial("ix_orders_open", IS_OPEN, "target", "next_try_at", "id"),
        _partial("ix_orders_open_by_age", IS_OPEN, "target", "id"),
        _partial("ix_orders_shadow", IS_IN_SHADOW, "reason", "id"),
        _partial("ix_orders_purgeable", IS_PURGEABLE, "state_at"),
        _partial("ix_orders_watched", IS_WATCHED, "target", "check_at"),
    )


class Attempt(Base):
    """One try at one order: when, how long, what came back. `excerpt` is masked."""

    __tablename__ = "attempts"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    order_pk: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(16))
    target: Mapped[str] = mapped_column(String(64))
    task_id: Mapped[str | None] = mapped_column(String(64))
    started_at: Mapped[datetime]
    duration_ms: Mapped[int]
    status: Mapped[int | None]
    outcome: Mapped[str] = mapped_column(String(32))
    excerpt: Mapped[str] = mapped_column(Text, default="")

    __table_args__ = (
        Index("ix_attempts_order_pk", "order_pk"),
        Index("ix_attempts_started_at", "started_at"),
    )


class Cursor(Base):
    """How far one shop has been read, and who is reading it now. `start_at` is the moment of the first
    attempt: what "from now on" means for this shop. `behind` until it was read again since the ledger went
    back in time.
    """

    __tablename__ = "cursors"

    connection: Mapped[str] = mapped_column(String(64), primary_key=True)
    start_at: Mapped[datetime | None]
    watermark: Mapped[datetime | None]
    behind: Mapped[bool] = mapped_column(default=False, server_default=false())
    lease_until: Mapped[datetime | None]
    lease_token: Mapped[str | None] = mapped_column(String(32))
    polled_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]
    error: Mapped[str] = mapped_column(Text, default="")


class Gate(Base):
    """Whether calls to one remote system may go out, its writes and its reads apart. Closed by the
    breaker, by a fault of the connection, by the remote (Retry-After), or by a person; `probe_at` is when
    one call may try it.

    `failed` names whose calls failed in a row, each once; `cleared` is a reason that turned out to be
    single orders' own, at `cleared_at`. While `waking`, what waited for the gate is still being made due:
    all that failed before `opened_at`.
    """

    __tablename__ = "gates"

    connection: Mapped[str] = mapped_column(String(64), primary_key=True)
    direction: Mapped[str] = mapped_column(String(8), primary_key=True, default="write")
    failures: Mapped[int] = mapped_column(default=0)
    failed: Mapped[str] = mapped_column(Text, default="")
    closed_by: Mapped[str | None] = mapped_column(String(16))
    closed_at: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(Text, default="")
    probe_at: Mapped[datetime | None]
    cleared: Mapped[str] = mapped_column(Text, default="")
    cleared_at: Mapped[datetime | None]
    opened_at: Mapped[datetime | None]
    waking: Mapped[bool] = mapped_column(default=False)


class Intake(Base):
    """What came in a list of orders and is no order: kept raw, so that a person can look."""

    __tablename__ = "intake"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    connection: Mapped[str] = mapped_column(String(64))
    content_hash: Mapped[str] = mapped_column(String(32))
    raw: Mapped[str] = mapped_column(Text)
    received_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("connection", "content_hash", name="uq_intake_connection_content_hash"),
        Index("ix_intake_received_at", "received_at"),
    )


class Identity(Base):
    """Who this ledger is: one row. `id` and `epoch` name its dedupe keys in Redis, so that a new ledger
    never trusts the keys of an old one, nor one that went back in time those of its lost future;
    `sandbox` keeps simulated and real systems apart.

    `went_back_at` is when it was last noticed that the ledger had gone back in time, `caught_up_at` when
    the shops had been read again since (None: not yet).
    """

    __tablename__ = "identity"

    only: Mapped[bool] = mapped_column(primary_key=True, default=True)
    id: Mapped[str] = mapped_column(String(32))
    sandbox: Mapped[bool]
    epoch: Mapped[str] = mapped_column(String(32), default="")
    went_back_at: Mapped[datetime | None]
    caught_up_at: Mapped[datetime | None]


class Tide(Base):
    """How far one writing process has come: a number that each of its commits raises. Redis remembers it
    too, so that a ledger that lost commits is noticed.
    """

    __tablename__ = "tides"

    writer: Mapped[str] = mapped_column(String(32), primary_key=True)
    height: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime]


class Tally(Base):
    """How many rows of a large table are in a state, as counted a while ago."""

    __tablename__ = "tallies"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    rows: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime]


class UpdateQueue(Base):
    """The updates of one order as a queue, and what is known of that order at its source.

    One drain at a time holds the lease. `known` is the source's connector's own record of what our calls
    taught us by `known_at`; `doubted` once nothing of it is certain any more. `settled_at` is when a call
    whose answer was lost can no longer take effect.
    """

    __tablename__ = "update_queues"

    connection: Mapped[str] = mapped_column(String(64), primary_key=True)
    order_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    last_seq: Mapped[int] = mapped_column(default=0)
    open: Mapped[bool] = mapped_column(default=True)
    next_try_at: Mapped[datetime]
    tries: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None]
    lease_token: Mapped[str | None] = mapped_column(String(32))
    settled_at: Mapped[datetime | None]
    known: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    known_at: Mapped[datetime | None]
    doubted: Mapped[bool] = mapped_column(default=False, server_default=false())
    blamed_at: Mapped[datetime | None]
    strikes: Mapped[int] = mapped_column(default=0)

    __table_args__ = (
        Index("ix_update_queues_due", "open", "next_try_at"),
        _partial("ix_update_queues_open", IS_OPEN_QUEUE, "connection", "next_try_at", "order_id"),
    )


class Update(Base):
    """One update of one order on its way to its source. `parts` is what it asks for, each part with its
    value and state, `options` how; `fates` what a clerk is told of each part, in the order in which it came.

    `retried`: a person sends it in spite of its age; `apart`: its parts go one by one; `in_doubt`: a call for
    it may have arrived; `blocks`: a part of it that is strictly ordered is parked; `personal`: a value is
    still there that is to be blanked in time.
    """

    __tablename__ = "updates"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    connection: Mapped[str] = mapped_column(String(64))
    order_id: Mapped[str] = mapped_column(String(64))
    seq: Mapped[int]
    key: Mapped[str | None] = mapped_column(String(200))
    digest: Mapped[str] = mapped_column(String(64))
    origin: Mapped[str] = mapped_column(String(64))
    accepted_at: Mapped[datetime]

    parts: Mapped[dict[str, Any]]
    options: Mapped[dict[str, Any]]

    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text, default="")
    fates: Mapped[list[dict[str, Any]] | None]
    retried: Mapped[bool] = mapped_column(default=False, server_default=false())
    apart: Mapped[bool] = mapped_column(default=False)
    in_doubt: Mapped[bool] = mapped_column(default=False)
    blocks: Mapped[bool] = mapped_column(default=False, server_default=false())
    personal: Mapped[bool] = mapped_column(default=False, server_default=false())
    state_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("key", name="uq_updates_key"),
        Index("ix_updates_of_order", "order_id", "connection", "seq"),
        Index("ix_updates_in_state", "state", "id"),
        _partial("ix_updates_purgeable", HAS_OLD_WORDS, "state_at"),
    )


class UpdateAttempt(Base):
    """One call to the shop for an update: when, how long, what came back. `excerpt` is masked."""

    __tablename__ = "update_attempts"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    update_id: Mapped[int] = mapped_column(ForeignKey("updates.id", ondelete="CASCADE"))
    parts: Mapped[str] = mapped_column(String(64))
    task_id: Mapped[str | None] = mapped_column(String(64))
    started_at: Mapped[datetime]
    duration_ms: Mapped[int]
    status: Mapped[int | None]
    outcome: Mapped[str] = mapped_column(String(32))
    excerpt: Mapped[str] = mapped_column(Text, default="")

    __table_args__ = (
        Index("ix_update_attempts_update_id", "update_id"),
        Index("ix_update_attempts_started_at", "started_at"),
    )


class HookCall(Base):
    """One call of the OneBox hook, kept raw until a worker has acted on it. `process` is whom it speaks
    of, so that calls of one process are worked off together, in order; `digest` is of what it said, which a
    repeated call says again.
    """

    __tablename__ = "hook_calls"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    connection: Mapped[str] = mapped_column(String(64))
    fields: Mapped[dict[str, Any]]
    received_at: Mapped[datetime]
    done_at: Mapped[datetime | None]
    outcome: Mapped[str] = mapped_column(String(32), default="")
    process: Mapped[str] = mapped_column(String(120), default="")
    digest: Mapped[str] = mapped_column(String(32), default="")
    tries: Mapped[int] = mapped_column(default=0)
    next_try_at: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    lease_token: Mapped[str | None] = mapped_column(String(32))

    __table_args__ = (
        Index("ix_hook_calls_done_at", "done_at"),
        Index("ix_hook_calls_latest", "process", "id"),
        _partial("ix_hook_calls_due", IS_UNDONE, "next_try_at"),
        _partial("ix_hook_calls_process", IS_UNDONE, "process", "id"),
    )
