"""What is wrong with an order, as data, and the sentences a clerk reads about it.

A new code needs its sentence in texts/uk.yaml and texts/en.yaml; tests hold the files together.
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
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
    "parts",
    "phrases",
    "shown",
    "summary",
]

Level = Literal["fixed", "warning", "held"]
Language = Literal["uk", "en"]
LANGUAGES: tuple[Language, ...] = ("uk", "en")
SHOWN_LENGTH = 200

_TEXTS = Path(__file__).parent / "texts"
_INDEX = re.compile(r"\[\d+\]")
_HOLE = re.compile(r":? ?(?:«»|“”|\(\))(?=[.,;:)]|$)|«»|“”|\(\)")
_GAP = re.compile(r" {2,}")
_BETWEEN_SENTENCES = re.compile(r"(?<=\.) ")
_WHICH_ORDER = re.compile(r"\b\w{1,30} \{order\}: ")
# What a command says in place of what is not known, for a person to fill in.
_BLANKS = {"named": "ID", "update": "NUMBER", "again": "--order ACTION"}


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


# Whose `detail` is what a remote said, masked where it came in: it may be told wherever the code is.
QUOTING = frozenset(
    {
        "crm_refused",
        "crm_keeps_failing",
        "uncertain_no_lookup",
        "repeat_refused",
        "connection_paused",
        "update_refused",
        "update_receiver_refused",
        "update_cannot_be_told",
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
    elif isinstance(value, Decimal):
        text = f"{value:f}"
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


def explain(
    problem: Problem | str, lang: Language = "uk", *, is_read: bool = True, **params: object
) -> str:
    """Say to a clerk what happened, to which order and what to do, commands between backticks.

    In: a problem or a bare code, and what the sentence may name: `order`, the order's number; `named`, how a
    command is told which order is meant; `update`, the update's number. `is_read`: its source is asked for
    what has changed. A code without a sentence is given back as it is: an error page must not fail in turn.
    """
    return "`".join(parts(problem, lang, is_read=is_read, **params)).strip()


def summary(
    problem: Problem | str, lang: Language = "uk", *, is_read: bool = True, **params: object
) -> str:
    """What happened, for a line of a list: without the sentences that name commands, and without the order's
    number, which stands beside it. See `explain`.
    """
    said = _filled(problem, lang, params, is_read=is_read, summed_up=True)[0].strip()
    return said[:1].upper() + said[1:]


def parts(
    problem: Problem | str, lang: Language = "uk", *, is_read: bool = True, **params: object
) -> list[str]:
    """What `explain` says, as text and command in turn, text at both ends. The commands are our own: nothing
    that a remote or a buyer wrote makes one.
    """
    return _filled(problem, lang, params, is_read=is_read)


def _filled(
    problem: Problem | str,
    lang: Language,
    params: dict[str, object],
    *,
    is_read: bool,
    summed_up: bool = False,
) -> list[str]:
    texts = _texts(lang)
    values: dict[str, object] = {"allowed": texts["phrases"]["nothing"]}
    allowed = "{allowed}"
    if isinstance(problem, Problem):
        actions = texts["actions"]
        values |= {
            name: _in_words(value, actions)
            for name, value in problem.to_dict().items()
            if value is not None
        }
        field = _INDEX.sub("", problem.field)
        # A field of a call is called as its sender calls it.
        names = {} if problem.code in texts["hooks"] else texts["fields"]
        values["field"] = names.get(field, field)
        if problem.before is not None and problem.before in actions:
            values["again"] = _option(problem.before)
        if problem.detail:
            allowed = _offered(problem.detail, actions)
        problem = problem.code
    unread = None if is_read else texts["unread"].get(problem)
    template = unread or texts["problems"].get(problem) or texts["hooks"].get(problem)
    if template is None:
        return [problem]
    if str(values.get("detail", "")).endswith((".", "!", "?")):
        # A remote's own words may be a whole sentence.
        template = template.replace("{detail}.", "{detail}")
    if summed_up:
        template = _summed_up(template)
    pieces = template.replace("{allowed}", allowed).split("`")
    pieces[::2] = [_sentence(piece, values | params) for piece in pieces[::2]]
    pieces[1::2] = [_command(piece, values | params) for piece in pieces[1::2]]
    return pieces


def phrases(section: str, language: Language = "uk") -> Mapping[str, str]:
    """Give the sentences of a section that is not about orders, by their codes."""
    return _texts(language)[section]


def _summed_up(template: str) -> str:
    sentences = _BETWEEN_SENTENCES.split(_WHICH_ORDER.sub("", template, count=1))
    return " ".join(one for one in sentences if "`" not in one and "{allowed}" not in one)


def _sentence(piece: str, values: Mapping[str, object]) -> str:
    filled = piece.format_map(_Blank(values))
    return _GAP.sub(" ", _HOLE.sub("", filled)).replace(" .", ".").replace(" :", ":")


def _command(piece: str, values: Mapping[str, object]) -> str:
    """A command with its words filled in, each as a shell takes it."""
    made = {"named", "again"}
    words = {
        name: str(value) if name in made else shlex.quote(str(value))
        for name, value in values.items()
        if value not in ("", None)
    }
    return piece.format_map(_ToFillIn(_BLANKS | words))


def _in_words(value: str, names: Mapping[str, str]) -> str:
    """Put a list of actions into words; any other text stays."""
    found = value.split(", ")
    return ", ".join(names[f] for f in found) if all(f in names for f in found) else value


def _offered(detail: str, names: Mapping[str, str]) -> str:
    """The actions that may be chosen, as a template: each in words with its command. Other text stays."""
    found = detail.split(", ")
    if not all(action in names for action in found):
        return "{detail}"
    return "; ".join(
        f"{names[action]}: `orderbridge update {_option(action)} {{named}}`" for action in found
    )


def _option(action: str) -> str:
    """An action as a command takes it."""
    machine, _, name = action.partition(".")
    return f"--{machine} {name}"


class _Blank(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return ""


class _ToFillIn(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return key.upper()


@cache
def _texts(language: Language) -> Mapping[str, Mapping[str, str]]:
    loaded: Any = read_yaml(_TEXTS / f"{language}.yaml")
    return loaded  # type: ignore[no-any-return]  # our own file, its form is tested
