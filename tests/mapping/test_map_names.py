"""The recipient's name: tidied, split, or held, by the tables of the contract."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping.names import name
from mapping.order import Person
from mapping.recipient_rules import Rules

RULES = Rules()


def levels(problems):
    return {(problem.code, problem.level) for problem in problems}


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
