"""The way back: update queues, updates, their attempts, and calls of the hook."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ledger.columns import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "hook_calls",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("connection", sa.String(length=64), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("done_at", UtcDateTime(), nullable=True),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("hook_calls", schema=None) as batch_op:
        batch_op.create_index("ix_hook_calls_done_at", ["done_at"], unique=False)

    op.create_table(
        "update_queues",
        sa.Column("connection", sa.String(length=64), nullable=False),
        sa.Column("order_id", sa.String(length=64), nullable=False),
        sa.Column("last_seq", sa.Integer(), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.Column("next_try_at", UtcDateTime(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("lease_until", UtcDateTime(), nullable=True),
        sa.Column("lease_token", sa.String(length=32), nullable=True),
        sa.Column("settled_at", UtcDateTime(), nullable=True),
        sa.Column("order_state", sa.String(length=32), nullable=True),
        sa.Column("delivery_state", sa.String(length=32), nullable=True),
        sa.Column("order_certain", sa.Boolean(), nullable=False),
        sa.Column("delivery_certain", sa.Boolean(), nullable=False),
        sa.Column("known_at", UtcDateTime(), nullable=True),
        sa.Column("tracking_number", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("connection", "order_id"),
    )
    with op.batch_alter_table("update_queues", schema=None) as batch_op:
        batch_op.create_index("ix_update_queues_due", ["open", "next_try_at"], unique=False)

    op.create_table(
        "updates",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("connection", sa.String(length=64), nullable=False),
        sa.Column("order_id", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=True),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("origin", sa.String(length=64), nullable=False),
        sa.Column("accepted_at", UtcDateTime(), nullable=False),
        sa.Column("tracking_number", sa.String(length=64), nullable=True),
        sa.Column("order_action", sa.String(length=32), nullable=True),
        sa.Column("delivery_action", sa.String(length=32), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("replace", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("left", sa.String(length=64), nullable=False),
        sa.Column("parked", sa.String(length=64), nullable=False),
        sa.Column("fates", sa.JSON(), nullable=True),
        sa.Column("apart", sa.Boolean(), nullable=False),
        sa.Column("in_doubt", sa.Boolean(), nullable=False),
        sa.Column("state_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key", name="uq_updates_key"),
    )
    with op.batch_alter_table("updates", schema=None) as batch_op:
        batch_op.create_index("ix_updates_order", ["connection", "order_id", "seq"], unique=False)
        batch_op.create_index("ix_updates_state", ["state"], unique=False)

    op.create_table(
        "update_attempts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "update_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("parts", sa.String(length=64), nullable=False),
        sa.Column("task_id", sa.String(length=64), nullable=True),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.Column("excerpt", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["update_id"], ["updates.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("update_attempts", schema=None) as batch_op:
        batch_op.create_index("ix_update_attempts_update_id", ["update_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("update_attempts", schema=None) as batch_op:
        batch_op.drop_index("ix_update_attempts_update_id")

    op.drop_table("update_attempts")
    with op.batch_alter_table("updates", schema=None) as batch_op:
        batch_op.drop_index("ix_updates_state")
        batch_op.drop_index("ix_updates_order")

    op.drop_table("updates")
    with op.batch_alter_table("update_queues", schema=None) as batch_op:
        batch_op.drop_index("ix_update_queues_due")

    op.drop_table("update_queues")
    with op.batch_alter_table("hook_calls", schema=None) as batch_op:
        batch_op.drop_index("ix_hook_calls_done_at")

    op.drop_table("hook_calls")
