"""What a file of tenants must say, and what it may: each mistake with its path in the file.

In: the file's plain values. Out: its tenants, checked in themselves and against each other, or the mistakes
by their paths, such as tenants[0].accounts[3].customer_name. Nothing fails. Whether it fits what is stored is
found out by ledger/tenants/comparing. Called by desk/loading. Source: docs/operations.md, "Tenants".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import chain
from typing import Any
from zoneinfo import available_timezones

from marshmallow import Schema, ValidationError, fields, validate

from api_keys import TENANT_NAME
from connection import is_address, is_loopback
from connections_file import suggestion
from ledger.tenants import ADDRESS_POLICIES, LONGEST_EXTERNAL_ID, LONGEST_NAME
from plain_text import plain

LONGEST_WORD, LONGEST_TEXT, LONGEST_URL = 100, 2000, 500
# Amounts below this, with so many decimal places at most.
GREATEST, PLACES = Decimal(10) ** 12, 6
_GREATEST_ID = 2**62

Mistakes = dict[str, list[str]]


class _Text(fields.Field[str]):
    """A text that is one: not empty unless `empty` is said, without characters that steer."""

    default_error_messages = {"required": "is missing.", "null": "must not be empty."}  # noqa: RUF012  marshmallow's way

    def __init__(
        self, longest: int, *, empty: bool = False, lines: bool = False, **more: Any
    ) -> None:
        super().__init__(**more)
        self._longest, self._may_be_empty, self._lines = longest, empty, lines

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError(f"must be a text: put it in quotes. It is {_shown(value)}.")
        if not value.strip() and not self._may_be_empty:
            raise ValidationError("must not be empty.")
        if len(value) > self._longest:
            raise ValidationError(
                f"is too long: {len(value)} letters, {self._longest} are the most."
            )
        if not self._lines and value != value.strip():
            # The door takes such blanks away: by no order would it be found.
            raise ValidationError("begins or ends with a blank: remove it.")
        if plain(value) != value or (not self._lines and not value.isprintable()):
            raise ValidationError("has characters that steer and say nothing: remove them.")
        return value


class _ExternalId(_Text):
    """A text; a whole number is taken for one."""

    def _deserialize(self, value: Any, *given: Any, **more: Any) -> str:
        is_number = isinstance(value, int) and not isinstance(value, bool)
        return super()._deserialize(str(value) if is_number else value, *given, **more)


class _Id(fields.Field[int]):
    default_error_messages = {"required": "is missing.", "null": "must not be empty."}  # noqa: RUF012  as above

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < _GREATEST_ID:
            raise ValidationError(f"must be a whole number from 1. It is {_shown(value)}.")
        return value


class _Amount(fields.Field[Decimal]):
    """An amount; `some`: of nothing there is none."""

    default_error_messages = {"required": "is missing.", "null": "must not be empty."}  # noqa: RUF012  as above

    def __init__(self, *, some: bool = False, **more: Any) -> None:
        super().__init__(**more)
        self._some = some

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Decimal:
        if not isinstance(value, int | Decimal) or isinstance(value, bool):
            raise ValidationError(
                f"must be a number such as 23.1, without quotes. It is {_shown(value)}."
            )
        amount = Decimal(value)
        if self._some and not amount:
            raise ValidationError("must be above 0: an order of nothing is none.")
        if not 0 <= amount < GREATEST or amount != round(amount, PLACES):
            raise ValidationError(
                f"must be from 0 to below a million millions, with {PLACES} decimal places at most. "
                f"It is {_shown(value)}."
            )
        return Decimal(format(amount, "f"))


class _Flag(fields.Field[bool]):
    def _deserialize(self, value: Any, *_: Any, **__: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError(f"must be true or false. It is {_shown(value)}.")
        return value


def _shown(value: object) -> str:
    kinds: Mapping[type, str] = {dict: "a mapping", list: "a list"}
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    return kinds.get(type(value), str(value)[:40])


class _Part(Schema):
    """A mapping of the file."""

    error_messages = {"type": "must be a mapping of keys and values."}  # noqa: RUF012  marshmallow's way

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        there = ", ".join(self.fields)
        self.error_messages["unknown"] = f"is no key here. There is: {there}."


def _many(of: type[Schema]) -> Any:
    return fields.List(
        fields.Nested(of),
        load_default=list,
        allow_none=True,
        error_messages={"invalid": "must be a list."},
    )


class AddressSchema(_Part):
    account_address_id = _Id()
    text = _Text(LONGEST_TEXT, empty=True, lines=True, required=True)


class AccountSchema(_Part):
    account_id = _Id()
    customer_name = _Text(LONGEST_NAME, required=True)
    external_customer_id = _ExternalId(LONGEST_EXTERNAL_ID)
    addresses = _many(AddressSchema)


class PositionSchema(_Part):
    catalog_position_id = _Id()
    product_name = _Text(LONGEST_NAME, required=True)
    position_type = _Text(LONGEST_WORD, empty=True, load_default="Goods")
    unit = _Text(LONGEST_WORD, empty=True, load_default="шт")
    default_quantity = _Amount(some=True, load_default=Decimal(1))
    price = _Amount(required=True)
    product_code = _Text(LONGEST_WORD, empty=True, load_default="")


class DefaultsSchema(_Part):
    create_account = _Flag(error_messages={"null": "must be true or false."})
    address_policy = fields.String(
        validate=validate.OneOf(
            ADDRESS_POLICIES, error=f"must be one of {', '.join(ADDRESS_POLICIES)}."
        )
    )
    deliver = _Flag(error_messages={"null": "must be true or false."})
    callback_url = _Text(LONGEST_URL, allow_none=True)
    callback_secret = _Text(LONGEST_TEXT, allow_none=True)


class TenantSchema(_Part):
    name = fields.String(
        required=True,
        validate=validate.Regexp(
            f"{TENANT_NAME.pattern}\\Z",
            error="must be 1 to 40 letters of English, digits, dots, dashes and _.",
        ),
        error_messages={"required": "is missing.", "null": "must not be empty."},
    )
    timezone = fields.String(
        required=True, error_messages={"required": "is missing.", "null": "must not be empty."}
    )
    connection = _Text(LONGEST_WORD, allow_none=True)
    defaults = fields.Nested(
        DefaultsSchema, load_default=dict, error_messages={"null": "must be a mapping."}
    )
    accounts = _many(AccountSchema)
    catalog = _many(PositionSchema)


class FileSchema(_Part):
    tenants = fields.List(
        fields.Nested(TenantSchema),
        required=True,
        validate=validate.Length(min=1, error="is empty."),
        error_messages={
            "required": "is missing: it lists the tenants.",
            "invalid": "must be a list.",
            "null": "must be a list.",
        },
    )


def checked(raw: Any, *, sandbox: bool) -> tuple[list[dict[str, Any]], Mistakes]:
    """The tenants of the file, and what is wrong with it; they are whole only where nothing is."""
    try:
        tenants: list[dict[str, Any]] = FileSchema().load(raw)["tenants"]
    except ValidationError as exc:
        return [], dict(_flat(exc.messages, ""))
    mistakes: Mistakes = {}
    # These two say something else on each machine, or nothing.
    zones = available_timezones() - {"localtime", "Factory"}
    listed = [(f"tenants[{place}]", one) for place, one in enumerate(tenants)]
    _demand_once(mistakes, [(f"{path}.name", one["name"].lower()) for path, one in listed])
    for path, one in listed:
        if one["timezone"] not in zones:
            near = suggestion(one["timezone"], sorted(zones)).partition(" There is")[0]
            told = near if near.startswith("Did") else "One is Europe/Kyiv."
            mistakes[f"{path}.timezone"] = [f"{one['timezone']} is no time zone. {told}"]
        url = one["defaults"].get("callback_url")
        if url is not None and not _may_be_called(url, sandbox=sandbox):
            mistakes[f"{path}.defaults.callback_url"] = [
                "must be an address such as https://www.example.com/orders."
            ]
        _demand_apart(mistakes, path, one)
    return tenants, mistakes


def _may_be_called(url: str, *, sandbox: bool) -> bool:
    is_ours = sandbox and url.startswith("http://") and is_loopback(url)
    return is_address(url) and (url.startswith("https://") or is_ours)


def _flat(messages: Any, path: str) -> Iterator[tuple[str, list[str]]]:
    if not isinstance(messages, dict):
        yield path or "the file", [str(one) for one in messages]
        return
    for key, inner in messages.items():
        if isinstance(key, int):
            yield from _flat(inner, f"{path}[{key}]")
        elif key == "_schema":
            yield from _flat(inner, path)
        else:
            yield from _flat(inner, f"{path}.{key}" if path else str(key))


# --- what a file lists against each other -------------------------------------------------------------

Listed = list[tuple[str, Mapping[str, Any]]]


def _demand_apart(mistakes: Mistakes, path: str, tenant: Mapping[str, Any]) -> None:
    """No two entries are the same thing, also when the file is loaded again."""
    accounts = _listed(f"{path}.accounts", tenant["accounts"])
    catalog = _listed(f"{path}.catalog", tenant["catalog"])
    addresses = [_listed(f"{at}.addresses", one["addresses"]) for at, one in accounts]
    for entries, key in (
        (accounts, "account_id"),
        (accounts, "external_customer_id"),
        (list(chain(*addresses)), "account_address_id"),
        (catalog, "catalog_position_id"),
    ):
        _demand_once(mistakes, [(f"{at}.{key}", one.get(key)) for at, one in entries])
    _demand_alone(mistakes, accounts, "customer_name", ("account_id", "external_customer_id"))
    for entries in addresses:
        _demand_alone(mistakes, entries, "text", ("account_address_id",))
    _demand_alone(mistakes, catalog, "product_code", ("catalog_position_id",))
    _demand_alone(mistakes, catalog, "product_name", ("catalog_position_id", "product_code"))


def _listed(path: str, entries: Sequence[Mapping[str, Any]] | None) -> Listed:
    return [(f"{path}[{place}]", one) for place, one in enumerate(entries or ())]


def _demand_once(mistakes: Mistakes, named: Iterable[tuple[str, object]]) -> None:
    first: dict[object, str] = {}
    for path, value in named:
        if value is not None and first.setdefault(value, path) != path:
            mistakes.setdefault(path, []).append(f"stands at {first[value]} already.")


def _demand_alone(mistakes: Mistakes, entries: Listed, key: str, better: Sequence[str]) -> None:
    """What is found by this key, since it says no better one, is the only one that bears it."""
    count = Counter(one[key] for _, one in entries)
    for path, one in entries:
        if count[one[key]] > 1 and one[key] and not any(one.get(name) for name in better):
            several = (
                f"is borne by {count[one[key]]} entries, and nothing else tells this one from them."
            )
            mistakes.setdefault(f"{path}.{key}", []).append(f"{several} Give it its {better[0]}.")
