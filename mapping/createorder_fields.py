"""The fields of an order that a tenant posts: each takes one form and no other.

In: JSON values, as mapping/exact_json reads them. Out: plain values, None where an empty text says nothing.
What has another form is refused with a sentence that says the right one, which is also the page's. Called by
mapping/createorder.py. Source: docs/contracts/createorder.md, "Request".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Context, Decimal
from types import MappingProxyType
from typing import Any

from marshmallow import ValidationError, fields

from plain_text import plain

LARGEST_ID = 2**63 - 1
LONGEST_TENANT = 40
MOST_POSITIONS = 500
# Below it, and with so many decimals: as many digits as readers of JSON agree about.
AMOUNT_END, DECIMALS = 10**9, 6
# Years that a clock may say; others are slips.
FIRST_YEAR, LAST_YEAR = 2000, 2099

_TENANT = re.compile(rf"[A-Za-z0-9._-]{{1,{LONGEST_TENANT}}}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)
_BROKEN = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
_NOT_ON_PAGES = re.compile(f"[{_BROKEN}]")
_NOT_ON_LINES = re.compile(f"[{_BROKEN}\t\n\r\u2028\u2029]")
# The same in the words of JSON Schema, which knows no halves of a pair.
_AS_TOLD = r"\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\ufdd0-\ufdef\ufffe\uffff"
_ON_NO_LINE = r"\t\n\r\u2028\u2029"
# More digits than any amount has that is taken.
_EXACT = Context(prec=40)


class Own(fields.Field[Any]):
    """A field that takes no other form than its own. `form` says which, `json_schema` as far as OpenAPI 3.0
    can; `need`, `default` and `meaning` are for the page.
    """

    form = ""
    json_schema: Mapping[str, Any] = MappingProxyType({})

    def __init__(
        self, meaning: str, *, need: str = "", default: str = "", is_required: bool = False
    ) -> None:
        told = {"meaning": meaning, "need": need, "default": default}
        missing: dict[str, Any] = {"required": "Needed: say which tenant the order is for."}
        super().__init__(required=is_required, metadata=told, error_messages=missing)

    def refused(self) -> ValidationError:
        return ValidationError(f"Must be {self.form}.")


class Text(Own):
    """Text; an empty one says nothing. What is not seen of it is dropped, as of any text from outside."""

    def __init__(self, longest: int, meaning: str, *, has_lines: bool = False, **told: Any) -> None:
        super().__init__(meaning, **told)
        self._longest, self._has_lines = longest, has_lines
        self.json_schema = {
            "type": "string",
            "maxLength": longest,
            "pattern": f"^[^{_AS_TOLD}{'' if has_lines else _ON_NO_LINE}]*$",
        }
        lines = "line breaks and tabs are taken" if has_lines else "on one line"
        self.form = f"a text of at most {longest:,} characters, {lines}"

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str | None:
        wrong = _NOT_ON_PAGES if self._has_lines else _NOT_ON_LINES
        if not isinstance(value, str) or len(value) > self._longest or wrong.search(value):
            raise self.refused()
        text = plain(value)
        return (text if self._has_lines else text.strip()) if text.strip() else None


class Key(Text):
    """Text, or a whole number as text."""

    def __init__(self, longest: int, meaning: str, **told: Any) -> None:
        super().__init__(longest, meaning, **told)
        self.form = f"{self.form}, or a whole number"
        self.json_schema = {"anyOf": [self.json_schema, {"type": "integer"}]}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str | None:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        # Beyond 64 bits a whole number is read as a Decimal; 7.0 and 7e1 are none.
        is_long = isinstance(value, Decimal) and value.as_tuple().exponent == 0
        return super()._deserialize(f"{value:f}" if is_long else str(value) if is_whole else value)


class Tenant(Own):
    form = f"1 to {LONGEST_TENANT} Latin letters, digits, dots, dashes and low lines"
    json_schema = MappingProxyType({"type": "string", "pattern": f"^{_TENANT.pattern}$"})

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if not isinstance(value, str) or not _TENANT.fullmatch(value):
            raise self.refused()
        return value


class Id(Own):
    form = f"a whole number from 1 to {LARGEST_ID}"
    json_schema = MappingProxyType({"type": "integer", "minimum": 1, "maximum": LARGEST_ID})

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:
        if isinstance(value, Decimal) and 1 <= value <= LARGEST_ID and value == int(value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST_ID:
            raise self.refused()
        return value


class Flag(Own):
    form = "true or false"
    json_schema = MappingProxyType({"type": "boolean"})

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> bool:
        if not isinstance(value, bool):
            raise self.refused()
        return value


class Amount(Own):
    """A number, exact."""

    def __init__(self, meaning: str, *, may_be_zero: bool, **told: Any) -> None:
        super().__init__(meaning, **told)
        self._may_be_zero = may_be_zero
        self.json_schema = {
            "type": "number",
            "minimum": 0,
            "exclusiveMinimum": not may_be_zero,
            "maximum": AMOUNT_END,
            "exclusiveMaximum": True,
        }
        least = "from 0" if may_be_zero else "above 0"
        self.form = f"a number {least}, below {AMOUNT_END:,}, with at most {DECIMALS} decimals"

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise self.refused()
        if not value:
            if not self._may_be_zero:
                raise self.refused()
            return Decimal(0)
        number = _rounded(Decimal(value)) if 0 < value < AMOUNT_END else None
        if number is None or number != value:
            raise self.refused()
        return number


def _rounded(number: Decimal) -> Decimal:
    return number.quantize(Decimal(1).scaleb(-DECIMALS), context=_EXACT).normalize(_EXACT)


class Moment(Own):
    """A time by the tenant's clock."""

    form = (
        f'a time that there is, as "2026-11-21 09:30:00", of the years {FIRST_YEAR} to {LAST_YEAR}'
    )
    json_schema = MappingProxyType({"type": "string", "pattern": f"^({_MOMENT.pattern})?$"})

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str | None:
        if value == "":
            return None
        if not isinstance(value, str) or not _MOMENT.fullmatch(value):
            raise self.refused()
        try:
            read = wall_clock(value)
        except ValueError:
            raise self.refused() from None
        # Newer Pythons read midnight as 24:00, too, of the day before.
        if not FIRST_YEAR <= read.year <= LAST_YEAR or str(read) != value:
            raise self.refused()
        return value


def wall_clock(text: str) -> datetime:
    """The time as it was written; it has no offset. Raises ValueError for 30 February."""
    return datetime.fromisoformat(text)


class Positions(fields.List[Any]):
    """A list of positions; one that is too long is not read at all."""

    form = f"a list of at most {MOST_POSITIONS} positions"

    def __init__(self, inner: fields.Field[Any], meaning: str) -> None:
        super().__init__(inner, metadata={"meaning": meaning, "need": "", "default": "[]"})

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> list[Any]:
        if not isinstance(value, list) or len(value) > MOST_POSITIONS:
            raise ValidationError(f"Must be {self.form}.")
        read: list[Any] = super()._deserialize(value, *args, **kwargs)
        return read
