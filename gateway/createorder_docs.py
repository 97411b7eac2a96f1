"""The page about `POST /CreateOrder`, for those who write a program that calls it: `GET /CreateOrder/docs`.

In: the schemas, limits and refusals of the door. Out: a page without scripts, open to everyone; its tables
and examples are made from what the door does, so that they say the same. Called by gateway/app.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from flask import Blueprint, Response
from marshmallow import Schema

from gateway import createorder
from gateway.createorder_refusals import (
    ACCOUNT,
    ADDRESS,
    CATALOG,
    CODES,
    INTERNAL,
    TENANT,
    VALIDATION,
    denied,
    invalid,
)
from gateway.doors import Door
from gateway.errors import Refusal
from gateway.idempotency import HEADER
from gateway.keys import everyone
from gateway.pages import TEMPLATES, answer, rendered
from ledger.tenants import Placed, Position, Refused, Tenant
from mapping import createorder as reading
from mapping.createorder_answer import answer_of, source_text
from mapping.exact_json import write
from tasks.resources import Resources

PATH = f"{createorder.PATH}/docs"
NOW = datetime(2026, 11, 20, 14, 5, 9, tzinfo=UTC)
REQUEST: dict[str, Any] = {
    "tenant": "demo",
    "external_customer_id": "C-1042",
    "customer_name": "Shevchenko Taras",
    "tel_num": "+380671234567",
    "address_text": "Kyiv, Khreshchatyk 1",
    "order_positions": [
        {"catalog_position_id": 4},
        {"product_name": "Delivery", "price": Decimal("200.5")},
    ],
}
# By status: which codes come with it, what it means, and whether the request may be sent again.
STATUSES = {
    200: ("0", "The order is created.", "with its Idempotency-Key: the same answer"),
    400: ("1", "The body is no JSON, names a field twice, or is nested too deeply.", "no"),
    401: ("", "No key, or a wrong one. In the gateway's own form: error, request_id.", "no"),
    403: ("5", "The key is not for orders, or not for this tenant, or there is none.", "no"),
    404: ("1", "There is nothing at this address.", "no"),
    405: ("1", "Orders are posted.", "no"),
    409: ("1", "The Idempotency-Key was used for another order.", "no"),
    410: ("1", "The Idempotency-Key made an order whose answer is erased.", "no"),
    413: ("1", "The body is larger than 2 MB.", "no"),
    415: ("1", "The body is not application/json.", "no"),
    422: ("1 to 4", "Something in it is wrong; see errors.", "when it is corrected"),
    429: ("9", "Too many requests.", "after Retry-After"),
    500: ("9", "A fault of ours.", "with its Idempotency-Key"),
    503: (
        "9, 5",
        "The ledger is away, or the tenant's orders go nowhere yet.",
        "after Retry-After",
    ),
}
_EXAMPLES: dict[int, Refusal] = {
    VALIDATION: invalid(
        {
            "order_positions.0.product_name": ["Needed where there is no catalog_position_id."],
            "end_date": ["Must not be before start_date."],
        }
    ),
    ACCOUNT: denied(Refused("account_not_found", {"external_customer_id": "C-1042"})),
    ADDRESS: denied(Refused("address_needed")),
    CATALOG: denied(Refused("catalog_not_found", {"order_positions.0.catalog_position_id": "44"})),
    TENANT: denied(Refused("tenant_unknown")),
    INTERNAL: Refusal(503, ""),
}


def door(_: Resources) -> Door:
    """The door of the page: what the interface is like is no secret, and a browser has no key."""
    blueprint = Blueprint("createorder_docs", __name__, template_folder=str(TEMPLATES))

    @blueprint.get(PATH)
    def show() -> Response:
        return answer(page())

    @cache
    def page() -> str:
        return rendered(
            "createorder.html",
            path=createorder.PATH,
            header=HEADER,
            request=_pretty(write(REQUEST)),
            answer=_pretty(_good_answer()),
            tables={
                "The order": rows(reading.OrderSchema),
                "A position of order_positions": rows(reading.PositionSchema),
            },
            codes=CODES,
            examples={code: _pretty(_bad_answer(_EXAMPLES[code])) for code in CODES},
            statuses=STATUSES,
            megabytes=createorder.LARGEST // 1024 // 1024,
        )

    return Door(blueprint=blueprint, below=(PATH,), authenticate=everyone, rate="page")


def rows(schema: type[Schema]) -> list[dict[str, str]]:
    """Each field: whether it is needed, what it is where it is left out, what it means and must be."""
    return [*_rows(schema)]


def _rows(schema: type[Schema]) -> Iterator[dict[str, str]]:
    for name, field in schema().fields.items():
        told = field.metadata
        yield {
            "name": name,
            "need": told["need"],
            "default": told["default"],
            "meaning": told["meaning"],
            "form": str(getattr(field, "form", "")),
        }


# --- examples -----------------------------------------------------------------------------------------


def _good_answer() -> str:
    """The answer to REQUEST, as the door makes it."""
    asked, errors = reading.read(REQUEST)
    if asked is None:
        raise LookupError(f"the example is wrong: {errors}")
    positions = (
        Position(7, 4, "Goods", "Tea 100 g", "T-100", Decimal(2), "шт", Decimal(30)),
        Position(8, None, "", "Delivery", "", Decimal(1), "шт", Decimal("200.5")),
    )
    tenant = Tenant(1, "demo", "Europe/Kyiv")
    placed = Placed(tenant, 4, 4, 2, 2, "Shevchenko Taras", True, positions)
    return answer_of(source_text(asked, placed, now=NOW, ctx_id="br8NGtHP:0-DL"))


def _bad_answer(refusal: Refusal) -> str:
    answer, _ = createorder.told_of(refusal, None, now=NOW)
    return answer


def _pretty(text: str) -> str:
    """JSON for people; these numbers are the same as floats."""
    return json.dumps(json.loads(text), ensure_ascii=False, indent=2)
