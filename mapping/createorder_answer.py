"""What an order that a tenant posted becomes: the text that the ledger keeps of it, and the answer, made of
that text alone, so that a repeated request gets the identical one.

In: the request, what it became once it had its number, and when. Out: JSON as text. Nothing fails for what
mapping/createorder read. Called by the door (gateway/createorder.py); the text is read by
mapping/profiles/createorder.yaml. Source: docs/contracts/createorder.md, "Response".
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from mapping.createorder import OrderRequest
from mapping.exact_json import read_own, write
from mapping.request import Errors
from plain_text import plain

__all__ = ["CREATED", "PlacedOrder", "answer_of", "error_of", "new_ctx_id", "source_text"]

CREATED = "Order is created."
_ALPHANUMERICS = string.ascii_letters + string.digits
_CLOCK = "%Y-%m-%d %H:%M:%S"


class _Tenant(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def zone(self) -> str: ...


class _Position(Protocol):
    @property
    def position_id(self) -> int: ...
    @property
    def catalog_position_id(self) -> int | None: ...
    @property
    def position_type(self) -> str: ...
    @property
    def product_name(self) -> str: ...
    @property
    def product_code(self) -> str: ...
    @property
    def quantity(self) -> Decimal: ...
    @property
    def unit(self) -> str: ...
    @property
    def price(self) -> Decimal: ...


class PlacedOrder(Protocol):
    """An order that has its number, as the ledger says it."""

    @property
    def tenant(self) -> _Tenant: ...
    @property
    def name(self) -> str: ...
    @property
    def order_id(self) -> int: ...
    @property
    def order_num(self) -> int: ...
    @property
    def account_id(self) -> int: ...
    @property
    def account_address_id(self) -> int | None: ...
    @property
    def customer_name(self) -> str: ...
    @property
    def creates_account(self) -> bool: ...
    @property
    def positions(self) -> Sequence[_Position]: ...
    @property
    def total(self) -> Decimal: ...
    @property
    def address_text(self) -> str: ...


def new_ctx_id() -> str:
    """What names one answer, as the source's own do: 37GMTPLL:0-dP."""
    made = "".join(secrets.choice(_ALPHANUMERICS) for _ in range(10))
    return f"{made[:8]}:0-{made[8:]}"


def source_text(request: OrderRequest, placed: PlacedOrder, *, now: datetime, ctx_id: str) -> str:
    """What the ledger keeps of it; `now` is aware."""
    local = now.astimezone(ZoneInfo(placed.tenant.zone))
    start = request.start_date or f"{local:{_CLOCK}}"
    return write(
        {
            "id": placed.name,
            "number": str(placed.order_num),
            "placed_at": local.isoformat(timespec="seconds"),
            "create_account": placed.creates_account,
            "TZ": placed.tenant.zone,
            "ctx_id": ctx_id,
            "processing_date": f"{local:{_CLOCK}}",
            "tenant": placed.tenant.name,
            "address": placed.address_text,
            "order": _order(request, placed, start),
            "request": request.raw,
            "defaults": _defaults(request, placed, start),
        }
    )


def answer_of(source: str) -> str:
    """The answer to the request of which the ledger keeps this."""
    kept: dict[str, Any] = read_own(source)
    request: dict[str, Any] = kept["request"]
    response = {
        "tenant": request["tenant"],
        "order": kept["order"],
        "create_account": kept["create_account"],
        "TZ": kept["TZ"],
    }
    return _envelope(
        {"text": CREATED, "status": "ok", "ctx_id": kept["ctx_id"], "code": 0},
        kept["processing_date"],
        response=response,
        request=request,
        enriched=request | kept["defaults"],
    )


def error_of(
    text: str, code: int, errors: Mapping[str, Sequence[str]], request: object, *, now: datetime
) -> tuple[str, str]:
    """The answer where nothing was placed, and its ctx_id. `request` is what came, if that is known."""
    ctx_id = new_ctx_id()
    answer = _envelope(
        {"text": text, "status": "error", "ctx_id": ctx_id, "code": code},
        f"{now:{_CLOCK}}",
        response={"errors": errors},
        request=request,
        enriched={},
    )
    return answer, ctx_id


def said(errors: Errors, most: int = 5) -> str:
    """Errors as a sentence: the first of them, with the paths of each."""
    paths: dict[str, list[str]] = {}
    for path, texts in list(errors.items())[:most]:
        paths.setdefault(" ".join(texts), []).append(path)
    first = [f"{', '.join(named)}: {text}" for text, named in paths.items()]
    rest = max(0, len(errors) - most)
    return " ".join(first) + (f" And {rest} more, see errors." if rest else "")


def _envelope(
    result: dict[str, object], date: str, *, response: object, request: object, enriched: object
) -> str:
    return write(
        {
            "processing_result": result,
            "processing_date": date,
            "CreateOrder": {
                "response": response,
                "request": request,
                "extra_logic": "",
                "enriched_request": enriched,
            },
        }
    )


def _order(request: OrderRequest, placed: PlacedOrder, start: str) -> dict[str, object]:
    return {
        "start_date": start,
        "order_type": request.order_type,
        "order_total": placed.total,
        "order_status": request.order_status,
        "order_positions": [_position(one, placed.order_id) for one in placed.positions],
        "order_num": placed.order_num,
        "order_id": placed.order_id,
        "order_description": request.order_description,
        "end_date": request.end_date,
        "customer_name": placed.customer_name,
        "address_text": request.address_text,
        "account_id": placed.account_id,
        "account_address_id": placed.account_address_id,
    }


def _position(one: _Position, order_id: int) -> dict[str, object]:
    made: dict[str, object] = {
        "unit": one.unit,
        "quantity": one.quantity,
        "product_name": one.product_name,
        "price": one.price,
        "position_type": one.position_type,
        "position_id": one.position_id,
        "order_id": order_id,
    }
    if one.catalog_position_id is not None:
        made["catalog_position_id"] = one.catalog_position_id
    if one.product_code:
        made["product_code"] = one.product_code
    return made


def _defaults(request: OrderRequest, placed: PlacedOrder, start: str) -> dict[str, object]:
    """What the enriched request has besides or otherwise than the request."""
    given = {name for name, value in request.raw.items() if _says_something(value)}
    filled: dict[str, object] = {
        "start_date": start,
        "end_date": "",
        "order_type": "",
        "order_status": request.order_status,
        "tel_num": "",
        "email": "",
        "address_text": "",
        "order_description": "",
        "order_positions": [],
    }
    counted = {"tenant": placed.tenant.name, "create_account": placed.creates_account}
    defaults = {name: value for name, value in filled.items() if name not in given} | counted
    return {
        name: value
        for name, value in defaults.items()
        if name not in request.raw or request.raw[name] != value
    }


def _says_something(value: object) -> bool:
    return value is not None and not (isinstance(value, str) and not plain(value).strip())
