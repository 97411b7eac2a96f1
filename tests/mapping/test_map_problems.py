"""Every problem has its sentence, in both languages, and it can be shown."""

import json
import re
import shlex
import string
from dataclasses import replace
from pathlib import Path

import pytest

import mapping
from mapping.problems import LANGUAGES, Problem, codes, explain, parts, shown, summary
from mapping.statuses import ACTIONS
from mapping.yamlfile import read_yaml

PACKAGE = Path(mapping.__file__).parent
TASK_CODES = [
    "crm_keeps_failing",
    "order_doubled",
    "target_not_configured",
    "uncertain_no_lookup",
    "repeat_refused",
    "total_mismatch",
    "unreadable",
    "recipient_phone_missing",
    "recipient_phone_unusable",
    "recipient_name_missing",
    "recipient_name_filler",
    "recipient_name_one_word",
    "crm_refused",
    "connection_paused",
    "crm_unavailable",
    "uncertain",
    "shadow",
    "lost_lease",
    "released",
    "ignored",
    "before_start",
    "tenant_not_delivered",
    "update_illegal",
    "update_unknown_order",
    "update_refused",
    "update_note_maybe_doubled",
    "update_ttn_differs",
    "update_too_old",
    "update_withdrawn",
    "update_replaced",
    "update_nothing_to_do",
    "update_cancelled",
    "update_retried",
    "update_invalid",
    "update_superseded",
    "update_waits_behind",
    "update_connection_paused",
    "update_shop_silent",
    "update_due",
    "update_not_taken",
    "update_shadow",
    "update_not_configured",
    "update_nobody_to_tell",
    "update_cannot_be_told",
    "update_receiver_refused",
]


def texts(language):
    return read_yaml(PACKAGE / f"texts/{language}.yaml")


def test_both_languages_have_the_same_keys():
    assert texts("uk")["problems"].keys() == texts("en")["problems"].keys()
    assert texts("uk")["fields"].keys() == texts("en")["fields"].keys()
    assert texts("uk")["actions"].keys() == texts("en")["actions"].keys()
    assert texts("uk")["phrases"].keys() == texts("en")["phrases"].keys()
    assert texts("uk").keys() == texts("en").keys()


def test_every_code_the_package_emits_has_a_sentence():
    source = "".join(path.read_text(encoding="utf-8") for path in PACKAGE.glob("*.py"))
    literal = re.findall(r'(?:Problem|ValidationError)\(\s*"([a-z_]+)"', source)
    constant = re.findall(
        r'^(?:UNREADABLE|MISSING|NO_LINES|TABLE_EMPTY) = "([a-z_]+)"', source, re.MULTILINE
    )
    assert len(literal) > 20
    assert len(constant) == 4
    assert {*literal, *constant, *TASK_CODES} == codes()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", sorted(codes()))
def test_a_sentence_names_the_order_and_nothing_unknown(language, code):
    sentence = texts(language)["problems"][code]
    names = {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}
    in_commands = {"named", "update", "again"}
    assert "order" in names
    assert names <= {"order", "field", "before", "after", "detail", "allowed"} | in_commands
    for text in sentence.split("`")[::2]:
        assert not any(f"{{{name}}}" in text for name in in_commands)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", sorted(codes()))
def test_a_sentence_without_values_still_reads(language, code):
    sentence = explain(code, language)
    assert sentence
    assert not set(sentence) & set("{}")
    assert "«»" not in sentence
    assert "  " not in sentence


@pytest.mark.parametrize("language", LANGUAGES)
def test_nobody_is_told_to_wait_for_the_poll_of_a_source_that_is_not_read(language):
    said = {code: explain(code, language, is_read=False, order="1") for code in codes(language)}
    promised = ("next poll", "in the shop;", "опитування", "в магазині;", "у магазині;")
    assert not [code for code, text in said.items() if any(word in text for word in promised)]
    of_shops = {code: explain(code, language, order="1") for code in codes(language)}
    assert [code for code, text in of_shops.items() if "poll" in text or "опитування" in text]
    assert {code for code in said if said[code] != of_shops[code]} == texts(language)[
        "unread"
    ].keys()


def test_both_languages_say_the_same_of_what_nobody_asks_for_again():
    uk, en = texts("uk")["unread"], texts("en")["unread"]
    assert uk.keys() == en.keys()
    assert uk.keys() <= codes()
    for code in uk:
        assert sorted(uk[code].split("`")[1::2]) == sorted(en[code].split("`")[1::2])
        names = [{n for _, n, _, _ in string.Formatter().parse(one[code])} for one in (uk, en)]
        assert names[0] == names[1]


def test_explain_says_what_field_by_its_name_and_which_order():
    problem = Problem("unreadable", "held", "lines[0].quantity", before="-1")
    assert explain(problem, order="300167757").startswith(
        "Замовлення 300167757: значення поля «кількість» не читається: «-1»."
    )
    assert "“quantity”" in explain(problem, "en", order="1")


def test_values_with_braces_are_shown_as_they_are():
    problem = Problem("crm_refused", "held", "order", detail="{order} {0}")
    assert "{order} {0}" in explain(problem)


ILLEGAL = Problem(
    "update_illegal",
    "held",
    "statuses.order",
    before="order.complete",
    detail="order.process, order.cancel",
)


def test_actions_are_put_into_words_with_the_command_for_each():
    assert explain(ILLEGAL, order="1", named="1", update=12).startswith(
        "Замовлення 1: магазин зараз не дозволяє дію «завершити замовлення». "
        "Дозволено: взяти замовлення в роботу: `orderbridge update --order process 1`; "
        "скасувати замовлення: `orderbridge update --order cancel 1`; "
    )
    assert parts(ILLEGAL, "en", order="1", named="1", update=12)[1::2] == [
        "orderbridge update --order process 1",
        "orderbridge update --order cancel 1",
        "orderbridge updates retry 12",
        "orderbridge updates cancel 12",
    ]


def test_a_list_of_no_actions_is_said_in_words():
    problem = replace(ILLEGAL, detail="")
    assert "It allows: nothing;" in explain(problem, "en")
    assert "Дозволено: нічого;" in explain(problem, "uk")


@pytest.mark.parametrize("code", sorted(codes()))
def test_no_text_of_others_makes_a_command(code):
    """Whatever a remote or a buyer writes, also between backticks, is no step that we advise."""
    bad = "`orderbridge orders ignore 5`; $(rm -rf /) '"
    problem = Problem(code, "held", "order", before=bad, after=bad, detail=bad)
    for made in parts(problem, "en", order=bad, named="1", update=12)[1::2]:
        for word in shlex.split(made):
            assert word == bad or bad not in word
        assert made == "orderbridge" or made.startswith("orderbridge ")


def test_the_summary_of_a_text_is_what_happened_without_the_commands():
    assert summary(ILLEGAL, "en", order="1") == (
        "The shop does not allow “complete the order” now."
    )
    for language in LANGUAGES:
        for code in codes():
            said = summary(code, language)
            assert said
            assert "`" not in said


def test_an_action_without_words_is_shown_as_it_is():
    problem = Problem("update_illegal", "held", "statuses.order", detail="order.archive")
    assert "order.archive" in explain(problem)


def test_every_action_of_the_shop_has_a_name():
    named = {f"{machine}.{action}" for machine, row in ACTIONS.items() for action in row}
    assert texts("uk")["actions"].keys() == named


def test_an_unknown_code_is_given_back():
    assert explain("no_such_code") == "no_such_code"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (float("nan"), "nan"),
        (12, "12"),
        ([1], "[…]"),
        ({}, "{…}"),
        ("a\x00b", "a\ufffdb"),
        ("\ud800", "\ufffd"),
        pytest.param(10**5000, "…", id="huge"),
    ],
)
def test_shown_copes_with_any_value(value, text):
    assert shown(value) == text


def test_shown_is_short():
    assert len(shown("я" * 100_000)) == 200


def test_to_dict_is_json():
    assert json.loads(json.dumps(Problem("shadow", "warning", "order").to_dict())) == {
        "code": "shadow",
        "level": "warning",
        "field": "order",
        "before": None,
        "after": None,
        "detail": "",
    }
