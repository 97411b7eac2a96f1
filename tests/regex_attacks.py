"""Makes the texts that a pattern may take long over, out of the pattern itself. Used by test_patterns.py.

In: a compiled pattern, a length. Out: texts of about that length: runs of each character that it speaks of,
pairs of them in turn, and its own matches with each repetition drawn out, whole, broken off at the end, and
said again and again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations, islice
from re import _constants as c  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]

# What any pattern meets: of each class one, what grows when it is normalised, and what no pattern names.
COMMON = "aZя5_ \n.,-@\"'([<{;:+#\0㌖\u0301\u200b😀"
CATEGORIES = {
    c.CATEGORY_DIGIT: "5",
    c.CATEGORY_NOT_DIGIT: "a.",
    c.CATEGORY_SPACE: " \n",
    c.CATEGORY_NOT_SPACE: "a.",
    c.CATEGORY_WORD: "aя5_",
    c.CATEGORY_NOT_WORD: " .",
}
REPEATS = (c.MAX_REPEAT, c.MIN_REPEAT, c.POSSESSIVE_REPEAT)


def texts(pattern: re.Pattern, length: int) -> Iterator[str | bytes]:
    """The attacks on this pattern; bytes for one of bytes."""
    source = pattern.pattern
    is_bytes = isinstance(source, bytes)
    tree = _parser.parse(source, pattern.flags & ~re.DEBUG)
    for text in dict.fromkeys(_texts(tree, length)):
        yield text.encode("utf-8", "replace")[: length * 2] if is_bytes else text


def _texts(tree: object, length: int) -> Iterator[str]:
    named = dict.fromkeys(_characters(tree))
    letters = list(dict.fromkeys((*named, *COMMON)))
    for letter in letters:
        yield letter * length
    for one, other in combinations(list(islice(named, 10)), 2):
        yield (one + other) * (length // 2)
    holders = _repeats(tree)
    drawn_out = [_sample(tree, node, length) for node in (None, *holders)]
    for text in drawn_out:
        for end in ("\0", "!", " ", "a"):
            yield text[:length] + end
        yield text[: length // 2] + text[: length // 2 + 1][::-1]
        for times in (2, 20, 1000):
            yield ((text[: max(length // times, 1)] or "a") * times)[:length] + "\0"
        if text:
            yield (text[:200] * length)[:length]
            yield text[0] * (length - 1) + "!"


def _characters(tree: object) -> Iterator[str]:
    for op, value in tree:
        if op in (c.LITERAL, c.NOT_LITERAL):
            yield chr(value)
        elif op is c.RANGE:
            yield from (chr(value[0]), chr(value[1]))
        elif op is c.CATEGORY:
            yield from CATEGORIES[value]
        elif op is c.IN:
            yield from islice(_characters(value), 12)
        for inner in _inner(op, value):
            yield from _characters(inner)


def _inner(op: object, value: object) -> list:
    if op in REPEATS:
        return [value[2]]
    if op is c.SUBPATTERN:
        return [value[3]]
    if op is c.BRANCH:
        return list(value[1])
    if op in (c.ASSERT, c.ASSERT_NOT):
        return [value[1]]
    if op is c.ATOMIC_GROUP:
        return [value]
    return []


def _repeats(tree: object) -> list:
    """Every repetition that may be long."""
    found = []
    for op, value in tree:
        if op in REPEATS and (value[1] is c.MAXREPEAT or value[1] > 8):
            found.append(value)
        for inner in _inner(op, value):
            found += _repeats(inner)
    return found


def _sample(tree: object, longest: object, length: int) -> str:
    """A text that matches, or nearly; `longest` is the repetition that fills the length, if any."""
    parts = []
    for op, value in tree:
        if op is c.LITERAL:
            parts.append(chr(value))
        elif op in (c.NOT_LITERAL, c.ANY):
            parts.append("a")
        elif op is c.IN:
            parts.append(_one_of(value))
        elif op in REPEATS:
            low, high, body = value
            one = _sample(body, longest, length)
            most = length if high is c.MAXREPEAT else min(high, length)
            times = most // max(len(one), 1) if value is longest else max(low, 1)
            parts.append(one * times)
        elif op is c.BRANCH:
            of = next((b for b in value[1] if any(longest is r for r in _repeats(b))), value[1][0])
            parts.append(_sample(of, longest, length))
        elif op is not c.ASSERT and op is not c.ASSERT_NOT:
            parts += [_sample(inner, longest, length) for inner in _inner(op, value)]
    return "".join(parts)


def _one_of(members: list) -> str:
    if members[0][0] is c.NEGATE:
        refused = re.compile("|".join(map(re.escape, _characters(members[1:]))) or "(?!)")
        return next((sign for sign in "aя5 .!\n" if not refused.match(sign)), "a")
    return next(_characters(members), "a")
