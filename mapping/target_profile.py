"""A target's profile: how its body is composed from an order, and which of its stages is which milestone.

In: a path, loaded and checked once; then orders as a source's profile read them. Out: bodies, and what its
hooks say. Loading raises ProfileError, composing never fails. Called by profile.py for the tasks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marshmallow import ValidationError, fields, post_load, validate

from mapping.fields import Sloppy
from mapping.hook import FIELDS, HookReader, compile_reader
from mapping.milestones import MilestoneError, Stage, read_milestone
from mapping.order import Order
from mapping.order_view import view
from mapping.problems import Problem
from mapping.profile_file import Strict, Word, checked, read_profile
from mapping.recipient import Prepared
from mapping.source_profile import ReadOrder
from mapping.target import TABLE_EMPTY, Compose, Context, compile_form

__all__ = ["Mapped", "TargetProfile", "load_target"]


@dataclass(frozen=True, slots=True)
class Mapped:
    """What became of an order.

    `target` is the body for the target and None when the order is held; `draft` is the body as far
    as it goes also then, to be shown or, once a person released the order, sent. `left_out`
    is what was asked of empty look-up tables: a table that is not used is no finding on every order.
    """

    order_id: str | None
    external_id: str | None
    order: Order | None
    recipient: Prepared | None
    target: dict[str, object] | None
    problems: list[Problem]
    draft: dict[str, object] | None = None
    left_out: list[Problem] = field(default_factory=list)

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
class TargetProfile:
    """A loaded profile of a target; everything here is pure and thread-safe."""

    name: str
    path: Path
    hook: HookReader
    form: Compose
    empty_tables: frozenset[str] = frozenset()

    def compose(self, read: ReadOrder, prefix: str) -> Mapped:
        """Turn an order into the target's body.

        In: an order of a source whose orders the target knows by this prefix and their id. Out: see
        Mapped; held when it could not be read, or lacks what this target requires. Never raises.
        """
        external_id = None if read.order_id is None else prefix + read.order_id
        problems = list(read.problems)
        if (
            read.order is None
            or read.recipient is None
            or read.buyer is None
            or external_id is None
        ):
            return Mapped(read.order_id, external_id, None, None, None, problems)
        seen = view(
            read.order,
            recipient=read.recipient.person,
            buyer=read.buyer.person,
            note=read.note,
            source=read.source,
            prefix=prefix,
            zone=read.zone,
        )
        draft = self.form(seen, problems)
        left_out = [problem for problem in problems if problem.code == TABLE_EMPTY]
        problems = [problem for problem in problems if problem.code != TABLE_EMPTY]
        held = any(problem.level == "held" for problem in problems)
        target = None if held else draft
        return Mapped(
            read.order_id,
            external_id,
            read.order,
            read.recipient,
            target,
            problems,
            draft,
            left_out,
        )


class _Milestone(Sloppy):
    def read(self, value: Any) -> str:
        try:
            return read_milestone(value)
        except MilestoneError as error:
            raise ValidationError(str(error)) from error


class _StageSchema(Strict):
    stage = Word(required=True)
    milestone = _Milestone()
    tracking_number = fields.Boolean()
    note = fields.String(validate=validate.Length(1, 1_000))

    @post_load
    def _stage(self, data: dict[str, Any], **_: Any) -> Stage:
        return Stage(**data)


class _TargetProfileSchema(Strict):
    name = fields.String(required=True)
    lookups = fields.Dict(
        fields.String(), fields.Dict(fields.Raw(), fields.Raw(), allow_none=True), load_default=dict
    )
    target = fields.Dict(fields.String(), fields.Raw(), required=True)
    hook = fields.Nested(
        Strict.from_dict(
            {name: fields.List(fields.String(), validate=validate.Length(1)) for name in FIELDS}
        ),
        load_default=dict,
    )
    stages = fields.List(fields.Nested(_StageSchema), load_default=list)


def load_target(path: Path, parameters: Mapping[str, Any] | None = None) -> TargetProfile:
    """Load and check a target's profile.

    `parameters` are what the settings give to `{parameter: name}`: workflow_id, status_id,
    source_id; one that is absent or None leaves its field out. Raises ProfileError, which names
    the file and the key.
    """
    with checked(path):
        data = read_profile(path, _TargetProfileSchema())
        lookups = {
            name: {str(key): value for key, value in (table or {}).items()}
            for name, table in data["lookups"].items()
        }
        context = Context(lookups, parameters or {})
        return TargetProfile(
            name=data["name"],
            path=path,
            hook=compile_reader(data["hook"], data["stages"]),
            form=compile_form({"fields": data["target"]}, "target", context),
            empty_tables=frozenset(name for name, table in lookups.items() if not table),
        )
