"""The API's document: `/api/openapi.json` for machines and `/api/docs`, a page without scripts, for people.

In: what flask-smorest gathered from the doors. Out: the document and its page, rendered here, so it works
without the internet. A new door of the API appears by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from flask import Blueprint, Response, current_app, jsonify

from gateway.doors import Door
from gateway.errors import JsonApi
from gateway.keys import everyone
from gateway.pages import TEMPLATES, answer, rendered
from mapping.updates import AT_LEAST_ONE
from tasks.resources import Resources

CONFIG = {
    "API_TITLE": "orderbridge",
    "API_VERSION": "v1",
    "OPENAPI_VERSION": "3.0.3",
    "API_SPEC_OPTIONS": {
        "info": {
            "description": "Carries tracking numbers, statuses and comments of orders back to the shop. "
            "Every error is JSON with a sentence and the request's id."
        },
        "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
        "security": [{"key": []}],
    },
}
METHODS = ("get", "post", "put", "patch", "delete")


def complete(api: JsonApi, connections: list[str]) -> None:
    """Say in the document what schemas cannot: which shops there are, and that something must be asked."""
    schemas = api.spec.components.schemas
    del schemas["PaginationMetadata"]  # flask-smorest's own; nothing here has pages
    update = schemas["Update"]
    update["anyOf"] = AT_LEAST_ONE
    if connections:
        update["properties"]["connection"]["enum"] = connections


def door(_: Resources) -> Door:
    """The door of the document and its page: what the API is like is no secret, and a browser has no key."""
    blueprint = Blueprint("docs", __name__, template_folder=str(TEMPLATES))

    @blueprint.get("/api/openapi.json")
    def openapi() -> Response:
        return jsonify(document())

    @blueprint.get("/api/docs")
    def docs() -> Response:
        return answer(page())

    # Both are open to everyone, and making them takes some 20 ms: that is done once.
    @cache
    def document() -> dict[str, Any]:
        return _document()

    @cache
    def page() -> str:
        told = document()
        return rendered(
            "docs.html",
            info=told["info"],
            operations=list(_operations(told)),
            schemas={
                name: list(_properties(schema))
                for name, schema in told["components"]["schemas"].items()
            },
        )

    return Door(
        blueprint=blueprint,
        below=("/api/docs", "/api/openapi.json"),
        authenticate=everyone,
        rate="page",
    )


def _document() -> dict[str, Any]:
    document: dict[str, Any] = current_app.config["API"].spec.to_dict()
    return document


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                found = item[method]
                yield {
                    "method": method.upper(),
                    "path": path,
                    "summary": found.get("summary", ""),
                    "description": found.get("description", ""),
                    "parameters": [
                        _row(p["name"], p["schema"] | p, p.get("required", False)) | {"in": p["in"]}
                        for p in (*item.get("parameters", ()), *found.get("parameters", ()))
                    ],
                    "body": _schema_name(found.get("requestBody", {})),
                    "responses": [
                        (status, _resolved(document, response))
                        for status, response in sorted(found["responses"].items())
                    ],
                }


def _properties(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    required = schema.get("required", ())
    for name, found in schema.get("properties", {}).items():
        yield _row(name, found, name in required)


def _row(name: str, schema: dict[str, Any], required: bool) -> dict[str, Any]:
    inner = schema.get("items", schema)
    reference = inner.get("$ref") or next((part["$ref"] for part in inner.get("allOf", ())), None)
    kinds = [str(kind.get("type", "")) for kind in inner.get("anyOf", (inner,))]
    return {
        "name": name,
        "required": required,
        "many": "items" in schema,
        "type": " or ".join(filter(None, kinds)),
        "schema": reference.rpartition("/")[2] if reference else None,
        "choices": [choice for choice in inner.get("enum", ()) if choice is not None],
        "description": schema.get("description", ""),
        "example": schema.get("example"),
    }


def _schema_name(holder: dict[str, Any]) -> str | None:
    content: dict[str, Any] = holder.get("content", {}).get("application/json", {})
    reference: str = content.get("schema", {}).get("$ref", "")
    return reference.rpartition("/")[2] or None


def _resolved(document: dict[str, Any], response: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in response:
        response = document["components"]["responses"][response["$ref"].rpartition("/")[2]]
    return {"description": response.get("description", ""), "schema": _schema_name(response)}
