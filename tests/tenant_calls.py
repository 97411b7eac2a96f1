"""Short ways to have tenants, and to place orders with them, in tests of the ledger."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy import func, insert, select

from ledger import tenants
from ledger.orders import NO_KEYS
from ledger.tables import (
    ACCOUNTS,
    ADDRESSES,
    CATALOG,
    ORDERS,
    PLACED_ORDERS,
    PLACED_POSITIONS,
    TENANTS,
)
from ledger.tenants import AskedOrder, AskedPosition, Entered, Route

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ROUTE = Route("inbox", "crm", "co-")
NAME = "Zegoal885"


def add_tenant(ledger, name=NAME, **more):
    """A tenant as a file would make it; the key of its row."""
    values = {
        "name": name,
        "name_key": name.lower(),
        "zone": "Europe/Minsk",
        "creates_accounts": True,
        "address_policy": "one",
        "is_delivered": True,
    }
    statement = insert(TENANTS).returning(TENANTS.c.id)
    return ledger.write(lambda db: db.execute(statement, values | more).scalar_one())


def add(ledger, table, *rows):
    ledger.write(lambda db: db.execute(insert(table), list(rows)))


def add_account(ledger, tenant, number, name, external=None, *, addresses=(), loaded=True):
    """An account, with addresses by their numbers."""
    account = {
        "tenant": tenant,
        "account_id": number,
        "customer_name": name,
        "external_customer_id": external,
        "is_loaded": loaded,
    }
    add(ledger, ACCOUNTS, account)
    for address in addresses:
        row = {"account_address_id": address, "account_id": number, "text": f"street {address}"}
        add(ledger, ADDRESSES, row | {"tenant": tenant})


def add_catalog(ledger, tenant, number, **more):
    row = {
        "tenant": tenant,
        "catalog_position_id": number,
        "product_name": f"position #{number}",
        "position_type": "Goods",
        "unit": "шт",
        "default_quantity": Decimal(2),
        "price": Decimal("23.1"),
        "product_code": "",
    }
    add(ledger, CATALOG, row | more)


def asked(**more):
    return AskedOrder(**{"tenant": NAME, "digest": "d"} | more)


def line(**more):
    return AskedPosition(**{"product_name": "p", "price": Decimal("1.5")} | more)


def text_of(placed):
    return json.dumps({"id": placed.name, "number": str(placed.order_num)})


def place(ledger, wish, *, now=NOW, text=text_of, route=ROUTE, keys=NO_KEYS):
    """What becomes of it: the placed order, or what refuses or repeats it."""
    found = tenants.place(ledger, wish, text, keys, lambda _: route, now)
    return found.placed if isinstance(found, Entered) else found


def everything(ledger):
    """All rows of tenants' tables, and of the orders made of theirs."""
    tables = (TENANTS, ACCOUNTS, ADDRESSES, CATALOG, PLACED_ORDERS, PLACED_POSITIONS, ORDERS)
    with ledger.read() as db:
        return {table.name: db.execute(select(table)).mappings().all() for table in tables}


def count(ledger, table):
    with ledger.read() as db:
        return db.execute(select(func.count()).select_from(table)).scalar_one()
