"""A shop's order as JSON text and back, whatever the shop sent.

In: any JSON value, also what strict JSON has no word for (NaN, a lone surrogate). Out: text that the ledger
can keep, and the value again. Called by tasks and the command line.
"""

from __future__ import annotations

import json

import orjson


def to_text(raw: object) -> str:
    """JSON text; ASCII alone where the fast writer refuses the value."""
    try:
        return orjson.dumps(raw).decode()
    except (orjson.JSONEncodeError, UnicodeError):
        return json.dumps(raw)


def from_text(text: str) -> object:
    """The value that `to_text` wrote. Raises ValueError for text that is no JSON."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)
