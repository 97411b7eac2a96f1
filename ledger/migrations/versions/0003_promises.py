"""What the promises need: who is blamed, what was sent and heard, how far the ledger is, and the indexes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

from ledger.columns import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# As ledger/tables said at this revision.
IS_OPEN = "state IN ('received', 'waiting')"
IS_PURGEABLE = "state IN ('created', 'ignored') AND source <> ''"
IS_IN_SHADOW = "state = 'waiting' AND reason = 'shadow'"
IS_WATCHED = "check_at IS NOT NULL"
IS_UNDONE = "done_at IS NULL"
IS_OPEN_QUEUE = "open"
HAS_OLD_NOTE = "state NOT IN ('queued', 'parked') AND note IS NOT NULL"


def _columns() -> dict[str, list[sa.Column[Any]]]:
    return {
        "orders": [
            sa.Column("sent_source", sa.Text(), nullable=True),
            sa.Column("sends", sa.Integer(), nullable=False, server_default="0"),
            sa.Column("troubled_since", UtcDateTime(), nullable=True),
            sa.Column("blamed_at", UtcDateTime(), nullable=True),
            sa.Column("strikes", sa.Integer(), nullable=False, server_default="0"),
            sa.Column("heard_stage", sa.String(length=100), nullable=True),
            sa.Column("heard_number", sa.String(length=64), nullable=True),
            sa.Column("heard", sa.Integer(), nullable=False, server_default="0"),
            sa.Column("heard_at", UtcDateTime(), nullable=True),
            sa.Column("check_at", UtcDateTime(), nullable=True),
        ],
        "cursors": [
            sa.Column("start_at", UtcDateTime(), nullable=True),
            sa.Column("behind", sa.Boolean(), nullable=False, server_default=sa.false()),
        ],
        "identity": [
            sa.Column("epoch", sa.String(length=32), nullable=False, server_default=""),
            sa.Column("went_back_at", UtcDateTime(), nullable=True),
            sa.Column("caught_up_at", UtcDateTime(), nullable=True),
        ],
        "update_queues": [
            sa.Column("blamed_at", UtcDateTime(), nullable=True),
            sa.Column("strikes", sa.Integer(), nullable=False, server_default="0"),
        ],
        "hook_calls": [
            sa.Column("process", sa.String(length=120), nullable=False, server_default=""),
            sa.Column("digest", sa.String(length=32), nullable=False, server_default=""),
            sa.Column("tries", sa.Integer(), nullable=False, server_default="0"),
            sa.Column("next_try_at", UtcDateTime(), nullable=True),
            sa.Column("lease_until", UtcDateTime(), nullable=True),
            sa.Column("lease_token", sa.String(length=32), nullable=True),
        ],
    }


# name, table, columns, the condition of a partial one
INDEXES: list[tuple[str, str, list[str], str | None]] = [
    ("ix_orders_state_at", "orders", ["state_at", "id"], None),
    ("ix_orders_target_id", "orders", ["target_id"], None),
    ("ix_orders_open", "orders", ["target", "next_try_at", "id"], IS_OPEN),
    ("ix_orders_open_by_age", "orders", ["target", "id"], IS_OPEN),
    ("ix_orders_shadow", "orders", ["reason", "id"], IS_IN_SHADOW),
    ("ix_orders_purgeable", "orders", ["state_at"], IS_PURGEABLE),
    ("ix_orders_watched", "orders", ["target", "check_at"], IS_WATCHED),
    ("ix_intake_received_at", "intake", ["received_at"], None),
    (
        "ix_update_queues_open",
        "update_queues",
        ["connection", "next_try_at", "order_id"],
        IS_OPEN_QUEUE,
    ),
    ("ix_orders_in_state", "orders", ["state", "id"], None),
    ("ix_updates_in_state", "updates", ["state", "id"], None),
    ("ix_updates_of_order", "updates", ["order_id", "connection", "seq"], None),
    ("ix_updates_purgeable", "updates", ["state_at"], HAS_OLD_NOTE),
    ("ix_update_attempts_started_at", "update_attempts", ["started_at"], None),
    ("ix_hook_calls_latest", "hook_calls", ["process", "id"], None),
    ("ix_hook_calls_due", "hook_calls", ["next_try_at"], IS_UNDONE),
    ("ix_hook_calls_process", "hook_calls", ["process", "id"], IS_UNDONE),
]

# Those that these take the place of; `id` is the order of arrival too.
REPLACED: list[tuple[str, str, list[str]]] = [
    ("ix_orders_received_at", "orders", ["received_at"]),
    ("ix_orders_due", "orders", ["state", "next_try_at"]),
    ("ix_updates_state", "updates", ["state"]),
    ("ix_updates_order", "updates", ["connection", "order_id", "seq"]),
]

# What SQLite's planner is told of the indexes: the rows in each, then how many share its first column, its
# first two, and so on. Left to itself it guesses that an equality finds ten rows, also that of a state, and
# goes through all created orders where a key would do. Whoever runs ANALYZE replaces this by the truth.
# Source: sqlite.org/fileformat2.html, "The sqlite_stat1 table"; docs/decisions/queries-of-a-long-ledger.md.
STATISTICS = {
    "orders": {
        "sqlite_autoindex_orders_1": "1000000 1000000 1",
        "ix_orders_order_id": "1000000 1",
        "ix_orders_in_state": "1000000 200000 1",
        "ix_orders_state_at": "1000000 2 1",
        "ix_orders_target_id": "1000000 1",
        "ix_orders_open": "100000 100000 2 1",
        "ix_orders_open_by_age": "100000 100000 1",
        "ix_orders_shadow": "1000 1000 1",
        "ix_orders_purgeable": "100000 2",
        "ix_orders_watched": "100000 100000 2",
    },
    "attempts": {"ix_attempts_order_pk": "1000000 2", "ix_attempts_started_at": "1000000 2"},
    "updates": {
        "sqlite_autoindex_updates_1": "1000000 1",
        "ix_updates_of_order": "1000000 2 2 1",
        "ix_updates_in_state": "1000000 200000 1",
        "ix_updates_purgeable": "100000 2",
    },
    "update_queues": {
        "sqlite_autoindex_update_queues_1": "1000000 1000000 1",
        "ix_update_queues_due": "1000000 500000 2",
        "ix_update_queues_open": "100000 100000 2 1",
    },
    "update_attempts": {
        "ix_update_attempts_update_id": "1000000 2",
        "ix_update_attempts_started_at": "1000000 2",
    },
    "hook_calls": {
        # Those not done share its one empty value.
        "ix_hook_calls_done_at": "1000000 10000",
        "ix_hook_calls_due": "1000 2",
        "ix_hook_calls_process": "1000 2 1",
    },
}

WATCHED = timedelta(days=30)


def upgrade() -> None:
    for table, columns in _columns().items():
        for column in columns:
            op.add_column(table, column)
    op.create_table(
        "tides",
        sa.Column("writer", sa.String(length=32), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("writer"),
    )
    op.create_table(
        "tallies",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    _gates_with_directions()
    for name, table, _ in REPLACED:
        op.drop_index(name, table_name=table)
    for name, table, indexed, condition in INDEXES:
        where = None if condition is None else sa.text(condition)
        op.create_index(name, table, indexed, sqlite_where=where, postgresql_where=where)
    if op.get_bind().dialect.name == "sqlite":
        _tell_statistics()
    orders = sa.table(
        "orders",
        sa.column("state", sa.String()),
        sa.column("state_at", UtcDateTime()),
        sa.column("check_at", UtcDateTime()),
    )
    since = datetime.now(UTC) - WATCHED
    op.execute(
        orders.update()
        .where(orders.c.state == "created", orders.c.state_at >= since)
        .values(check_at=orders.c.state_at)
    )
    # Calls that nobody has acted on yet are due: without a time they would never be.
    hooks = sa.table(
        "hook_calls",
        sa.column("done_at", UtcDateTime()),
        sa.column("received_at", UtcDateTime()),
        sa.column("next_try_at", UtcDateTime()),
    )
    op.execute(
        hooks.update().where(hooks.c.done_at.is_(None)).values(next_try_at=hooks.c.received_at)
    )


def _tell_statistics() -> None:
    op.execute("ANALYZE")  # makes the table of statistics, which nothing else may
    op.execute("DELETE FROM sqlite_stat1")
    statistics = sa.table("sqlite_stat1", sa.column("tbl"), sa.column("idx"), sa.column("stat"))
    op.bulk_insert(
        statistics,
        [
            {"tbl": table, "idx": index, "stat": stat}
            for table, indexes in STATISTICS.items()
            for index, stat in indexes.items()
        ],
    )


def _gates_with_directions() -> None:
    """A gate is a guess about the remote's health: the old ones are forgotten but for a person's."""
    op.create_table(
        "new_gates",
        sa.Column("connection", sa.String(length=64), nullable=False),
        sa.Column("direction", sa.String(length=8), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Text(), nullable=False),
        sa.Column("closed_by", sa.String(length=16), nullable=True),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("probe_at", UtcDateTime(), nullable=True),
        sa.Column("cleared", sa.Text(), nullable=False),
        sa.Column("cleared_at", UtcDateTime(), nullable=True),
        sa.Column("opened_at", UtcDateTime(), nullable=True),
        sa.Column("waking", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "direction"),
    )
    op.execute(
        "INSERT INTO new_gates (connection, direction, failures, failed, closed_by, closed_at, reason,"
        " probe_at, cleared, waking) SELECT connection, 'write', 0, '', closed_by, closed_at, reason,"
        " probe_at, '', false FROM gates WHERE closed_by = 'person'"
    )
    op.drop_table("gates")
    op.rename_table("new_gates", "gates")


def downgrade() -> None:
    for name, table, _, _ in reversed(INDEXES):
        op.drop_index(name, table_name=table)
    for name, table, indexed in REPLACED:
        op.create_index(name, table, indexed)
    op.drop_table("gates")
    op.create_table(
        "gates",
        sa.Column("connection", sa.String(length=64), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("closed_by", sa.String(length=16), nullable=True),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("probe_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("connection"),
    )
    op.drop_table("tallies")
    op.drop_table("tides")
    for table, columns in _columns().items():
        with op.batch_alter_table(table) as altered:
            for column in columns:
                altered.drop_column(column.name)
