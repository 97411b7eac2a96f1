"""Of a changed order, what it was before and whether a person took note; and what an order is found by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ledger.columns import SearchKey

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

IS_CHANGED = (
    "state = 'created' AND CASE WHEN coalesce(wanted_hash, '-') <> coalesce(noted_hash, sent_hash, '-')"
    " THEN 1 ELSE 0 END = 1"
)
KEYS = ("number", "tracking", "phone", "name", "buyer_phone", "buyer_name")
# name, columns, condition, and what SQLite's planner is told, as in 0003, where the reason stands
INDEXES = [
    # By the state too, though it is one: for its key alone SQLite reads all that are created instead.
    ("ix_orders_changed", ["state", "id"], IS_CHANGED, "1000 1000 1"),
    ("ix_orders_heard_number", ["heard_number"], "heard_number IS NOT NULL", "100000 2"),
    *((f"ix_orders_{key}", [key], f"{key} IS NOT NULL", "100000 2") for key in KEYS),
]


def upgrade() -> None:
    op.add_column("orders", sa.Column("noted_hash", sa.String(length=32), nullable=True))
    op.add_column("orders", sa.Column("known_source", sa.Text(), nullable=True))
    for key in KEYS:
        op.add_column("orders", sa.Column(key, SearchKey, nullable=True))
    for name, columns, condition, _ in INDEXES:
        where = sa.text(condition)
        op.create_index(name, "orders", columns, sqlite_where=where, postgresql_where=where)
    if op.get_bind().dialect.name == "sqlite":
        statistics = sa.table("sqlite_stat1", sa.column("tbl"), sa.column("idx"), sa.column("stat"))
        told = [{"tbl": "orders", "idx": name, "stat": stat} for name, _, _, stat in INDEXES]
        op.bulk_insert(statistics, told)


def downgrade() -> None:
    for name, _, _, _ in INDEXES:
        if op.get_bind().dialect.name == "sqlite":
            op.execute(sa.text("DELETE FROM sqlite_stat1 WHERE idx = :name").bindparams(name=name))
        op.drop_index(name, table_name="orders")
    for column in (*reversed(KEYS), "known_source", "noted_hash"):
        op.drop_column("orders", column)
