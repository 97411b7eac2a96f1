"""The canonical order: what any shop's order becomes before anything is decided about it.

A field that a target needs and no shop path can give directly belongs here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from marshmallow import EXCLUDE, Schema, ValidationError, fields, missing, validate

from mapping.fields import (
    MISSING,
    UNREADABLE,
    Flag,
    Identifier,
    Mail,
    Money,
    Quantity,
    Sloppy,
    Text,
    instant,
)
from mapping.problems import Problem, shown

__all__ = ["Line", "Order", "Payment", "Person", "Shipping", "read_order"]

CENT = Decimal("0.01")
PRICE_PLACES = 6


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


@dataclass(frozen=True, slots=True)
class Order:
    """An order as read; times are UTC, money is in `currency`, `raw` is what the shop sent."""

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


class Lenient(Schema):
    """Base of what is read: what we do not know is left alone, also inside."""

    error_messages = {"type": UNREADABLE}  # noqa: RUF012  marshmallow's own declaration

    class Meta:
        """Marshmallow's settings of a schema."""

        unknown = EXCLUDE


class PersonSchema(Lenient):
    """A buyer or a recipient."""

    first = Text()
    last = Text()
    middle = Text()
    full = Text()
    phone = Text()
    email = Mail()


class ShippingSchema(Lenient):
    """Where the parcel goes."""

    carrier = Text()
    type = Text()
    city = Text()
    city_ref = Text()
    region = Text()
    warehouse = Text()
    warehouse_number = Text()
    warehouse_ref = Text()
    street = Text()
    house = Text()
    flat = Text()
    postcode = Text()
    cost = Money(load_default=Decimal(0), negative=False)
    tracking_number = Text()


class PaymentSchema(Lenient):
    """How the order is paid."""

    code = Text()
    title = Text()
    paid = Flag(load_default=False)
    amount = Money(load_default=None)


class LineSchema(Lenient):
    """One position; a price or a total may be absent, not both."""

    id = Text()
    sku = Text()
    name = Text()
    quantity = Quantity(required=True)
    price = Money(load_default=None)
    total = Money(load_default=None)
    type = Text()


class OrderSchema(Lenient):
    """The whole order; times are read apart, since a bad time is no reason to hold."""

    id = Identifier(required=True)
    number = Text()
    status = Text()
    delivery_status = Text()
    currency = Text()
    total = Money(required=True, negative=False)
    note = Text(longest=10**9)
    do_not_call = Flag(load_default=False)
    recipient_is_other = Flag(load_default=None)
    buyer = fields.Nested(PersonSchema)
    recipient = fields.Nested(PersonSchema)
    shipping = fields.Nested(ShippingSchema)
    payment = fields.Nested(PaymentSchema)
    lines = fields.List(
        fields.Nested(LineSchema, error_messages={"null": UNREADABLE}),
        required=True,
        validate=validate.Length(min=1, error=MISSING),
        error_messages={"invalid": UNREADABLE, "required": MISSING},
    )


_SCHEMA = OrderSchema()
_PLAIN: dict[type[Schema], tuple[tuple[str, Callable[[Any], Any], Any], ...]] = {
    schema: tuple(
        (name, field.read, field.load_default)
        for name, field in schema().fields.items()
        if isinstance(field, Sloppy)
    )
    for schema in (OrderSchema, PersonSchema, ShippingSchema, PaymentSchema, LineSchema)
}
_NESTED = (
    ("buyer", PersonSchema),
    ("recipient", PersonSchema),
    ("shipping", ShippingSchema),
    ("payment", PaymentSchema),
)


def _load(values: dict[str, Any]) -> dict[str, Any]:
    """Load by the schema's own fields without marshmallow's bookkeeping, three times as fast.

    What is not plainly good goes to the schema itself, which reports every field at once.
    Raises marshmallow's ValidationError.
    """
    try:
        data = _read_fields(OrderSchema, values)
        for name, schema in _NESTED:
            data[name] = _read_fields(schema, values[name])
        data["lines"] = [_read_fields(LineSchema, line) for line in values["lines"]]
        if data["lines"] and isinstance(values["lines"], list):
            return data
    except (ValidationError, KeyError, AttributeError, TypeError):
        pass
    loaded: dict[str, Any] = _SCHEMA.load(values)
    return loaded


def _read_fields(schema: type[Schema], values: dict[str, Any]) -> dict[str, Any]:
    read_fields = {}
    for name, read, default in _PLAIN[schema]:
        value = values.get(name)
        if value is not None:
            read_fields[name] = read(value)
        elif default is missing:
            raise ValidationError(MISSING)
        else:
            read_fields[name] = default
    return read_fields


def read_order(
    raw: object,
    extract: Callable[[dict[str, Any]], dict[str, Any]],
    *,
    zone: ZoneInfo,
    note_max: int,
) -> tuple[Order | None, list[Problem]]:
    """Read a source's order.

    In: any JSON value, how the schema's values are taken from it, the source's time, the longest
    comment in characters. Out: the order and what was odd about it, or None and the problems of
    level held that say why it cannot be read. Never raises. Source: docs/contracts/okliving.md, "Reference
    order". Called by SourceProfile.read.
    """
    if not isinstance(raw, dict):
        return None, [Problem(UNREADABLE, "held", "order", before=shown(raw))]
    values = extract(raw)
    try:
        data = _load(values)
    except ValidationError as error:
        return None, _read_problems(error.messages, values)
    problems: list[Problem] = []
    if len(data["note"]) > note_max:
        problems.append(
            Problem("note_too_long", "held", "note", detail=f"{len(data['note'])} > {note_max}")
        )
    lines = tuple(_line(line, index, problems) for index, line in enumerate(data["lines"]))
    if any(problem.level == "held" for problem in problems):
        return None, problems
    buyer = Person(**data["buyer"])
    recipient, is_other = _recipient(data, values, buyer)
    order = Order(
        id=data["id"],
        number=data["number"],
        currency=data["currency"],
        total=data["total"],
        buyer=buyer,
        recipient=recipient,
        recipient_is_other=is_other,
        shipping=Shipping(**data["shipping"]),
        payment=Payment(**data["payment"]),
        lines=lines,
        note=data["note"],
        do_not_call=data["do_not_call"],
        status=data["status"],
        delivery_status=data["delivery_status"],
        created_at=_time("created_at", values, zone, problems),
        updated_at=_time("updated_at", values, zone, problems),
        raw=raw,
    )
    return order, problems


def _recipient(data: dict[str, Any], values: dict[str, Any], buyer: Person) -> tuple[Person, bool]:
    """Choose the recipient: the buyer only where the shop names nobody else at all."""
    said = data["recipient_is_other"]
    if not said and values["recipient_is_blank"]:
        return buyer, False
    person = Person(**data["recipient"])
    return person, person != buyer if said is None else said


def _line(data: dict[str, Any], index: int, problems: list[Problem]) -> Line:
    """Complete a position: the missing one of price and total, and a price that gives the total."""
    quantity, price, total = data["quantity"], data["price"], data["total"]
    if total is None and price is None:
        problems.append(Problem(MISSING, "held", f"lines[{index}].price"))
        price = total = Decimal(0)
    elif total is None:
        total = price * quantity
    elif price is None or abs(price * quantity - total) >= CENT:
        unit = _unit_price(total, quantity)
        if price is not None:
            problems.append(
                Problem(
                    "line_price",
                    "fixed",
                    f"lines[{index}].price",
                    before=str(price),
                    after=str(unit),
                )
            )
        price = unit
    named = data["name"] or data["sku"]
    return Line(**(data | {"name": named, "price": price, "total": total}))


def _unit_price(total: Decimal, quantity: Decimal) -> Decimal:
    for places in range(2, PRICE_PLACES):
        price = (total / quantity).quantize(Decimal(1).scaleb(-places))
        if abs(price * quantity - total) < CENT / 2:
            return price
    return (total / quantity).quantize(Decimal(1).scaleb(-PRICE_PLACES))


def _time(
    field: str, values: dict[str, Any], zone: ZoneInfo, problems: list[Problem]
) -> datetime | None:
    value = values.get(field)
    read = instant(value, zone)
    if read is None and value not in (None, ""):
        problems.append(Problem("time_unreadable", "warning", field, before=shown(value)))
    return read


def _read_problems(messages: Any, values: object, field: str = "") -> list[Problem]:
    """Turn marshmallow's messages, keyed by field, into problems that name field and value."""
    if isinstance(messages, list):
        before = None if messages == [MISSING] else shown(values)
        return [Problem(str(code), "held", field or "order", before=before) for code in messages]
    found: list[Problem] = []
    for key, inner in messages.items():
        if key == "_schema":
            found += _read_problems(inner, values, field)
        elif isinstance(key, int):
            item = values[key] if isinstance(values, list) else None
            found += _read_problems(inner, item, f"{field}[{key}]")
        else:
            value = values.get(key) if isinstance(values, dict) else None
            found += _read_problems(inner, value, f"{field}.{key}" if field else key)
    return found
