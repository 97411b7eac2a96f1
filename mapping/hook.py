"""What a OneBox process action says, and the update it asks for, by the profile's stage table.

A new spelling of a hook's field is a setting of the profile; its meaning is a name in FIELDS.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from string import Formatter
from typing import Literal

from mapping.request import UpdateRequest
from mapping.updates import read_update

__all__ = [
    "FIELDS",
    "Hook",
    "HookError",
    "HookResult",
    "Nothing",
    "Said",
    "StageRow",
    "compile_hook",
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
_FORMAT = Formatter()
PLACEHOLDERS = frozenset({"ttn", "order_id", "stage"})


class HookError(ValueError):
    """The stage table cannot be used; the message names the stage."""


@dataclass(frozen=True, slots=True)
class StageRow:
    """What a stage of the CRM means to the shop."""

    stage: str
    order: str | None = None
    delivery: str | None = None
    tracking_number: bool = False
    note: str | None = None


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
class Hook:
    """How hooks of one profile are read; see compile_hook."""

    prefix: str
    names: Mapping[str, tuple[str, ...]]
    rows: Mapping[str, StageRow]

    def read(
        self, said: Mapping[str, object], order_of: Callable[[str], str | None] | None
    ) -> HookResult:
        """Turn a hook's fields into an update, see Profile.hook_update."""
        plain = {name.strip().casefold(): _plain(value) for name, value in said.items()}
        found = {field: self._values(plain, field) for field in self.names}
        external_id, process_id, stage, shop_id, ttn, note = (
            next(iter(found[field]), None)
            for field in (
                "external_id",
                "process_id",
                "stage",
                "order_id",
                "tracking_number",
                "note",
            )
        )
        if external_id is not None:
            order_id = external_id.removeprefix(self.prefix) or None
        else:
            order_id = shop_id or (order_of(process_id) if process_id and order_of else None)
        result = HookResult(order_id, external_id, process_id, stage)
        if external_id is not None and not external_id.startswith(self.prefix):
            return replace(result, order_id=None, nothing_to_do="not_ours")
        if order_id is None:
            return replace(result, nothing_to_do="no_order")
        return self._asked(result, Said(tuple(found["stage"]), ttn, note))

    def said(self, fields: Mapping[str, object]) -> Said:
        """What the fields of a hook, or of a process that was read, say."""
        plain = {name.strip().casefold(): _plain(value) for name, value in fields.items()}
        number = next(iter(self._values(plain, "tracking_number")), None)
        return Said(
            tuple(self._values(plain, "stage")),
            "".join(number.split()) if number else None,
            next(iter(self._values(plain, "note")), None),
        )

    def asks(self, order_id: str, said: Said) -> HookResult:
        """The update for an order of which this was said, see Profile.hook_update."""
        return self._asked(HookResult(order_id, stage=next(iter(said.stages), None)), said)

    def stage_of(self, said: Said) -> str | None:
        """One word for the stage, whichever word was used: that of its row; without a row the first."""
        row = self._row(said.stages) if said.stages else None
        word = row.stage if row else next(iter(said.stages), None)
        return word.casefold() if word else None

    def has_row(self, said: Said) -> bool:
        """Whether the table knows the stage."""
        return bool(said.stages) and self._row(said.stages) is not None

    def takes_number(self, said: Said) -> bool:
        """Whether a tracking number said with this stage goes to the shop."""
        row = self._row(said.stages)
        return row is not None and row.tracking_number

    @property
    def through(self) -> frozenset[str]:
        """The stages, as `stage_of` names them, in which the shop's order is at its end."""
        ends = {"complete", "cancel"}
        return frozenset(word for word, row in self.rows.items() if row.order in ends)

    def _asked(self, result: HookResult, said: Said) -> HookResult:
        row = self._row(said.stages)
        if row is None:
            return replace(result, nothing_to_do="unknown_stage")
        raw = _meant(row, result.order_id or "", result.stage, said.number, said.note)
        if len(raw) == 1:
            return replace(result, nothing_to_do="nothing_said")
        request, errors = read_update(raw)
        return replace(result, request=request, errors=errors)

    def _values(self, plain: Mapping[str, str], field: str) -> list[str]:
        return [plain[name] for name in self.names[field] if plain.get(name)]

    def _row(self, stages: Sequence[str]) -> StageRow | None:
        """Find the row of a stage by its id or its name; without a stage the fields speak."""
        if not stages:
            return StageRow("", tracking_number=True)
        return next((self.rows[s.casefold()] for s in stages if s.casefold() in self.rows), None)


def _plain(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return str(value).strip()


def _meant(
    row: StageRow, order_id: str, stage: str | None, ttn: str | None, note: str | None
) -> dict[str, object]:
    """Give the update in the form of the HTTP door, no more than the row allows."""
    raw: dict[str, object] = {"order_id": order_id}
    # Carriers print the number in groups of four, and so it is pasted.
    ttn = "".join(ttn.split()) if ttn else None
    if ttn and row.tracking_number:
        raw["tracking_number"] = ttn
    statuses = {"order": row.order, "delivery": row.delivery}
    if any(statuses.values()):
        raw["statuses"] = {name: action for name, action in statuses.items() if action}
    note = note or _filled(row.note, {"ttn": ttn, "order_id": order_id, "stage": stage})
    if note:
        raw["note"] = note
    return raw


def _filled(template: str | None, values: Mapping[str, str | None]) -> str | None:
    """Fill a template, or give None when it names what the hook did not say."""
    if template is None or not all(values[name] for name in _placeholders(template)):
        return None
    return template.format_map(values)


def _placeholders(template: str) -> list[str]:
    return [name for _, name, _, _ in _FORMAT.parse(template) if name is not None]


def compile_hook(prefix: str, names: Mapping[str, list[str]], rows: list[StageRow]) -> Hook:
    """Build the reader of a profile's hooks; `names` replace those in FIELDS, field by field.

    Raises HookError for a stage that has two rows or whose row says nothing, and for a note with
    a placeholder that is none of ttn, order_id, stage.
    """
    table: dict[str, StageRow] = {}
    for row in rows:
        if row.stage.casefold() in table:
            raise HookError(f"the stage {row.stage!r} has two rows")
        if not (row.order or row.delivery or row.tracking_number or row.note):
            raise HookError(f"the row of the stage {row.stage!r} says nothing")
        _check_template(row)
        table[row.stage.casefold()] = row
    spelled = {
        field: tuple(name.strip().casefold() for name in names.get(field, default))
        for field, default in FIELDS.items()
    }
    return Hook(prefix, spelled, table)


def _check_template(row: StageRow) -> None:
    """Refuse a note that could fail, or say something else, once a hook's words are in it."""
    try:
        holes = [(name, spec, how) for _, name, spec, how in _FORMAT.parse(row.note or "")]
    except ValueError as error:
        raise HookError(f"the note of the stage {row.stage!r}: {error}") from error
    for name, spec, how in holes:
        if name is not None and (spec or how or name not in PLACEHOLDERS):
            known = ", ".join(f"{{{known}}}" for known in sorted(PLACEHOLDERS))
            raise HookError(f"the note of the stage {row.stage!r} names {name!r}, not {known}")
