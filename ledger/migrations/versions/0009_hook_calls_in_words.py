"""Calls of a hook are kept with what became of them, so that a person can see them and act on them again."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from ledger.columns import UtcDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

INDEX = "ix_hook_calls_outcome"


def upgrade() -> None:
    became = sa.Column("became", sa.JSON(none_as_null=True), nullable=True)
    heard = sa.Column("heard", sa.Integer(), nullable=True)
    replayed_at: sa.Column[Any] = sa.Column("replayed_at", UtcDateTime(), nullable=True)
    for column in (became, heard, replayed_at):
        op.add_column("hook_calls", column)
    op.create_index(INDEX, "hook_calls", ["connection", "outcome", "id"])


def downgrade() -> None:
    op.drop_index(INDEX, table_name="hook_calls")
    for name in ("replayed_at", "heard", "became"):
        op.drop_column("hook_calls", name)
