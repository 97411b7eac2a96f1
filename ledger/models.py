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


class Base(DeclarativeBase):
    type_annotation_map = {  # noqa: RUF012  SQLAlchemy reads this as a plain attribute
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        list[dict[str, Any]]: JSON,
    }


class Order(Base):
    """One order of one shop. `source` is the shop's JSON as text, `reason` the codes of mapping/texts,
    comma separated; `problems` what a clerk is shown.
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

    __table_args__ = (
        UniqueConstraint("connection", "order_id", name="uq_orders_connection_order_id"),
        Index("ix_orders_due", "state", "next_try_at"),
        Index("ix_orders_received_at", "received_at"),
        Index("ix_orders_order_id", "order_id"),
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
    """How far one shop has been read, and who is reading it now."""

    __tablename__ = "cursors"

    connection: Mapped[str] = mapped_column(String(64), primary_key=True)
    watermark: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    lease_token: Mapped[str | None] = mapped_column(String(32))
    polled_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]
    error: Mapped[str] = mapped_column(Text, default="")


class Gate(Base):
    """Whether calls to one remote system may go out. Closed by the breaker, by a fault of the
    connection, or by a person; `probe_at` is when one call may try it.
    """

    __tablename__ = "gates"

    connection: Mapped[str] = mapped_column(String(64), primary_key=True)
    failures: Mapped[int] = mapped_column(default=0)
    closed_by: Mapped[str | None] = mapped_column(String(16))
    closed_at: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(Text, default="")
    probe_at: Mapped[datetime | None]


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
    )


class Identity(Base):
    """Who this ledger is: one row. `id` names its dedupe keys in Redis, so that a new ledger never
    trusts the keys of an old one; `sandbox` keeps simulated and real systems apart.
    """

    __tablename__ = "identity"

    only: Mapped[bool] = mapped_column(primary_key=True, default=True)
    id: Mapped[str] = mapped_column(String(32))
    sandbox: Mapped[bool]


class UpdateQueue(Base):
    """The updates of one order as a queue, and what we know of that order in the shop.

    One drain at a time holds the lease. The states are what our own calls taught us at `known_at`, certain
    or not; `settled_at` is when a call whose answer was lost can no longer take effect.
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

    order_state: Mapped[str | None] = mapped_column(String(32))
    delivery_state: Mapped[str | None] = mapped_column(String(32))
    order_certain: Mapped[bool] = mapped_column(default=False)
    delivery_certain: Mapped[bool] = mapped_column(default=False)
    known_at: Mapped[datetime | None]
    tracking_number: Mapped[str | None] = mapped_column(String(64))

    __table_args__ = (Index("ix_update_queues_due", "open", "next_try_at"),)


class Update(Base):
    """One update of one order on its way to the shop. `left` are the parts still to be sent, comma
    separated; `fates` what became of the others.
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

    tracking_number: Mapped[str | None] = mapped_column(String(64))
    order_action: Mapped[str | None] = mapped_column(String(32))
    delivery_action: Mapped[str | None] = mapped_column(String(32))
    note: Mapped[str | None] = mapped_column(Text)
    replace: Mapped[bool] = mapped_column(default=False)

    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text, default="")
    left: Mapped[str] = mapped_column(String(64))
    parked: Mapped[str] = mapped_column(String(64), default="")
    fates: Mapped[list[dict[str, Any]] | None]
    apart: Mapped[bool] = mapped_column(default=False)
    in_doubt: Mapped[bool] = mapped_column(default=False)
    state_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("key", name="uq_updates_key"),
        Index("ix_updates_order", "connection", "order_id", "seq"),
        Index("ix_updates_state", "state"),
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

    __table_args__ = (Index("ix_update_attempts_update_id", "update_id"),)


class HookCall(Base):
    """One call of the OneBox hook, kept raw until a worker has acted on it."""

    __tablename__ = "hook_calls"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    connection: Mapped[str] = mapped_column(String(64))
    fields: Mapped[dict[str, Any]]
    received_at: Mapped[datetime]
    done_at: Mapped[datetime | None]
    outcome: Mapped[str] = mapped_column(String(32), default="")

    __table_args__ = (Index("ix_hook_calls_done_at", "done_at"),)
