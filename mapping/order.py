"""The canonical order: what any shop's order becomes before anything is decided about it.

A field that a target needs and no shop path can give directly belongs here, and into order_schema.py, which
reads it. Plain data; nothing fails.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

__all__ = ["Line", "Order", "Payment", "Person", "Shipping"]


@dataclass(frozen=True, slots=True)
class Person:
    """A buyer or a recipient; `full` is the whole name, where a shop keeps it in one field."""

    first: str = ""
    last: str = ""
    middle: str = ""
    full: str = ""
    phone: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True)
class Shipping:
    """Where the parcel goes, by whom, and what that costs in the order's currency."""

    carrier: str = ""
    type: str = ""
    city: str = ""
    city_ref: str = ""
    region: str = ""
    warehouse: str = ""
    warehouse_number: str = ""
    warehouse_ref: str = ""
    street: str = ""
    house: str = ""
    flat: str = ""
    postcode: str = ""
    cost: Decimal = Decimal(0)
    tracking_number: str = ""

    @property
    def address(self) -> str:
        """The address in one line: the town, then the branch or the door."""
        branch = self.warehouse or (f"№{self.warehouse_number}" if self.warehouse_number else "")
        door = [
            self.street,
            f"буд. {self.house}" if self.house else "",
            f"кв. {self.flat}" if self.flat else "",
        ]
        parts = [self.postcode, self.city, *(door if self.street else [branch])]
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Payment:
    """How the order is paid; `amount` in the order's currency."""

    code: str = ""
    title: str = ""
    paid: bool = False
    amount: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One position; `price` is per unit after discount, so that price times quantity is `total`."""

    name: str
    quantity: Decimal
    price: Decimal
    total: Decimal
    id: str = ""
    sku: str = ""
    type: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """An order as read; times are UTC, money is in `currency`, `raw` is what the shop sent. `catalog` is
    whose product codes its lines have, where one source has those of several.
    """

    id: str
    currency: str
    total: Decimal
    buyer: Person
    recipient: Person
    recipient_is_other: bool
    shipping: Shipping
    payment: Payment
    lines: tuple[Line, ...]
    number: str
    note: str
    do_not_call: bool
    status: str
    delivery_status: str
    created_at: datetime | None
    updated_at: datetime | None
    raw: dict[str, Any]
    catalog: str = ""
