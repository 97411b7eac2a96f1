"""Recipient data made fit for carriers: clean, fixed with before and after, or held; never invented.

Here name, phone and e-mail are put together, and what a profile that wants no checks lets through. Rules and
their tables are those of docs/contracts/recipient.md.
"""

from dataclasses import dataclass, field, replace

from mapping.emails import email
from mapping.names import name
from mapping.order import Person
from mapping.phones import phone
from mapping.problems import Problem
from mapping.recipient_rules import Rules

__all__ = ["Prepared", "prepare"]


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
    and every change or doubt. Nothing fails. Called by SourceProfile.read for recipient and buyer.
    """
    names = name(person, rules)
    number = phone(person.phone, rules)
    mail = email(person.email, rules)
    problems = [*names.problems, *number.problems, *mail.problems]
    if not rules.check:
        problems = [replace(p, level="warning") if p.level == "held" else p for p in problems]
    prepared = Person(names.first, names.last, names.middle, names.full, number.value, mail.value)
    return Prepared(prepared, problems, "; ".join(cut for cut in (names.rest, number.rest) if cut))
