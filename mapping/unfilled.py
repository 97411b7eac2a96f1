"""Which look-up tables of a profile are empty while orders carry codes that they are for.

In: the profile of a flow, and the newest orders of its source as JSON texts. Out: one row a table. Nothing
fails. Called by tasks/checking.py and desk/overview.py.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from mapping.problems import Problem
from mapping.profile import Profile
from mapping.source import from_text

__all__ = ["UnfilledTable", "unfilled_tables"]

# How many of a source's newest orders are looked at, and how many different codes are told.
LOOKED_AT = 50
MOST_CODES = 5


@dataclass(frozen=True, slots=True)
class UnfilledTable:
    """`orders` of the newest `of` orders of this source carry codes, and `field` of the target's body was
    left out for them. `path` is the profile that has the table.
    """

    source: str
    name: str
    field: str
    codes: tuple[str, ...]
    orders: int
    of: int
    path: str


def unfilled_tables(
    profiles: Mapping[str, Profile], newest: Callable[[str, int], Sequence[str]]
) -> list[UnfilledTable]:
    """Those of all these sources. `newest` gives so many texts of a source; it is asked only where the
    profile has an empty table.
    """
    return [
        table
        for source, profile in profiles.items()
        if profile.target.empty_tables
        for table in _of_source(source, profile, newest(source, LOOKED_AT))
    ]


def _of_source(source: str, profile: Profile, texts: Sequence[str]) -> list[UnfilledTable]:
    found: dict[tuple[str, str], dict[int, list[Problem]]] = {}
    for number, text in enumerate(texts):
        for problem in profile.map(from_text(text)).left_out:
            asked = found.setdefault((problem.detail, problem.field), {})
            asked.setdefault(number, []).append(problem)
    return [
        UnfilledTable(
            source=source,
            name=name,
            field=field,
            codes=_codes(problem for problems in asked.values() for problem in problems),
            orders=len(asked),
            of=len(texts),
            path=profile.target.path.name,
        )
        for (name, field), asked in found.items()
    ]


def _codes(problems: Iterable[Problem]) -> tuple[str, ...]:
    """The different ones, those of the newest orders first."""
    return tuple(dict.fromkeys(problem.before or "" for problem in problems))[:MOST_CODES]
