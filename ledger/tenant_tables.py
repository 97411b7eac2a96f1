"""The tables of tenants who place orders with us. As in ledger/tables, from where they are taken.

A change here needs a migration. Numbers are each counted by their tenant, whose row holds the last of them;
what is blanked in time is names, addresses and the texts of positions (ledger/purging, ledger/tenants/
forgetting). Source: docs/contracts/createorder.md.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from ledger import conditions
from ledger.columns import METADATA, Exact, Key, UtcDateTime, may, must
from ledger.conditions import partial_index

# `name_key` is the name in small letters, by which it is found. `connection` and what else a tenant is: as
# ledger/tenants/words has it. `last_*` is the number given last, `epoch` the ledger's when that was.
TENANTS = Table(
    "tenants",
    METADATA,
    must("id", Key, primary_key=True),
    must("name", String(40)),
    must("name_key", String(40)),
    must("zone", String(64)),
    must("creates_accounts", Boolean),
    must("address_policy", String(16)),
    must("is_delivered", Boolean),
    may("connection", String(64)),
    may("callback_url", String(500)),
    may("sealed_secret", LargeBinary),
    *(
        must(f"last_{name}", BigInteger, server_default="0")
        for name in ("order", "position", "account", "address", "catalog")
    ),
    must("epoch", String(32), server_default=""),
    UniqueConstraint("name_key", name="uq_tenants_name_key"),
)

# `is_loaded`: the merchant's own, from a file; the others came by orders and are blanked in time.
ACCOUNTS = Table(
    "accounts",
    METADATA,
    must("id", Key, primary_key=True),
    must("tenant", BigInteger),
    must("account_id", BigInteger),
    must("customer_name", String(255)),
    may("external_customer_id", String(100)),
    must("is_loaded", Boolean, server_default=false()),
    may("last_order_at", UtcDateTime),
    UniqueConstraint("tenant", "account_id", name="uq_accounts_tenant_account_id"),
    Index("ix_accounts_customer_name", "tenant", "customer_name"),
    partial_index(
        "uq_accounts_external_customer_id",
        conditions.HAS_EXTERNAL_ID,
        "tenant",
        "external_customer_id",
        unique=True,
    ),
    partial_index("ix_accounts_of_orders", conditions.IS_OF_ORDERS, "last_order_at"),
)

ADDRESSES = Table(
    "account_addresses",
    METADATA,
    must("tenant", BigInteger, primary_key=True, autoincrement=False),
    must("account_address_id", BigInteger, primary_key=True, autoincrement=False),
    must("account_id", BigInteger),
    must("text", Text),
    Index("ix_account_addresses_account", "tenant", "account_id", "account_address_id"),
)

CATALOG = Table(
    "catalog_positions",
    METADATA,
    must("tenant", BigInteger, primary_key=True, autoincrement=False),
    must("catalog_position_id", BigInteger, primary_key=True, autoincrement=False),
    must("product_name", String(255)),
    must("position_type", String(100)),
    must("unit", String(100)),
    must("default_quantity", Exact),
    must("price", Exact),
    must("product_code", String(100)),
    Index("ix_catalog_positions_product_code", "tenant", "product_code"),
    Index("ix_catalog_positions_product_name", "tenant", "product_name"),
)

# One order of a tenant; all that it says is the source of the order of the ledger that it is, `order_pk`.
# `request_key` is the name that its caller gave the request, `request_digest` is of what that said.
PLACED_ORDERS = Table(
    "placed_orders",
    METADATA,
    must("tenant", BigInteger, primary_key=True, autoincrement=False),
    must("order_id", BigInteger, primary_key=True, autoincrement=False),
    must("order_num", BigInteger),
    must("order_pk", Key, ForeignKey("orders.id")),
    must("account_id", BigInteger),
    may("account_address_id", BigInteger),
    must("order_type", Text),
    must("order_status", Text),
    must("total", Exact),
    must("placed_at", UtcDateTime),
    may("request_key", String(300)),
    must("request_digest", String(128)),
    UniqueConstraint("order_pk", name="uq_placed_orders_order_pk"),
    partial_index(
        "uq_placed_orders_request_key",
        conditions.HAS_REQUEST_KEY,
        "tenant",
        "request_key",
        unique=True,
    ),
)

PLACED_POSITIONS = Table(
    "placed_positions",
    METADATA,
    must("tenant", BigInteger, primary_key=True, autoincrement=False),
    must("position_id", BigInteger, primary_key=True, autoincrement=False),
    must("order_id", BigInteger),
    may("catalog_position_id", BigInteger),
    must("position_type", Text),
    must("product_name", Text),
    must("product_code", Text),
    must("quantity", Exact),
    must("unit", Text),
    must("price", Exact),
    Index("ix_placed_positions_order", "tenant", "order_id"),
)
