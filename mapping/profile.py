"""The declarative mapping: a profile file, loaded and checked once, that turns orders into a body.

New settings of a profile belong into its schema here; what fields may say is in target.py.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from datetime import datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import yaml
from marshmallow import RAISE, Schema, ValidationError, fields, post_load, validate

from mapping.fields import Sloppy, instant, latest_instant, money, order_key
from mapping.hook import FIELDS, Hook, HookError, HookResult, StageRow, compile_hook
from mapping.order import (
    CENT,
    LineSchema,
    Order,
    OrderSchema,
    PaymentSchema,
    PersonSchema,
    ShippingSchema,
    read_order,
)
from mapping.paths import Getter, PathError, compile_path
from mapping.problems import Problem, shown
from mapping.recipient import Prepared, Rules, prepare
from mapping.source import canonical
from mapping.statuses import ACTIONS, PLANNERS, Machine, MachineError, Planner, read_machines
from mapping.target import Compose, Context, FormError, compile_form, plain_money, view
from mapping.yamlfile import read_yaml

__all__ = [
    "Mapped",
    "Page",
    "Profile",
    "ProfileError",
    "ReadOrder",
    "UnknownShape",
    "UpdateRules",
    "load",
]

ENVELOPES = ("orders", "data", "data.orders", "result.orders", "response.orders")
PEOPLE = ("buyer", "recipient")
GROUPS: dict[str, type[Schema]] = {
    "buyer": PersonSchema,
    "recipient": PersonSchema,
    "shipping": ShippingSchema,
    "payment": PaymentSchema,
    "lines": LineSchema,
}
TIMES = ("created_at", "updated_at")


class ProfileError(ValueError):
    """The profile file cannot be used; the message names the file and the key."""


class UnknownShape(ValueError):  # noqa: N818  the task layer's word for it
    """A get-orders answer in which no order list was found; the poll must fail loudly."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a get-orders answer; without paging fields these are None."""

    orders: list[object]
    page: int | None = None
    pages: int | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Mapped:
    """What became of an order.

    `target` is the body for OneBox and None when the order is held; `draft` is the body as far
    as it goes also then, to be shown or, once a person released the order, sent.
    """

    order_id: str | None
    external_id: str | None
    order: Order | None
    recipient: Prepared | None
    target: dict[str, object] | None
    problems: list[Problem]
    draft: dict[str, object] | None = None

    @property
    def held(self) -> bool:
        """Whether a person has to look first."""
        return any(problem.level == "held" for problem in self.problems)

    @property
    def reasons(self) -> list[str]:
        """The codes for which the order is held, each once, in the order found."""
        return list(dict.fromkeys(p.code for p in self.problems if p.level == "held"))

    @property
    def fixed(self) -> list[Problem]:
        """What was mended."""
        return [problem for problem in self.problems if problem.level == "fixed"]

    @property
    def warnings(self) -> list[Problem]:
        """What a person may want to know."""
        return [problem for problem in self.problems if problem.level == "warning"]


@dataclass(frozen=True, slots=True)
class ReadOrder:
    """An order as its source's profile reads it; without `order` it could not be read.

    `recipient` and `buyer` are prepared, `note` has what was cut from phone and name.
    """

    order_id: str | None
    problems: Sequence[Problem]
    order: Order | None = None
    recipient: Prepared | None = None
    buyer: Prepared | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Where a group of the order's fields lies and how each of them is found there."""

    at: Getter
    getters: tuple[tuple[str, Getter], ...]

    def read(self, found: dict[str, Any]) -> dict[str, Any]:
        """Give what is there, without what is null: absent and null are one."""
        read = {}
        for name, get in self.getters:
            value = get(found)
            if value is not None:
                read[name] = value
        return read


@dataclass(frozen=True, slots=True)
class UpdateRules:
    """How updates go back to the shop; an update older than `greatest_age` waits for a person.

    The keys of `greatest_age` are note, status and tracking_number.
    """

    machines: Mapping[str, Machine]
    planner: Planner
    greatest_age: Mapping[str, timedelta]
    hook: Hook


@dataclass(frozen=True)
class Profile:
    """A loaded profile; everything here is pure and thread-safe."""

    name: str
    zone: ZoneInfo
    external_id_prefix: str
    limit: int
    note_max: int
    rules: Rules
    updates: UpdateRules
    _body: Any
    _envelopes: tuple[Getter, ...]
    _paging: Mapping[str, tuple[str, Getter]]
    _flat: Group
    _groups: Mapping[str, Group]
    _is_other: Getter
    _compose: Compose

    def poll_body(self, start: datetime, end: datetime, page: int) -> dict[str, Any]:
        """Give the body of a get-orders call for a window of aware times.

        The shop reads it in its own time, to the second. A start in the hour that clocks repeat
        is moved before it: a window too wide costs nothing, one too narrow loses orders.
        """
        values = {
            "start": _text(_unambiguous(start.astimezone(self.zone), self.zone)),
            "end": _text(end.astimezone(self.zone)),
            "page": page,
            "limit": self.limit,
        }
        body: dict[str, Any] = _fill(self._body, values)
        return body

    def page(self, answer: object) -> Page:
        """Find the orders and the page numbers in a get-orders answer, in any of its forms.

        Raises UnknownShape when there is no order list. Source: contract okliving, Calls.
        """
        for envelope in self._envelopes:
            found = envelope(answer)
            # PHP may write an empty list as an object; a whole answer without anything is odd.
            orders = [] if found == {} and found is not answer else self._orders(found)
            if orders is not None:
                return Page(
                    orders, *(self._number(answer, name) for name in ("page", "pages", "total"))
                )
        kind = "an object" if isinstance(answer, dict) else "no object"
        raise UnknownShape(f"get-orders answered {kind} without a list of orders in a known place")

    def _orders(self, found: object) -> list[object] | None:
        if isinstance(found, list):
            return found
        if isinstance(found, dict) and any(
            self.key(item) == key.strip() for key, item in found.items()
        ):
            return list(found.values())
        return None

    def _number(self, answer: object, name: str) -> int | None:
        leaf, get = self._paging[name]
        value = get(answer)
        if value is None and isinstance(answer, dict):
            inner = (answer.get(outer) for outer in ("result", "response", "data"))
            value = next((i[leaf] for i in inner if isinstance(i, dict) and leaf in i), None)
        try:
            number = money(value)
        except ValueError:
            return None
        return int(number) if number >= 0 and number == int(number) else None

    def key(self, raw: object) -> str | None:
        """Give the order's id as text, or None when there is none to keep it by."""
        return order_key(self._flat_value(raw, "id"))

    def stamp(self, raw: object) -> datetime | None:
        """Give the order's `updated_at` in UTC, see fields.instant, or None."""
        return instant(self._flat_value(raw, "updated_at"), self.zone)

    def latest_stamp(self, raw: object, read_at: datetime) -> datetime | None:
        """Give the last moment that the order's `updated_at` may mean, when it was read at `read_at`.

        In the hour that clocks repeat a stamp means either of two; `stamp` is the earlier one.
        """
        return latest_instant(self._flat_value(raw, "updated_at"), self.zone, read_at)

    def _flat_value(self, raw: object, name: str) -> object:
        if not isinstance(raw, dict):
            return None
        return next((get(raw) for field, get in self._flat.getters if field == name), None)

    def content_hash(self, raw: object) -> str:
        """Give 32 hex digits that are equal when the JSON is, whatever the order of its keys."""
        try:
            packed = orjson.dumps(raw, option=orjson.OPT_SORT_KEYS)
        except TypeError:  # an integer over 64 bits, a lone surrogate, very deep
            packed = canonical(raw).encode()
        return blake2b(packed, digest_size=16).hexdigest()

    def external_id(self, order_id: str) -> str:
        """Give the key under which the target knows the order. Source: contract onebox."""
        return self.external_id_prefix + order_id

    def extract(self, raw: dict[str, Any]) -> dict[str, Any]:
        """Take what the order's schema reads from where this shop keeps it."""
        values = self._flat.read(raw)
        for name, group in self._groups.items():
            found = group.at(raw)
            if name == "lines":
                values[name] = _items(found, group)
            elif isinstance(found, dict):
                values[name] = group.read(found)
            else:
                # PHP writes an empty object as [] or false.
                values[name] = found or {}
        found = self._groups["recipient"].at(raw)
        values["recipient_is_blank"] = _is_blank(found, values["recipient"])
        is_other = self._is_other(found)
        if is_other is not None:
            values["recipient_is_other"] = is_other
        return {name: value for name, value in values.items() if value is not None}

    def hook_update(
        self,
        fields: Mapping[str, object],
        order_of: Callable[[str], str | None] | None = None,
    ) -> HookResult:
        """Say what a OneBox process action asks of the shop; nothing fails.

        In: the hook's fields, and a look-up from the CRM's process id to the order's id, asked
        only when the hook names neither our external id nor the shop's order. Out: see
        HookResult. As a note only the hook's own comment travels, or the stage's template.
        Called by the hook's door, and by the reconcile with what order/get answered.
        """
        return self.updates.hook.read(fields, order_of)

    def map(self, raw: object) -> Mapped:
        """Turn a shop's order into the target's body.

        In: any JSON value; this never raises. Out: see Mapped; held when it cannot be read, does
        not add up, or its recipient cannot be delivered to. Called by orders.create and preview.
        """
        return self.compose(self.read(raw), self.external_id_prefix)

    def read(self, raw: object) -> ReadOrder:
        """Read an order; its problems say why it cannot be, or should not be sent."""
        order, problems = read_order(raw, self)
        if order is None:
            return ReadOrder(self.key(raw), problems)
        recipient = prepare(order.recipient, self.rules)
        problems += recipient.problems
        buyer = recipient if order.buyer == order.recipient else self._buyer(order, problems)
        problems += _total_problems(order)
        note = "\n".join(text for text in (order.note, recipient.note_extra) if text)
        return ReadOrder(self.key(raw), problems, order, recipient, buyer, note)

    def compose(self, read: ReadOrder, prefix: str) -> Mapped:
        """Give the target's body for an order of a source whose orders it knows by this prefix."""
        external_id = None if read.order_id is None else prefix + read.order_id
        problems = list(read.problems)
        order, recipient, buyer = read.order, read.recipient, read.buyer
        if order is None or recipient is None or buyer is None or external_id is None:
            return Mapped(read.order_id, external_id, None, None, None, problems)
        seen = view(order, external_id, recipient.person, buyer.person, read.note, self.zone)
        draft = self._compose(seen, problems)
        held = any(problem.level == "held" for problem in problems)
        return Mapped(
            read.order_id,
            external_id,
            order,
            recipient,
            None if held else draft,
            problems,
            draft,
        )

    def _buyer(self, order: Order, problems: list[Problem]) -> Prepared:
        """Prepare the buyer, whose card is a courtesy: a bad phone leaves it out, no more."""
        buyer = prepare(order.buyer, self.rules)
        if order.buyer.phone and not buyer.person.phone:
            problems.append(
                Problem(
                    "buyer_phone_unusable",
                    "warning",
                    "buyer.phone",
                    before=shown(order.buyer.phone),
                )
            )
        return buyer


def _total_problems(order: Order) -> list[Problem]:
    """Compare lines and shipping with the total. Source: contract recipient, City and branch."""
    summed = sum((line.total for line in order.lines), order.shipping.cost)
    if abs(summed - order.total) <= CENT:
        return []
    total, counted = plain_money(order.total), plain_money(summed)
    return [
        Problem(
            "total_mismatch",
            "held",
            "total",
            before=total,
            after=counted,
            detail=f"{total} ≠ {counted}",
        )
    ]


def _items(found: object, group: Group) -> object:
    if isinstance(found, dict) and all(isinstance(item, dict) for item in found.values()):
        found = list(found.values())
    if not isinstance(found, list):
        return found
    return [group.read(item) if isinstance(item, dict) else item for item in found]


def _is_blank(found: object, values: object) -> bool:
    """Tell whether the shop names no recipient: no value at all, in fields we know or not."""
    if not isinstance(found, dict):
        return not found
    known = values.values() if isinstance(values, dict) else ()
    words = [v for v in found.values() if isinstance(v, str | dict | list) and v]
    return not any(v for v in known) and not [
        w for w in words if not isinstance(w, str) or w.strip()
    ]


def _unambiguous(local: datetime, zone: ZoneInfo) -> datetime:
    while local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset():
        local = (local - timedelta(hours=1)).replace(tzinfo=zone, fold=0)
    return local


def _text(local: datetime) -> str:
    return local.strftime("%Y-%m-%d %H:%M:%S")


def _fill(template: Any, values: Mapping[str, object]) -> Any:
    if isinstance(template, dict):
        return {key: _fill(inner, values) for key, inner in template.items()}
    if isinstance(template, list):
        return [_fill(inner, values) for inner in template]
    if not isinstance(template, str):
        return template
    # A placeholder alone keeps its type: a page is a number.
    alone = values.get(template[1:-1]) if template[:1] == "{" and template[-1:] == "}" else None
    return template.format_map(values) if alone is None else alone


# Loading: a file goes in, a Profile or a ProfileError comes out.


class _Strict(Schema):
    class Meta:
        unknown = RAISE


class _PathField(Sloppy):
    def read(self, value: Any) -> Getter:
        if not isinstance(value, str):
            raise ValidationError("a path is text")
        try:
            return compile_path(value)
        except PathError as error:
            raise ValidationError(str(error)) from error


class _Zone(Sloppy):
    def read(self, value: Any) -> ZoneInfo:
        try:
            return ZoneInfo(str(value))
        except (KeyError, ValueError, OSError) as error:
            raise ValidationError(f"no time zone {value!r}") from error


class _Body(Sloppy):
    def read(self, value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValidationError("a body is a table")
        try:
            _fill(value, {"start": "", "end": "", "page": 1, "limit": 1})
        except (KeyError, ValueError, IndexError) as error:
            raise ValidationError(f"unknown placeholder {error}") from error
        return value


class _PollSchema(_Strict):
    limit = fields.Integer(strict=True, load_default=100, validate=validate.Range(1, 10_000))
    body = _Body(required=True)


class _PageSchema(_Strict):
    orders = fields.String()
    page = fields.String(load_default="page")
    pages = fields.String(load_default="pages")
    total = fields.String(load_default="total")


class _SourceSchema(_Strict):
    time_zone = _Zone(required=True)
    external_id_prefix = fields.String(required=True, validate=validate.Length(1, 32))
    poll = fields.Nested(_PollSchema, required=True)
    page = fields.Nested(_PageSchema, load_default=lambda: _PageSchema().load({}))
    note_max = fields.Integer(strict=True, load_default=5_000, validate=validate.Range(1))


def _paths_of(schema: type[Schema], *more: str) -> fields.Nested:
    names = [name for name in schema().fields if name not in GROUPS]
    paths: dict[str, Any] = {name: _PathField() for name in (*names, "at", *more)}
    return fields.Nested(_Strict.from_dict(paths), required=True)


def _order_schema() -> type[Schema]:
    flat = [n for n in OrderSchema().fields if n not in {*GROUPS, "recipient_is_other"}]
    paths: dict[str, Any] = {name: _PathField() for name in (*flat, *TIMES)}
    for needed in ("id", "total"):
        paths[needed] = _PathField(required=True)
    for name, schema in GROUPS.items():
        paths[name] = _paths_of(schema, *(["is_other"] if name == "recipient" else []))
    return _Strict.from_dict(paths)


class _RulesSchema(_Strict):
    check = fields.Boolean()
    foreign_phone = fields.String(validate=validate.OneOf(["warning", "held"]))
    latin_name = fields.String(validate=validate.OneOf(["warning", "held"]))
    apostrophe = fields.String(validate=validate.OneOf(["'", "’", "ʼ"]))
    name_part_max = fields.Integer(strict=True, validate=validate.Range(1))
    mobile_prefixes = fields.List(fields.String(validate=validate.Regexp("[0-9]{2}$")))
    filler_names = fields.List(fields.String())
    filler_emails = fields.List(fields.String())
    masked_email_domains = fields.List(fields.String())
    unicode_email = fields.Boolean()


class _Planner(Sloppy):
    def read(self, value: Any) -> Any:
        # YAML reads a bare off as false.
        mode = "off" if value is False else value
        if mode not in PLANNERS:
            raise ValidationError(f"one of {', '.join(PLANNERS)}")
        return mode


class _Word(Sloppy):
    def read(self, value: Any) -> str:
        text = order_key(value)
        if text is None:
            raise ValidationError("an id or a name is needed")
        return text


class _MachineSchema(_Strict):
    start = fields.String(required=True)
    states = fields.Dict(
        fields.String(), fields.Dict(fields.String(), fields.String()), required=True
    )


class _MachinesSchema(_Strict):
    order = fields.Nested(_MachineSchema)
    delivery = fields.Nested(_MachineSchema)


class _HoursSchema(_Strict):
    note = fields.Float(load_default=6, validate=validate.Range(0, min_inclusive=False))
    status = fields.Float(load_default=48, validate=validate.Range(0, min_inclusive=False))
    tracking_number = fields.Float(load_default=48, validate=validate.Range(0, min_inclusive=False))


class _StageSchema(_Strict):
    stage = _Word(required=True)
    order = fields.String(validate=validate.OneOf(ACTIONS["order"]))
    delivery = fields.String(validate=validate.OneOf(ACTIONS["delivery"]))
    tracking_number = fields.Boolean()
    note = fields.String(validate=validate.Length(1, 1_000))

    @post_load
    def _row(self, data: dict[str, Any], **_: Any) -> StageRow:
        return StageRow(**data)


class _UpdatesSchema(_Strict):
    planner = _Planner(load_default="check")
    greatest_age_hours = fields.Nested(_HoursSchema, load_default=lambda: _HoursSchema().load({}))
    machines = fields.Nested(_MachinesSchema, load_default=dict)
    hook = fields.Nested(
        _Strict.from_dict(
            {name: fields.List(fields.String(), validate=validate.Length(1)) for name in FIELDS}
        ),
        load_default=dict,
    )
    stages = fields.List(fields.Nested(_StageSchema), load_default=list)


class _ProfileSchema(_Strict):
    name = fields.String(required=True)
    source = fields.Nested(_SourceSchema, required=True)
    order = fields.Nested(_order_schema(), required=True)
    recipient = fields.Nested(_RulesSchema, load_default=dict)
    lookups = fields.Dict(
        fields.String(), fields.Dict(fields.Raw(), fields.Raw(), allow_none=True), load_default=dict
    )
    target = fields.Dict(fields.String(), fields.Raw(), required=True)
    updates = fields.Nested(_UpdatesSchema, load_default=lambda: _UpdatesSchema().load({}))


def load(path: Path, parameters: Mapping[str, Any] | None = None) -> Profile:
    """Load and check a profile file.

    `parameters` are what the settings give to `{parameter: name}`: workflow_id, status_id,
    source_id; one that is absent or None leaves its field out. Raises ProfileError, which names
    the file and the key.
    """
    try:
        read = read_yaml(path)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ProfileError(f"{path}: {error}") from error
    if not isinstance(read, dict):
        raise ProfileError(f"{path}: a profile is a table of name, source, order, target")
    try:
        data: Any = _ProfileSchema().load(read)
        return _profile(data, parameters or {})
    except ValidationError as error:
        raise ProfileError(f"{path}: {'; '.join(_places(error.messages))}") from error
    except (FormError, PathError, MachineError, HookError) as error:
        raise ProfileError(f"{path}: {error}") from error


def _profile(data: dict[str, Any], parameters: Mapping[str, Any]) -> Profile:
    source, order = data["source"], data["order"]
    lookups = {
        name: {str(key): value for key, value in (table or {}).items()}
        for name, table in data["lookups"].items()
    }
    context = Context(lookups, parameters)
    is_other: Callable[[object], object] = order["recipient"].pop("is_other", _nothing)
    paging = source["page"]
    envelopes = [paging["orders"]] if "orders" in paging else ["@", *ENVELOPES]
    return Profile(
        name=data["name"],
        zone=source["time_zone"],
        external_id_prefix=source["external_id_prefix"],
        limit=source["poll"]["limit"],
        note_max=source["note_max"],
        rules=_rules(data["recipient"]),
        updates=_update_rules(data["updates"], source["external_id_prefix"]),
        _body=source["poll"]["body"],
        _envelopes=tuple(compile_path(envelope) for envelope in envelopes),
        _paging={
            name: (paging[name].rpartition(".")[2], compile_path(paging[name]))
            for name in ("page", "pages", "total")
        },
        _flat=Group(_itself, tuple((n, get) for n, get in order.items() if n not in GROUPS)),
        _groups={name: _group(order[name]) for name in GROUPS},
        _is_other=is_other,
        _compose=compile_form({"fields": data["target"]}, "target", context),
    )


def _update_rules(updates: dict[str, Any], prefix: str) -> UpdateRules:
    return UpdateRules(
        machines=read_machines(updates["machines"]),
        planner=updates["planner"],
        greatest_age={
            part: timedelta(hours=hours) for part, hours in updates["greatest_age_hours"].items()
        },
        hook=compile_hook(prefix, updates["hook"], updates["stages"]),
    )


def _group(paths: dict[str, Getter]) -> Group:
    at = paths.get("at", _itself)
    return Group(at, tuple((name, get) for name, get in paths.items() if name != "at"))


def _itself(value: object) -> object:
    return value


def _nothing(_: object) -> None:
    return None


def _rules(given: dict[str, Any]) -> Rules:
    kinds = {field.name: type(getattr(Rules(), field.name)) for field in dataclass_fields(Rules)}
    return Rules(**{name: kinds[name](value) for name, value in given.items()})


def _places(messages: Any, place: str = "") -> list[str]:
    if not isinstance(messages, dict):
        return [f"{place or 'profile'}: {' '.join(map(str, messages))}"]
    return [
        line
        for key, inner in messages.items()
        for line in _places(inner, f"{place}.{key}" if place else str(key))
    ]
