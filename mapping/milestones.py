"""Milestones: the words in which a target's stages and a source's statuses meet.

In: a stage of a target's profile and the milestones of a source's. Out: the reply, which is what goes back
to the source. A mistake is a MilestoneError. Called by hook.py and by both profiles when they are loaded.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from string import Formatter

__all__ = [
    "ENDS",
    "MILESTONES",
    "MilestoneError",
    "Reply",
    "Stage",
    "check_note",
    "filled",
    "read_milestone",
    "reply",
]

# What every system can say of an order. A source's profile may name further ones, which say more than
# these five words: then a stage may be one of them too.
MILESTONES = ("processing", "shipped", "completed", "cancelled", "returned")
# Those after which the order moves no more.
ENDS = frozenset({"completed", "cancelled"})
PLACEHOLDERS = frozenset({"ttn", "order_id", "stage"})

_WORD = re.compile("[a-z][a-z_]{0,31}")
_FORMAT = Formatter()
# As near as `shiped` to `shipped`; `shipped_partially` is far enough.
_NEAR = 0.8


class MilestoneError(ValueError):
    """A milestone or a note's template cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back to a source: actions, and a note where nobody wrote a comment.

    `tracking_number`: whether the one that was told goes along.
    """

    order: str | None = None
    delivery: str | None = None
    tracking_number: bool = False
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """A target's stage: its milestone, and what it says otherwise than that; None says nothing."""

    stage: str
    milestone: str | None = None
    tracking_number: bool | None = None
    note: str | None = None


def reply(stage: Stage, milestones: Mapping[str, Reply]) -> Reply:
    """Give what a stage sends back to a source with these milestones; the stage's own word wins."""
    meant = milestones.get(stage.milestone or "", Reply())
    number = meant.tracking_number if stage.tracking_number is None else stage.tracking_number
    return Reply(meant.order, meant.delivery, number, stage.note or meant.note)


def read_milestone(value: object) -> str:
    """Read a milestone's name: one of the five, or a word of its own that is not nearly one of them.

    Raises MilestoneError with the word that was perhaps meant.
    """
    word = value if isinstance(value, str) else ""
    if word in MILESTONES:
        return word
    near = get_close_matches(word.casefold(), MILESTONES, n=1, cutoff=_NEAR)
    if near:
        raise MilestoneError(f"there is no milestone {value!r}; {near[0]} is meant?")
    if not _WORD.fullmatch(word):
        raise MilestoneError(
            f"{value!r} is no milestone: one of {', '.join(MILESTONES)}, or small Latin letters and _"
        )
    return word


def check_note(note: str | None) -> None:
    """Refuse a template that could fail, or say something else, once a target's words are in it."""
    try:
        holes = [(name, spec, how) for _, name, spec, how in _FORMAT.parse(note or "")]
    except ValueError as error:
        raise MilestoneError(str(error)) from error
    for name, spec, how in holes:
        if name is not None and (spec or how or name not in PLACEHOLDERS):
            known = ", ".join(f"{{{known}}}" for known in sorted(PLACEHOLDERS))
            raise MilestoneError(f"it names {name!r}, not {known}")


def filled(note: str | None, values: Mapping[str, str | None]) -> str | None:
    """Fill a template, or give None when it names what was not told."""
    if note is None or not all(values[name] for name in _names(note)):
        return None
    return note.format_map(values)


def _names(note: str) -> list[str]:
    return [name for _, name, _, _ in _FORMAT.parse(note) if name is not None]
