"""Says codes of the ledger in the caller's language.

In: codes, findings and fates. Out: sentences in English or Ukrainian, by Accept-Language, without personal
data: never what was found in an order, and of a remote its own words as they were masked where they came in.
The sentences are in mapping/texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from flask import request

from ledger.updates import Told
from mapping.problems import LANGUAGES, QUOTING, Language, Problem, explain


def language() -> Language:
    """The caller's language; English when it has no wish."""
    return cast("Language", request.accept_languages.best_match(LANGUAGES, default="en"))


def sentences(codes: list[str], told: Sequence[Mapping[str, Any]], order_id: str) -> str:
    """What these codes mean for this order; some of `told`, its findings or fates, quote a remote."""
    problems = [problem for code in codes for problem in _meant(code, told)]
    said = (explain(problem, language(), order=order_id) for problem in problems)
    return " ".join(dict.fromkeys(said))


def _meant(code: str, told: Sequence[Mapping[str, Any]]) -> list[Problem]:
    """The findings or fates that say what a remote said with this code, else the code alone."""
    quoting = [one for one in told if one.get("code") == code and code in QUOTING]
    return [
        Problem(code, "held", one.get("field") or "", detail=one.get("detail") or "")
        for one in quoting or ({},)
    ]


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
