"""What a OneBox process action says, and the update it asks for by the milestone of its stage.

A new spelling of a hook's field is a setting of the target's profile; its meaning is a name in FIELDS.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from mapping.fields import order_key
from mapping.milestones import (
    ENDS,
    MilestoneError,
    Reply,
    Stage,
    check_note,
    filled,
    reply,
)
from mapping.request import UpdateRequest
from mapping.updates import read_update

__all__ = [
    "FIELDS",
    "Hook",
    "HookError",
    "HookReader",
    "HookResult",
    "Nothing",
    "Said",
    "compile_reader",
    "update_fields",
]

Nothing = Literal["no_order", "not_ours", "unknown_stage", "nothing_said"]

# What each field of a hook is called by default; the case of letters does not count. `orderid` and
# `id` are the CRM's own words for the number of a process: never taken for the shop's order.
FIELDS: Mapping[str, tuple[str, ...]] = {
    "external_id": ("externalid", "external_id"),
    "order_id": ("order_id", "shop_order_id", "shoporderid"),
    "process_id": ("orderid", "id", "process_id"),
    "stage": (
        "statusid",
        "status_id",
        "stageid",
        "stage_id",
        "statusname",
        "status_name",
        "stagename",
        "stage_name",
        "status",
        "stage",
    ),
    "tracking_number": ("ttn", "tracking_number", "trackingnumber", "customorder_ttn"),
    "note": ("comment", "comments", "note"),
}
# The whole value, as a field of an action that names a variable; and within a comment, where people write
# brackets of their own, only what looks like a name.
_PLACEHOLDER = re.compile(
    r"(?:[$#]?\{{1,2}|\[{1,2}|<|%)[ |$%]{0,2}[A-Za-z_][A-Za-z0-9_.:-]{0,63}[ |%]{0,2}(?:\}{1,2}|\]{1,2}|>|%)"
)
_IN_TEXT = re.compile(
    r"\{[ |$%]{0,2}[A-Za-z_][A-Za-z0-9_.:-]{0,63}[ |%]{0,2}\}|\[[a-z]{1,32}_[a-z0-9_]{1,32}\]"
)
# Without a stage the fields speak: a number and a comment go to the source.
_NO_STAGE = Stage("", tracking_number=True)


class HookError(ValueError):
    """The stage table cannot be used; the message names the stage."""


@dataclass(frozen=True, slots=True)
class Said:
    """What fields say of a process: its stage, in each of the words used, a tracking number, a comment."""

    stages: tuple[str, ...] = ()
    number: str | None = None
    note: str | None = None

    def named(self, names: Mapping[str, str]) -> "Said":
        """The same with the name of a stage before its id, where `names` has it."""
        known = [names[stage] for stage in self.stages if stage in names]
        return replace(self, stages=tuple(dict.fromkeys((*known, *self.stages))))


@dataclass(frozen=True, slots=True)
class HookResult:
    """What a hook asks for.

    Either `request`; or `nothing_to_do` with the reason; or `errors` by field, see read_update.
    `process_id` is the CRM's id of the process, as the hook said it.
    """

    order_id: str | None = None
    external_id: str | None = None
    process_id: str | None = None
    stage: str | None = None
    request: UpdateRequest | None = None
    nothing_to_do: Nothing | None = None
    errors: Mapping[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HookReader:
    """How a target's hooks and processes are read, whatever source their orders came from."""

    names: Mapping[str, tuple[str, ...]]
    stages: Mapping[str, Stage]

    def words(self, fields: Mapping[str, object]) -> dict[str, list[str]]:
        """What a hook says, by the names of FIELDS; the first word of each counts before the others. A
        placeholder that nobody filled says nothing.
        """
        plain = {name.strip().casefold(): _plain(value) for name, value in fields.items()}
        return {
            field: [
                plain[name]
                for name in names
                if plain.get(name) and not self._placeholder(field, plain[name])
            ]
            for field, names in self.names.items()
        }

    def unfilled(self, fields: Mapping[str, object]) -> dict[str, str]:
        """The fields that count and hold a placeholder, as the call names them, with the placeholder."""
        roles = {name: self.role(name) for name in fields}
        held = {
            name: self._placeholder(role, _plain(fields[name]))
            for name, role in roles.items()
            if role is not None
        }
        return {name: placeholder for name, placeholder in held.items() if placeholder}

    def role(self, name: str) -> str | None:
        """Which name of FIELDS this field of a call goes by."""
        spelled = name.strip().casefold()
        return next((role for role, names in self.names.items() if spelled in names), None)

    def called(self, fields: Mapping[str, object], role: str) -> str:
        """What a call names the field of this role, of several the one that counts; else its first name."""
        given = {name.strip().casefold(): name for name, value in fields.items() if _plain(value)}
        names = self.names[role]
        return next((given[name] for name in names if name in given), names[0])

    def _placeholder(self, role: str, value: str) -> str:
        if role == "stage" and value.casefold() in self.stages:
            return ""
        found = _PLACEHOLDER.fullmatch(value) or (role == "note" and _IN_TEXT.search(value))
        return found[0] if found else ""

    def said(self, fields: Mapping[str, object]) -> Said:
        """What the fields of a hook, or of a process that was read, say."""
        words = self.words(fields)
        number = _first(words["tracking_number"])
        # Carriers print the number in groups of four, and so it is pasted.
        number = "".join(number.split()) if number else None
        return Said(tuple(words["stage"]), number, _first(words["note"]))

    def stage(self, said: Said) -> Stage | None:
        """The stage that was said, by its id or its name; without one the fields speak."""
        if not said.stages:
            return _NO_STAGE
        return next(
            (self.stages[s.casefold()] for s in said.stages if s.casefold() in self.stages), None
        )

    def stage_of(self, said: Said) -> str | None:
        """One word for the stage, whichever word was used: that of its row; without a row the first."""
        row = self.stage(said)
        word = row.stage if row else _first(said.stages)
        return word.casefold() if word else None

    def has_row(self, said: Said) -> bool:
        """Whether the table knows the stage."""
        return bool(said.stages) and self.stage(said) is not None

    def needs_name(self, said: Said) -> bool:
        """Whether a stage is said by its id alone while the table goes by names: it may be any row's."""
        return bool(
            said.stages
            and all(stage.isdecimal() for stage in said.stages)
            and not self.has_row(said)
            and not all(word.isdecimal() for word in self.stages)
        )

    @property
    def through(self) -> frozenset[str]:
        """The stages, as `stage_of` names them, in which the order is at its end."""
        return frozenset(word for word, stage in self.stages.items() if stage.milestone in ENDS)


@dataclass(frozen=True, slots=True)
class Hook(HookReader):
    """The same for the orders of one source: what a stage sends back to it, by its milestones."""

    prefix: str
    milestones: Mapping[str, Reply]

    def odd_ids(self, fields: Mapping[str, object]) -> list[str]:
        """The ids, by the names of FIELDS, that no order or process can have."""
        words = self.words(fields)
        said = {name: _first(words[name]) for name in ("external_id", "order_id", "process_id")}
        if said["external_id"] is not None:
            said["external_id"] = said["external_id"].removeprefix(self.prefix)
        return [name for name, word in said.items() if word is not None and order_key(word) is None]

    def read(
        self, fields: Mapping[str, object], order_of: Callable[[str], str | None] | None
    ) -> HookResult:
        """Turn a hook's fields into an update, see Profile.hook_update."""
        words = self.words(fields)
        external_id, process_id, stage, shop_id = (
            _first(words[field]) for field in ("external_id", "process_id", "stage", "order_id")
        )
        if external_id is not None:
            order_id = external_id.removeprefix(self.prefix) or None
        else:
            order_id = shop_id or (order_of(process_id) if process_id and order_of else None)
        result = HookResult(order_id, external_id, process_id, stage)
        if external_id is not None and not external_id.startswith(self.prefix):
            return replace(result, order_id=None, nothing_to_do="not_ours")
        if order_id is None or order_key(order_id) is None:
            return replace(result, order_id=None, nothing_to_do="no_order")
        return self._asked(result, self.said(fields))

    def asks(self, order_id: str, said: Said) -> HookResult:
        """The update for an order of which this was said, see Profile.hook_update."""
        return self._asked(HookResult(order_id, stage=_first(said.stages)), said)

    def takes_number(self, said: Said) -> bool:
        """Whether a tracking number said with this stage goes to the shop."""
        stage = self.stage(said)
        return stage is not None and reply(stage, self.milestones).tracking_number

    def _asked(self, result: HookResult, said: Said) -> HookResult:
        stage = self.stage(said)
        if stage is None:
            return replace(result, nothing_to_do="unknown_stage")
        raw = update_fields(reply(stage, self.milestones), result.order_id or "", said)
        if len(raw) == 1:
            return replace(result, nothing_to_do="nothing_said")
        request, errors = read_update(raw)
        return replace(result, request=request, errors=errors)


def update_fields(meant: Reply, order_id: str, said: Said) -> dict[str, object]:
    """Give the update in the form of the HTTP door, no more than the reply allows."""
    raw: dict[str, object] = {"order_id": order_id}
    if said.number and meant.tracking_number:
        raw["tracking_number"] = said.number
    statuses = {"order": meant.order, "delivery": meant.delivery}
    if any(statuses.values()):
        raw["statuses"] = {name: action for name, action in statuses.items() if action}
    told = {"ttn": said.number, "order_id": order_id, "stage": _first(said.stages)}
    note = said.note or filled(meant.note, told)
    if note:
        raw["note"] = note
    return raw


def _first(words: Sequence[str]) -> str | None:
    return next(iter(words), None)


def _plain(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return str(value).strip()


def compile_reader(names: Mapping[str, list[str]], stages: list[Stage]) -> HookReader:
    """Build the reader of a target's hooks; `names` replace those in FIELDS, field by field.

    Raises HookError for a stage that has two rows or whose row says nothing, and for a note with
    a placeholder that is none of ttn, order_id, stage.
    """
    table: dict[str, Stage] = {}
    for row in stages:
        if row.stage.casefold() in table:
            raise HookError(f"the stage {row.stage!r} has two rows")
        if not (row.milestone or row.tracking_number or row.note):
            raise HookError(f"the row of the stage {row.stage!r} says nothing")
        try:
            check_note(row.note)
        except MilestoneError as error:
            raise HookError(f"the note of the stage {row.stage!r}: {error}") from error
        table[row.stage.casefold()] = row
    spelled = {
        field: tuple(name.strip().casefold() for name in names.get(field, default))
        for field, default in FIELDS.items()
    }
    return HookReader(spelled, table)
