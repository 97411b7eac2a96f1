"""What stands in an answer of OneBox, in whatever shape: its status, the texts of a failure, ids, phones.

Change it when the CRM puts a thing elsewhere or in another shape; what a text means is told elsewhere. In:
an `Answer`, or a part of its JSON. Out: plain values, None or nothing where there is none. Never fails.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from clients.base import Answer

_NUMBER = re.compile(r"0{0,20}[1-9]\d{0,18}", re.ASCII)
_NO_DIGITS = re.compile(r"\D+")
_SEVERAL = re.compile(r"[,;]")
# A failure says no more than this: so many texts, so long each, of fields with names so long.
_MOST_TEXTS = 100
_LONGEST_TEXT = 1_000
_LONGEST_FIELD = 40


def status_of(answer: Answer) -> int | None:
    """int(status) of the answer, None when it has none."""
    value = answer.json.get("status") if isinstance(answer.json, dict) else None
    try:
        return int(value)  # type: ignore[arg-type]  # what is no number is caught
    except (TypeError, ValueError, OverflowError):
        return None


def failure_text(answer: Answer) -> str:
    """Every text of a failure, wherever this version of OneBox puts it; empty for a success."""
    if not isinstance(answer.json, dict) or (answer.ok and status_of(answer) == 1):
        return ""
    keys = ("errorArray", "errors", "error", "errorText", "message")
    texts = (text for key in keys for text in _texts(answer.json.get(key)))
    return "; ".join(dict.fromkeys(islice(texts, _MOST_TEXTS)))


def _texts(value: object, depth: int = 5) -> Iterator[str]:
    if isinstance(value, str):
        if text := value[:_LONGEST_TEXT].strip():
            yield text
    elif isinstance(value, list) and depth:
        for item in value:
            yield from _texts(item, depth - 1)
    elif isinstance(value, dict) and depth:
        named = [value[key] for key in ("message", "error", "text") if value.get(key)]
        if named:
            yield from _texts(named, depth - 1)
            return
        for field, item in value.items():
            yield from (f"{field[:_LONGEST_FIELD]}: {text}" for text in _texts(item, depth - 1))


def items_of(data: object) -> Iterable[object]:
    """The members of a list, or of what PHP makes of a list with gaps."""
    if isinstance(data, list):
        return data
    return data.values() if isinstance(data, dict) else ()


def id_of(item: object, *keys: str) -> str | None:
    """An id as text, of an item that is the id itself or holds it."""
    if isinstance(item, Mapping):
        names = keys or ("id", "orderid")
        return next((found for key in names if (found := id_of(item.get(key)))), None)
    if isinstance(item, bool) or not isinstance(item, int | str):
        return None
    text = str(item).strip()
    return text if text not in {"", "0"} else None


def number_of(item: object, *keys: str) -> str | None:
    """The id of a process or a card: a number. A text where an id is expected says something else, an error
    perhaps.
    """
    text = id_of(item, *keys) or ""
    return text if _NUMBER.fullmatch(text) else None


def by_number(number: str) -> tuple[int, str]:
    return (int(number), number)


def normalised(phone: str) -> str:
    """Digits with the country: the Ukrainian one where none is given."""
    digits = _NO_DIGITS.sub("", phone).removeprefix("00")
    if len(digits) == 9:
        return "380" + digits
    if len(digits) == 10 and digits.startswith("0"):
        return "38" + digits
    if len(digits) == 11 and digits.startswith("80"):
        return "3" + digits
    return digits


def phones_of(row: dict[str, Any]) -> set[str]:
    """Every number on a card: `phones` is a list of texts or objects, `phone` a text."""
    numbers: set[str] = set()
    waiting: list[object] = [value for key, value in row.items() if "phone" in key.lower()]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list):
            waiting.extend(items_of(value))
        elif isinstance(value, str | int):
            numbers.update(filter(None, map(normalised, _SEVERAL.split(str(value)))))
    return numbers
