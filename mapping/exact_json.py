"""JSON whose numbers stay what they are: read as whole numbers and Decimal, written exactly and without zeros
that say nothing.

In: JSON as it came, or a value. Out: the value, or JSON: 260.50 is written 260.5, and 30.00 is 30. Reading
raises `Unreadable` with a sentence for whoever sent it; writing never fails for what was read. Called by the
doors that take amounts, and for what is kept of an order that came by one.
"""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

__all__ = ["Unreadable", "decimal_text", "read", "read_own", "write"]

# No order lies deeper; orjson writes 254 levels.
DEEPEST = 64
# Marks between values: each value takes a hundred bytes and more of memory, and time while nobody else works.
MOST_MARKS = 200_000
# Digits of a whole number that surely fits into 64 bits.
SHORT = 18
# Beyond it a number is written with its exponent: as digits alone it would be text without end.
LONGEST = 60


class Unreadable(ValueError):  # noqa: N818  it says what is, as the errors of clients do
    """The text is no JSON, or not of one meaning."""


def read(text: bytes | str) -> Any:
    """The value. Refused are NaN, half a surrogate pair, wrong UTF-8, a number beyond what a computer counts
    with, a field that is named twice (which of the values is meant, nobody knows), and what is too deep.
    """
    body = text.encode() if isinstance(text, str) else text
    if len(body) > MOST_MARKS and sum(map(body.count, (b",", b":", b"[", b"{"))) > MOST_MARKS:
        raise Unreadable("The body holds too many values.")
    try:
        # The stricter of the two: what it takes has one meaning.
        orjson.loads(body)
        value = read_own(body)
    except orjson.JSONDecodeError:
        raise Unreadable("The body is not valid JSON.") from None
    except RecursionError:
        raise Unreadable("The body is nested too deeply.") from None
    except InvalidOperation:
        raise Unreadable("The body holds a number that is too small.") from None
    if _is_too_deep(value):
        raise Unreadable("The body is nested too deeply.")
    return value


def read_own(text: bytes | str) -> Any:
    """The value of what `write` wrote. It holds what came and more: no limit of that is one of this."""
    return json.loads(text, parse_float=Decimal, parse_int=_whole, object_pairs_hook=_each_once)


def write(value: object, *, sort_keys: bool = False) -> str:
    """The JSON of a value; with sorted keys equal values are equal texts."""
    option = orjson.OPT_SORT_KEYS if sort_keys else 0
    return orjson.dumps(value, default=_fragment, option=option).decode()


def decimal_text(number: Decimal) -> str:
    """The number as JSON has it: exact, without zeros that say nothing."""
    if not number:
        return "0"
    exponent = number.adjusted()
    if -LONGEST < exponent < LONGEST:
        text = f"{number:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return str(number)


def _fragment(value: object) -> orjson.Fragment:
    if isinstance(value, Decimal):
        return orjson.Fragment(decimal_text(value))
    raise TypeError(type(value).__name__)


def _whole(digits: str) -> int | Decimal:
    """A whole number of 64 bits, which is what orjson writes; a longer one is exact as a Decimal, too."""
    if len(digits) <= SHORT or -(2**63) <= int(digits) < 2**63:
        return int(digits)
    return Decimal(digits)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise Unreadable("The body names a field twice.")
    return value


def _is_too_deep(value: object) -> bool:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(DEEPEST):
        level = [
            inner
            for one in level
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True
