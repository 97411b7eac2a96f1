"""What an asked order means to its tenant: which account, which address, which positions. Only reads.

In: a connection and the order as asked for. Out: a `Resolution`, or `Refused` with the fields to blame.
Nothing is guessed: an account that is not found by the key that counts is looked for by no other. Called by
ledger/tenants/placing within its transaction and before it.
Source: docs/contracts/createorder.md, "Account resolution".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, cast

from sqlalchemy import Connection, bindparam, select

from ledger.database import Ledger
from ledger.tables import ACCOUNTS, ADDRESSES, CATALOG, TENANTS
from ledger.tenants.words import (
    LONGEST_EXTERNAL_ID,
    LONGEST_NAME,
    Addressee,
    AddressPolicy,
    AskedOrder,
    AskedPosition,
    Placed,
    Position,
    Refused,
    Tenant,
)

# What a position has that neither the order nor the catalog says otherwise.
UNIT, QUANTITY = "шт", Decimal(1)
# The greatest number that a column holds.
_GREATEST = 2**63 - 1
# Ids in one statement.
_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Account:
    """An account that is there; without a name it was blanked."""

    account_id: int
    customer_name: str
    is_loaded: bool


@dataclass(frozen=True, slots=True)
class Address:
    """One of an account's; without a number none, or the first one of a new account."""

    number: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Resolution:
    """What an order will be once it has its numbers. Without `account` one is made, with its first address.
    Positions have no number yet.
    """

    tenant: Tenant
    account: Account | None
    address: Address
    customer_name: str
    creates_account: bool
    positions: tuple[Position, ...]

    def placed(self, order: int, account: int, address: int | None, position: int) -> Placed:
        """The order with these numbers, those of its positions beginning with the one given."""
        return Placed(
            tenant=self.tenant,
            order_id=order,
            order_num=order,
            account_id=account,
            account_address_id=address,
            customer_name=self.customer_name,
            creates_account=self.creates_account,
            positions=tuple(
                replace(one, position_id=number)
                for number, one in enumerate(self.positions, position)
            ),
            address_text=self.address.text,
        )

    def provisional(self) -> Placed:
        """The order as if it had its numbers already, to see what it says."""
        account = 0 if self.account is None else self.account.account_id
        return self.placed(0, account, self.address.number, 0)


def tenant_row(db: Connection, name: str, *, locked: bool = False) -> Any:
    """The row of the tenant, whatever the case of its name; None: there is none. `locked`: nobody else gives
    its numbers until the transaction ends.
    """
    if not name.isascii():
        return None
    return db.execute(_TENANT_LOCKED if locked else _TENANT, {"of_key": name.lower()}).first()


def tenant_of(row: Any) -> Tenant:
    return Tenant(
        pk=row.id,
        name=row.name,
        zone=row.zone,
        creates_accounts=row.creates_accounts,
        address_policy=cast("AddressPolicy", row.address_policy),
        is_delivered=row.is_delivered,
        connection=row.connection,
        callback_url=row.callback_url,
    )


def addressee(ledger: Ledger, name: str) -> Addressee | None:
    """Where the tenant of this name is told of its orders; None: nowhere, or there is no such tenant."""
    with ledger.read() as db:
        row = tenant_row(db, name)
    if row is None or row.callback_url is None:
        return None
    return Addressee(row.name, row.callback_url, row.sealed_secret)


def resolve(db: Connection, tenant: Tenant, asked: AskedOrder) -> Resolution | Refused:
    """What this order means to this tenant."""
    creates = tenant.creates_accounts if asked.creates_account is None else asked.creates_account
    account = _account(db, tenant.pk, asked, creates=creates)
    if isinstance(account, Refused):
        return account
    address = _address(db, tenant, account, asked)
    if isinstance(address, Refused):
        return address
    positions = _positions(db, tenant.pk, asked.positions)
    if isinstance(positions, Refused):
        return positions
    # Of one that was blanked the customer's name is what the order says.
    known = account.customer_name if account is not None else ""
    return Resolution(
        tenant, account, address, known or asked.customer_name or "", creates, positions
    )


def _account(
    db: Connection, tenant: int, asked: AskedOrder, *, creates: bool
) -> Account | Refused | None:
    """The account by the first key that was given; None: it is to be made."""
    if asked.account_id is not None:
        found = _accounts(db, _BY_ID, tenant, asked.account_id) if is_id(asked.account_id) else []
        unknown = Refused("account_not_found", {"account_id": str(asked.account_id)})
        return found[0] if found else unknown
    given = _given(asked)
    if not given:
        return Refused("account_unsaid", dict.fromkeys(("account_id", *_BY), ""))
    field, value = next(iter(given.items()))
    found = _accounts(db, _BY[field], tenant, value)
    if len(found) > 1:
        return Refused("account_ambiguous", {field: value})
    if found:
        return found[0]
    return _missing(given) if creates else Refused("account_not_found", {field: value})


def _given(asked: AskedOrder) -> dict[str, str]:
    """The keys that were given besides the id, the one that counts first; an empty one is none."""
    keys = (asked.external_customer_id, asked.customer_name)
    return {name: value for name, value in zip(_BY, keys, strict=True) if value}


def _missing(given: Mapping[str, str]) -> Refused | None:
    """What an account to be made lacks, if anything."""
    missing = dict.fromkeys([name for name in _BY if name not in given], "")
    long = {name: value for name, value in given.items() if len(value) > _LONGEST[name]}
    return Refused("account_incomplete", missing | long) if missing or long else None


def _accounts(db: Connection, statement: Any, tenant: int, key: object) -> list[Account]:
    return [Account(*row) for row in db.execute(statement, {"of_tenant": tenant, "key": key})]


def _address(
    db: Connection, tenant: Tenant, account: Account | None, asked: AskedOrder
) -> Address | Refused:
    """The address that the order goes to. What it says of it goes before what is kept."""
    number = asked.account_address_id
    if number is not None:
        of = {"of_tenant": tenant.pk, "of_address": number}
        row = db.execute(_BY_NUMBER, of).first() if is_id(number) else None
        if account is None or row is None or row.account_id != account.account_id:
            return Refused("address_not_found", {"account_address_id": str(number)})
        return Address(number, asked.address_text or row.text)
    if account is None:
        return Address(None, asked.address_text)
    of = {"of_tenant": tenant.pk, "of_account": account.account_id}
    found = db.execute(_ADDRESSES, of).all()
    if len(found) == 1:
        return Address(found[0].account_address_id, asked.address_text or found[0].text)
    if tenant.address_policy == "one":
        return Refused("address_needed", {"account_address_id": ""})
    return Address(None, asked.address_text)


def _positions(
    db: Connection, tenant: int, asked: Sequence[AskedPosition]
) -> tuple[Position, ...] | Refused:
    ids = {one.catalog_position_id for one in asked if one.catalog_position_id is not None}
    known = sorted(filter(is_id, ids))
    catalog = {
        row.catalog_position_id: row
        for begin in range(0, len(known), _AT_ONCE)
        for row in db.execute(
            _CATALOG, {"of_tenant": tenant, "ids": known[begin : begin + _AT_ONCE]}
        )
    }
    missing = {
        f"order_positions.{place}.catalog_position_id": str(one.catalog_position_id)
        for place, one in enumerate(asked)
        if one.catalog_position_id is not None and one.catalog_position_id not in catalog
    }
    if missing:
        return Refused("catalog_not_found", missing)
    return tuple(_position(one, catalog.get(one.catalog_position_id)) for one in asked)


def _position(asked: AskedPosition, listed: Any) -> Position:
    """What the order says of it counts before what the catalog says."""
    if listed is None and (asked.product_name is None or asked.price is None):
        raise ValueError("a position that is not of the catalog says its name and price")

    def said(given: Any, name: str, default: Any) -> Any:
        if given is not None:
            return given
        return default if listed is None else getattr(listed, name)

    return Position(
        position_id=0,
        catalog_position_id=asked.catalog_position_id,
        position_type=said(asked.position_type, "position_type", ""),
        product_name=said(asked.product_name, "product_name", ""),
        product_code=said(asked.product_code, "product_code", ""),
        quantity=said(asked.quantity, "default_quantity", QUANTITY),
        unit=said(asked.unit, "unit", UNIT),
        price=said(asked.price, "price", Decimal(0)),
    )


def is_id(number: int) -> bool:
    """Whether it can be the number of anything here."""
    return 0 < number <= _GREATEST


_LONGEST = {"customer_name": LONGEST_NAME, "external_customer_id": LONGEST_EXTERNAL_ID}
_TENANT = select(TENANTS).where(TENANTS.c.name_key == bindparam("of_key"))
# Its name is no other's key, so who only refers to the row need not wait.
_TENANT_LOCKED = _TENANT.with_for_update(key_share=True)
_OF_TENANT = select(ACCOUNTS.c.account_id, ACCOUNTS.c.customer_name, ACCOUNTS.c.is_loaded).where(
    ACCOUNTS.c.tenant == bindparam("of_tenant")
)
_BY_ID = _OF_TENANT.where(ACCOUNTS.c.account_id == bindparam("key"))
_BY_EXTERNAL_ID = _OF_TENANT.where(ACCOUNTS.c.external_customer_id == bindparam("key"))
_BY_NAME = _OF_TENANT.where(ACCOUNTS.c.customer_name == bindparam("key")).limit(2)
_BY = {"external_customer_id": _BY_EXTERNAL_ID, "customer_name": _BY_NAME}
_BY_NUMBER = select(ADDRESSES.c.account_id, ADDRESSES.c.text).where(
    ADDRESSES.c.tenant == bindparam("of_tenant"),
    ADDRESSES.c.account_address_id == bindparam("of_address"),
)
_ADDRESSES = (
    select(ADDRESSES.c.account_address_id, ADDRESSES.c.text)
    .where(
        ADDRESSES.c.tenant == bindparam("of_tenant"),
        ADDRESSES.c.account_id == bindparam("of_account"),
    )
    .limit(2)
)
_CATALOG = select(CATALOG).where(
    CATALOG.c.tenant == bindparam("of_tenant"),
    CATALOG.c.catalog_position_id.in_(bindparam("ids", expanding=True)),
)
