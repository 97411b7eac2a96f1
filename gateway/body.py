"""Reads what a caller sent, strictly: content type first, then JSON, then its form.

In: the current request. Out: plain values. Refuses with 413 (above the door's limit), 415 and 400.
"""

from __future__ import annotations

import json
from typing import Any

import orjson
from flask import request

from gateway.errors import SENTENCES, Refusal
from mapping import exact_json

JSON = "application/json"
FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})


def read_exact_json() -> Any:
    """The JSON of the body with its numbers as they are: whole ones and Decimal, never floats."""
    try:
        return exact_json.read(_json())
    except exact_json.Unreadable as exc:
        raise Refusal(400, str(exc)) from None


def read_json() -> Any:
    """The JSON of the body. orjson refuses what is no JSON: NaN, lone surrogates, wrong UTF-8; a field that
    is named twice is refused too.
    """
    body = _json()
    try:
        read = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Refusal(400, "The body is not valid JSON.") from None
    try:
        json.loads(body, object_pairs_hook=_each_once)
    except RecursionError:
        raise Refusal(400, "The body is nested too deeply.") from None
    return read


def _json() -> bytes:
    if request.mimetype != JSON:
        raise Refusal(415, f"Send the body as {JSON}.")
    return _whole()


def _each_once(pairs: list[tuple[str, Any]]) -> None:
    """Which of two values is meant, nobody knows: readers of JSON differ in it."""
    if len({name for name, _ in pairs}) < len(pairs):
        raise Refusal(400, "The body names a field twice.")


def read_fields() -> dict[str, str]:
    """The fields of a form or of a JSON object, flat, as text; what is null is left out."""
    if request.mimetype in FORMS:
        _whole()
        return request.form.to_dict()
    if request.mimetype != JSON:
        raise Refusal(415, f"Send the fields as a form or as {JSON}.")
    found = read_json()
    if not isinstance(found, dict):
        raise Refusal(400, "The body must be a JSON object of fields.")
    return {name: _text(value) for name, value in found.items() if value is not None}


def _whole() -> bytes:
    """The body, whole or not at all: one without a length is cut at the limit by werkzeug, in silence."""
    body = request.get_data(cache=True, parse_form_data=False)
    if request.content_length is None and len(body) >= (request.max_content_length or 0):
        raise Refusal(413, SENTENCES[413])
    return body


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
