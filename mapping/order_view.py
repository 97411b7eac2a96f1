"""What a target's paths may name: an order as plain JSON, money as text, times as the source's time.

In: an order with its people as prepared. Out: the view. Nothing fails. A field that targets may name is added
here. Called by target_profile.py; target.py checks its paths against `SAMPLE`.
"""

from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from mapping.fields import plain_money
from mapping.order import Line, Order, Payment, Person, Shipping

__all__ = ["SAMPLE", "View", "view"]

View = dict[str, Any]


def plain_quantity(quantity: Decimal) -> int | str:
    """Give a whole quantity as a number, any other as exact plain text."""
    whole = int(quantity)
    return whole if whole == quantity else f"{quantity:f}".rstrip("0")


def view(
    order: Order,
    *,
    recipient: Person,
    buyer: Person,
    note: str,
    source: str,
    prefix: str,
    zone: ZoneInfo,
) -> View:
    """Give what a target's paths may name, JSON-plain: money as text, times as the source's time.

    In: the order, both people as prepared (an unusable phone is empty), the comment with what
    was cut from phone and name, the source's name, the prefix that makes its ids external ones.
    Called by TargetProfile.compose for each order.
    """
    return {
        "external_id": prefix + order.id,
        "source": {"name": source, "prefix": prefix},
        "order": _order_view(order, zone),
        "recipient": _person_view(recipient),
        "buyer": _person_view(buyer),
        "shipping": _shipping_view(order.shipping),
        "payment": _payment_view(order.payment),
        "lines": [_line_view(line) for line in order.lines],
        "note": note,
    }


def _order_view(order: Order, zone: ZoneInfo) -> View:
    created = order.created_at
    return {
        "id": order.id,
        "number": order.number,
        "catalog": order.catalog,
        "currency": order.currency,
        "total": plain_money(order.total),
        "status": order.status,
        "delivery_status": order.delivery_status,
        "do_not_call": order.do_not_call,
        "recipient_is_other": order.recipient_is_other,
        "created_at": created.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S") if created else "",
    }


def _person_view(person: Person) -> View:
    return {
        "first": person.first,
        "last": person.last,
        "middle": person.middle,
        "full": person.full,
        "phone": person.phone,
        "email": person.email,
    }


def _shipping_view(shipping: Shipping) -> View:
    return {
        "carrier": shipping.carrier,
        "type": shipping.type,
        "city": shipping.city,
        "city_ref": shipping.city_ref,
        "region": shipping.region,
        "warehouse": shipping.warehouse,
        "warehouse_number": shipping.warehouse_number,
        "warehouse_ref": shipping.warehouse_ref,
        "street": shipping.street,
        "house": shipping.house,
        "flat": shipping.flat,
        "postcode": shipping.postcode,
        "address": shipping.address,
        "cost": plain_money(shipping.cost) if shipping.cost else "",
        "tracking_number": shipping.tracking_number,
    }


def _payment_view(payment: Payment) -> View:
    return {
        "code": payment.code,
        "title": payment.title,
        "paid": payment.paid,
        "amount": "" if payment.amount is None else plain_money(payment.amount),
    }


def _line_view(line: Line) -> View:
    return {
        "id": line.id,
        "sku": line.sku,
        "name": line.name,
        "quantity": plain_quantity(line.quantity),
        "price": plain_money(line.price),
        "total": plain_money(line.total),
        "type": line.type,
        "unit": line.unit,
    }


_NOTHING = Decimal(0)
# An order with nothing in it: a path that finds nothing here names no field.
SAMPLE = view(
    Order(
        id="",
        currency="",
        total=_NOTHING,
        buyer=Person(),
        recipient=Person(),
        recipient_is_other=False,
        shipping=Shipping(),
        payment=Payment(),
        lines=(Line("", Decimal(1), _NOTHING, _NOTHING),),
        number="",
        note="",
        do_not_call=False,
        status="",
        delivery_status="",
        created_at=None,
        updated_at=None,
        raw={},
    ),
    recipient=Person(),
    buyer=Person(),
    note="",
    source="",
    prefix="",
    zone=ZoneInfo("UTC"),
)
SAMPLE["item"] = SAMPLE["lines"][0]
