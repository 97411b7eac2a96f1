"""What there is to say of a call of a target's hook: mistakes of the action, and why nothing came of it.

In: the fields of a call, and how they are read. Out: findings, each with a sentence in mapping/texts under
`hooks`. Pure, nothing fails; what a finding quotes is remote text. Called by tasks/judging, tasks/endings and
desk/hooks. Source: docs/onebox-action.md, "What came of a call".
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from mapping.hook import Hook, HookReader, HookResult, Said
from mapping.problems import Language, Problem, explain, shown

__all__ = [
    "Finding",
    "finding",
    "hidden",
    "invalid",
    "nothing_asked",
    "odd",
    "of_nobody",
    "quoted",
    "seen",
    "sentence",
    "unfilled",
]

# Of a list in a sentence; the rest is dots.
MOST_NAMED = 12
# Of the fields of a call, what a person is shown.
MOST_FIELDS, LONGEST_NAME = 60, 64

_PHONE = re.compile(r"(?<!\d)(?:\+?38)?0\d{9}(?!\d)|\+\d{9}")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to say about one field of a call."""

    code: str
    field: str = ""
    before: str = ""
    after: str = ""
    detail: str = ""

    def to_dict(self) -> dict[str, str]:
        """Give the finding as plain JSON, without what it does not say."""
        return {name: value for name, value in asdict(self).items() if value}


def finding(told: Mapping[str, object]) -> Finding:
    """A finding as it was kept."""
    return Finding(**{name: str(told.get(name) or "") for name in Finding.__dataclass_fields__})


def sentence(found: Finding, lang: Language, order: str = "") -> str:
    """Say it to a person: what happened, and what to do."""
    problem = Problem(
        found.code, "warning", found.field, found.before, found.after, detail=found.detail
    )
    return explain(problem, lang, order=order)


def unfilled(reader: HookReader, fields: Mapping[str, object]) -> list[Finding]:
    """The fields that count and hold a placeholder, by the names that the call gives them."""
    return [
        Finding("hook_unfilled", shown(name), placeholder)
        for name, placeholder in reader.unfilled(fields).items()
    ]


def odd(reader: HookReader, fields: Mapping[str, object], names: Sequence[str]) -> list[Finding]:
    """Of ids, by the names of FIELDS, that no order or process can have. Their text is not repeated: it may
    be anything.
    """
    return [Finding("hook_odd_id", reader.called(fields, name)) for name in names]


def of_nobody(
    reader: HookReader,
    fields: Mapping[str, object],
    said: HookResult,
    prefixes: Mapping[str, str],
) -> Finding:
    """Why a call is of no order; `prefixes` are those of the sources, by name."""
    ours = _listed([f"{prefix} ({name})" for name, prefix in prefixes.items()])
    if said.nothing_to_do == "not_ours":
        field = reader.called(fields, "external_id")
        return Finding("hook_not_ours", field, quoted(said.external_id), detail=ours)
    if said.process_id:
        field = reader.called(fields, "process_id")
        return Finding("hook_process_unknown", field, quoted(said.process_id))
    if words := reader.words(fields)["order_id"]:
        field = reader.called(fields, "order_id")
        return Finding("hook_order_unclear", field, quoted(words[0]), detail=ours)
    return Finding("hook_no_order", detail=_listed(reader.names["external_id"]))


def nothing_asked(hook: Hook, said: Said, why: str) -> Finding:
    """Why what was said of an order asks for nothing."""
    stage = quoted(" / ".join(said.stages), blanks=True)
    if why == "unknown_stage":
        rows = _listed([row.stage for row in hook.stages.values()])
        return Finding("hook_unknown_stage", before=stage, detail=rows)
    if not said.stages:
        return Finding("hook_says_nothing")
    row = hook.stage(said)
    return Finding("hook_stage_sends_nothing", before=stage, after=(row and row.milestone) or "")


def invalid(
    hook: Hook, fields: Mapping[str, object], errors: Mapping[str, list[str]]
) -> list[Finding]:
    """What no shop takes, by the names that the call gives its fields."""
    return [
        Finding(
            "hook_refused",
            hook.called(fields, name) if name in hook.names else name,
            detail=" ".join(texts),
        )
        for name, texts in errors.items()
    ]


def quoted(value: object, *, blanks: bool = False) -> str:
    """An id, or with `blanks` the name of a stage, as a person may see it: what an action put there by
    mistake may be a name, a phone or an address.
    """
    text = shown(value)
    is_personal = "@" in text or _PHONE.search(text) or (not blanks and " " in text.strip())
    return hidden(text) if is_personal else text


def seen(reader: HookReader, fields: Mapping[str, object]) -> dict[str, str]:
    """The fields of a call as a person may see them: ids, stages and tracking numbers as they stand, of all
    else how long it is.
    """
    holes = reader.unfilled(fields)
    return {
        shown(name)[:LONGEST_NAME]: holes.get(name) or _seen(reader.role(name), str(value))
        for name, value in list(fields.items())[:MOST_FIELDS]
    }


def _seen(role: str | None, value: str) -> str:
    if role is None or role == "note":
        return hidden(value)
    return quoted(value, blanks=role in {"stage", "tracking_number"})


def hidden(value: str) -> str:
    """How long it is, and nothing else."""
    return f"({len(value)} characters)" if value else ""


def _listed(names: Sequence[str]) -> str:
    more = ", …" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
