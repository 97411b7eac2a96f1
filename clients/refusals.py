"""What a remote says of a failure in JSON: its own words, wherever it puts them.

Change it when a remote says it in another shape. In: the JSON of an answer. Out: its texts as one, empty
where it says nothing in this way; what they mean is judged elsewhere. Never fails.
"""

from collections.abc import Iterator
from itertools import islice

# Where errors are listed, and where one says what it is, the plainest first: OneBox, JSON:API as of Shopware
# (https://jsonapi.org/format/#error-objects), OAuth (RFC 6749, 5.2), problem details (RFC 9457, 3.1).
_LISTS = ("errorArray", "errors", "errorText")
_WORDS = ("detail", "message", "error_description", "text", "error", "title", "code")
# A failure says no more than this: so many texts, so long each, of fields with names so long, so deep.
_MOST_TEXTS = 100
_LONGEST_TEXT = 1_000
_LONGEST_FIELD = 40
_DEEPEST = 5


def said(answer: object) -> str:
    """The words of a failure, without the JSON that they came in."""
    if not isinstance(answer, dict) or not _telling(answer):
        return ""
    return "; ".join(dict.fromkeys(islice(_texts(answer, _DEEPEST), _MOST_TEXTS)))


def _texts(value: object, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        if text := value[:_LONGEST_TEXT].strip():
            yield text
    elif isinstance(value, list) and depth:
        for item in value:
            yield from _texts(item, depth - 1)
    elif isinstance(value, dict) and depth:
        telling = _telling(value)
        for item in telling:
            yield from _texts(item, depth - 1)
        for field, item in () if telling else value.items():
            yield from (f"{field[:_LONGEST_FIELD]}: {text}" for text in _texts(item, depth - 1))


def _telling(value: dict[str, object]) -> list[object]:
    """What of an object says what is wrong: its lists of errors, else the plainest of its words."""
    lists = [value[name] for name in _LISTS if value.get(name)]
    return lists or [value[name] for name in _WORDS if value.get(name)][:1]
