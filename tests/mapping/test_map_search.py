"""Whatever spelling a person has, the key is one: of a phone by its digits, of a name by its sound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping.search import LONGEST, name_key, names_typed, phone_key, phone_typed

STORED = phone_key("+380501234567")
NAMES = [
    "Шевченко SHEVCHENKO шевченко Szewczenko Шeвчeнкo Schewtschenko",
    "Д'яченко Дяченко Дьяченко Diachenko D’yachenko Djachenko Дʼяченко",
    "Щербак Shcherbak Scherbak Szczerbak",
    "Ковальов Ковалёв Ковалев Kovalov Kovalev Kovaliov Kovalyov",
    "Ковальова Ковалёва Kovalova Kovaleva",
    "Згурський Zghurskyi Zgurskiy Zgursky Згурский",
    "Хоменко Khomenko Homenko",
    "Юрченко Yurchenko Iurchenko Jurchenko",
    "Ґудзь Гудзь Gudz Hudz",
    "Євтушенко Evtushenko Yevtushenko Ievtushenko",
    "Цимбал Tsymbal Cymbal Tsimbal",
    "Їжак Yizhak Izhak Jizhak",
    "Гончаренко Honcharenko Goncharenko",
    "Левицький Levytskyi Levitsky Левицкий",
    "Соловйов Соловьев Соловьёв Soloviov Solovyov",
    "Філіппенко Филипенко Filippenko Philipenko",
    "Müller MULLER Muller",
]


@pytest.mark.parametrize(
    "typed",
    [
        "+380501234567",
        "0501234567",
        "501234567",
        "80501234567",
        "380501234567",
        "00380501234567",
        "+38 (050) 123-45-67",
        "050 123 45 67",
        "050.123.45.67",
        "+38 050 123‑45‑67",
        "０５０１２３４５６７",
        "4567",
        "45-67",
        "234567",
    ],
)
def test_a_phone_is_found_by_any_spelling_and_by_its_last_digits(typed):
    assert STORED.startswith(phone_typed(typed))


@pytest.mark.parametrize(
    "typed", ["", "567", "+", "okl-1001", "Шевченко", "12 a 34", "0" * 500, "٣" * 9]
)
def test_what_is_no_phone_is_looked_for_as_none(typed):
    assert phone_typed(typed) is None


def test_another_phone_is_not_found():
    assert not STORED.startswith(phone_typed("0501234568"))
    assert not STORED.startswith(phone_typed("0601234567"))


@pytest.mark.parametrize("spellings", NAMES)
def test_the_spellings_of_a_surname_have_one_key(spellings):
    first, *others = spellings.split()
    assert {other: name_key(other) for other in others} == dict.fromkeys(others, name_key(first))


def test_different_surnames_have_different_keys():
    firsts = [spellings.split()[0] for spellings in NAMES]
    assert len({name_key(name) for name in firsts}) == len(firsts)
    assert name_key("Шевчук") != name_key("Шевченко")


@pytest.mark.parametrize(
    "typed",
    [
        "Шевченко",
        "шевч",
        "Shevchenko Olena",
        "Олена Шевченко",
        "Олена Іванівна Шевченко",
        "Шевченко О",
    ],
)
def test_a_name_is_found_whichever_of_its_words_come_first(typed):
    stored = name_key("Шевченко", "Олена", "Іванівна")
    assert any(stored.startswith(key) for key in names_typed(typed))


@pytest.mark.parametrize("typed", ["", "Ш", "'", "1001", "okl-1001", "Шевченко 5", "—", "😀"])
def test_what_is_no_name_is_looked_for_as_none(typed):
    assert names_typed(typed) == []


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_has_a_key_or_none_whatever_its_case(last, first):
    key = name_key(last, first)
    assert key is None or (0 < len(key) <= LONGEST and key == key.strip())
    phone = phone_key(last)
    assert phone is None or (phone.isascii() and phone.isdigit() and len(phone) <= LONGEST)
    for one in (last, first):
        phone_typed(one)
        assert all(names_typed(one))


@given(st.text("абвгґдеєжзиіїйклмнопрстуфхцчшщьюя' -", max_size=60))
def test_a_key_does_not_depend_on_case_and_blanks(name):
    assert name_key(name) == name_key(name.upper()) == name_key(f"  {name} ")
