"""The recipient's phone, name and e-mail: clean, fixed or held, by the tables of the contract."""

from dataclasses import replace

import phonenumbers
import pytest
from email_validator import validate_email
from hypothesis import given
from hypothesis import strategies as st

from mapping.order import Person
from mapping.recipient import Rules, _mobile, email, name, phone, prepare

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


@pytest.mark.parametrize(
    ("typed", "full"),
    [
        (Person("Іван", "Д'яченко"), "Д'яченко Іван"),
        (Person(" Іван  ", "Дяченко\u00a0"), "Дяченко Іван"),
        (Person("Іван", "Д’яченко"), "Д'яченко Іван"),
        (Person("Іван", "Д´яченко"), "Д'яченко Іван"),
        (Person("Іван", "Дʼяченко", "Петрович"), "Д'яченко Іван Петрович"),
        (Person("І\u200bван", "Дяченко"), "Дяченко Іван"),
        (Person("Сергіи\u0306", "Ї".replace("Ї", "І\u0308") + "жак"), "Їжак Сергій"),
        (Person("ІВАН", "Д'ЯЧЕНКО"), "Д'яченко Іван"),
        (Person("іван", "нечуй-левицький"), "Нечуй-Левицький Іван"),
        (Person("Ivan".replace("Ivan", "Iвaн"), "Шeвчeнкo"), "Шевченко Іван"),
        (Person("ФОП Іван", "Дяченко"), "Дяченко Іван"),
        (Person("Іван\tПетро", "Дяченко"), "Дяченко Іван Петро"),
    ],
)
def test_a_name_is_tidied_and_composed(typed, full):
    found = name(typed, RULES)
    assert found.full == full
    assert not any(problem.level == "held" for problem in found.problems)


@pytest.mark.parametrize(
    ("typed", "parts"),
    [
        (Person(full="Дяченко Іван Петрович"), ("Дяченко", "Іван", "Петрович")),
        (Person(full="Іван Петрович Дяченко"), ("Дяченко", "Іван", "Петрович")),
        (Person(first="Дяченко Іван"), ("Дяченко", "Іван", "")),
        (Person(first=".", last="Дяченко Іван"), ("Дяченко", "Іван", "")),
        (Person(first="Дяченко Олена Іванівна", last="-"), ("Дяченко", "Олена", "Іванівна")),
        (Person(full="ФОП Дяченко Іван"), ("Дяченко", "Іван", "")),
    ],
)
def test_a_whole_name_in_one_field_is_split_with_a_warning(typed, parts):
    found = name(typed, RULES)
    assert (found.last, found.first, found.middle) == parts
    assert ("name_split", "warning") in levels(found.problems)


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        (Person(), "recipient_name_missing"),
        (Person(".", "-"), "recipient_name_missing"),
        (Person("🙂"), "recipient_name_missing"),
        (Person("Іван"), "recipient_name_one_word"),
        (Person("", "Дяченко"), "recipient_name_one_word"),
        (Person("І", "Дяченко"), "recipient_name_one_word"),
        (Person("І.П.", "Дяченко"), "recipient_name_one_word"),
        (Person("Тест", "Тест"), "recipient_name_filler"),
        (Person("тест Іван", "Дяченко"), "recipient_name_filler"),
        (Person("test"), "recipient_name_filler"),
        (Person("asd", "asd"), "recipient_name_filler"),
        (Person("Іван", "клієнт"), "recipient_name_filler"),
        (Person("Аноним"), "recipient_name_filler"),
        (Person("Ааа", "Ббб"), "recipient_name_filler"),
        (Person(full='ТОВ "Ромашка плюс"'), "recipient_company"),
        (Person("Іван", "А" + "б" * 36), "recipient_name_too_long"),
    ],
)
def test_a_name_no_carrier_can_deliver_to_is_held(typed, code):
    assert (code, "held") in levels(name(typed, RULES).problems)


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


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        (Person("Ivan", "Petrenko"), "name_latin"),
        (Person("3оя", "Петренко"), "name_digits"),
        (Person("Юрий", "Крыленко"), "name_russian_letters"),
    ],
)
def test_a_doubtful_name_is_kept_with_a_warning(typed, code):
    found = name(typed, RULES)
    assert (found.first, found.last) == (typed.first, typed.last)
    assert levels(found.problems) == {(code, "warning")}


NAMES = st.text(
    st.sampled_from("ІванДяченко'’ʼ´`\"  -.()0123456789@aeioAEIO🙂\u0306\u0308\u200bФОП")
    | st.characters(exclude_categories=("Cs",)),
    max_size=30,
)


@given(st.builds(Person, first=NAMES, last=NAMES, middle=NAMES, full=NAMES))
def test_preparing_a_name_again_changes_nothing(typed):
    once = name(typed, RULES)
    again = name(Person(once.first, once.last, once.middle), RULES)
    assert (again.first, again.last, again.middle) == (once.first, once.last, once.middle)


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
