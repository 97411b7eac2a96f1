"""Judges a call of a target's hook before anything is done about it: its mistakes, and what it would become.

In: a target and the fields of a call. Out: findings, and what they mean at the door. Raises
`LedgerUnavailable` where the ledger must be asked. Called by the gateway's hook, tasks/listening and
desk/hooks. Source: docs/onebox-action.md, "What came of a call".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ledger import hook_intake, orders
from ledger.hook_endings import Ending
from mapping import hook_findings
from mapping.hook import HookReader, HookResult
from mapping.hook_findings import Finding
from mapping.source import storable
from tasks.resources import Resources
from tasks.sender import odd_ids, says_nothing, whose

IDS = ("external_id", "order_id", "process_id")


@dataclass(frozen=True, slots=True)
class AtDoor:
    """What is certain of a call at once. `is_refused`: its ids are mistakes, so that nobody can act on it;
    `is_idle`: it asks for nothing by itself.
    """

    mistakes: list[Finding]
    is_refused: bool
    is_idle: bool


@dataclass(frozen=True, slots=True)
class Judged:
    """What a call would become: `order_id` of `source`, and the values of the update, by part, if any."""

    findings: list[Finding]
    source: str | None = None
    order_id: str | None = None
    parts: Mapping[str, object] | None = None


def reader_of(r: Resources, target: str) -> HookReader | None:
    """How calls of this target are read; of a source whose orders go there, else of any."""
    names = sorted(r.profiles, key=lambda name: r.target_name(name) != target)
    return r.profiles[names[0]].updates.hook if names else None


def at_door(r: Resources, target: str, fields: Mapping[str, object]) -> AtDoor:
    """What is certain at once, without the ledger and without the target."""
    reader = reader_of(r, target)
    if reader is None:
        return AtDoor([], is_refused=False, is_idle=True)
    odd = odd_ids(r, fields)
    unfilled = hook_findings.unfilled(reader, fields)
    mistakes = hook_findings.odd(reader, fields, odd) + unfilled
    words = reader.words(fields)
    unfilled_ids = any(reader.role(name) in IDS for name in reader.unfilled(fields))
    external_id = next(iter(words["external_id"]), None)
    if external_id is not None and not external_id.startswith(tuple(prefixes(r).values())):
        mistakes.append(Finding("hook_not_ours", reader.called(fields, "external_id")))
    return AtDoor(
        mistakes,
        is_refused=bool(odd) or (unfilled_ids and not any(words[name] for name in IDS)),
        is_idle=says_nothing(r, fields),
    )


def keep_refused(r: Resources, target: str, fields: dict[str, Any], mistakes: list[Finding]) -> int:
    """Keep a call that is refused at the door, for a person to see; its key."""
    codes = {found.code for found in mistakes}
    outcome = "odd_id" if "hook_odd_id" in codes else "unfilled"
    ending = Ending(outcome, [found.to_dict() for found in mistakes])
    return hook_intake.keep_ended(r.ledger, target, storable(fields), ending, r.ledger.now())


def nobodys(
    r: Resources, target: str, fields: Mapping[str, object], said: HookResult
) -> tuple[str, list[Finding]]:
    """What a call that is of no order comes to, and why."""
    reader = reader_of(r, target)
    outcome: str = said.nothing_to_do or "no_order"
    if reader is None:
        return outcome, []
    unfilled = hook_findings.unfilled(reader, fields)
    found = [*unfilled, hook_findings.of_nobody(reader, fields, said, prefixes(r))]
    return "unfilled" if unfilled and outcome != "not_ours" else outcome, found


def judge(r: Resources, target: str, fields: Mapping[str, object]) -> Judged:
    """What a call with these fields would become, by itself; nothing is kept, sent or asked of the target."""
    source, said = whose(r, target, fields)
    if source is None or said.order_id is None:
        return Judged(nobodys(r, target, fields, said)[1])
    hook = r.profiles[source].updates.hook
    told = hook.said(fields)
    found = hook_findings.unfilled(hook, fields)
    if hook.needs_name(told):
        by_id = hook_findings.nothing_asked(hook, told, "unknown_stage")
        found.append(Finding("hook_stage_by_id", before=by_id.before, detail=by_id.detail))
    elif said.nothing_to_do is not None and (told.stages or not found):
        found.append(hook_findings.nothing_asked(hook, told, said.nothing_to_do))
    found += hook_findings.invalid(hook, fields, said.errors)
    now = r.ledger.now()
    if not orders.listing(r.ledger, now, connection=source, order_id=said.order_id, limit=1):
        named = next(name for name in IDS if hook.words(fields)[name])
        found.append(Finding("hook_order_unknown", hook.called(fields, named)))
    parts = None if said.request is None else said.request.parts
    return Judged(found, source, said.order_id, parts)


def prefixes(r: Resources) -> dict[str, str]:
    """How the external ids of each source's orders begin."""
    return {name: profile.external_id_prefix for name, profile in r.profiles.items()}
