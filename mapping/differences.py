"""What differs between two bodies for a target, field by field, for a person to read.

In: bodies as they were composed. Out: the fields that differ, with what stood and stands in them; a list's
items go by their place. Never fails for what a profile composes. Called by desk/changes. The values may be
personal data: never log them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mapping.problems import shown

__all__ = ["Difference", "differences"]


@dataclass(frozen=True, slots=True)
class Difference:
    """A field of the target's body; None where it is not there."""

    field: str
    before: str | None
    after: str | None


def differences(before: object, after: object) -> list[Difference]:
    """The fields that differ, in the order of the body of before, then those that are new."""
    was, now = dict(_leaves(before)), dict(_leaves(after))
    fields = [*was, *(field for field in now if field not in was)]
    return [
        Difference(field, was.get(field), now.get(field))
        for field in fields
        if was.get(field) != now.get(field)
    ]


def _leaves(value: object, place: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, f"{place}.{name}" if place else str(name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{place}[{index}]")
    elif value is not None:
        yield place, shown(value)
