"""The recipient as a whole: clean, fixed or held, and what was cut goes to the note."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping.order import Person
from mapping.recipient import prepare
from mapping.recipient_rules import Rules

RULES = Rules()


def levels(problems):
    return {(problem.code, problem.level) for problem in problems}


@pytest.mark.parametrize(
    ("typed", "rest"),
    [
        (Person("Іван 🙂", "Дяченко"), "🙂"),
        (Person("Іван (тест)", "Дяченко"), "тест"),
        (Person("Іван 0671234567", "Дяченко"), "0671234567"),
        (Person("Іван", "Дяченко i@ukr.net"), "i@ukr.net"),
    ],
)
def test_what_does_not_belong_in_a_name_goes_to_the_note(typed, rest):
    prepared = prepare(replace(typed, phone="+380671234567"), RULES)
    assert prepared.person.full == "Дяченко Іван"
    assert prepared.note_extra == rest
    assert levels(prepared.problems) == {("name_fixed", "fixed"), ("name_rest_to_note", "warning")}


@given(st.builds(Person, *[st.text(max_size=30)] * 6))
def test_preparing_never_fails_and_never_invents(typed):
    prepared = prepare(typed, RULES)
    if not typed.phone.strip():
        assert prepared.held
        assert prepared.person.phone == ""


def test_a_profile_may_leave_the_checks_out():
    prepared = prepare(Person("Іван"), replace(RULES, check=False))
    assert not prepared.held
    assert ("recipient_phone_missing", "warning") in levels(prepared.problems)
