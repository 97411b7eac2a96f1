"""Tells how to split a profile that still has source and target in one file, as they were at first.

In: what stands in a profile's file. Out: the steps for exactly that file, or None for a profile of today.
Called by profile_file.py; it may go when nobody upgrades from there any more.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mapping.milestones import MILESTONES
from mapping.statuses import ACTIONS

__all__ = ["steps_to_split"]

_OF_THE_SOURCE = ("source", "order", "recipient")
_OF_THE_TARGET = ("lookups", "target")
# The milestone that an action was most likely meant as.
_LIKELY = {
    "order: process": "processing",
    "order: complete": "completed",
    "order: cancel": "cancelled",
    "delivery: ship": "shipped",
    "delivery: cancel": "cancelled",
    "delivery: retour": "returned",
}


def steps_to_split(profile: Mapping[str, Any]) -> str | None:
    """Give the steps, numbered, one a line; None for a file that is not of the old form."""
    steps = list(_steps(profile))
    if not steps:
        return None
    lines = [f"  {number}. {step}" for number, step in enumerate(steps, start=1)]
    return "\n".join(["source and target have a profile each now, split this one:", *lines])


def _steps(profile: Mapping[str, Any]) -> Iterator[str]:
    updates = _table(profile.get("updates"))
    prefix = _table(profile.get("source")).get("external_id_prefix")
    mixed = any(n in profile for n in _OF_THE_SOURCE) and any(n in profile for n in _OF_THE_TARGET)
    moved = [name for name in ("hook", "stages") if name in updates]
    if not (mixed or moved or prefix is not None):
        return
    if mixed:
        yield from _two_files(profile, updates)
    if moved:
        listed = " and ".join(f"`updates.{name}`" for name in moved)
        keys = " and ".join(f"`{name}`" for name in moved)
        yield f"Move {listed} into the target's file, as {keys} at its left edge."
    yield from _rows(updates.get("stages"))
    if prefix is not None:
        yield (
            f"Take `source.external_id_prefix` out: it is `external_id_prefix: {prefix!r}` of the source's "
            "connection; that of the default pair is 'okl-'. It must stay what it was, or OneBox takes every "
            "order for a new one."
        )
    yield (
        "Name the files as `profile` of the two connections; the default pair takes okliving.yaml "
        "and onebox.yaml in mapping/profiles unless OKLIVING_PROFILE and ONEBOX_PROFILE name others."
    )


def _two_files(profile: Mapping[str, Any], updates: Mapping[str, Any]) -> Iterator[str]:
    of_source = [name for name in _OF_THE_SOURCE if name in profile]
    rest = [name for name in updates if name not in ("hook", "stages")]
    if rest:
        of_source.append(f"updates (with {', '.join(rest)})")
    yield f"Make the source's file, such as okliving.yaml, of: name, {', '.join(of_source)}."
    of_target = [name for name in _OF_THE_TARGET if name in profile]
    yield f"Make the target's file, such as onebox.yaml, of: name, {', '.join(of_target)}."


def _rows(stages: object) -> Iterator[str]:
    rows = [row for row in stages if isinstance(row, dict)] if isinstance(stages, list) else []
    names: dict[tuple[str, ...], str] = {}
    for row in rows:
        if actions := _actions(row):
            names.setdefault(actions, _name(actions, set(names.values())))
    if not names:
        return
    yield (
        "Write below `updates.milestones` of the source's file what each milestone sends back: "
        + " ".join(f"`{name}: {{{', '.join(actions)}}}`." for actions, name in names.items())
    )
    yield (
        "Name in each row of `stages` the milestone in place of `order` and `delivery`; what else is in the "
        "row may stay, and a row with neither stays as it is: "
        + " ".join(
            f"{row.get('stage')!r} is `milestone: {names[actions]}`."
            for row in rows
            if (actions := _actions(row))
        )
    )


def _actions(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(f"{name}: {row[name]}" for name in ACTIONS if row.get(name))


def _name(actions: tuple[str, ...], taken: set[str]) -> str:
    """The milestone that is meant most likely, or a word of its own for actions that none of the five is."""
    likely = {_LIKELY[action] for action in actions if action in _LIKELY} - taken
    if likely:
        return max(likely, key=MILESTONES.index)
    return "_".join(action.replace(": ", "_") for action in actions)


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
