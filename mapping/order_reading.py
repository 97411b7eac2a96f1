"""Reads a source's order: its fields by the schema, then what only several of them together say.

In: a source's JSON of any kind. Out: the order, or None and the problems that say why not; nothing fails.
What follows from more than one field, such as a price from a total, belongs here. Called by
source_profile.py.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from marshmallow import ValidationError

from mapping.fields import MISSING, UNREADABLE, instant
from mapping.order import Line, Order, Payment, Person, Shipping
from mapping.order_schema import load_order
from mapping.problems import Problem, shown

__all__ = ["CENT", "NO_LINES", "read_order"]

CENT = Decimal("0.01")
# An order without positions, where that is no field that somebody forgot.
NO_LINES = "no_lines"
PRICE_PLACES = 6


def read_order(
    raw: object,
    extract: Callable[[dict[str, Any]], dict[str, Any]],
    *,
    zone: ZoneInfo,
    note_max: int,
    no_lines: str = MISSING,
) -> tuple[Order | None, list[Problem]]:
    """Read a source's order.

    In: any JSON value, how the schema's values are taken from it, the source's time, the longest
    comment in characters, what it is called when there are no positions. Out: the order and what was odd
    about it, or None and the problems of level held that say why it cannot be read. Never raises. Source:
    docs/contracts/okliving.md, "Reference order". Called by SourceProfile.read.
    """
    if not isinstance(raw, dict):
        return None, [Problem(UNREADABLE, "held", "order", before=shown(raw))]
    values = extract(raw)
    try:
        data = load_order(values)
    except ValidationError as error:
        found = _read_problems(error.messages, values)
        return None, [replace(p, code=no_lines) if _lacks_lines(p) else p for p in found]
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
        catalog=data["catalog"],
    )
    return order, problems


def _lacks_lines(problem: Problem) -> bool:
    return problem.field == "lines" and problem.code == MISSING


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
