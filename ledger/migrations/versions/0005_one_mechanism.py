"""Outgoing work by one mechanism: hashes of what is wanted and sent, flags as columns, one attempts table."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ledger.columns import Key, UtcDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# As ledger/tables says at this revision, and said before.
OF_AN_ORDER, OF_AN_UPDATE = "order_pk IS NOT NULL", "update_id IS NOT NULL"
WAS_IN_SHADOW = "state = 'waiting' AND reason = 'shadow'"

ATTEMPT_INDEXES = [
    ("ix_attempts_of_order", "order_pk", OF_AN_ORDER),
    ("ix_attempts_of_update", "update_id", OF_AN_UPDATE),
    ("ix_attempts_at_orders", "started_at", OF_AN_ORDER),
    ("ix_attempts_at_updates", "started_at", OF_AN_UPDATE),
]

# What SQLite's planner is told of them, as migration 0003 explains.
STATISTICS = {
    ("attempts", "ix_attempts_of_order"): "1000000 2",
    ("attempts", "ix_attempts_of_update"): "1000000 2",
    ("attempts", "ix_attempts_at_orders"): "1000000 2",
    ("attempts", "ix_attempts_at_updates"): "1000000 2",
    ("orders", "uq_orders_target_external_id"): "1000000 1000000 1",
    ("orders", "ix_orders_shadow"): "1000 1",
}
FORMER_STATISTICS = {
    ("attempts", "ix_attempts_order_pk"): "1000000 2",
    ("attempts", "ix_attempts_started_at"): "1000000 2",
    ("update_attempts", "ix_update_attempts_update_id"): "1000000 2",
    ("update_attempts", "ix_update_attempts_started_at"): "1000000 2",
    ("orders", "ix_orders_shadow"): "1000 1000 1",
}

# Both kinds in the order in which they were made: the purge walks by the key, in which attempts come in.
BOTH_KINDS = """
INSERT INTO new_attempts (order_pk, update_id, connection, kind, parts, task_id, started_at, duration_ms,
    status, outcome, excerpt)
SELECT order_pk, update_id, connection, kind, parts, task_id, started_at, duration_ms, status, outcome,
    excerpt
FROM (
    SELECT id, order_pk, NULL AS update_id, target AS connection, kind, '' AS parts, task_id, started_at,
        duration_ms, status, outcome, excerpt
    FROM attempts
    UNION ALL
    SELECT u.id, NULL, u.update_id, updates.connection, 'update', u.parts, u.task_id, u.started_at,
        u.duration_ms, u.status, u.outcome, u.excerpt
    FROM update_attempts AS u JOIN updates ON updates.id = u.update_id
) AS both_kinds
ORDER BY started_at, id
"""


def upgrade() -> None:
    _refuse_doubles()
    op.add_column("orders", sa.Column("wanted_hash", sa.String(length=32), nullable=True))
    op.add_column("orders", sa.Column("sent_hash", sa.String(length=32), nullable=True))
    for name in ("lost_lease", "shadow"):
        flag: sa.Column[bool] = sa.Column(
            name, sa.Boolean(), nullable=False, server_default=sa.false()
        )
        op.add_column("orders", flag)
    # Nobody knows what was sent where that has changed since; else it is the order as it is kept, whose
    # hash is told apart from another when that comes.
    op.execute(
        "UPDATE orders SET sent_hash = '' WHERE sent_source IS NOT NULL OR (state = 'created' AND changed)"
    )
    orders = sa.table("orders", sa.column("shadow", sa.Boolean()))
    op.execute(orders.update().where(sa.text(WAS_IN_SHADOW)).values(shadow=True))
    # The try that was lost has its attempt already. The lease of whoever holds it may still run out.
    op.execute(
        "UPDATE orders SET reason = 'uncertain' WHERE reason = 'lost_lease' AND lease_until IS NULL"
    )
    op.drop_index("ix_orders_shadow", table_name="orders")
    op.drop_column("orders", "changed")
    op.drop_column("orders", "sent_source")
    where = sa.text("shadow")
    op.create_index(
        "ix_orders_shadow", "orders", ["id"], sqlite_where=where, postgresql_where=where
    )
    op.create_index(
        "uq_orders_target_external_id", "orders", ["target", "external_id"], unique=True
    )
    _create_attempts("new_attempts")
    op.execute(BOTH_KINDS)
    op.drop_table("update_attempts")
    op.drop_table("attempts")
    op.rename_table("new_attempts", "attempts")
    for name, column, condition in ATTEMPT_INDEXES:
        where = sa.text(condition)
        op.create_index(name, "attempts", [column], sqlite_where=where, postgresql_where=where)
    _tell_statistics(FORMER_STATISTICS, STATISTICS)


def _refuse_doubles() -> None:
    """Two orders with one external id are one process to the target: a person has to look first."""
    found = op.get_bind().execute(
        sa.text(
            "SELECT target, external_id, count(*) FROM orders GROUP BY target, external_id"
            " HAVING count(*) > 1 LIMIT 5"
        )
    )
    doubles = [f"{target}: {external_id}" for target, external_id, _ in found]
    if doubles:
        raise RuntimeError(
            f"Orders share an external id in their target ({', '.join(doubles)}). Find out which of them "
            "the process is of, delete the other row, and run `orderbridge migrate`."
        )


def _create_attempts(name: str) -> None:
    op.create_table(
        name,
        sa.Column("id", Key, nullable=False),
        sa.Column("order_pk", Key, nullable=True),
        sa.Column("update_id", Key, nullable=True),
        sa.Column("connection", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("parts", sa.Text(), nullable=False),
        sa.Column("task_id", sa.String(length=64), nullable=True),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.Column("excerpt", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["order_pk"], ["orders.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["update_id"], ["updates.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )


def _tell_statistics(former: dict[tuple[str, str], str], told: dict[tuple[str, str], str]) -> None:
    if op.get_bind().dialect.name != "sqlite":
        return
    statistics = sa.table("sqlite_stat1", sa.column("tbl"), sa.column("idx"), sa.column("stat"))
    op.execute(statistics.delete().where(statistics.c.idx.in_([idx for _, idx in former])))
    op.bulk_insert(
        statistics,
        [{"tbl": tbl, "idx": idx, "stat": stat} for (tbl, idx), stat in told.items()],
    )


# Each of the two former tables: its columns beside those that both had, and what they are made of.
FORMER = {
    "attempts": ("order_pk", "orders", [("kind", 16, "kind"), ("target", 64, "connection")]),
    "update_attempts": ("update_id", "updates", [("parts", 64, "parts")]),
}
SHARED = "task_id, started_at, duration_ms, status, outcome, excerpt"


def downgrade() -> None:
    for name, _, _ in ATTEMPT_INDEXES:
        op.drop_index(name, table_name="attempts")
    op.rename_table("attempts", "all_attempts")
    for table, (owner, owners, more) in FORMER.items():
        op.create_table(
            table,
            sa.Column("id", Key, nullable=False),
            sa.Column(owner, Key, nullable=False),
            *(sa.Column(name, sa.String(length=size), nullable=False) for name, size, _ in more),
            sa.Column("task_id", sa.String(length=64), nullable=True),
            sa.Column("started_at", UtcDateTime(), nullable=False),
            sa.Column("duration_ms", sa.Integer(), nullable=False),
            sa.Column("status", sa.Integer(), nullable=True),
            sa.Column("outcome", sa.String(length=32), nullable=False),
            sa.Column("excerpt", sa.Text(), nullable=False),
            sa.ForeignKeyConstraint([owner], [f"{owners}.id"], ondelete="CASCADE"),
            sa.PrimaryKeyConstraint("id"),
        )
        op.create_index(f"ix_{table}_{owner}", table, [owner])
        op.create_index(f"ix_{table}_started_at", table, ["started_at"])
        columns = ", ".join([owner, *(name for name, _, _ in more), SHARED])
        made_of = ", ".join([owner, *(column for _, _, column in more), SHARED])
        op.execute(
            f"INSERT INTO {table} ({columns}) SELECT {made_of}"  # noqa: S608  words of ours
            f" FROM all_attempts WHERE {owner} IS NOT NULL ORDER BY id"
        )
    op.drop_table("all_attempts")
    op.drop_index("uq_orders_target_external_id", table_name="orders")
    op.drop_index("ix_orders_shadow", table_name="orders")
    op.add_column("orders", sa.Column("sent_source", sa.Text(), nullable=True))
    changed: sa.Column[bool] = sa.Column(
        "changed", sa.Boolean(), nullable=False, server_default=sa.false()
    )
    op.add_column("orders", changed)
    op.execute(
        "UPDATE orders SET changed = true WHERE state = 'created'"
        " AND coalesce(wanted_hash, '-') <> coalesce(sent_hash, '-')"
    )
    for name in ("wanted_hash", "sent_hash", "lost_lease", "shadow"):
        op.drop_column("orders", name)
    where = sa.text(WAS_IN_SHADOW)
    op.create_index(
        "ix_orders_shadow", "orders", ["reason", "id"], sqlite_where=where, postgresql_where=where
    )
    _tell_statistics(STATISTICS, FORMER_STATISTICS)
