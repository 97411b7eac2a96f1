"""What somebody must be told, as data, and the message that tells it.

In: what is new, still so, or over, since a channel was last told. Out: a title and a text in a clerk's
language: how many, ids, the reason in words, the command to paste. No personal data: of a reason nothing
but its code is known here, and what a remote said is an excerpt that tasks/concerns.py has masked. The
words are in texts/telling.uk.yaml and texts/telling.en.yaml. Nothing fails. Called by tasks/telling.py.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

from mapping.problems import Language, explain
from mapping.yamlfile import read_yaml
from plain_text import line

_TEXTS = Path(__file__).parent / "texts"
# Discord takes 2,000 characters, others more: so many matters fit, the rest goes with the next message.
MOST = 3
LONGEST_LINE = 250
LONGEST_ID = 64
# In the place of what was found: it may be a name or a phone.
UNTOLD = "…"

Kind = Literal["held", "parked", "stopped", "silent", "quiet"]
# Those that are told as over when nothing of the kind is left, and not one by one.
PILED: tuple[Kind, ...] = ("held", "parked")


@dataclass(frozen=True, slots=True)
class Concern:
    """One matter for a person. `code` is why: a code of mapping/texts, or who closed a gate. `is_more`: there
    are so many rows at least; `is_read`: the source is asked for what has changed. `newest` moves when it
    becomes more, or another one under the same name.
    """

    kind: Kind
    connection: str
    since: datetime
    newest: datetime
    code: str = ""
    rows: int = 1
    ids: tuple[str, ...] = ()
    order_id: str = ""
    detail: str = ""
    is_more: bool = False
    is_read: bool = True

    @property
    def subject(self) -> str:
        return f"{self.kind}:{self.connection}:{self.code if self.kind in PILED else ''}"[:200]


@dataclass(frozen=True, slots=True)
class News:
    """What a channel is to hear. `over` are the connections by the kind of what is over; of a pile none is
    named.
    """

    begun: tuple[Concern, ...] = ()
    more: tuple[Concern, ...] = ()
    still: tuple[Concern, ...] = ()
    over: tuple[tuple[Kind, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.begun or self.more or self.still or self.over)


def message(news: News, language: Language) -> tuple[str, str]:
    """Its title and its text."""
    texts = _texts(language)
    told = [
        _matter(concern, lead, texts, language)
        for lead, concerns in (("begun", news.begun), ("more", news.more), ("still", news.still))
        for concern in concerns
    ]
    told += [texts["over"][kind].format(connection=connection) for kind, connection in news.over]
    trouble = news.begun or news.more or news.still
    return texts["titles"]["trouble" if trouble else "over"], "\n\n".join(told)


def trial_message(language: Language) -> tuple[str, str]:
    """What `orderbridge notify test` sends."""
    texts = _texts(language)
    return texts["titles"]["test"], texts["test"]


def _matter(concern: Concern, lead: str, texts: Mapping[str, Any], language: Language) -> str:
    special = f"{concern.kind}_{concern.code}"
    what = special if special in texts["matters"] else concern.kind
    values = {
        "connection": concern.connection,
        "rows": f"{concern.rows}+" if concern.is_more else concern.rows,
        "ids": _ids(concern, texts),
        "since": f"{concern.since:%Y-%m-%d %H:%M} UTC",
        "detail": concern.detail,
    }
    first = texts["leads"][lead] + texts["matters"][what]
    lines = [_cut(first.format_map(values).strip()), _cut(_why(concern, language))]
    return "\n".join(filter(None, [*lines, _command(concern)]))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_LINE else text[: LONGEST_LINE - 1] + "…"


def _ids(concern: Concern, texts: Mapping[str, Any]) -> str:
    named = ", ".join(line(one)[:LONGEST_ID] for one in concern.ids)
    more = concern.rows - len(concern.ids)
    return named + (texts["and_more"].format(more=more) if more > 0 else "")


def _why(concern: Concern, language: Language) -> str:
    """Of the newest of a pile, by its code alone."""
    if concern.kind not in PILED or not concern.code:
        return ""
    order = line(concern.order_id)[:LONGEST_ID]
    found = dict.fromkeys(("before", "after", "detail", "field"), UNTOLD)
    given = {**found, "order": order, "named": shlex.quote(order)}
    if concern.kind == "parked" and concern.ids:
        given["update"] = concern.ids[0]
    said = explain(concern.code, language, is_read=concern.is_read, **given)
    return said.replace(f"{UNTOLD}.", UNTOLD)


def _command(concern: Concern) -> str:
    connection = f"--connection {concern.connection}"
    return {
        "held": f"orderbridge orders list --state held {connection}",
        "parked": f"orderbridge updates list --state parked {connection}",
        "stopped": f"orderbridge check {connection}",
        "silent": f"orderbridge fetch {connection}",
        "quiet": f"orderbridge fetch {connection}",
    }[concern.kind]


@cache
def _texts(language: Language) -> Mapping[str, Any]:
    loaded: Any = read_yaml(_TEXTS / f"telling.{language}.yaml")
    return loaded  # type: ignore[no-any-return]  # our own file, its form is tested
