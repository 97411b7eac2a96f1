"""What the calls of one process came to, in codes that mapping/texts has sentences for.

In: each call as it was read, and what came of what it told. Out: an `Ending` for each. Pure. Called by
tasks/listening, in the transaction that hears them. Source: docs/onebox-action.md, "What came of a call".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ledger.hook_endings import Ending
from ledger.hooks import Call
from ledger.transitions import Came, Process
from mapping import hook_findings
from mapping.hook import Hook, Nothing, Said
from mapping.hook_findings import Finding

# What came of a stage or a number, and of a comment, where that is no update.
OF_STAND: Mapping[str, str] = {
    "same": "hook_nothing_new",
    "superseded": "hook_superseded",
    "reused": "hook_key_reused",
}
OF_REMARK: Mapping[str, str] = {"repeated": "hook_note_repeated", "reused": "hook_key_reused"}


@dataclass(frozen=True, slots=True)
class Spoken:
    """A call as it was read. `stand` and `remark` are the places of its stage or number, and of its comment,
    in what is heard; `nothing` why it asks for nothing by itself, `errors` what no shop takes of it.
    """

    call: Call
    said: Said
    nothing: Nothing | None = None
    errors: Mapping[str, list[str]] = field(default_factory=dict)
    stand: int | None = None
    remark: int | None = None


def endings(
    process: Process,
    hook: Hook,
    spoken: Sequence[Spoken],
    came: Sequence[Came],
    read: int | None,
) -> dict[int, Ending]:
    """What came of each call; `read` is the place of what was read behind them, where that was a thing of
    its own.
    """
    of_read = None if read is None else came[read]
    made_by_read = of_read is not None and of_read.what == "made"
    found = {}
    for number, one in enumerate(spoken):
        is_last = number == len(spoken) - 1
        told, updates = _told(hook, one, came)
        outcome = _outcome(one, came)
        if of_read is not None and made_by_read and (is_last or outcome in _IDLE):
            told.append(Finding("hook_read_update", detail=str(of_read.update_id)))
            updates.append(of_read.update_id or 0)
            outcome = "accepted" if outcome in _IDLE else outcome
        if hook.unfilled(one.call.fields) and outcome != "repeated":
            outcome = "unfilled"
        found[one.call.id] = Ending(
            outcome,
            [finding.to_dict() for finding in told],
            process.connection,
            process.order_id,
            list(dict.fromkeys(updates)),
            _heard(one, came),
        )
    return found


# What a call that asks for nothing by itself came to.
_IDLE = frozenset({"nothing_said", "unknown_stage"})


def _outcome(one: Spoken, came: Sequence[Came]) -> str:
    if one.call.repeats is not None:
        return "repeated"
    of = [came[at] for at in (one.stand, one.remark) if at is not None]
    if one.errors or any(each.what == "refused" for each in of):
        return "invalid"
    if any(each.what in {"made", "known"} for each in of):
        return "accepted"
    if one.nothing is not None:
        return one.nothing
    return "superseded" if any(each.what == "superseded" for each in of) else "nothing_new"


def _told(hook: Hook, one: Spoken, came: Sequence[Came]) -> tuple[list[Finding], list[int]]:
    """What a person is told of a call, and the updates that this is about."""
    told = hook_findings.unfilled(hook, one.call.fields)
    if one.call.repeats is not None:
        return [Finding("hook_repeated", detail=str(one.call.repeats)), *told], []
    is_bare = one.nothing is not None and one.remark is None and not told
    if one.nothing is not None and (one.said.stages or is_bare):
        told.append(hook_findings.nothing_asked(hook, one.said, one.nothing))
    updates: list[int] = []
    for at, names in ((one.stand, OF_STAND), (one.remark, OF_REMARK)):
        if at is None:
            continue
        of = came[at]
        if of.update_id is not None:
            updates.append(of.update_id)
            code = "hook_known" if of.what == "known" else "hook_update"
            told.append(Finding(code, detail=str(of.update_id)))
        elif of.what in names and not (of.what == "same" and one.nothing):
            told.append(Finding(names[of.what]))
        if of.refused_id is not None:
            updates.append(of.refused_id)
    told += hook_findings.invalid(hook, one.call.fields, one.errors)
    if updates and all(each.heard is None for each in came):
        told.append(Finding("hook_order_unknown", _called(hook, one.call)))
    return told, updates


def _called(hook: Hook, call: Call) -> str:
    """What the call calls the field by which it says whose it is."""
    words = hook.words(call.fields)
    roles = ("external_id", "order_id", "process_id")
    return next((hook.called(call.fields, role) for role in roles if words[role]), "")


def _heard(one: Spoken, came: Sequence[Came]) -> int | None:
    """Which change of its order the call told: kept for the day when it is told again."""
    of = None if one.stand is None else came[one.stand].heard
    return one.call.heard if of is None else of
