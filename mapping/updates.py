"""An update on its way to the shop: the one validation for all doors, and the body of the call.

A new field of an update belongs into UpdateSchema; what a OneBox hook means is in hook.py.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from marshmallow import (
    RAISE,
    Schema,
    ValidationError,
    fields,
    post_load,
    validate,
    validates_schema,
)

from mapping.fields import order_key
from mapping.problems import Problem, shown
from mapping.request import Errors, UpdateRequest, by_field
from mapping.statuses import ACTIONS
from plain_text import plain

__all__ = [
    "AT_LEAST_ONE",
    "PARTS",
    "StatusesSchema",
    "UpdateSchema",
    "body",
    "from_flat",
    "read_update",
]

# What an update may ask of the shop, in the order in which it is sent when it is sent apart. `order` and
# `delivery` are actions, not states.
PARTS = ("tracking_number", "order", "delivery", "note")
PERSONAL = frozenset({"note"})

MEANT = ("tracking_number", "statuses", "note")
# For the OpenAPI document, to which a schema cannot say this by itself.
AT_LEAST_ONE: list[dict[str, object]] = [{"required": [name]} for name in MEANT]
NUMBER_MAX = 2**53 - 1  # beyond it JSON readers disagree about a number
WORD_MAX = 64
NOTE_MAX = 2_000
KEY_MAX = 200
USUAL_DIGITS = re.compile("[0-9]{13,15}")
INVALID = "Not a valid string."

BLANKS = " \t\n\r\N{NO-BREAK SPACE}"
# The patterns stand in the OpenAPI document and are used by other engines than Python's, so they
# say all by themselves: what blanks are, and that those around a value do not count.
_BLANKS = " \\t\\n\\r\\u00a0"
_NO_CHARACTERS = "\\ufdd0-\\ufdef\\ufffe\\uffff"
_UNPRINTED = "\\u00ad\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff"
_LINE = f"\\x00-\\x1f\\x7f-\\x9f{_UNPRINTED}{_NO_CHARACTERS}"
_PAGE = f"\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f{_NO_CHARACTERS}"


def _around(core: str) -> str:
    return f"^[{_BLANKS}]*{core}[{_BLANKS}]*$"


def _text(forbidden: str, longest: int) -> str:
    edge = f"[^{forbidden}{_BLANKS}]"
    return _around(f"{edge}(?:[^{forbidden}]{{0,{longest - 2}}}{edge})?")


ORDER_ID = _text(_LINE, WORD_MAX)
TRACKING_NUMBER = _around("[0-9A-Za-z-]{1,64}")
NOTE = _text(_PAGE, NOTE_MAX)
CONNECTION = _around("[0-9A-Za-z_.-]{1,64}")


class _Strict(Schema):
    class Meta:
        unknown = RAISE


class _Text(fields.Field[str]):
    """Text without the blanks around it, its line ends as Unix has them."""

    def __init__(self, pattern: str, error: str, *, longest: int = WORD_MAX, **kwargs: Any) -> None:
        super().__init__(validate=validate.Regexp(pattern, error=error), **kwargs)
        self.longest = longest
        self.error = error

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError(INVALID)
        try:
            value.encode()
        except UnicodeEncodeError as error:  # a lone surrogate, which no pattern can name
            raise ValidationError(INVALID) from error
        text = value.strip(BLANKS).replace("\r\n", "\n").replace("\r", "\n")
        if len(text) > self.longest:  # megabytes are not for a pattern
            raise ValidationError(self.error)
        return text


class _Trimmed(_Text, fields.String):
    """Such text, and `string` in the OpenAPI document."""


class _OrderId(_Text):
    """An order's id: text, or a whole number as text."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if isinstance(value, int | float) and not isinstance(value, bool):
            text = order_key(value) if 0 <= value <= NUMBER_MAX else None
            if text is None:
                raise ValidationError("Not a valid order id.")
            return text
        return super()._deserialize(value)


class _Yes(fields.Boolean):
    """True or false, and nothing that merely looks so."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=shown(value))
        return value


class StatusesSchema(_Strict):
    """Actions on the shop's two state machines."""

    order = fields.String(
        validate=validate.OneOf(ACTIONS["order"]),
        metadata={"description": "What to do with the order.", "example": "process"},
    )
    delivery = fields.String(
        validate=validate.OneOf(ACTIONS["delivery"]),
        metadata={"description": "What to do with the delivery.", "example": "ship"},
    )

    @validates_schema
    def _not_empty(self, data: dict[str, Any], **_: Any) -> None:
        if not data:
            raise ValidationError("An empty object: give order, delivery or both.")


class UpdateSchema(_Strict):
    """An update as any door takes it; loads to an UpdateRequest.

    Errors are keyed by field, as marshmallow gives them. Source: docs/http.md, "An update comes in";
    docs/contracts/okliving.md, "Calls".
    """

    order_id = _OrderId(
        ORDER_ID,
        "1 to 64 characters, no control characters.",
        required=True,
        metadata={
            "description": "The shop's id of the order; a whole number is taken as its text.",
            "anyOf": [
                {"type": "string"},
                {"type": "integer", "minimum": 0, "maximum": NUMBER_MAX},
            ],
            "example": "300167757",
        },
    )
    tracking_number = _Trimmed(
        TRACKING_NUMBER,
        "1 to 64 digits, Latin letters and dashes.",
        metadata={
            "description": "The carrier's number (TTN); usual are 13 to 15 digits.",
            "example": "20450000000000",
        },
    )
    statuses = fields.Nested(
        StatusesSchema,
        metadata={"description": "Actions, at least one.", "minProperties": 1},
    )
    note = _Trimmed(
        NOTE,
        "1 to 2,000 characters, no control characters but line breaks and tabs.",
        longest=NOTE_MAX,
        metadata={"description": "A comment, which the customer may see; up to 2,000 characters."},
    )
    replace = _Yes(
        load_default=False,
        metadata={"description": "Send the tracking number although the shop has another."},
    )
    connection = _Trimmed(
        CONNECTION,
        "1 to 64 digits, Latin letters, dots, dashes and underscores.",
        metadata={
            "description": "Which shop; left out: the only one, else that of the default pair."
        },
    )

    @validates_schema(skip_on_field_errors=True)
    def _says_something(self, data: dict[str, Any], **_: Any) -> None:
        if not any(name in data for name in MEANT):
            raise ValidationError(f"Nothing to do: give at least one of {', '.join(MEANT)}.")

    @post_load
    def _request(self, data: dict[str, Any], **_: Any) -> UpdateRequest:
        meant = data | data.get("statuses", {})
        if "note" in meant:
            # Of a note that nobody could see something is seen.
            meant["note"] = plain(meant["note"]).strip(BLANKS) or "\N{REPLACEMENT CHARACTER}"
        return UpdateRequest(
            data["order_id"],
            {name: meant[name] for name in PARTS if name in meant},
            {"replace": True} if data["replace"] else {},
            data.get("connection"),
            warnings=_warnings(data.get("tracking_number")),
            personal=PERSONAL,
        )


def _warnings(tracking_number: str | None) -> tuple[Problem, ...]:
    """Doubt an unusual tracking number, never block it. Source: docs/contracts/okliving.md, "Calls"."""
    if tracking_number is None or USUAL_DIGITS.fullmatch(tracking_number):
        return ()
    return (Problem("update_ttn_unusual", "warning", "tracking_number", before=tracking_number),)


_SCHEMA = UpdateSchema()


def read_update(raw: Mapping[str, object]) -> tuple[UpdateRequest | None, Errors]:
    """Read an update in the form of the HTTP door.

    Out: the update and no errors, or None and the errors by field: a status is
    "statuses.order", what concerns the whole is "_schema". Any JSON value goes in, nothing fails.
    Called by every door.
    """
    try:
        request: UpdateRequest = _SCHEMA.load(raw)
    except ValidationError as error:
        return None, by_field(error.messages)
    return request, {}


def from_flat(kwargs: Mapping[str, object]) -> tuple[UpdateRequest | None, Errors]:
    """Read an update in the flat form of Celery and the command line, see read_update.

    None is as good as absent; a status is `order` or `delivery`; `key`, 1 to 200 printable
    characters, names the update so that a repeat is the same one.
    """
    given = {name: value for name, value in kwargs.items() if value is not None}
    key = given.pop("key", None)
    if "statuses" not in given:
        statuses = {name: given.pop(name) for name in ACTIONS if name in given}
        given |= {"statuses": statuses} if statuses else {}
    request, errors = read_update(given)
    if key is None:
        return request, errors
    if not isinstance(key, str) or not 0 < len(key) <= KEY_MAX or not key.isprintable():
        return None, errors | {"key": [f"1 to {KEY_MAX} printable characters."]}
    return None if request is None else replace(request, key=key), errors


def body(order_id: str, values: Mapping[str, Any]) -> dict[str, object]:
    """Give the `order` of an update-order call, in the order of the source text's example.

    In: the value of each part that the call carries; the others are left out. Source:
    docs/contracts/okliving.md, "Calls".
    """
    statuses = {name: values[name] for name in ("delivery", "order") if name in values}
    meant: dict[str, object] = {
        "id": order_id,
        "tracking_number": values.get("tracking_number"),
        "statuses": statuses or None,
        "note": values.get("note"),
    }
    return {name: value for name, value in meant.items() if value is not None}
