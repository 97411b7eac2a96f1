"""What a profile may choose about recipients, with the defaults of docs/contracts/recipient.md.

A new choice is added here and in source_schema.py. Nothing fails: a profile's choices are checked as it is
loaded. Read by names.py, phones.py, emails.py and recipient.py.
"""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Rules"]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a profile may choose; the defaults are those of docs/contracts/recipient.md."""

    check: bool = True
    foreign_phone: Literal["warning", "held"] = "held"
    latin_name: Literal["warning", "held"] = "warning"
    one_word_name: Literal["warning", "held"] = "held"
    company_name: Literal["warning", "held"] = "held"
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
