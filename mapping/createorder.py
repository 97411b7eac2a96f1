"""Reads an order that a tenant posts: any JSON value becomes a request, or errors by path.

In: JSON as mapping/exact_json reads it. Out: the request as it was meant, or what is wrong with each field,
as `order_positions.0.product_name`; whether its times are in a tenant's zone. Nothing fails. Called by the
door (gateway/createorder.py), whose page has its tables from the schemas here. A new field belongs here, and
into mapping/createorder_answer.py. Source: docs/contracts/createorder.md, "Request".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from marshmallow import EXCLUDE, Schema, ValidationError, fields, pre_load, validates_schema

from mapping.createorder_fields import (
    Amount,
    Flag,
    Id,
    Key,
    Moment,
    Positions,
    Tenant,
    Text,
    wall_clock,
)
from mapping.fields import MONEY_MAX
from mapping.request import Errors, by_field

__all__ = [
    "DRAFT",
    "OrderRequest",
    "OrderSchema",
    "PositionRequest",
    "PositionSchema",
    "beyond_all_amounts",
    "read",
    "times_that_are_not",
]

DRAFT = "Draft"
# Of more errors it is said how many there are.
MOST_ERRORS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionRequest:
    """A position; what is None was not said."""

    catalog_position_id: int | None = None
    product_name: str | None = None
    price: Decimal | None = None
    quantity: Decimal | None = None
    unit: str | None = None
    position_type: str | None = None
    product_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """An order as it was asked for. What is None was not said; times are as they were written. `raw` is what
    came, unknown fields included.
    """

    tenant: str
    account_id: int | None = None
    external_customer_id: str | None = None
    customer_name: str | None = None
    create_account: bool | None = None
    start_date: str | None = None
    end_date: str = ""
    order_type: str = ""
    account_address_id: int | None = None
    tel_num: str = ""
    email: str = ""
    address_text: str = ""
    order_description: str = ""
    order_status: str = DRAFT
    order_positions: tuple[PositionRequest, ...] = ()
    raw: Mapping[str, Any] = field(repr=False)


WITHOUT_CATALOG = "without catalog_position_id"


class _Tolerant(Schema):
    """Fields that nobody knows are let by; what is null was not said."""

    class Meta:
        unknown = EXCLUDE

    error_messages = {"type": "Must be a JSON object."}  # noqa: RUF012  as marshmallow has it

    @pre_load
    def _without_null(self, raw: Any, **_: Any) -> Any:
        if not isinstance(raw, Mapping):
            return raw
        return {name: value for name, value in raw.items() if value is not None}


class PositionSchema(_Tolerant):
    """One position of an order."""

    catalog_position_id = Id(
        "A position of the tenant's catalog; what is said beside it counts before it."
    )
    product_name = Text(500, "What it is.", need=WITHOUT_CATALOG, default="the catalog's")
    price = Amount("For one unit.", may_be_zero=True, need=WITHOUT_CATALOG, default="the catalog's")
    quantity = Amount("How many units.", may_be_zero=False, default="the catalog's, else 1")
    unit = Text(32, "What is counted.", default='the catalog\'s, else "шт"')
    position_type = Text(
        64, "A word of the tenant's, such as Goods.", default='the catalog\'s, else ""'
    )
    product_code = Text(64, "Its number in a price list.", default="the catalog's")
    description = Text(4000, "Kept with the request; not in the answer.", has_lines=True)
    implementation_comments = Text(
        4000, "Kept with the request; not in the answer.", has_lines=True
    )

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def _complete(self, read: dict[str, Any], given: Any, **_: Any) -> None:
        if not isinstance(given, Mapping) or given.get("catalog_position_id") is not None:
            return
        wrong = given.keys() - read.keys()
        missing = [
            name
            for name in ("product_name", "price")
            if read.get(name) is None and (name not in wrong or given[name] is None)
        ]
        if missing:
            said = "Needed where there is no catalog_position_id."
            raise ValidationError({name: [said] for name in missing})


class OrderSchema(_Tolerant):
    """An order as it is posted."""

    tenant = Tenant(
        "Whose order it is, in any case of its letters.", need="always", is_required=True
    )
    account_id = Id("The account, by its id. Counts before the other two.", need="one of the three")
    external_customer_id = Key(
        100, "The account, by your id of it. Counts before the name.", need="one of the three"
    )
    customer_name = Text(
        255, "The account, by its exact name; the name of a new one.", need="one of the three"
    )
    create_account = Flag(
        "Whether an account that is not found is made.", default="as the tenant says: true"
    )
    start_date = Moment("When the order begins, by the tenant's clock.", default="now")
    end_date = Moment("When it ends; not before it begins.", default='""')
    order_type = Text(64, "A word of the tenant's, such as OnSite or Online.", default='""')
    account_address_id = Id(
        "An address of the account.", need="where the account has several", default="its only one"
    )
    tel_num = Text(64, "The buyer's phone. It is checked on the way to the CRM.", default='""')
    email = Text(254, "The buyer's e-mail.", default='""')
    address_text = Text(
        1000,
        "Where to, in words; the first address of a new account.",
        has_lines=True,
        default='""',
    )
    order_description = Text(4000, "What the order is about.", has_lines=True, default='""')
    order_status = Text(64, "A word of the tenant's.", default=f'"{DRAFT}"')
    order_positions = Positions(fields.Nested(PositionSchema), "What is ordered, see below.")

    @validates_schema
    def _in_turn(self, read: dict[str, Any], **_: Any) -> None:
        start, end = read.get("start_date"), read.get("end_date")
        if start and end and end < start:
            raise ValidationError({"end_date": ["Must not be before start_date."]})


_SCHEMA = OrderSchema()


def read(raw: object) -> tuple[OrderRequest | None, Errors]:
    """The request and no errors, or None and the errors by path."""
    if not isinstance(raw, dict):
        return None, {"_schema": ["Must be a JSON object."]}
    try:
        said: dict[str, Any] = _SCHEMA.load(raw)
    except ValidationError as error:
        return None, _few(by_field(error.messages))
    given = {name: value for name, value in said.items() if value is not None}
    positions = tuple(_position(one) for one in given.pop("order_positions", ()))
    return OrderRequest(**given, order_positions=positions, raw=raw), {}


def _position(said: Mapping[str, Any]) -> PositionRequest:
    named = PositionRequest.__dataclass_fields__
    return PositionRequest(**{name: value for name, value in said.items() if name in named})


def _few(errors: Errors) -> Errors:
    if len(errors) <= MOST_ERRORS:
        return errors
    few = dict(list(errors.items())[:MOST_ERRORS])
    return few | {"_schema": [f"There are {len(errors) - MOST_ERRORS} more errors."]}


def times_that_are_not(request: OrderRequest, zone: str, now: datetime) -> Errors:
    """Which of its times the clocks of this zone never show: when summer begins they skip an hour. And an end
    that is over where it begins now, since it says no other beginning.
    """
    home = ZoneInfo(zone)
    said = {"start_date": request.start_date, "end_date": request.end_date}
    clock = now.astimezone(home).replace(tzinfo=None, microsecond=0)
    if request.end_date and not request.start_date and wall_clock(request.end_date) < clock:
        return {"end_date": ["Must not be before start_date, which is now where it is left out."]}
    return {
        name: [f"There is no such time in {zone}: the clocks skip it. Choose another."]
        for name, text in said.items()
        if text and _is_skipped(wall_clock(text), home)
    }


def beyond_all_amounts(total: Decimal) -> Errors:
    """What is wrong with this sum of all positions: beyond it the pipeline reads no amount."""
    if total < MONEY_MAX:
        return {}
    return {"order_positions": [f"Their order_total must be below {MONEY_MAX:,}."]}


def _is_skipped(clock: datetime, home: ZoneInfo) -> bool:
    there_and_back = clock.replace(tzinfo=home).astimezone(UTC).astimezone(home)
    return there_and_back.replace(tzinfo=None) != clock
