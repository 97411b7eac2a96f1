"""Says codes of the ledger, and what keeps the system from being ready, in the caller's language.

In: codes and fates. Out: sentences in English or Ukrainian, by Accept-Language, without personal data: only
codes are told, never what was found. The sentences are in mapping/texts.
"""

from __future__ import annotations

from typing import Any, Self, cast

from flask import request

from ledger.updates import Told
from mapping.problems import LANGUAGES, Language, Problem, explain, phrases


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


def sentences(codes: list[str], order_id: str) -> str:
    """What these codes mean for this order."""
    return " ".join(explain(code, language(), order=order_id) for code in codes)


def fate(told: Told, order_id: str) -> dict[str, Any]:
    """A fate with its sentence. A warning about a field, as it was accepted, is a fate too."""
    part = told.get("part") or told.get("field") or ""
    code = told.get("code")
    detail = told.get("detail") or ""
    problem = Problem(code, "warning", part, detail=detail) if code else None
    return {
        "part": part,
        "fate": told.get("fate") or told.get("level") or "",
        "code": code,
        "text": explain(problem, language(), order=order_id) if problem else None,
    }
