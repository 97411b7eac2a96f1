"""Tenants who place orders with us: their accounts, addresses, catalog, orders and positions."""

from __future__ import annotations

from functools import partial

import sqlalchemy as sa
from alembic import op

from ledger.columns import Exact, Key, UtcDateTime

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

NUMBERS = ("last_order", "last_position", "last_account", "last_address", "last_catalog")
# Each with its table, its condition if it has one, whether it is unique, and its columns.
INDEXES = (
    ("ix_accounts_customer_name", "accounts", None, False, ["tenant", "customer_name"]),
    (
        "uq_accounts_external_customer_id",
        "accounts",
        "external_customer_id IS NOT NULL",
        True,
        ["tenant", "external_customer_id"],
    ),
    (
        "ix_accounts_of_orders",
        "accounts",
        "NOT is_loaded AND customer_name <> ''",
        False,
        ["last_order_at"],
    ),
    (
        "ix_account_addresses_account",
        "account_addresses",
        None,
        False,
        ["tenant", "account_id", "account_address_id"],
    ),
    (
        "ix_catalog_positions_product_code",
        "catalog_positions",
        None,
        False,
        ["tenant", "product_code"],
    ),
    (
        "ix_catalog_positions_product_name",
        "catalog_positions",
        None,
        False,
        ["tenant", "product_name"],
    ),
    (
        "uq_placed_orders_request_key",
        "placed_orders",
        "request_key IS NOT NULL",
        True,
        ["tenant", "request_key"],
    ),
    ("ix_placed_positions_order", "placed_positions", None, False, ["tenant", "order_id"]),
)

_must = partial(sa.Column, nullable=False)
_may = partial(sa.Column, nullable=True)


def upgrade() -> None:
    op.create_table(
        "tenants",
        _must("id", Key),
        _must("name", sa.String(40)),
        _must("name_key", sa.String(40)),
        _must("zone", sa.String(64)),
        _must("creates_accounts", sa.Boolean()),
        _must("address_policy", sa.String(16)),
        _must("is_delivered", sa.Boolean()),
        _may("connection", sa.String(64)),
        _may("callback_url", sa.String(500)),
        _may("sealed_secret", sa.LargeBinary()),
        *(_must(name, sa.BigInteger(), server_default="0") for name in NUMBERS),
        _must("epoch", sa.String(32), server_default=""),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name_key", name="uq_tenants_name_key"),
    )
    op.create_table(
        "accounts",
        _must("id", Key),
        _must("tenant", sa.BigInteger()),
        _must("account_id", sa.BigInteger()),
        _must("customer_name", sa.String(255)),
        _may("external_customer_id", sa.String(100)),
        _must("is_loaded", sa.Boolean(), server_default=sa.false()),
        _may("last_order_at", UtcDateTime()),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("tenant", "account_id", name="uq_accounts_tenant_account_id"),
    )
    op.create_table(
        "account_addresses",
        _must("tenant", sa.BigInteger()),
        _must("account_address_id", sa.BigInteger()),
        _must("account_id", sa.BigInteger()),
        _must("text", sa.Text()),
        sa.PrimaryKeyConstraint("tenant", "account_address_id"),
    )
    op.create_table(
        "catalog_positions",
        _must("tenant", sa.BigInteger()),
        _must("catalog_position_id", sa.BigInteger()),
        _must("product_name", sa.String(255)),
        _must("position_type", sa.String(100)),
        _must("unit", sa.String(100)),
        _must("default_quantity", Exact()),
        _must("price", Exact()),
        _must("product_code", sa.String(100)),
        sa.PrimaryKeyConstraint("tenant", "catalog_position_id"),
    )
    _create_placed()
    for name, table, condition, unique, columns in INDEXES:
        where = None if condition is None else sa.text(condition)
        op.create_index(
            name, table, columns, unique=unique, sqlite_where=where, postgresql_where=where
        )


def _create_placed() -> None:
    op.create_table(
        "placed_orders",
        _must("tenant", sa.BigInteger()),
        _must("order_id", sa.BigInteger()),
        _must("order_num", sa.BigInteger()),
        _must("order_pk", Key, sa.ForeignKey("orders.id")),
        _must("account_id", sa.BigInteger()),
        _may("account_address_id", sa.BigInteger()),
        _must("order_type", sa.Text()),
        _must("order_status", sa.Text()),
        _must("total", Exact()),
        _must("placed_at", UtcDateTime()),
        _may("request_key", sa.String(300)),
        _must("request_digest", sa.String(128)),
        sa.PrimaryKeyConstraint("tenant", "order_id"),
        sa.UniqueConstraint("order_pk", name="uq_placed_orders_order_pk"),
    )
    op.create_table(
        "placed_positions",
        _must("tenant", sa.BigInteger()),
        _must("position_id", sa.BigInteger()),
        _must("order_id", sa.BigInteger()),
        _may("catalog_position_id", sa.BigInteger()),
        _must("position_type", sa.Text()),
        _must("product_name", sa.Text()),
        _must("product_code", sa.Text()),
        _must("quantity", Exact()),
        _must("unit", sa.Text()),
        _must("price", Exact()),
        sa.PrimaryKeyConstraint("tenant", "position_id"),
    )


def downgrade() -> None:
    for name, table, *_ in INDEXES:
        op.drop_index(name, table)
    for name in (
        "placed_positions",
        "placed_orders",
        "catalog_positions",
        "account_addresses",
        "accounts",
        "tenants",
    ):
        op.drop_table(name)
