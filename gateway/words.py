"""Says codes of the ledger, and what keeps the system from being ready, in the caller's language.

In: codes, findings and fates. Out: sentences in English or Ukrainian, by Accept-Language, without personal
data: never what was found in an order, and of a remote its own words as they were masked where they came in.
The sentences are in mapping/texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self, cast

from flask import current_app, request

from desk.naming import named
from ledger.updates import Told, Update
from mapping.problems import LANGUAGES, QUOTING, Language, Problem, explain, phrases
from tasks.resources import Resources


def language() -> Language:
    """The caller's language; English when it has no wish."""
    return cast("Language", request.accept_languages.best_match(LANGUAGES, default="en"))


class Lack(str):
    """What keeps the system from being ready: a sentence in English that the other language has too."""

    __slots__ = ("code", "values")
    code: str
    values: dict[str, object]

    def __new__(cls, code: str, **values: object) -> Self:
        made = super().__new__(cls, phrases("readiness", "en")[code].format_map(values))
        made.code, made.values = code, values
        return made


def told(sentence: str) -> str:
    """The sentence in the caller's language, as far as it is known there."""
    if not isinstance(sentence, Lack):
        return sentence
    return phrases("readiness", language())[sentence.code].format_map(sentence.values)


def sentences(
    codes: list[str], told: Sequence[Mapping[str, Any]], order_id: str, connection: str
) -> str:
    """What these codes mean for this order; some of `told`, its findings, quote a remote."""
    problems = [problem for code in codes for problem in _meant(code, told)]
    meant = {"order": order_id, "named": named(order_id, connection)}
    r: Resources = current_app.config["RESOURCES"]
    is_read = r.is_asked_again(connection)
    said = (explain(problem, language(), is_read=is_read, **meant) for problem in problems)
    return " ".join(dict.fromkeys(said))


def _meant(code: str, told: Sequence[Mapping[str, Any]]) -> list[Problem]:
    """The findings that say what a remote said with this code, else the code alone."""
    quoting = [one for one in told if one.get("code") == code and code in QUOTING]
    return [
        Problem(code, "held", one.get("field") or "", detail=one.get("detail") or "")
        for one in quoting or ({},)
    ]


def reason(row: Update, codes: list[str], wait: Told | None) -> str:
    """What these codes mean for this update; `wait` is why it has not gone yet."""
    told = [fate for code in codes for fate in _of_code(row, code)]
    if wait is not None:
        told.append(wait)
    return " ".join(_explained(one, row) for one in told)


def fate(told: Told, row: Update) -> dict[str, Any]:
    """A fate with its sentence. A warning about a field, as it was accepted, is a fate too."""
    return {
        "part": told.get("part") or told.get("field") or "",
        "fate": told.get("fate") or told.get("level") or "",
        "code": told.get("code"),
        "text": _explained(told, row) if told.get("code") else None,
    }


def _of_code(row: Update, code: str) -> list[Told]:
    return [told for told in row.fates if told.get("code") == code] or [Told(code=code)]


def _explained(told: Told, row: Update) -> str:
    """What an update's own parts ask for, and what its source said of them, may be told: who asks for it may
    read it.
    """
    part = told.get("part") or told.get("field") or ""
    problem = Problem(
        told["code"],
        "warning",
        part,
        told.get("before"),
        told.get("after"),
        told.get("detail") or "",
    )
    return explain(
        problem,
        language(),
        order=row.order_id,
        named=named(row.order_id, row.connection),
        update=row.id,
    )
