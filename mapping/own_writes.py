"""Tells what we wrote into a source's order ourselves from what others changed there.

In: an order as it is read now, the same as its target knows it, and the values that updates of it brought,
by part. Out: the order as it would be without what is ours, so that it maps to the body of before unless
somebody else changed it. Nothing fails. Called by SourceProfile for the polls and the desk.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from mapping.order import Order
from mapping.statuses import Machine, Planner, is_known_action, states_on_the_way

__all__ = ["Brought", "without_ours"]

# The values that updates of an order brought, by part.
Brought = Mapping[str, Collection[Any]]
STATES = {"order": "status", "delivery": "delivery_status"}


def without_ours(
    order: Order, known: Order | None, ours: Brought, machines: Mapping[str, Machine], mode: Planner
) -> Order:
    """The order with what is ours put back to what is `known`; to what an order has at first where that is
    not known. Only whole values are ours: a comment of a person beside ours is a change.
    """
    changes: dict[str, Any] = {}
    number = order.shipping.tracking_number
    if number and number in ours.get("tracking_number", ()):
        before = "" if known is None else known.shipping.tracking_number
        changes["shipping"] = replace(order.shipping, tracking_number=before)
    for part, field in STATES.items():
        state, machine = getattr(order, field), machines[part]
        before = machine.start if known is None else getattr(known, field)
        actions = [one for one in ours.get(part, ()) if one and is_known_action(machine, one)]
        ways = [states_on_the_way(machine, before, action, mode) for action in actions]
        if any(state in way for way in ways):
            changes[field] = before
    notes = [said for said in ours.get("note", ()) if said]
    note = "" if known is None else known.note
    if notes and _is_beside(order.note, note, notes):
        changes["note"] = note
    return replace(order, **changes) if changes else order


def _is_beside(note: str, known: str, ours: Collection[Any]) -> bool:
    """Whether a comment is the one that is `known` and nothing but ours beside it. The known one may hold
    the words of ours, so it is also looked for as a whole.
    """
    words = " ".join(known.split())
    if _without(note, ours) == words:
        return True
    before, there, after = f" {' '.join(note.split())} ".partition(f" {words} ")
    return bool(there) and not _without(before, ours) and not _without(after, ours)


def _without(note: str, ours: Collection[Any]) -> str:
    """The words of a comment without those of ours, of which a longer one may hold a shorter one."""
    words = " ".join(note.split())
    for one in sorted((" ".join(str(said).split()) for said in ours), key=len, reverse=True):
        words = words.replace(one, " ")
    return " ".join(words.split())
