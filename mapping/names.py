"""A recipient's name: its parts tidied, a whole name split into them, or held; never invented.

In: the parts as typed. Out: tidy parts, what was cut from them, and what was found; nothing fails. What does
not belong in a name is added here, beside its row in docs/contracts/recipient.md. Called by recipient.py.
"""

import re
import unicodedata
from dataclasses import dataclass

from mapping.order import Person
from mapping.problems import Problem, shown
from mapping.recipient_rules import Rules

__all__ = ["Name", "name"]

_NAME = "recipient.name"
ONE_WORD = "recipient_name_one_word"

_PLAIN = re.compile(r"[А-ЩЬЮЯІЇЄҐ][а-щьюяіїєґ]*(?:'[а-щьюяіїєґ]+)?")
_APOSTROPHES = re.compile(
    "(?<=[^\\W\\d_])[\u0027\u2019\u02bc\u2018\u0060\u00b4\u2032\u0022]+(?=[^\\W\\d_])"
)
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\ufe0e\ufe0f]")
_CYRILLIC_ONLY = re.compile("[БГДЖЗЙЛПУФЦЧШЩЬЮЯЄҐЪЫЭЁбвгджзйклмнптфцчшщьюяєґъыэё]")
_TO_CYRILLIC = str.maketrans("ABCEHIKMOPTXaceiopxyï", "АВСЕНІКМОРТХасеіорхуї")
_LATIN = re.compile(r"[A-Za-z]")
_CYRILLIC = re.compile(r"[А-Яа-яІіЇїЄєҐґЁё]")
_RUSSIAN = re.compile("[ыэёъЫЭЁЪ]")
_DIGIT = re.compile(r"[0-9]")
_CUT = re.compile(
    r"[\w.+-]{1,64}+@[\w-]{1,255}+\.[\w.-]++|\([^()]*+\)|\+?[0-9][0-9\s\-]{5,}[0-9]|[^\w\s'’ʼ.\-]+|_+",
)
_SOLE_TRADER = re.compile(r"\b(?:ФОП|ФЛП|СПД)\b\.?", re.IGNORECASE)
_COMPANY = re.compile(r"^\W*(?:ТОВ|ПП|ООО|ТзОВ|ПАТ|АТ|ПрАТ|LLC)\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+(?:['’ʼ][^\W\d_]+)*")
_TWO_LETTERS = re.compile(r"[^\W\d_]['’ʼ]?[^\W\d_]")
_PATRONYMIC = ("ович", "йович", "івна", "ївна", "ич", "овна", "евна")
_EDGES = " .,-'’ʼ"
# Longer is no name, as it is typed and as it is written out: some characters stand for eighteen.
LONGEST = 200


@dataclass(frozen=True, slots=True)
class Name:
    """The parts of a name, what was cut from it, and what was found."""

    first: str
    last: str
    middle: str
    problems: list[Problem]
    rest: str = ""

    @property
    def full(self) -> str:
        """The name as carriers print it: last, first, middle."""
        return " ".join(part for part in (self.last, self.first, self.middle) if part)


def name(person: Person, rules: Rules) -> Name:
    """Tidy the parts of a name and split a whole name into them; docs/contracts/recipient.md, "Name".

    One word, one letter, fillers, companies without a person and parts too long are held.
    """
    parts = (person.first, person.last, person.middle)
    plain = _PLAIN.fullmatch
    if plain(parts[0]) and plain(parts[1]) and not parts[2] and rules.apostrophe == "'":
        return Name(*parts, _name_doubts(*parts, rules))
    typed = _joined(*parts)
    if any(_is_too_long(part) for part in (*parts, person.full)):
        return Name(*parts, [_too_long(typed or person.full, rules)])
    if len(typed.split()) < 2 <= len(person.full.split()) or not typed:
        typed, parts = person.full, ("", person.full, "")
    is_company = _COMPANY.match(typed) is not None
    if _is_kept_whole(typed, rules, is_company=is_company):
        return _whole(typed, rules, is_company=is_company)
    cut: list[str] = []
    first, last, middle = (_tidy(part, rules, cut) for part in parts)
    problems: list[Problem] = []
    if not (first and last):
        first, last, middle = _split(_tidy(_joined(first, last, middle), rules, cut))
        if last:
            after = _joined(first, last, middle)
            problems.append(
                Problem("name_split", "warning", _NAME, before=shown(typed), after=shown(after))
            )
    if not problems and _joined(first, last, middle) != typed:
        after = _joined(first, last, middle)
        problems.append(
            Problem("name_fixed", "fixed", _NAME, before=shown(typed), after=shown(after))
        )
    rest = ", ".join(cut)
    if rest:
        problems.append(Problem("name_rest_to_note", "warning", _NAME, after=shown(rest)))
    if is_company:
        problems.append(
            Problem("recipient_company", rules.company_name, _NAME, before=shown(typed))
        )
    return Name(first, last, middle, problems + _name_doubts(first, last, middle, rules), rest)


def _is_kept_whole(typed: str, rules: Rules, *, is_company: bool) -> bool:
    """Whether it is no person's name, and may be none."""
    if is_company:
        return rules.company_name == "warning"
    return rules.one_word_name == "warning" and len(typed.split()) == 1


def _whole(typed: str, rules: Rules, *, is_company: bool) -> Name:
    """A name that has no parts, as it was typed."""
    text = " ".join(_INVISIBLE.sub("", unicodedata.normalize("NFC", typed)).split())
    named = text if _says(text) else ""
    doubts = _name_doubts(named, "", "", rules)
    if is_company:
        doubts = [doubt for doubt in doubts if doubt.code != ONE_WORD]
        doubts.append(Problem("recipient_company", rules.company_name, _NAME, before=shown(text)))
    return Name(named, "", "", doubts)


def _joined(first: str, last: str, middle: str) -> str:
    return " ".join(part for part in (last, first, middle) if part)


def _tidy(text: str, rules: Rules, cut: list[str]) -> str:
    """Bring one part into its final form; what is cut may bring more to light, hence the loop."""
    while (tidier := _tidy_once(text, rules, cut)) != text:
        text = tidier
    return text


def _tidy_once(text: str, rules: Rules, cut: list[str]) -> str:
    text = _INVISIBLE.sub("", unicodedata.normalize("NFC", text))
    # Before NFKC, which would break U+00B4 into a space and an accent.
    text = _APOSTROPHES.sub(rules.apostrophe, text)
    text = _SOLE_TRADER.sub(" ", unicodedata.normalize("NFKC", text))
    cut += [found for match in _CUT.finditer(text) if _says(found := match[0].strip(" ()"))]
    words = (word.strip(_EDGES) for word in _CUT.sub(" ", text).split())
    return " ".join(_word(word) for word in words if word)


def _says(cut: str) -> bool:
    """Tell whether a cut piece is worth keeping: words, digits, emoji, not bare punctuation."""
    return any(sign.isalnum() or unicodedata.category(sign) == "So" for sign in cut)


def _word(word: str) -> str:
    """Write a word in one alphabet, and shouted or mumbled ones with a capital."""
    if _CYRILLIC_ONLY.search(word):
        word = word.translate(_TO_CYRILLIC)
    if len(word) > 1 and (word.isupper() or word.islower()) and not _DIGIT.search(word):
        word = _WORD.sub(lambda part: part[0].capitalize(), word)
    return word


def _split(full: str) -> tuple[str, str, str]:
    """Split a whole name into first, last, middle; the usual order is last, first, middle."""
    words = full.split()
    if len(words) < 2:
        return full, "", ""
    if len(words) == 3 and words[1].lower().endswith(_PATRONYMIC):
        return words[0], words[2], words[1]
    return words[1], words[0], " ".join(words[2:])


def _name_doubts(first: str, last: str, middle: str, rules: Rules) -> list[Problem]:
    parts = [part for part in (last, first, middle) if part]
    full = " ".join(parts)
    if not full:
        return [Problem("recipient_name_missing", "held", _NAME)]
    doubts: list[Problem] = []
    words = full.lower().split()
    if any(word in rules.filler_names or _one_letter_repeated(word) for word in words):
        doubts.append(Problem("recipient_name_filler", "held", _NAME, before=shown(full)))
    elif not (_TWO_LETTERS.search(last) and _TWO_LETTERS.search(first)):
        doubts.append(Problem(ONE_WORD, rules.one_word_name, _NAME, before=shown(full)))
    if any(len(part) > rules.name_part_max for part in parts):
        doubts.append(_too_long(full, rules))
    if _DIGIT.search(full):
        doubts.append(Problem("name_digits", "warning", _NAME, before=shown(full)))
    if _RUSSIAN.search(full):
        doubts.append(Problem("name_russian_letters", "warning", _NAME, before=shown(full)))
    if _LATIN.search(full) and not _CYRILLIC.search(full):
        doubts.append(Problem("name_latin", rules.latin_name, _NAME, before=shown(full)))
    return doubts


def _is_too_long(typed: str) -> bool:
    return len(typed) > LONGEST or len(unicodedata.normalize("NFKC", typed)) > LONGEST


def _too_long(full: str, rules: Rules) -> Problem:
    longest = str(rules.name_part_max)
    return Problem("recipient_name_too_long", "held", _NAME, before=shown(full), detail=longest)


def _one_letter_repeated(word: str) -> bool:
    return len(word) > 1 and len(set(word)) == 1
