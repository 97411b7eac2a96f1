"""Recipient data made fit for carriers: clean, fixed with before and after, or held; never invented.

Rules and their tables are those of docs/contracts/recipient.md; what a profile may choose is in Rules.
"""

import re
import unicodedata
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Literal

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from mapping.order import Person
from mapping.problems import Problem, shown

__all__ = ["Email", "Name", "Phone", "Prepared", "Rules", "email", "name", "phone", "prepare"]

_NAME = "recipient.name"
_PHONE = "recipient.phone"
_EMAIL = "recipient.email"


@dataclass(frozen=True, slots=True)
class Rules:
    """What a profile may choose; the defaults are those of docs/contracts/recipient.md."""

    check: bool = True
    foreign_phone: Literal["warning", "held"] = "held"
    latin_name: Literal["warning", "held"] = "warning"
    apostrophe: str = "'"
    name_part_max: int = 36
    mobile_prefixes: tuple[str, ...] = (
        *("39", "50", "63", "66", "67", "68", "71", "72", "73", "75", "77"),
        *("91", "92", "93", "94", "95", "96", "97", "98", "99"),
    )
    filler_names: frozenset[str] = frozenset(
        {
            *("тест", "тестовий", "test", "asd", "asdf", "qwe", "qwerty", "фыв", "йцу"),
            *("аноним", "анонім", "anonymous", "клієнт", "клиент", "client", "user"),
            *("покупець", "покупатель", "guest", "гость", "гість", "отримувач", "получатель"),
            *("none", "null", "немає", "нет", "ім'я", "имя", "прізвище", "фамилия"),
        }
    )
    filler_emails: frozenset[str] = frozenset(
        {
            *("no@no.no", "no@mail.com", "none@none.com", "noemail@noemail.com"),
            *("test@test.com", "test@gmail.com", "a@a.a", "1@1.com"),
        }
    )
    masked_email_domains: frozenset[str] = frozenset(
        {"marketplace.amazon.com", "privaterelay.appleid.com", "no-reply.com", "noreply.com"}
    )
    unicode_email: bool = False


@dataclass(frozen=True, slots=True)
class Phone:
    """A phone in E.164 or empty, what was cut from it, and what was found."""

    value: str
    problems: list[Problem]
    rest: str = ""


@dataclass(frozen=True, slots=True)
class Email:
    """An e-mail or empty, and what was found."""

    value: str
    problems: list[Problem]


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


@dataclass(frozen=True, slots=True)
class Prepared:
    """A person fit to send, unless a problem is held; `note_extra` is for the order's comment."""

    person: Person
    problems: list[Problem] = field(default_factory=list)
    note_extra: str = ""

    @property
    def held(self) -> bool:
        """Whether a person has to look first."""
        return any(problem.level == "held" for problem in self.problems)


def prepare(person: Person, rules: Rules) -> Prepared:
    """Prepare name, phone and e-mail.

    In: a person as the shop sent it. Out: the same with usable values, an unusable phone empty,
    and every change or doubt. Nothing fails. Called by Profile.map for recipient and buyer.
    """
    names = name(person, rules)
    number = phone(person.phone, rules)
    mail = email(person.email, rules)
    problems = [*names.problems, *number.problems, *mail.problems]
    if not rules.check:
        problems = [replace(p, level="warning") if p.level == "held" else p for p in problems]
    prepared = Person(names.first, names.last, names.middle, names.full, number.value, mail.value)
    return Prepared(prepared, problems, "; ".join(cut for cut in (names.rest, number.rest) if cut))


# Phone: a text as typed goes in, E.164 or nothing comes out; nothing fails.

_APART = r"[\s\-‐-―().\u2060]*"
_LETTERS = r"[^\W\d_]"
_UKRAINIAN = re.compile(r"(?:\+?38)?0([0-9]{2})([0-9]{7})")
_ZERO_RUN = re.compile(rf"(?<!{_LETTERS})[0-9ОоOo]*[0-9][0-9ОоOo]*(?!{_LETTERS})")
_ZERO = str.maketrans("ОоOo", "0000")
_EXTENSION = re.compile(
    r"[,;\s]*(?:\(\s*)?(?:(?<![^\W\d_])(?:доб|дод|внутр|вн|ext|x)[а-яіїєґa-z]*[.:]?|#)\s*([0-9]{1,6})(?![0-9])\s*\)?",
    re.IGNORECASE,
)
_SEPARATOR = re.compile(r"[,;/|\\\n\r]+|\s(?:та|або|і|или|и|or|and)\s", re.IGNORECASE)
_LABEL = re.compile(r"\b(?:т|тел|телефон|моб|мобільний|phone|tel|mob)\b[.:]*", re.IGNORECASE)
_WORDS = re.compile(rf"[(\[]*{_LETTERS}(?:[^0-9+]*{_LETTERS})?[)\].:]*")
_LOCAL = re.compile(rf"(?:(?:\+|00)?{_APART}3{_APART}8|8)?{_APART}0(?:{_APART}[0-9]){{9}}(?![0-9])")
# After a whole number: a word, or the next number.
_GOES_ON = re.compile(rf"[\s().,:-]*(?:{_LETTERS}|\+|{_LOCAL.pattern})")


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
    if len(typed) > 100:
        return _unusable(typed)
    chosen, rest = _first_number(unicodedata.normalize("NFKC", typed))
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
    digits = re.sub(r"[^0-9]", "", text)
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


# E-mail: a text as typed goes in, an address or nothing comes out; it never holds an order.

_LOOKALIKE_CYRILLIC = "АВСЕНІКМОРТХаіеорсухїЅѕЈј"
_LOOKALIKE_LATIN = "ABCEHIKMOPTXaieopcyxiSsJj"
_TO_LATIN = str.maketrans(_LOOKALIKE_CYRILLIC, _LOOKALIKE_LATIN)
_KNOWN_DOMAINS = (
    "gmail.com",
    "ukr.net",
    "i.ua",
    "meta.ua",
    "icloud.com",
    "outlook.com",
    "yahoo.com",
)
_SEVERAL = re.compile(r"[,;\s]+")
# A shape email-validator takes as it is, in a tenth of a millisecond; a test holds them together.
_PLAIN_EMAIL = re.compile(
    rf"[a-z0-9]{{1,20}}(?:[._-][a-z0-9]{{1,20}}){{0,2}}@(?:{'|'.join(map(re.escape, _KNOWN_DOMAINS))})"
)


def email(text: str, rules: Rules) -> Email:
    """Tidy an e-mail; fillers and masked addresses count as absent, a typo is only suggested.

    Source: docs/contracts/recipient.md, "E-mail".
    """
    if not text or (_PLAIN_EMAIL.fullmatch(text) and text not in rules.filler_emails):
        return Email(text, [])
    tidy = re.sub(r"^.*<([^<>]*)>.*$", r"\1", text.strip()).strip("<> ")
    tidy = re.sub(r"^mailto:", "", tidy, flags=re.IGNORECASE)
    tidy = next((part for part in _SEVERAL.split(tidy) if part), "")
    latin = tidy.translate(_TO_LATIN)
    if latin.isascii():
        tidy = latin
    lower = tidy.lower()
    if lower in rules.filler_emails or lower.rpartition("@")[2] in rules.masked_email_domains:
        return Email("", [Problem("email_filler", "warning", _EMAIL, before=shown(text))])
    try:
        found = validate_email(tidy, check_deliverability=False, allow_smtputf8=rules.unicode_email)
    except EmailNotValidError:
        return Email("", [Problem("email_unusable", "warning", _EMAIL, before=shown(text))])
    value = found.normalized
    problems = []
    if value != text:
        problems.append(Problem("email_fixed", "fixed", _EMAIL, before=shown(text), after=value))
    meant = _meant_domain(found.domain)
    if meant:
        suggested = f"{found.local_part}@{meant}"
        problems.append(Problem("email_typo", "warning", _EMAIL, before=value, after=suggested))
    return Email(value, problems)


@cache
def _near(domain: str) -> frozenset[str]:
    """Give the spellings one slip away: a letter lost, doubled, swapped or replaced."""
    letters = "abcdefghijklmnopqrstuvwxyz."
    cuts = [(domain[:at], domain[at:]) for at in range(len(domain) + 1)]
    lost = {a + b[1:] for a, b in cuts if b}
    swapped = {a + b[1] + b[0] + b[2:] for a, b in cuts if len(b) > 1}
    other = {a + c + b[1:] for a, b in cuts if b for c in letters}
    more = {a + c + b for a, b in cuts for c in letters}
    return frozenset((lost | swapped | other | more) - {domain})


def _meant_domain(domain: str) -> str | None:
    if domain in _KNOWN_DOMAINS:
        return None
    # i.ua is so short that half the country's domains are one slip away from it.
    return next(
        (known for known in _KNOWN_DOMAINS if len(known) > 5 and domain in _near(known)), None
    )


# Name: the parts as typed go in, tidy parts come out; nothing fails.

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
    r"[\w.+-]+@[\w-]+\.[\w.-]+|\([^()]*\)|\+?[0-9][0-9\s\-]{5,}[0-9]|[^\w\s'’ʼ.\-]+|_+",
)
_SOLE_TRADER = re.compile(r"\b(?:ФОП|ФЛП|СПД)\b\.?", re.IGNORECASE)
_COMPANY = re.compile(r"^\W*(?:ТОВ|ПП|ООО|ТзОВ|ПАТ|АТ|ПрАТ|LLC)\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+(?:['’ʼ][^\W\d_]+)*")
_TWO_LETTERS = re.compile(r"[^\W\d_]['’ʼ]?[^\W\d_]")
_PATRONYMIC = ("ович", "йович", "івна", "ївна", "ич", "овна", "евна")
_EDGES = " .,-'’ʼ"


def name(person: Person, rules: Rules) -> Name:
    """Tidy the parts of a name and split a whole name into them; docs/contracts/recipient.md, "Name".

    One word, one letter, fillers, companies without a person and parts too long are held.
    """
    parts = (person.first, person.last, person.middle)
    plain = _PLAIN.fullmatch
    if plain(parts[0]) and plain(parts[1]) and not parts[2] and rules.apostrophe == "'":
        return Name(*parts, _name_doubts(*parts, rules))
    typed = _joined(*parts)
    if len(typed.split()) < 2 <= len(person.full.split()) or not typed:
        typed, parts = person.full, ("", person.full, "")
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
    if _COMPANY.match(typed):
        problems.append(Problem("recipient_company", "held", _NAME, before=shown(typed)))
    return Name(first, last, middle, problems + _name_doubts(first, last, middle, rules), rest)


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
        doubts.append(Problem("recipient_name_one_word", "held", _NAME, before=shown(full)))
    if any(len(part) > rules.name_part_max for part in parts):
        doubts.append(
            Problem(
                "recipient_name_too_long",
                "held",
                _NAME,
                before=shown(full),
                detail=str(rules.name_part_max),
            )
        )
    if _DIGIT.search(full):
        doubts.append(Problem("name_digits", "warning", _NAME, before=shown(full)))
    if _RUSSIAN.search(full):
        doubts.append(Problem("name_russian_letters", "warning", _NAME, before=shown(full)))
    if _LATIN.search(full) and not _CYRILLIC.search(full):
        doubts.append(Problem("name_latin", rules.latin_name, _NAME, before=shown(full)))
    return doubts


def _one_letter_repeated(word: str) -> bool:
    return len(word) > 1 and len(set(word)) == 1
