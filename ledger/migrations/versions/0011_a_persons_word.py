"""A person's word: who closed a gate, and which order goes although its connection is in shadow mode."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("gates", sa.Column("who", sa.String(64), nullable=False, server_default=""))
    op.add_column("orders", sa.Column("let_through_hash", sa.String(32), nullable=True))


def downgrade() -> None:
    op.drop_column("orders", "let_through_hash")
    # A person's pause is not known to whoever comes after: it would never end.
    op.drop_column("gates", "who")
