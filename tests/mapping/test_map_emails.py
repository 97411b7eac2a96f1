"""The recipient's e-mail: tidied, or absent, and never a reason to hold an order."""

import pytest
from email_validator import validate_email
from hypothesis import given
from hypothesis import strategies as st

from mapping.emails import email
from mapping.recipient_rules import Rules

RULES = Rules()


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("o@ukr.net", "o@ukr.net"),
        ("mailto:o@ukr.net", "o@ukr.net"),
        ("Олена <o@ukr.net>", "o@ukr.net"),
        ("o@ukr.net, x@i.ua", "o@ukr.net"),
        ("ivan@gmail.сom", "ivan@gmail.com"),
        (" o@ukr.net ", "o@ukr.net"),
    ],
)
def test_an_email_is_tidied(typed, value):
    found = email(typed, RULES)
    assert found.value == value
    assert all(problem.level == "fixed" for problem in found.problems)


@pytest.mark.parametrize(
    "typed",
    ["no@no.no", "-", "немає", "a@", "@", "a b", "пошта@ukr.net", "x@privaterelay.appleid.com"],
)
def test_a_bad_email_is_absent_and_never_holds(typed):
    found = email(typed, RULES)
    assert found.value == ""
    assert all(problem.level == "warning" for problem in found.problems)
    assert found.problems


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("a@gmail.con", "a@gmail.com"),
        ("a@gmial.com", "a@gmail.com"),
        ("a@ukr.ne", "a@ukr.net"),
        ("a@gmail.co", "a@gmail.com"),
    ],
)
def test_a_typo_is_suggested_never_applied(typed, meant):
    found = email(typed, RULES)
    assert found.value == typed
    assert [(p.code, p.after) for p in found.problems] == [("email_typo", meant)]


@given(
    st.from_regex(r"[a-z0-9]{1,20}(?:[._-][a-z0-9]{1,20}){0,2}", fullmatch=True),
    st.sampled_from(["gmail.com", "ukr.net", "i.ua", "yahoo.com"]),
)
def test_the_short_cut_for_emails_agrees_with_email_validator(local, domain):
    typed = f"{local}@{domain}"
    found = email(typed, RULES)
    assert found.problems == []
    assert found.value == validate_email(typed, check_deliverability=False).normalized
