"""A recipient's e-mail: tidied, or absent; it never holds an order.

In: the text as typed. Out: an address or nothing, and what was found; nothing fails. A domain whose typos are
suggested is added here. Called by recipient.py.
"""

import re
from dataclasses import dataclass
from functools import cache

from email_validator import EmailNotValidError, validate_email

from mapping.problems import Problem, shown
from mapping.recipient_rules import Rules

__all__ = ["Email", "email"]

_EMAIL = "recipient.email"

# Longer is no address, whoever's name stands beside it (RFC 3696, erratum 1690: 254).
LONGEST = 500

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
# "Name <mail>", and a link copied whole.
_NAMED = re.compile(r"^.*<([^<>]*+)>.*$")
_LINK = re.compile(r"^mailto:", re.IGNORECASE)
_SEVERAL = re.compile(r"[,;\s]+")
# A shape email-validator takes as it is, in a tenth of a millisecond; a test holds them together.
_PLAIN_EMAIL = re.compile(
    rf"[a-z0-9]{{1,20}}(?:[._-][a-z0-9]{{1,20}}){{0,2}}@(?:{'|'.join(map(re.escape, _KNOWN_DOMAINS))})"
)


@dataclass(frozen=True, slots=True)
class Email:
    """An e-mail or empty, and what was found."""

    value: str
    problems: list[Problem]


def email(text: str, rules: Rules) -> Email:
    """Tidy an e-mail; fillers and masked addresses count as absent, a typo is only suggested.

    Source: docs/contracts/recipient.md, "E-mail".
    """
    if not text or (_PLAIN_EMAIL.fullmatch(text) and text not in rules.filler_emails):
        return Email(text, [])
    if len(text) > LONGEST:
        return Email("", [Problem("email_unusable", "warning", _EMAIL, before=shown(text))])
    tidy = _NAMED.sub(r"\1", text.strip()).strip("<> ")
    tidy = _LINK.sub("", tidy)
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
