"""A recipient's phone: brought to +380 and nine digits, or held; never invented.

In: the text as typed. Out: E.164 or nothing, what was cut from it, and what was found; nothing fails. A
spelling that shops use is added here, beside its row in docs/contracts/recipient.md. Called by recipient.py.
"""

import re
import unicodedata
from dataclasses import dataclass, replace

import phonenumbers

from mapping.problems import Problem, shown
from mapping.recipient_rules import Rules

__all__ = ["Phone", "phone"]

_PHONE = "recipient.phone"

_APART = r"[\s\-‐-―().\u2060]{0,5}"
_LETTERS = r"[^\W\d_]"
_UKRAINIAN = re.compile(r"(?:\+?38)?0([0-9]{2})([0-9]{7})")
_ZERO_RUN = re.compile(rf"(?<!{_LETTERS})[0-9ОоOo]{{0,15}}[0-9][0-9ОоOo]{{0,15}}(?!{_LETTERS})")
# Longer is no phone, as it is typed and as it is written out.
LONGEST = 100
_ZERO = str.maketrans("ОоOo", "0000")
_EXTENSION = re.compile(
    r"[,;\s]{0,5}(?:\(\s{0,3})?(?:(?<![^\W\d_])(?:доб|дод|внутр|вн|ext|x)[а-яіїєґa-z]{0,15}[.:]?|#)\s{0,3}([0-9]{1,6})(?![0-9])\s{0,3}\)?",
    re.IGNORECASE,
)
_SEPARATOR = re.compile(r"[,;/|\\\n\r]+|\s(?:та|або|і|или|и|or|and)\s", re.IGNORECASE)
_LABEL = re.compile(r"\b(?:т|тел|телефон|моб|мобільний|phone|tel|mob)\b[.:]*", re.IGNORECASE)
_NO_DIGITS = re.compile(r"[^0-9]+")
_WORDS = re.compile(rf"[(\[]{{0,3}}{_LETTERS}(?:[^0-9+]*{_LETTERS})?[)\].:]*+")
_LOCAL = re.compile(rf"(?:(?:\+|00)?{_APART}3{_APART}8|8)?{_APART}0(?:{_APART}[0-9]){{9}}(?![0-9])")
# After a whole number: a word, or the next number.
_GOES_ON = re.compile(rf"[\s().,:-]{{0,5}}(?:{_LETTERS}|\+|{_LOCAL.pattern})")


@dataclass(frozen=True, slots=True)
class Phone:
    """A phone in E.164 or empty, what was cut from it, and what was found."""

    value: str
    problems: list[Problem]
    rest: str = ""


def phone(text: str, rules: Rules) -> Phone:
    """Bring a phone to +380 and nine digits; the table is docs/contracts/recipient.md, "Phone".

    A second number, an extension and words go to `rest`. Empty, fillers, special numbers and
    what is no phone are held and give an empty value.
    """
    typed = text.strip()
    if not typed:
        return Phone("", [Problem("recipient_phone_missing", "held", _PHONE)])
    value = _mobile(typed, rules)
    if value:
        return Phone(value, _phone_fixed(typed, value))
    if len(typed) > LONGEST or len(text := unicodedata.normalize("NFKC", typed)) > LONGEST:
        return _unusable(typed)
    chosen, rest = _first_number(text)
    digits = _digits(chosen, rules)
    value = _mobile(digits, rules)
    doubts: list[Problem] = []
    if not value:
        value, doubts = _unusual(digits, rules)
    if not value:
        return Phone("", [replace(doubt, before=shown(typed)) for doubt in doubts])
    problems = _phone_fixed(typed, value) + doubts
    if rest:
        problems.append(Problem("phone_rest_to_note", "fixed", _PHONE, after=shown(rest)))
    return Phone(value, problems, rest)


def _mobile(text: str, rules: Rules) -> str:
    """Give +380… for a mobile number written without any dirt: what nearly every shop sends.

    Agrees with phonenumbers, which takes 100 times as long; a test holds the two together.
    """
    found = _UKRAINIAN.fullmatch(text)
    if not found or found[1] not in rules.mobile_prefixes or len(set(found[2])) == 1:
        return ""
    return f"+380{found[1]}{found[2]}"


def _phone_fixed(typed: str, value: str) -> list[Problem]:
    if value == typed:
        return []
    return [Problem("phone_fixed", "fixed", _PHONE, before=shown(typed), after=value)]


def _unusable(typed: str) -> Phone:
    return Phone("", [Problem("recipient_phone_unusable", "held", _PHONE, before=shown(typed))])


def _first_number(typed: str) -> tuple[str, str]:
    """Split what was typed into the first number and the rest, which is for the note."""
    text = _ZERO_RUN.sub(lambda run: run[0].translate(_ZERO), typed)
    rest = [f"доб. {found[1]}" for found in _EXTENSION.finditer(text)]
    pieces = _SEPARATOR.split(_LABEL.sub(" ", _EXTENSION.sub(" ", text)))
    at = next((at for at, piece in enumerate(pieces) if _count(piece) >= 9), None)
    chosen = " ".join(pieces) if at is None else pieces.pop(at)
    number = _LOCAL.search(chosen)
    if number and _GOES_ON.match(chosen, number.end()):
        rest.append(chosen[number.end() :])
        chosen = chosen[: number.end()]
    rest += _WORDS.findall(chosen) + ([] if at is None else pieces)
    return _WORDS.sub(" ", chosen), ", ".join(bare for piece in rest if (bare := _bare(piece)))


def _bare(text: str) -> str:
    """Strip what surrounded a cut piece."""
    text = text.strip(" .,:;-")
    return text[1:-1].strip() if text[:1] == "(" and text[-1:] == ")" else text


def _count(text: str) -> int:
    return sum(character.isdigit() for character in text)


def _digits(text: str, rules: Rules) -> str:
    """Reduce to digits with a leading plus where the country is certain, else a local number."""
    digits = _NO_DIGITS.sub("", text)
    plus = text.strip(" ()-.").startswith("+")
    if digits.startswith("00") and not plus:
        digits, plus = digits[2:], True
    if len(digits) == 11 and digits.startswith("80"):
        return digits[1:]
    if len(digits) == 13 and digits.startswith("3800"):
        return digits[3:]
    if plus or (len(digits) == 12 and digits.startswith("380")):
        return "+" + digits
    if len(digits) == 9 and digits[:2] in rules.mobile_prefixes:
        return "0" + digits
    return digits


def _unusual(digits: str, rules: Rules) -> tuple[str, list[Problem]]:
    """Judge what is no Ukrainian mobile number: a fixed line, a foreign number, or none."""
    unusable = Problem("recipient_phone_unusable", "held", _PHONE)
    try:
        number = phonenumbers.parse(digits, "UA")
    except phonenumbers.NumberParseException:
        return "", [unusable]
    if not phonenumbers.is_valid_number(number):
        return "", [unusable]
    value = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if number.country_code != 380:
        foreign = Problem("phone_foreign", rules.foreign_phone, _PHONE, after=value)
        return ("" if foreign.level == "held" else value), [foreign]
    fixed_line = phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.FIXED_LINE
    if fixed_line and len(set(value[-7:])) > 1:
        return value, [Problem("phone_fixed_line", "warning", _PHONE, after=value)]
    return "", [unusable]
