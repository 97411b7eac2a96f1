"""The schemas of the canonical order: which of its fields are read how, and which it cannot do without.

In: values by field, as a source's profile found them. Out: typed values; raises marshmallow's
ValidationError, whose messages are problems' codes. A field of mapping/order.py is read here. Called by
order_reading.py; source_schema.py takes from here what a profile may name.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

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
)

__all__ = [
    "LineSchema",
    "OrderSchema",
    "PaymentSchema",
    "PersonSchema",
    "ShippingSchema",
    "load_order",
]


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
    unit = Text()


class OrderSchema(Lenient):
    """The whole order; times are read apart, since a bad time is no reason to hold."""

    id = Identifier(required=True)
    number = Text()
    catalog = Text()
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


def load_order(values: dict[str, Any]) -> dict[str, Any]:
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
