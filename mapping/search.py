"""What an order is found by, whatever spelling a person has: a phone by its digits, a name by its sound.

In: a phone or a name, as it stands in an order or as a person types it. Out: a key in which all spellings of
one are alike, or begin alike; None for what is none. Nothing fails. The rule is coarse on purpose: who
searches would rather see one order too many. Called by tasks/wanting for what is stored and by desk/finding.
Source: docs/decisions/keys-that-an-order-is-found-by.md.
"""

from __future__ import annotations

import re
import unicodedata
from string import ascii_lowercase

# What the ledger keeps of a key.
LONGEST = 64
# Fewer digits, or letters, would fit too many.
FEWEST_DIGITS, FEWEST_LETTERS = 4, 2
# Of a number that is written with its country or its zero this many digits are its own.
NATIONAL = 9

_APOSTROPHES = "'’ʼ`‘´′"
_LETTERS = str.maketrans(
    dict(zip("абвгґдеєёзиіїйыклмнопрстуфхэ", "abvhhdeeeziiiiiklmnoprstufhe", strict=True))
    | {"ж": "zh", "ч": "ch", "ш": "sh", "щ": "sh", "ц": "ts", "ю": "iu", "я": "ia"}
    | dict.fromkeys(f"ьъ{_APOSTROPHES}", "")
)
# Letters that look alike, typed on the wrong keyboard within a Cyrillic word.
_LOOK_ALIKE = str.maketrans("abceikmhoptxy", "авсеікмнортху")
_LATIN = re.compile("[a-z]")
_HAS_CYRILLIC = re.compile("[а-яіїєґё]")
# Whatever one sound is written with, in this order: what is longer goes first.
_SOUNDS = (
    ("shch", "sh"),
    ("sch", "sh"),
    ("szcz", "sh"),
    ("ph", "f"),
    ("tch", "ch"),
    ("cz", "ch"),
    ("sz", "sh"),
    ("kh", "h"),
    ("x", "ks"),
    ("ck", "k"),
    ("q", "k"),
    ("ts", "c"),
    ("tz", "c"),
    ("w", "v"),
    ("g", "h"),
    ("y", "i"),
    ("j", "i"),
    ("ie", "e"),
    ("io", "e"),
)
_SPELT = re.compile("|".join(written for written, _ in _SOUNDS))
# Ковальов, Ковалёв and Kovalov.
_OF = re.compile(r"[eo](va?)\b")
_TWICE = re.compile(r"(.)\1+")
_ANY_TWICE = re.compile("|".join(2 * letter for letter in ascii_lowercase))
_NO_LETTER = re.compile(r"[\W\d_]+")
_PHONE = re.compile(r"[0-9\s().+/‐-―-]+")
_NO_DIGIT = re.compile("[^0-9]+")


def phone_key(text: str) -> str | None:
    """The digits of a phone from the last to the first, so that numbers that end alike begin alike."""
    digits = _NO_DIGIT.sub("", unicodedata.normalize("NFKC", text[: 2 * LONGEST]))
    return digits[-LONGEST:][::-1] or None


def phone_typed(text: str) -> str | None:
    """What the key of a phone begins with that a person gives: whole in any spelling, or its last digits."""
    text = unicodedata.normalize("NFKC", text.strip())
    if len(text) > LONGEST or not _PHONE.fullmatch(text):
        return None
    digits = _NO_DIGIT.sub("", text)
    if len(digits) > NATIONAL:
        digits = digits.lstrip("0")
    return digits[::-1] if len(digits) >= FEWEST_DIGITS else None


def name_key(*parts: str) -> str | None:
    """A name, its last name first, as all its spellings sound. Each order is stored with one: what most names
    have none of is looked for before it is replaced.
    """
    name = " ".join(parts)[: 4 * LONGEST].casefold()
    if not unicodedata.is_normalized("NFKC", name):
        name = unicodedata.normalize("NFKC", name)
    if not name.isascii() and _LATIN.search(name):
        name = " ".join(map(_in_one_alphabet, name.split()))
    name = name.translate(_LETTERS)
    if not name.isascii():
        bare = unicodedata.normalize("NFKD", name)
        name = "".join(sign for sign in bare if not unicodedata.combining(sign))
    if not name.replace(" ", "").isalpha():
        name = _NO_LETTER.sub(" ", name)
    if _SPELT.search(name):
        for written, sound in _SOUNDS:
            name = name.replace(written, sound)
    if _ANY_TWICE.search(name):
        name = _TWICE.sub(r"\1", name)
    if "ev" in name:
        name = _OF.sub(r"o\1", name)
    return " ".join(name.split())[:LONGEST].strip() or None


def names_typed(text: str) -> list[str]:
    """What the key of a name begins with that a person gives: the last name first, or after the others."""
    if any(sign.isdigit() for sign in text) or sum(map(str.isalpha, text)) < FEWEST_LETTERS:
        return []
    words = text[: 4 * LONGEST].split()
    # Two of them tell enough: not every order has a middle name.
    keys = (name_key(*words[:2]), name_key(*words[-1:], *words[:-1][:1]))
    return list(dict.fromkeys(filter(None, keys)))


def _in_one_alphabet(word: str) -> str:
    return word.translate(_LOOK_ALIKE) if _HAS_CYRILLIC.search(word) else word
