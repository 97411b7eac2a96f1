"""The words in which an order is placed with a tenant, and what comes of it.

Plain data; nothing fails. Amounts are Decimal in the tenant's own currency; ids of accounts, addresses,
catalog positions, orders and positions are whole numbers from 1, each counted by its tenant.
Source: docs/contracts/createorder.md, "Account resolution" and "Errors".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from typing import Literal

# Which address an order without one gets: `one`: the account's only one, several or none are refused;
# `optional`: the account's only one, else none.
AddressPolicy = Literal["one", "optional"]
ADDRESS_POLICIES: tuple[AddressPolicy, ...] = ("one", "optional")
# How many letters are kept of what an account or a request is found by; who takes one in refuses more.
LONGEST_NAME, LONGEST_EXTERNAL_ID, LONGEST_KEY = 255, 100, 300


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant. `connection` is by which its orders come; None: the only one that takes such orders.
    `is_delivered`: its orders go on to that connection's target. `callback_url` is where it is told of them.
    """

    pk: int
    name: str
    zone: str
    creates_accounts: bool = True
    address_policy: AddressPolicy = "one"
    is_delivered: bool = True
    connection: str | None = None
    callback_url: str | None = None


@dataclass(frozen=True, slots=True)
class AskedPosition:
    """A position as it was asked for; what is None was not said, and the catalog says it."""

    catalog_position_id: int | None = None
    product_name: str | None = None
    price: Decimal | None = None
    quantity: Decimal | None = None
    unit: str | None = None
    position_type: str | None = None
    product_code: str | None = None


@dataclass(frozen=True, slots=True)
class AskedOrder:
    """An order as it was asked for, checked in its form alone. `creates_account` None: as the tenant says.
    `key` names the request (None: it has no name), `digest` is of all that it says.
    """

    tenant: str
    account_id: int | None = None
    external_customer_id: str | None = None
    customer_name: str | None = None
    creates_account: bool | None = None
    account_address_id: int | None = None
    address_text: str = ""
    order_type: str = ""
    order_status: str = ""
    positions: tuple[AskedPosition, ...] = ()
    key: str | None = None
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Position:
    """A position of a placed order."""

    position_id: int
    catalog_position_id: int | None
    position_type: str
    product_name: str
    product_code: str
    quantity: Decimal
    unit: str
    price: Decimal


@dataclass(frozen=True, slots=True)
class Placed:
    """An order that has its number. `creates_account` is what counted, `address_text` is where it goes: what
    was said, else the text of the address that was found.
    """

    tenant: Tenant
    order_id: int
    order_num: int
    account_id: int
    account_address_id: int | None
    customer_name: str
    creates_account: bool
    positions: tuple[Position, ...]
    address_text: str = ""

    @property
    def total(self) -> Decimal:
        # As many digits as 500 positions of the largest amounts have: nothing is rounded.
        with localcontext(prec=60):
            return sum((one.price * one.quantity for one in self.positions), Decimal(0))

    @property
    def name(self) -> str:
        """The order's id by which the whole pipeline knows it."""
        return f"{self.tenant.name}-{self.order_id}"


Reason = Literal[
    "tenant_unknown",  # none is called so
    "tenant_not_routed",  # no connection takes its orders
    "account_unsaid",  # none of the three keys of an account was given
    "account_not_found",
    "account_ambiguous",  # several have this name
    "account_incomplete",  # a new one needs both name and external id
    "address_not_found",  # not one of this account's
    "address_needed",  # the account has several, or none
    "catalog_not_found",
    "key_reused",  # the request's name stands for another request
    "key_erased",  # the request was answered so long ago that its answer is erased
]


@dataclass(frozen=True, slots=True)
class Refused:
    """Why an order was not placed: nothing is stored. `fields` are those that are to blame, as paths such as
    order_positions.0.catalog_position_id, each with the value that was given.
    """

    reason: Reason
    fields: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Repeated:
    """The request was answered before: the source's text of the order that it made."""

    source: str


@dataclass(frozen=True, slots=True)
class Addressee:
    """Where a tenant is told of its orders; `sealed_secret` signs what it is told, as it is kept."""

    tenant: str
    url: str
    sealed_secret: bytes | None = field(default=None, repr=False)
