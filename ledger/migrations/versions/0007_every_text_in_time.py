"""Every text is blanked in time: what became of an update, what was answered, what waits for people."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

INDEXES = [
    ("ix_orders_held", "orders", "state_at", "state = 'held'"),
    ("ix_updates_parked", "updates", "state_at", "state = 'parked'"),
    ("ix_attempts_answered", "attempts", "started_at", "excerpt <> ''"),
]


def upgrade() -> None:
    # What was blanked before said what it was told of until now.
    op.execute("UPDATE updates SET personal = true WHERE NOT personal")
    for name, table, column, condition in INDEXES:
        where = sa.text(condition)
        op.create_index(name, table, [column], sqlite_where=where, postgresql_where=where)
    if op.get_bind().dialect.name == "sqlite":
        # As in 0003, where the reason stands.
        statistics = sa.table("sqlite_stat1", sa.column("tbl"), sa.column("idx"), sa.column("stat"))
        told = [{"tbl": table, "idx": name, "stat": "100000 2"} for name, table, _, _ in INDEXES]
        op.bulk_insert(statistics, told)


def downgrade() -> None:
    for name, table, _, _ in INDEXES:
        if op.get_bind().dialect.name == "sqlite":
            op.execute(sa.text("DELETE FROM sqlite_stat1 WHERE idx = :name").bindparams(name=name))
        op.drop_index(name, table_name=table)
