"""From when the orders of a source count stands in the ledger, fixed at the first attempt to read it."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from ledger.columns import UtcDateTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# What `all` meant when it was the default: whatever a source lists.
EVERYTHING = datetime(2000, 1, 1, tzinfo=UTC)


def upgrade() -> None:
    op.add_column("cursors", sa.Column("counts_from", UtcDateTime, nullable=True))
    cursors = sa.table(
        "cursors",
        sa.column("connection"),
        sa.column("watermark"),
        sa.column("polled_at"),
        sa.column("counts_from", UtcDateTime),
    )
    orders = sa.table("orders", sa.column("connection"))
    # Until now whatever a poll listed counted, also where the reading had begun later.
    was_read = sa.or_(
        cursors.c.watermark.is_not(None),
        cursors.c.polled_at.is_not(None),
        sa.exists().where(orders.c.connection == cursors.c.connection),
    )
    op.execute(cursors.update().where(was_read).values(counts_from=EVERYTHING))


def downgrade() -> None:
    op.drop_column("cursors", "counts_from")
