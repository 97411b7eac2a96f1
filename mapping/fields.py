"""Readers of sloppy but clear values, as marshmallow fields: text, money, quantity, yes/no, id.

What cannot be read fails with a problem's code as its message, see problems.py; a new spelling
that is clear to a person belongs here. `plain_money` is the way back.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from marshmallow import ValidationError, fields

from plain_text import plain

__all__ = [
    "Flag",
    "Identifier",
    "Mail",
    "Money",
    "Quantity",
    "Sloppy",
    "Text",
    "instant",
    "latest_instant",
    "money",
    "order_key",
    "plain_money",
    "short_text",
]

UNREADABLE = "unreadable"
MISSING = "field_missing"
TEXT_MAX = 1_000
MONEY_MAX = Decimal(10) ** 12
ID_MAX = 64
# More than a shop's clock and ours are apart.
CLOCKS_DIFFER = timedelta(minutes=10)

# Controls, lone surrogates and non-characters; \t, \n and \r are what people type.
FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]",
)
# Letters and digits of any alphabet, and what stands between them on an invoice.
_ID = re.compile(rf"[\w .,:/#№+()@*=~-]{{1,{ID_MAX}}}")
_SPACES = re.compile(r"[\s'’\u2060]+")  # also what separates thousands
_CURRENCY = re.compile(r"(?:грн|uah|₴)\.?", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?")
_GROUPED = re.compile(r"[+-]?[1-9][0-9]{0,2}(?P<group>[.,])[0-9]{3}(?:(?P=group)[0-9]{3})*")
_OFFSET = re.compile(r"(?:[zZ]|[+-]\d\d:?\d\d)$")
_YES = frozenset({"1", "true", "yes", "on", "так", "y", "t"})
_NO = frozenset({"", "0", "false", "no", "off", "ні", "n", "f", "none", "null"})


def money(value: object) -> Decimal:
    """Read an amount in any usual spelling: 1249, 1249.5, "1 249,00", "1,249.00", "70 грн".

    Raises ValueError for everything that is not one clear finite number: NaN, "1,249" (which
    may mean either), a boolean, an exponent, 10^12 and more. Source: docs/contracts/okliving.md, "Reference
    order".
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError(UNREADABLE)  # noqa: TRY004  one error for all that is no amount
    if isinstance(value, int):
        if value.bit_length() > 64:
            raise ValueError(UNREADABLE)
        number = Decimal(value)
    elif isinstance(value, str):
        number = Decimal(_plain_number(value))
    else:
        number = Decimal(repr(value)) if isinstance(value, float) else value
    if not number.is_finite() or abs(number) >= MONEY_MAX:
        raise ValueError(UNREADABLE)
    return number


def _plain_number(text: str) -> str:
    if len(text) > 60:
        raise ValueError(UNREADABLE)
    if _NUMBER.fullmatch(text):
        return text
    text = _SPACES.sub("", _CURRENCY.sub("", text)).replace("\N{MINUS SIGN}", "-")
    comma, dot = text.rfind(","), text.rfind(".")
    if comma >= 0 and dot >= 0:
        whole, part = (
            (text[:comma], text[comma + 1 :]) if comma > dot else (text[:dot], text[dot + 1 :])
        )
        if not _GROUPED.fullmatch(whole):
            raise ValueError(UNREADABLE)
        text = whole.replace(",", "").replace(".", "") + "." + part
    elif text.count(",") > 1 or text.count(".") > 1:
        if not _GROUPED.fullmatch(text):
            raise ValueError(UNREADABLE)
        text = text.replace(",", "").replace(".", "")
    elif comma >= 0:
        if _GROUPED.fullmatch(text):
            raise ValueError(UNREADABLE)
        text = text.replace(",", ".")
    if not _NUMBER.fullmatch(text):
        raise ValueError(UNREADABLE)
    return text


def plain_money(amount: Decimal) -> str:
    """Give an amount as plain text with at least two decimals: 1249.00, never 1.2E+3."""
    exponent = amount.as_tuple().exponent
    if not isinstance(exponent, int) or exponent > -2:
        return f"{amount:.2f}"
    text = f"{amount:f}"
    return text if exponent == -2 else _without_zeros(text)


def _without_zeros(text: str) -> str:
    whole, _, part = text.partition(".")
    return f"{whole}.{part.rstrip('0'):0<2}"


def order_key(value: object) -> str | None:
    """Give an order's id as text, or None when the value can be no id.

    300167757, "300167757", 300167757.0 and " 300167757 " are one id; more than 64 characters and what
    no shop writes an id with are refused: brackets, quotes, controls.
    """
    text = short_text(value)
    return text if text is not None and _ID.fullmatch(text) else None


def short_text(value: object) -> str | None:
    """Give a number or a printable text of at most 64 characters as text; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        value = int(value) if value.is_integer() and abs(value) < 2**53 else None
    if isinstance(value, int):
        value = str(value) if value.bit_length() <= 210 else None
    if not isinstance(value, str):
        return None
    text = value.strip()
    return text if 0 < len(text) <= ID_MAX and text.isprintable() else None


def instant(value: object, zone: ZoneInfo, *, fold: int = 0) -> datetime | None:
    """Read a time as an aware UTC datetime, or None when it is none between 2000 and 2100.

    Text without an offset is shop time in `zone`; where clocks go back and it may mean two
    instants, the earlier is meant, so that a poll never skips, or with `fold` 1 the later. ISO 8601
    with an offset is read too.
    """
    if not isinstance(value, str) or not 10 <= len(value) <= 40:
        return None
    text = value.strip()
    try:
        read = datetime.fromisoformat(text)
        if read.tzinfo is None:
            read = read.replace(tzinfo=zone, fold=fold)
        read = read.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return read if 2000 <= read.year < 2100 else None


def latest_instant(value: object, zone: ZoneInfo, read_at: datetime) -> datetime | None:
    """The latest instant that a stamp may mean, or None when it is none.

    The later one of two in the hour that clocks repeat, unless it lay in the future (but for
    CLOCKS_DIFFER) when the stamp was read. Called by the profile, for an order's age.
    """
    first, second = instant(value, zone), instant(value, zone, fold=1)
    if first is None or second is None or not first < second <= read_at + CLOCKS_DIFFER:
        return first
    return second


class Sloppy(fields.Field[Any]):
    """Base of the readers: `read` is all of a field's work, so that one may call it alone."""

    default_error_messages = {"required": MISSING}  # noqa: RUF012  marshmallow's own declaration

    def read(self, value: Any) -> Any:
        """Read a value that is not null; raises ValidationError with a problem's code."""
        raise NotImplementedError

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        return self.read(value)


class Text(Sloppy):
    """Text, a number as text; false is empty. Too long or with control characters fails."""

    def __init__(self, *, longest: int = TEXT_MAX, **kwargs: Any) -> None:
        super().__init__(load_default="", **kwargs)
        self.longest = longest

    def read(self, value: Any) -> str:
        """Read text without what has no width; raises ValidationError: text_too_long, control_characters,
        unreadable.
        """
        text = value if isinstance(value, str) else _number_text(value)
        if len(text) > self.longest:
            raise ValidationError("text_too_long")
        if not text.isprintable():
            if FORBIDDEN.search(text):
                raise ValidationError("control_characters")
            text = plain(text)
        return text.strip()


def _number_text(value: object) -> str:
    if value is False:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValidationError(UNREADABLE)
    text = short_text(value) if isinstance(value, int) or value.is_integer() else repr(value)
    if text is None or text in {"nan", "inf", "-inf"}:
        raise ValidationError(UNREADABLE)
    return text


class Mail(Sloppy):
    """An e-mail as typed; what is no text counts as absent, since an e-mail never holds an order."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(load_default="", **kwargs)

    def read(self, value: Any) -> str:
        """Read an e-mail; nothing fails."""
        if not isinstance(value, str) or len(value) > TEXT_MAX or FORBIDDEN.search(value):
            return ""
        return plain(value).strip()


class Identifier(Sloppy):
    """An order's id, see order_key."""

    def read(self, value: Any) -> str:
        """Read an id; raises ValidationError: unreadable."""
        text = order_key(value)
        if text is None:
            raise ValidationError(UNREADABLE)
        return text


class Money(Sloppy):
    """An amount, see money, by default of any sign."""

    def __init__(self, *, negative: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.negative = negative

    def read(self, value: Any) -> Decimal | None:
        """Read an amount; empty text is the default of a field that has one.

        Raises ValidationError: unreadable, field_missing.
        """
        if value is False or (isinstance(value, str) and not value.strip()):
            if self.required:
                raise ValidationError(MISSING)
            absent: Decimal | None = self.load_default
            return absent
        try:
            number = money(value)
        except ValueError:
            raise ValidationError(UNREADABLE) from None
        if number < 0 and not self.negative:
            raise ValidationError(UNREADABLE)
        return number


class Quantity(Money):
    """How many: more than nothing."""

    def read(self, value: Any) -> Decimal | None:
        """Read a quantity; raises ValidationError: unreadable, field_missing."""
        number = super().read(value)
        if not number or number < 0:
            raise ValidationError(UNREADABLE)
        return number


class Flag(Sloppy):
    """Yes or no, as 0, 1, "0", "true", "так" and the like."""

    def read(self, value: Any) -> bool:
        """Read yes or no; raises ValidationError: unreadable."""
        if isinstance(value, bool):
            return value
        text = str(int(value)) if isinstance(value, int | float) and value in (0, 1) else value
        text = text.strip().lower() if isinstance(text, str) else None
        if text in _YES:
            return True
        if text in _NO:
            return False
        raise ValidationError(UNREADABLE)
