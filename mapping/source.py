"""A shop's order as JSON text and back, whatever the shop sent.

In: any JSON value, also what strict JSON has no word for (NaN, a lone surrogate) and what is nested without
end. Out: text that the ledger can keep, and the value again. Called by tasks and the command line, and by
the profile for its hash.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson

from plain_text import plain

# No order lies deeper; what does is kept as text.
DEEPEST = 64
MOST_BITS = 10_000


def to_text(raw: object) -> str:
    """JSON text; ASCII alone where the fast writer refuses the value, and what is too deep as text in it."""
    try:
        return orjson.dumps(raw).decode()
    except (orjson.JSONEncodeError, UnicodeError):
        return json.dumps(_shallow(raw, DEEPEST))


def _shallow(value: object, levels: int) -> object:
    if not isinstance(value, dict | list):
        return _countable(value)
    if not levels:
        return canonical(value)
    if isinstance(value, dict):
        return {key: _shallow(inner, levels - 1) for key, inner in value.items()}
    return [_shallow(inner, levels - 1) for inner in value]


def _countable(value: object) -> object:
    """A number that cannot be written in decimal (Python refuses beyond 4,300 digits) in hexadecimal."""
    if isinstance(value, int) and value.bit_length() > MOST_BITS:
        return f"{value:x}"
    return value


def canonical(value: object) -> str:
    """Any JSON value as text with sorted keys, without recursion: it may be a depth bomb. Not JSON: it
    serves to compare, and to keep what nothing reads.
    """
    written: list[str] = []
    waiting: list[tuple[bool, object]] = [(False, value)]
    while waiting:
        ready, item = waiting.pop()
        if ready:
            written.append(str(item))
        elif isinstance(item, dict):
            waiting.append((True, "}"))
            for key in sorted(item, reverse=True):
                waiting += [(False, item[key]), (True, json.dumps(key) + ":")]
            waiting.append((True, "{"))
        elif isinstance(item, list):
            waiting.append((True, "]"))
            waiting += [(False, inner) for inner in reversed(item)]
            waiting.append((True, "["))
        elif isinstance(item, int) and not isinstance(item, bool):
            written.append(f"{item:x},")  # decimal is refused beyond 4,300 digits
        else:
            written.append(json.dumps(item) + ",")
    return "".join(written)


def from_text(text: str) -> object:
    """The value that `to_text` wrote. Raises ValueError for text that is no JSON."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


def storable(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What a target said, as text alone; so a database takes it, too: none takes NUL or half a pair."""
    return {plain(name): _clean(value) for name, value in fields.items()}


def _clean(value: Any) -> Any:
    return plain(value) if isinstance(value, str) else value
