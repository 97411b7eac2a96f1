"""What people did: the table of the history, and what SQLite's planner is told of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ledger.columns import Key, UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# As in 0003, where the reason stands.
STATISTICS = {"ix_history_of_order": "100000 100000 2 1", "ix_history_at": "100000 2"}


def upgrade() -> None:
    op.create_table(
        "history",
        sa.Column("id", Key, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("who", sa.String(length=64), nullable=False),
        sa.Column("what", sa.String(length=32), nullable=False),
        sa.Column("about", sa.String(length=16), nullable=False),
        sa.Column("connection", sa.String(length=64), nullable=False),
        sa.Column("order_id", sa.String(length=64), nullable=True),
        sa.Column("update_id", sa.BigInteger(), nullable=True),
        sa.Column("before", sa.JSON(), nullable=True),
        sa.Column("after", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_history_of_order", "history", ["connection", "order_id", "id"])
    op.create_index("ix_history_at", "history", ["at"])
    if op.get_bind().dialect.name == "sqlite":
        statistics = sa.table("sqlite_stat1", sa.column("tbl"), sa.column("idx"), sa.column("stat"))
        op.bulk_insert(
            statistics,
            [{"tbl": "history", "idx": name, "stat": stat} for name, stat in STATISTICS.items()],
        )


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DELETE FROM sqlite_stat1 WHERE tbl = 'history'")
    op.drop_table("history")
