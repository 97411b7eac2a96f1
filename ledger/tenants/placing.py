"""Places an order with its tenant: numbers, account, positions and the ledger's order in one transaction.

In: the order as asked for, how its text is made once it has its numbers, what it is found by, where its
tenant's orders go. Out: `Entered`, or `Refused` or `Repeated`, which have written nothing. Whatever fails
leaves nothing behind, numbers included. Raises `LedgerUnavailable`. Called by desk/placing.
Source: docs/contracts/createorder.md, "Account resolution"; docs/decisions/numbers-of-a-tenant.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from hashlib import blake2b
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from ledger import tides
from ledger.database import Ledger
from ledger.orders import NOT_DELIVERED, Arrived, Due, Keys, insert_new
from ledger.tables import ACCOUNTS, ADDRESSES, ORDERS, PLACED_ORDERS, PLACED_POSITIONS
from ledger.tenants import numbering
from ledger.tenants.resolving import Account, Resolution, resolve, tenant_of, tenant_row
from ledger.tenants.words import AskedOrder, Placed, Refused, Repeated, Tenant


@dataclass(frozen=True, slots=True)
class Route:
    """By which connection a tenant's orders come, to which target they go, and what their ids begin with
    there.
    """

    connection: str
    target: str
    prefix: str


RouteOf = Callable[[Tenant], Route | None]


@dataclass(frozen=True, slots=True)
class Entered:
    """A placed order; `due` is whom to ring for, None where it goes no further."""

    placed: Placed
    due: Due | None


def look(ledger: Ledger, asked: AskedOrder, route_of: RouteOf) -> Resolution | Refused | Repeated:
    """What would come of it now. Nothing is written, and nobody waits for it."""
    with ledger.read() as db:
        found = _look(db, tenant_row(db, asked.tenant), asked, route_of)
    return found if isinstance(found, Refused | Repeated) else found[0]


def place(
    ledger: Ledger,
    asked: AskedOrder,
    text: Callable[[Placed], str],
    keys: Keys,
    route_of: RouteOf,
    now: datetime,
) -> Entered | Refused | Repeated:
    """Place it, by what the ledger says once nobody else can place one with this tenant."""

    def unit(db: Connection) -> Entered | Refused | Repeated:
        row = tenant_row(db, asked.tenant, locked=True)
        found = _look(db, row, asked, route_of)
        if isinstance(found, Refused | Repeated):
            return found
        resolution, route = found
        placed = _number(db, row, resolution)
        _keep_account(db, resolution, placed, asked, now)
        due = _enter(db, ledger, placed, text(placed), keys, route, now)
        _keep_order(db, ledger, placed, asked, due, now)
        return Entered(placed, due if placed.tenant.is_delivered else None)

    return ledger.write(unit, locks=asked.tenant.lower())


def _look(
    db: Connection, row: Any, asked: AskedOrder, route_of: RouteOf
) -> tuple[Resolution, Route] | Refused | Repeated:
    if row is None:
        return Refused("tenant_unknown", {"tenant": asked.tenant})
    tenant = tenant_of(row)
    earlier = _earlier(db, tenant, asked)
    if earlier is not None:
        return earlier
    route = route_of(tenant)
    if route is None:
        return Refused("tenant_not_routed", {"tenant": asked.tenant})
    resolution = resolve(db, tenant, asked)
    return resolution if isinstance(resolution, Refused) else (resolution, route)


def _earlier(db: Connection, tenant: Tenant, asked: AskedOrder) -> Refused | Repeated | None:
    """What came of the request by this name, if there was one."""
    if asked.key is None:
        return None
    row = db.execute(_EARLIER, {"of_tenant": tenant.pk, "of_key": asked.key}).first()
    if row is None:
        return None
    if row.request_digest != asked.digest:
        return Refused("key_reused")
    return Repeated(row.source) if row.source else Refused("key_erased")


def _number(db: Connection, row: Any, resolution: Resolution) -> Placed:
    """The first write: from here on the order is placed."""
    count = len(resolution.positions)
    wanted = {"order": 1, "position": count}
    if resolution.account is None:
        wanted |= {"account": 1, "address": 1}
    last = numbering.take(db, row, tides.doubts(db), **wanted)
    position = last.position - count + 1
    if resolution.account is None:
        return resolution.placed(last.order, last.account, last.address, position)
    address = resolution.address.number
    return resolution.placed(last.order, resolution.account.account_id, address, position)


def _keep_account(
    db: Connection, resolution: Resolution, placed: Placed, asked: AskedOrder, now: datetime
) -> None:
    """Make the account with its first address; or note of one that orders brought that it has a new one."""
    of = {"tenant": placed.tenant.pk, "account_id": placed.account_id}
    if resolution.account is None:
        told = {
            "customer_name": placed.customer_name,
            "external_customer_id": asked.external_customer_id,
            "last_order_at": now,
        }
        db.execute(_NEW_ACCOUNT, of | told)
        address = {"account_address_id": placed.account_address_id, "text": asked.address_text}
        db.execute(_NEW_ADDRESS, of | address)
    elif _is_noted(resolution.account, placed):
        noted = {"of_tenant": of["tenant"], "of_account": of["account_id"], "now": now}
        db.execute(_NOTE, noted | {"name": placed.customer_name})


def _is_noted(account: Account, placed: Placed) -> bool:
    """A loaded account stays as it is, unless it was blanked before it was loaded."""
    return not account.is_loaded or account.customer_name != placed.customer_name


def _enter(
    db: Connection,
    ledger: Ledger,
    placed: Placed,
    source: str,
    keys: Keys,
    route: Route,
    now: datetime,
) -> Due:
    """Make it an order like any other."""
    arrived = Arrived(
        order_id=placed.name,
        external_id=f"{route.prefix}{placed.name}",
        source=source,
        content_hash=blake2b(source.encode(), digest_size=16).hexdigest(),
        shop_updated_at=now,
    )
    pk = insert_new(
        db,
        ledger,
        route.connection,
        route.target,
        arrived,
        # What it was found by was read before it had its number.
        replace(keys, number=str(placed.order_num)),
        now,
        ignored="" if placed.tenant.is_delivered else NOT_DELIVERED,
    )
    return Due(pk, route.connection, route.target)


def _keep_order(
    db: Connection, ledger: Ledger, placed: Placed, asked: AskedOrder, due: Due, now: datetime
) -> None:
    order = {
        "tenant": placed.tenant.pk,
        "order_id": placed.order_id,
        "order_num": placed.order_num,
        "order_pk": due.pk,
        "account_id": placed.account_id,
        "account_address_id": placed.account_address_id,
        "order_type": asked.order_type,
        "order_status": asked.order_status,
        "total": placed.total,
        "placed_at": now,
        "request_key": asked.key,
        "request_digest": asked.digest,
    }
    # At once, since the next unit may be the same request again.
    db.execute(_NEW_ORDER, order)
    of = {"tenant": placed.tenant.pk, "order_id": placed.order_id}
    for one in placed.positions:
        ledger.insert_later(_NEW_POSITION, of | asdict(one))


_EARLIER = (
    select(PLACED_ORDERS.c.request_digest, ORDERS.c.source)
    .join(ORDERS, ORDERS.c.id == PLACED_ORDERS.c.order_pk)
    .where(
        PLACED_ORDERS.c.tenant == bindparam("of_tenant"),
        PLACED_ORDERS.c.request_key == bindparam("of_key"),
    )
)
_NEW_ACCOUNT = insert(ACCOUNTS)
_NEW_ADDRESS = insert(ADDRESSES)
_NEW_ORDER = insert(PLACED_ORDERS)
_NEW_POSITION = insert(PLACED_POSITIONS)
_NOTE = (
    update(ACCOUNTS)
    .where(
        ACCOUNTS.c.tenant == bindparam("of_tenant"),
        ACCOUNTS.c.account_id == bindparam("of_account"),
    )
    .values(customer_name=bindparam("name"), last_order_at=bindparam("now"))
)
