"""What the API's document says of `POST /CreateOrder`, for machines; for people there is a page of its own.

In: the API whose document it is. Out: the path and its schemas in that document, made from the door's own
fields and statuses. Nothing fails. Called by gateway/app.py. What OpenAPI 3.0 cannot say, such as which days
there are, the door says with 422.
"""

from __future__ import annotations

from typing import Any

from flask import Flask
from marshmallow import Schema

from gateway import createorder
from gateway.createorder_docs import STATUSES
from gateway.errors import JsonApi
from gateway.idempotency import HEADER, KEY_PATTERN
from mapping.createorder import OrderSchema, PositionSchema
from mapping.createorder_fields import MOST_POSITIONS, Own

ORDER, POSITION, ANSWER = "PostedOrder", "PostedPosition", "PostedAnswer"
_WHOSE = ("account_id", "external_customer_id", "customer_name")
_WHAT = (("catalog_position_id",), ("product_name", "price"))


def describe(app: Flask, api: JsonApi) -> None:
    """Add the door, which is open already, to the document."""
    components = api.spec.components
    components.schema(POSITION, _posted(PositionSchema) | {"anyOf": _required(*_WHAT)})
    components.schema(
        ORDER,
        _posted(OrderSchema)
        | {"required": ["tenant"], "anyOf": _required(*((name,) for name in _WHOSE))},
    )
    components.schema(ANSWER, _answer())
    (rule,) = (one for one in app.url_map.iter_rules() if one.rule == createorder.PATH)
    api.spec.path(rule=rule, operations={"post": _operation()})


def _posted(schema: type[Schema]) -> dict[str, Any]:
    fields = schema().fields
    return {
        "type": "object",
        "properties": {name: _property(field) for name, field in fields.items()},
    }


def _property(field: Any) -> dict[str, Any]:
    told: dict[str, Any] = {"description": f"{field.metadata['meaning']} {_capital(field.form)}."}
    if not isinstance(field, Own):
        items = {"$ref": f"#/components/schemas/{POSITION}"}
        return told | {
            "type": "array",
            "nullable": True,
            "maxItems": MOST_POSITIONS,
            "items": items,
        }
    may_be_null = {} if field.required else {"nullable": True}
    return told | dict(field.json_schema) | may_be_null


def _capital(form: str) -> str:
    return form[:1].upper() + form[1:]


def _required(*choices: tuple[str, ...]) -> list[dict[str, Any]]:
    return [{"required": list(names)} for names in choices]


def _answer() -> dict[str, Any]:
    """The envelope, of an order as of an error."""
    text, any_object = {"type": "string"}, {"type": "object"}
    result = {
        "text": text,
        "status": {"type": "string", "enum": ["ok", "error"]},
        "ctx_id": text,
        "code": {"type": "integer"},
    }
    told = {
        "response": any_object,
        "request": {"nullable": True, "description": "What came, as it came."},
        "extra_logic": text,
        "enriched_request": any_object,
    }
    return _object(
        {
            "processing_result": _object(result),
            "processing_date": text,
            "CreateOrder": _object(told),
        }
    )


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _operation() -> dict[str, Any]:
    key = {
        "in": "header",
        "name": HEADER,
        "description": "Names this request: a repeat with the same key and body is the same order, and gets "
        "the same answer.",
        "schema": {"type": "string", "pattern": KEY_PATTERN},
    }
    return {
        "tags": ["orders"],
        "summary": "Place an order.",
        "description": "Takes an order of a tenant; it is stored before the answer leaves. With the scope "
        f"`orders:write`. In words, with examples: `{createorder.PATH}/docs`.",
        "parameters": [key],
        "requestBody": {"required": True, "content": _json(ORDER)},
        "responses": {
            str(status): {
                "description": meaning,
                "content": _json("Error" if status == 401 else ANSWER),
            }
            for status, (_, meaning, _) in STATUSES.items()
        },
    }


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
