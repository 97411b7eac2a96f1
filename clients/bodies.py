"""A call's body as JSON: ours as it is written, a remote's as PHP shops really write it.

Change it when a remote's JSON is odd in a new way. In: a payload, or the bytes that came. Out: bytes, or the
value, None where the bytes are no JSON. Only writing fails, with `Rejected`.
"""

import contextlib
import json
import re
from decimal import Decimal
from typing import Any, Final

import orjson

from clients.errors import Rejected, masked

_LONE_SURROGATE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)

# What JSON may be made of before it is taken for text: no order lies deeper, no number is longer.
_DEEPEST: Final = 64
_MOST_DIGITS: Final = 300
# A text without an end is one token up to there: else each quote in it would be tried as its beginning.
_TOKEN: Final = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)


# Values that an answer may hold: ten thousand orders have a million. Each takes a hundred bytes and more of
# memory, so that 64 MiB of empty lists would take 1.7 GB.
MOST_VALUES: Final = 2_000_000


def holds_too_much(body: bytes) -> bool:
    """Whether the JSON may hold more values than that, by the marks between them; it is not parsed for it."""
    return len(body) > MOST_VALUES and sum(map(body.count, (b",", b":", b"[", b"{"))) > MOST_VALUES


def as_json(payload: object) -> bytes:
    """The payload as the body of a call, a Decimal as the number that it is; `Rejected` when it cannot be
    written as JSON.
    """
    try:
        return orjson.dumps(payload, default=_number)
    except TypeError as exc:
        raise Rejected(f"the order cannot be written as JSON: {masked(str(exc))}") from exc


def _number(value: object) -> orjson.Fragment:
    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(f"{value:f}")
    raise TypeError(f"a {type(value).__name__} has no form in JSON")


def parsed(body: bytes) -> Any:
    """The body as JSON, None when it is not JSON.

    Takes what PHP shops really send beside clean JSON: a byte order mark, text cut in half (becomes
    U+FFFD), NaN (becomes null), bare line ends inside text. One odd value never spoils the others: what
    lies deeper than any order does, and a number that no computer counts with, become text.
    """
    with contextlib.suppress(ValueError):
        return orjson.loads(body)
    text = _LONE_SURROGATE.sub(rb"\\ufffd", body).decode("utf-8", "replace").removeprefix("\ufeff")
    with contextlib.suppress(ValueError, RecursionError):
        try:
            return _loads(text)
        except RecursionError:
            return _loads(_flattened(text))
    return None


def _loads(text: str) -> Any:
    return json.loads(text, strict=False, parse_constant=lambda _: None, parse_int=_whole)


def _whole(digits: str) -> int | float | str:
    """A whole number as the fast reader gives it: beyond 64 bits as a float; beyond those as it stands."""
    if len(digits) > _MOST_DIGITS:
        return digits
    number = int(digits)
    return number if -(2**63) <= number < 2**64 else float(number)


def _flattened(text: str) -> str:
    """The same JSON with each value that lies deeper than `_DEEPEST` levels written as text."""
    parts: list[str] = []
    depth = begun = 0
    for found in _TOKEN.finditer(text):
        mark = found.group()
        if mark in "[{":
            depth += 1
            if depth == _DEEPEST:
                parts.append(text[begun : found.start()])
                begun = found.start()
        elif mark in "]}":
            if depth == _DEEPEST:
                parts.append(json.dumps(text[begun : found.end()]))
                begun = found.end()
            depth -= 1
    return "".join((*parts, text[begun:]))
