"""Sloppy but clear values are read; what is not clear is refused."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError

from mapping.fields import Flag, Mail, Money, Quantity, Text, instant, money, order_key
from mapping.paths import PathError, compile_path, is_dotted

KYIV = ZoneInfo("Europe/Kyiv")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("1249.00", "1249.00"),
        ("1 249,00", "1249.00"),
        ("1\u00a0249,00", "1249.00"),
        ("1\u202f249.00", "1249.00"),
        ("1,249.00", "1249.00"),
        ("1.249,00", "1249.00"),
        ("1'249.00", "1249.00"),
        ("1,234,567", "1234567"),
        ("12,5", "12.5"),
        ("70 грн.", "70"),
        ("₴70", "70"),
        ("70 UAH", "70"),
        ("1.0", "1.0"),
        ("-5", "-5"),
        ("\u22125,00", "-5.00"),
        (" 7 ", "7"),
        (1249, "1249"),
        (1249.1, "1249.1"),
        (0, "0"),
    ],
)
def test_money_is_read_in_usual_spellings(value, number):
    assert money(value) == Decimal(number)


@pytest.mark.parametrize(
    "value",
    [
        "", "abc", "1,249", "1,2,3", "1.2.3", "12.34,5.6", "NaN", "Infinity", "1e5", "--1", "0x10",
        float("nan"), float("inf"), 1e300, 10**13, True, None, [], {}, "9" * 100, "١٢",
        "1,249.00,00", "1.24,900.00", pytest.param(10**5000, id="huge"),
    ],
)  # fmt: skip
def test_money_that_is_not_one_clear_number_is_refused(value):
    with pytest.raises(ValueError, match="unreadable"):
        money(value)


AMOUNTS = st.decimals(min_value="-9999999.99", max_value="9999999.99", places=2)


@given(
    AMOUNTS,
    st.sampled_from(
        [("", "."), ("", ","), (",", "."), (".", ","), (" ", ","), ("\u00a0", ","), ("'", ".")]
    ),
    st.sampled_from(["", " грн", " ₴", " UAH"]),
)
def test_money_reads_back_what_people_format(amount, separators, currency):
    thousands, point = separators
    text = f"{amount:,.2f}".replace(",", "T").replace(".", point).replace("T", thousands)
    assert money(text + currency) == amount


@given(st.one_of(JSON, st.decimals(allow_nan=True)))
def test_money_gives_a_finite_number_or_refuses(value):
    try:
        number = money(value)
    except ValueError:
        return
    assert number.is_finite()


@pytest.mark.parametrize("value", [300167757, "300167757", 300167757.0, " 300167757 "])
def test_one_order_has_one_key_however_written(value):
    assert order_key(value) == "300167757"


@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        None,
        {},
        [],
        "",
        "  ",
        "a" * 65,
        "a\nb",
        "a\x00",
        "\ud800",
        1.5,
        float("nan"),
        1e300,
        10**100,
    ],
)
def test_what_can_be_no_id_has_no_key(value):
    assert order_key(value) is None


@given(JSON)
def test_a_key_is_stable_and_printable(value):
    key = order_key(value)
    assert key is None or (order_key(key) == key and 0 < len(key) <= 64 and key.isprintable())


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-11-21 10:15:00", datetime(2026, 11, 21, 8, 15, tzinfo=UTC)),
        ("2026-07-01 10:15:00", datetime(2026, 7, 1, 7, 15, tzinfo=UTC)),
        ("2026-11-21T10:15:00+00:00", datetime(2026, 11, 21, 10, 15, tzinfo=UTC)),
        ("2026-11-21T10:15:00.250Z", datetime(2026, 11, 21, 10, 15, 0, 250_000, tzinfo=UTC)),
        # Clocks go back on 25 October 2026 at 04:00: 03:30 comes twice, the first is meant.
        ("2026-10-25 03:30:00", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("2026-11-21", datetime(2026, 11, 20, 22, 0, tzinfo=UTC)),
    ],
)
def test_times_are_shop_time_unless_they_say_otherwise(text, utc):
    assert instant(text, KYIV) == utc


@pytest.mark.parametrize(
    "value",
    ["", "0000-00-00 00:00:00", "1999-12-31 00:00:00", "2100-01-02 00:00:00", "yesterday", None, 5, True, [],
     "9999-12-31T23:59:59-23:59", "0001-01-01 00:00:00", "2026-02-30 00:00:00", "\ud800" * 12],
)  # fmt: skip
def test_nonsense_is_no_time(value):
    assert instant(value, KYIV) is None


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, False), (1, True), ("0", False), ("1", True), (True, True), (False, False), ("", False),
     ("true", True), ("Так", True), ("no", False), (1.0, True)],
)  # fmt: skip
def test_yes_and_no_in_many_words(value, said):
    assert Flag().read(value) is said


@pytest.mark.parametrize("value", [2, "maybe", [], {}, float("nan"), -1])
def test_neither_yes_nor_no_is_refused(value):
    with pytest.raises(ValidationError, match="unreadable"):
        Flag().read(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("  а ", "а"),
        (5, "5"),
        (380671234567.0, "380671234567"),
        (1.5, "1.5"),
        (False, ""),
        ("a\nb\tc", "a\nb\tc"),
    ],
)
def test_text_is_read(value, text):
    assert Text().read(value) == text


@pytest.mark.parametrize(
    ("value", "code"),
    [([], "unreadable"), ({}, "unreadable"), (True, "unreadable"), (float("inf"), "unreadable"),
     ("a\x00", "control_characters"), ("\x1b[0m", "control_characters"), ("\ud800", "control_characters"),
     ("я" * 1001, "text_too_long")],
)  # fmt: skip
def test_text_that_is_none_is_refused(value, code):
    with pytest.raises(ValidationError, match=code):
        Text().read(value)


@pytest.mark.parametrize("value", [False, True, 5, [], {}, "\x00", "a" * 2000])
def test_what_is_no_email_is_absent(value):
    assert Mail().read(value) == ""


@pytest.mark.parametrize("value", ["-1", 0, "0.0", "NaN", float("inf"), ""])
def test_a_quantity_is_more_than_nothing(value):
    with pytest.raises(ValidationError):
        Quantity(required=True).read(value)


def test_an_empty_amount_is_absent_where_it_may_be():
    assert Money(load_default=None).read("") is None
    with pytest.raises(ValidationError, match="field_missing"):
        Money(required=True).read(" ")


@given(JSON, st.sampled_from(["a", "a.b", "a.b.c", "b.a", "_x1"]))
def test_a_short_cut_path_means_what_jmespath_means(value, expression):
    assert is_dotted(expression)
    for tried in (value, {"a": value}, {"a": {"b": value}}, {"a": {"b": {"c": value}}}):
        ours, theirs = compile_path(expression)(tried), jmespath.search(expression, tried)
        assert ours is theirs or ours == theirs


def test_a_path_that_meets_another_type_finds_nothing():
    assert compile_path("length(a)")({"a": 5}) is None
    assert compile_path("join('-', a)")({"a": [1]}) is None


@pytest.mark.parametrize("expression", ["a[", "", "a..b", "foo("])
def test_a_bad_path_is_refused_by_its_text(expression):
    with pytest.raises(PathError, match=re.escape(repr(expression))):
        compile_path(expression)
