"""What is wrong with an order, as data, and the sentences a clerk reads about it.

A new code needs its sentence in texts/uk.yaml and texts/en.yaml; tests hold the files together.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from mapping.yamlfile import read_yaml

__all__ = [
    "LANGUAGES",
    "Language",
    "Level",
    "Problem",
    "codes",
    "explain",
    "hook_codes",
    "shown",
]

Level = Literal["fixed", "warning", "held"]
Language = Literal["uk", "en"]
LANGUAGES: tuple[Language, ...] = ("uk", "en")
SHOWN_LENGTH = 200

_TEXTS = Path(__file__).parent / "texts"
_INDEX = re.compile(r"\[\d+\]")
_HOLE = re.compile(r":? ?(?:«»|“”|\(\))(?=[.,;:)]|$)|«»|“”|\(\)")
_GAP = re.compile(r" {2,}")


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding about one field; `before` and `after` may hold personal data: never log them.

    Levels are those of docs/contracts/recipient.md: fixed, warning, held.
    """

    code: str
    level: Level
    field: str
    before: str | None = None
    after: str | None = None
    detail: str = ""

    def to_dict(self) -> dict[str, str | None]:
        """Give the problem as plain JSON."""
        return asdict(self)


# What a person may accept by releasing the order: it may be right. What is missing is never accepted.
DOUBTS = frozenset(
    {
        "total_mismatch",
        "phone_foreign",
        "recipient_name_filler",
        "recipient_name_one_word",
        "name_latin",
    }
)


def shown(value: object) -> str:
    """Give a value as text that any store and any page can hold, at most 200 characters.

    Any JSON value goes in; nothing fails. Called wherever a problem keeps what was found.
    """
    if isinstance(value, str):
        text = value[: SHOWN_LENGTH + 1]
    elif value is None:
        text = "null"
    elif isinstance(value, bool | float):
        text = repr(value).lower()
    elif isinstance(value, int):
        text = str(value) if value.bit_length() < 640 else "…"
    else:
        text = "[…]" if isinstance(value, list) else "{…}"
    text = "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )
    return text if len(text) <= SHOWN_LENGTH else text[: SHOWN_LENGTH - 1] + "…"


def codes(language: Language = "uk") -> frozenset[str]:
    """Give every code that has a sentence in that language."""
    return frozenset(_texts(language)["problems"])


def hook_codes(language: Language = "uk") -> frozenset[str]:
    """Give every code of a finding about a hook's call that has a sentence in that language."""
    return frozenset(_texts(language)["hooks"])


def explain(problem: Problem | str, lang: Language = "uk", **params: object) -> str:
    """Say to a clerk what happened, to which order and what to do.

    In: a problem or a bare code, and what the sentence may name, such as `order="300167757"`.
    A code without a sentence is given back as it is: an error page must not fail in turn.
    """
    texts = _texts(lang)
    values: dict[str, object] = {}
    if isinstance(problem, Problem):
        values = {
            name: _named(value, texts["actions"])
            for name, value in problem.to_dict().items()
            if value is not None
        }
        field = _INDEX.sub("", problem.field)
        # A field of a call is called as its sender calls it.
        names = {} if problem.code in texts["hooks"] else texts["fields"]
        values["field"] = names.get(field, field)
        problem = problem.code
    sentence = texts["problems"].get(problem) or texts["hooks"].get(problem)
    if sentence is None:
        return problem
    filled = sentence.format_map(_Blank(values | params))
    return _GAP.sub(" ", _HOLE.sub("", filled)).replace(" .", ".").replace(" :", ":").strip()


def _named(value: str, names: Mapping[str, str]) -> str:
    """Put a list of actions into words; any other text stays."""
    found = value.split(", ")
    return ", ".join(names[f] for f in found) if all(f in names for f in found) else value


class _Blank(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return ""


@cache
def _texts(language: Language) -> Mapping[str, Mapping[str, str]]:
    loaded: Any = read_yaml(_TEXTS / f"{language}.yaml")
    return loaded  # type: ignore[no-any-return]  # our own file, its form is tested
