"""What a source's profile may say. New settings of such a profile belong into this schema."""

from dataclasses import fields as dataclass_fields
from typing import Any
from zoneinfo import ZoneInfo

from marshmallow import Schema, ValidationError, fields, post_load, validate

from mapping.fields import TEXT_MAX, Sloppy
from mapping.milestones import MilestoneError, Reply, check_note, read_milestone
from mapping.order_schema import (
    LineSchema,
    OrderSchema,
    PaymentSchema,
    PersonSchema,
    ShippingSchema,
)
from mapping.poll import fill
from mapping.profile_file import PathField, Strict
from mapping.recipient_rules import Rules
from mapping.statuses import ACTIONS, PLANNERS

__all__ = ["GROUPS", "SourceProfileSchema"]

GROUPS: dict[str, type[Schema]] = {
    "buyer": PersonSchema,
    "recipient": PersonSchema,
    "shipping": ShippingSchema,
    "payment": PaymentSchema,
    "lines": LineSchema,
}
# Groups that a source may have nothing of.
OPTIONAL = ("recipient", "shipping", "payment", "lines")
TIMES = ("created_at", "updated_at")


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
            fill(value, {"start": "", "end": "", "page": 1, "limit": 1})
        except (KeyError, ValueError, IndexError) as error:
            raise ValidationError(f"unknown placeholder {error}") from error
        return value


class _PollSchema(Strict):
    limit = fields.Integer(strict=True, load_default=100, validate=validate.Range(1, 10_000))
    body = _Body(required=True)


class _PageSchema(Strict):
    orders = fields.String()
    page = fields.String(load_default="page")
    pages = fields.String(load_default="pages")
    total = fields.String(load_default="total")


class _SourceSchema(Strict):
    time_zone = _Zone(required=True)
    poll = fields.Nested(_PollSchema, load_default=None)
    page = fields.Nested(_PageSchema, load_default=lambda: _PageSchema().load({}))
    note_max = fields.Integer(strict=True, load_default=5_000, validate=validate.Range(1))


def _paths_of(schema: type[Schema], *more: str, required: bool) -> fields.Nested:
    names = [name for name in schema().fields if name not in GROUPS]
    paths: dict[str, Any] = {name: PathField() for name in (*names, "at", *more)}
    return fields.Nested(Strict.from_dict(paths), required=required)


class _EmptyOrderLineSchema(Strict):
    name = fields.String(required=True, validate=validate.Length(1, TEXT_MAX))
    sku = fields.String(load_default="", validate=validate.Length(0, TEXT_MAX))


def _order_schema() -> type[Schema]:
    flat = [n for n in OrderSchema().fields if n not in {*GROUPS, "recipient_is_other"}]
    paths: dict[str, Any] = {name: PathField() for name in (*flat, *TIMES)}
    for needed in ("id", "total"):
        paths[needed] = PathField(required=True)
    for name, schema in GROUPS.items():
        more = ["is_other"] if name == "recipient" else []
        paths[name] = _paths_of(schema, *more, required=name not in OPTIONAL)
    return Strict.from_dict(paths)


class _RulesSchema(Strict):
    check = fields.Boolean()
    foreign_phone = fields.String(validate=validate.OneOf(["warning", "held"]))
    latin_name = fields.String(validate=validate.OneOf(["warning", "held"]))
    one_word_name = fields.String(validate=validate.OneOf(["warning", "held"]))
    company_name = fields.String(validate=validate.OneOf(["warning", "held"]))
    apostrophe = fields.String(validate=validate.OneOf(["'", "’", "ʼ"]))
    name_part_max = fields.Integer(strict=True, validate=validate.Range(1))
    mobile_prefixes = fields.List(fields.String(validate=validate.Regexp("[0-9]{2}$")))
    filler_names = fields.List(fields.String())
    filler_emails = fields.List(fields.String())
    masked_email_domains = fields.List(fields.String())
    unicode_email = fields.Boolean()

    @post_load
    def _rules(self, data: dict[str, Any], **_: Any) -> Rules:
        kinds = {
            field.name: type(getattr(Rules(), field.name)) for field in dataclass_fields(Rules)
        }
        return Rules(**{name: kinds[name](value) for name, value in data.items()})


class _Planner(Sloppy):
    def read(self, value: Any) -> Any:
        # YAML reads a bare off as false.
        mode = "off" if value is False else value
        if mode not in PLANNERS:
            raise ValidationError(f"one of {', '.join(PLANNERS)}")
        return mode


class _MachineSchema(Strict):
    start = fields.String(required=True)
    states = fields.Dict(
        fields.String(), fields.Dict(fields.String(), fields.String()), required=True
    )


class _MachinesSchema(Strict):
    order = fields.Nested(_MachineSchema)
    delivery = fields.Nested(_MachineSchema)


class _HoursSchema(Strict):
    note = fields.Float(load_default=6, validate=validate.Range(0, min_inclusive=False))
    status = fields.Float(load_default=48, validate=validate.Range(0, min_inclusive=False))
    tracking_number = fields.Float(load_default=48, validate=validate.Range(0, min_inclusive=False))


class _Note(Sloppy):
    """A template of a note; also of a row that a source's milestone has."""

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or not 1 <= len(value) <= 1_000:
            raise ValidationError("a note is text of 1 to 1,000 characters")
        try:
            check_note(value)
        except MilestoneError as error:
            raise ValidationError(str(error)) from error
        return value


class _ReplySchema(Strict):
    order = fields.String(validate=validate.OneOf(ACTIONS["order"]))
    delivery = fields.String(validate=validate.OneOf(ACTIONS["delivery"]))
    tracking_number = fields.Boolean()
    note = _Note()

    @post_load
    def _reply(self, data: dict[str, Any], **_: Any) -> Reply:
        return Reply(**data)


class _Milestones(Sloppy):
    """A table from milestones to replies; its mistakes are named by the milestone."""

    def read(self, value: Any) -> dict[str, Reply]:
        if not isinstance(value, dict):
            raise ValidationError("a table of milestones is needed")
        replies: dict[str, Reply] = {}
        wrong: dict[str, Any] = {}
        for name, row in value.items():
            try:
                replies[read_milestone(name)] = _ReplySchema().load(row or {})
            except MilestoneError as error:
                wrong[str(name)] = [str(error)]
            except ValidationError as error:
                wrong[str(name)] = error.messages
        if wrong:
            raise ValidationError(wrong)
        return replies


class _UpdatesSchema(Strict):
    planner = _Planner(load_default="check")
    greatest_age_hours = fields.Nested(_HoursSchema, load_default=lambda: _HoursSchema().load({}))
    machines = fields.Nested(_MachinesSchema, load_default=dict)
    milestones = _Milestones(load_default=dict)


class SourceProfileSchema(Strict):
    """The whole of a source's profile."""

    name = fields.String(required=True)
    source = fields.Nested(_SourceSchema, required=True)
    order = fields.Nested(_order_schema(), required=True)
    empty_order_line = fields.Nested(_EmptyOrderLineSchema, load_default=None)
    recipient = fields.Nested(_RulesSchema, load_default=Rules)
    updates = fields.Nested(_UpdatesSchema, load_default=lambda: _UpdatesSchema().load({}))
