"""The recipient's phone: fixed, or held, by the table of the contract."""

from dataclasses import replace

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping.phones import _mobile, phone
from mapping.recipient_rules import Rules

RULES = Rules()
TYPED = st.text(
    st.sampled_from("0123456789+ -()ОоOo.,;доб т.Viberextx380")
    | st.characters(exclude_categories=("Cs",)),
    max_size=40,
)
SPELLED = st.from_regex(
    r"(\+?38)?[ (]?0(67|50|39|99|44|89|80)[) -]*\d{3}[ -]?\d{2}[ -]?\d{2}( доб \d\d)?",
    fullmatch=True,
)


def levels(problems):
    return {(problem.code, problem.level) for problem in problems}


@pytest.mark.parametrize(
    "text",
    [
        "+38 (067) 123-45-67", "0671234567", "671234567", "380671234567", "+380 0671234567",
        "00380671234567", "т. 067-123-45-67", "80671234567", "8 067 123 45 67",
        "+38О671234567", "О671234567", "067123456О".replace("6О", "67"), "тел.: 067 123 45 67",
        "+38(067)1234567", "067.123.45.67", "067 123 45 67", "０６７１２３４５６７", "067-123-45-67.",
        "+80671234567", "38 067 123 45 67", "\u202a+380671234567\u202c",
    ],
)  # fmt: skip
def test_usual_spellings_are_fixed(text):
    found = phone(text, RULES)
    assert (found.value, found.rest) == ("+380671234567", "")
    assert levels(found.problems) == {("phone_fixed", "fixed")}
    assert found.problems[0].after == "+380671234567"


def test_a_clean_phone_is_left_alone():
    assert phone("+380671234567", RULES).problems == []


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("+380671234567 (Viber)", "Viber"),
        ("+380671234567 Viber Telegram", "Viber Telegram"),
        ("0671234567, 0501234567", "0501234567"),
        ("0671234567; 050 123 45 67", "050 123 45 67"),
        ("0671234567/0501234567", "0501234567"),
        ("0671234567 0501234567", "0501234567"),
        ("0671234567 або 0501234567", "0501234567"),
        ("0671234567 доб 12", "доб. 12"),
        ("0671234567 доб. 12", "доб. 12"),
        ("0671234567 ext 12", "доб. 12"),
        ("0671234567 Марія", "Марія"),
        ("+380671234567 дзвонити після 18", "дзвонити після 18"),
        ("+380 (67) 123-45-67, Viber", "Viber"),
        ("067 123 45 67 Іван 050 123 45 67", "Іван 050 123 45 67"),
        ("(067)1234567 (050)7654321", "(050)7654321"),
        ("+380671234567+380501234567", "+380501234567"),
        ("0671234567доб12", "доб. 12"),
        ("067-123-45-67 #12", "доб. 12"),
        ("0671234567x12", "доб. 12"),
    ],
)
def test_the_first_number_is_the_recipients_and_the_rest_goes_to_the_note(text, rest):
    found = phone(text, RULES)
    assert (found.value, found.rest) == ("+380671234567", rest)
    assert not any(problem.level == "held" for problem in found.problems)


def test_a_fixed_line_is_a_warning():
    found = phone("0441234567", RULES)
    assert found.value == "+380441234567"
    assert ("phone_fixed_line", "warning") in levels(found.problems)


def test_a_foreign_phone_is_held_or_warned_about_as_the_profile_chooses():
    assert levels(phone("+48 601 234 567", RULES).problems) == {("phone_foreign", "held")}
    warned = phone("+48 601 234 567", replace(RULES, foreign_phone="warning"))
    assert warned.value == "+48601234567"
    assert ("phone_foreign", "warning") in levels(warned.problems)


@pytest.mark.parametrize(
    "text",
    [
        "1111111", "380000000000", "0670000000", "+380670000000", "0000000000", "9999999999", "0999999999",
        "89161234567", "891234567", "800123456", "0800123456", "900123456",
        "0900123456", "немає", "-", "067123456",
        "+3806712345678", "+", "067-ABC-1234", "1" * 101, "06712345670671", "0441111111",
    ],
)  # fmt: skip
def test_fillers_and_special_numbers_are_held(text):
    found = phone(text, RULES)
    assert found.value == ""
    assert levels(found.problems) == {("recipient_phone_unusable", "held")}


@pytest.mark.parametrize("text", ["", "  ", "\u00a0"])
def test_no_phone_is_held_as_missing(text):
    assert levels(phone(text, RULES).problems) == {("recipient_phone_missing", "held")}


@given(TYPED | SPELLED)
def test_a_phone_is_ukrainian_and_valid_or_held_and_preparing_it_again_changes_nothing(text):
    found = phone(text, RULES)
    held = any(problem.level == "held" for problem in found.problems)
    assert held == (found.value == "")
    if not held:
        assert found.value.startswith("+380")
        assert phonenumbers.is_valid_number(phonenumbers.parse(found.value))
        assert phone(found.value, RULES).value == found.value


@given(
    st.sampled_from(RULES.mobile_prefixes),
    st.from_regex(r"\d{7}", fullmatch=True),
    st.sampled_from(["+380", "380", "0"]),
)
def test_the_short_cut_for_mobiles_agrees_with_phonenumbers(prefix, rest, before):
    rest = rest.translate({ord(c): str(int(c)) for c in rest})
    number = phonenumbers.parse(before + prefix + rest, "UA")
    assert phonenumbers.is_valid_number(number)
    assert phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.MOBILE
    expected = "" if len(set(rest)) == 1 else phonenumbers.format_number(number, 0)
    assert _mobile(before + prefix + rest, RULES) == expected
