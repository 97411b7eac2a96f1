"""Mistakes of an action are found for certain, told in both languages, and quote nothing personal."""

from __future__ import annotations

import json
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mapping
from mapping.hook import compile_reader
from mapping.hook_findings import Finding, finding, quoted, seen, sentence, unfilled
from mapping.milestones import Stage
from mapping.problems import LANGUAGES, hook_codes
from mapping.yamlfile import read_yaml
from simulator.hostile import SHOWN

READER = compile_reader({}, [Stage("Shipped", "shipped"), Stage("[my_stage]", "completed")])
DOCUMENT = Path(mapping.__file__).parents[1] / "docs" / "onebox-action.md"


def texts(language):
    return read_yaml(Path(mapping.__file__).parent / f"texts/{language}.yaml")["hooks"]


@pytest.mark.parametrize(
    ("name", "value", "hole"),
    [
        ("ttn", "{ttn}", "{ttn}"),
        ("TTN ", " {{ ttn }} ", "{{ ttn }}"),
        ("ttn", "${ttn}", "${ttn}"),
        ("ttn", "[customorder_ttn]", "[customorder_ttn]"),
        ("ttn", "%ttn%", "%ttn%"),
        ("externalid", "{externalid}", "{externalid}"),
        ("orderid", "{|$order.id|}", "{|$order.id|}"),
        ("statusid", "<status>", "<status>"),
        ("comment", "Ваш номер {ttn}, чекайте", "{ttn}"),
        ("comment", "ТТН [customorder_ttn]", "[customorder_ttn]"),
        ("comment", "{comment}", "{comment}"),
    ],
)
def test_a_placeholder_is_found_and_says_nothing(name, value, hole):
    (found,) = unfilled(READER, {name: value})
    assert (found.field, found.before) == (name, hole)
    assert not any(READER.words({name: value}).values())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ttn", "20450000000000"),
        ("externalid", "okl-300167757"),
        ("externalid", "okl-#5"),
        ("order_id", "#1001#"),
        ("statusname", "[my_stage]"),
        ("statusname", "В роботі [2]"),
        ("comment", "Подзвоніть [завтра], 100% знижки {так}"),
        ("comment", "{}"),
        ("comment", "a % b % c"),
        ("unknown", "{ttn}"),
    ],
)
def test_what_people_write_is_no_placeholder(name, value):
    assert unfilled(READER, {name: value}) == []


def test_another_spelling_that_is_filled_counts_beside_one_that_is_not():
    fields = {"ttn": "{ttn}", "customorder_ttn": "20450000000000"}
    assert READER.said(fields).number == "20450000000000"
    assert [found.field for found in unfilled(READER, fields)] == ["ttn"]


@given(st.dictionaries(st.text(), st.text()))
def test_whatever_is_sent_is_read_without_failing(fields):
    found = unfilled(READER, fields)
    assert json.dumps([one.to_dict() for one in found])
    assert len(seen(READER, fields)) <= len(fields)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("externalid", "okl-300167757", "okl-300167757"),
        ("ttn", "2045 0000 0000 00", "2045 0000 0000 00"),
        ("statusname", "В роботі", "В роботі"),
        ("comment", "Олена, вул. Садова 5", "(20 characters)"),
        ("comment", "Ваш номер {ttn}, Олено", "{ttn}"),
        ("clientphone", "0501234567", "(10 characters)"),
        ("order_id", "0501234567", "(10 characters)"),
        ("order_id", "+380501234567", "(13 characters)"),
        ("externalid", "olena@example.com", "(17 characters)"),
        ("externalid", "Олена Петренко", "(14 characters)"),
        ("ttn", "0501234567", "(10 characters)"),
        ("ttn", "", ""),
    ],
)
def test_of_the_fields_ids_and_stages_are_seen_and_of_the_rest_how_long_it_is(name, value, shown):
    assert seen(READER, {name: value}) == {name: shown}


def test_what_a_finding_quotes_is_no_person_either():
    assert quoted("0501234567") == "(10 characters)"
    assert quoted("okl-300167757") == "okl-300167757"
    assert quoted("В роботі", blanks=True) == "В роботі"


@pytest.mark.parametrize("trick", SHOWN)
def test_hostile_fields_are_cut_and_have_no_controls(trick):
    fields = {SHOWN[trick]: "x", "externalid": SHOWN[trick] * 99, "statusname": SHOWN[trick]}
    for name, value in seen(READER, fields).items():
        assert (len(name) <= 64, len(value) <= 200) == (True, True)
        assert all(c.isprintable() or c in "\n\t" for c in name + value)


def test_both_languages_say_the_same_and_name_nothing_unknown():
    assert texts("uk").keys() == texts("en").keys() == hook_codes()
    for code in hook_codes():
        holes = [
            {name for _, name, _, _ in string.Formatter().parse(texts(language)[code]) if name}
            for language in LANGUAGES
        ]
        assert holes[0] == holes[1] <= {"order", "field", "before", "after", "detail"}


def test_every_code_that_is_told_has_a_sentence_and_stands_in_the_document():
    root = Path(mapping.__file__).parents[1]
    sources = [
        (root / name).read_text()
        for name in (
            "mapping/hook_findings.py",
            "tasks/judging.py",
            "tasks/endings.py",
            "tasks/listening.py",
            "desk/hooks.py",
            "cli/words.py",
        )
    ]
    emitted = {code for code in hook_codes() if any(f'"{code}"' in text for text in sources)}
    assert emitted == hook_codes()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_finding_is_a_sentence_however_it_was_kept(language):
    for code in hook_codes():
        kept = Finding(code, "ttn", "x", detail="y").to_dict()
        told = sentence(finding(kept), language, "300167757")
        assert told != code
        assert not {"{", "}"} & set(told)


def test_a_field_is_called_as_its_sender_calls_it():
    told = sentence(Finding("hook_unfilled", "note", "{note}"), "en")
    assert "“note”" in told
