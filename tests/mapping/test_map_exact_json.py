"""JSON whose numbers stay what they are: what is read is written again, equal and without zeros."""

from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping.exact_json import DEEPEST, MOST_MARKS, Unreadable, read, write

NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=None).filter(
    lambda number: abs(number.adjusted()) < 300
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | NUMBERS | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("260.50", "260.5"),
        ("30.000", "30"),
        ("0.00", "0"),
        ("-0.0", "0"),
        ("-0", "0"),
        ("1e2", "100"),
        ("1.5E-3", "0.0015"),
        ("0.1", "0.1"),
        ("23.1", "23.1"),
        ("123456789.123456789123456789", "123456789.123456789123456789"),
        ("9223372036854775807", "9223372036854775807"),
        ("9223372036854775808", "9223372036854775808"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("1e-300", "1E-300"),
        ("1e300", "1E+300"),
        ('"шт"', '"шт"'),
    ],
)
def test_a_number_is_written_exactly_and_without_zeros_that_say_nothing(text, written):
    assert write(read(text)) == written
    assert (
        Decimal(json.loads(written, parse_int=Decimal, parse_float=Decimal)) == Decimal(text)
        if written[0] != '"'
        else True
    )


@given(VALUES)
def test_what_is_written_is_read_as_the_same(value):
    assert read(write(read(write_plain(value)))) == read(write_plain(value))


def write_plain(value):
    """As Python's own writer has it, with numbers as they print."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{write_plain(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(write_plain, value)) + "]"
    return json.dumps(value)


@given(st.dictionaries(st.text(), st.integers() | NUMBERS))
def test_equal_values_are_equal_texts_with_sorted_keys(value):
    turned = dict(reversed(value.items()))
    assert write(read(write_plain(value)), sort_keys=True) == write(
        read(write_plain(turned)), sort_keys=True
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "NaN",
        "Infinity",
        "-Infinity",
        "[1,]",
        "1e400",
        "1" * 5000,
        "1e-99999999999999999999",
        '{"a": 1, "a": 1}',
        '{"a": {"b": 1, "b": 2}}',
        '"\\ud800"',
        "\ufeff1",
        "01",
        "'a'",
        b"\xff",
        '"a\nb"',
        "[" * (DEEPEST + 2) + "]" * (DEEPEST + 2),
        "[" * 100_000,
        "[" * 1000 + "]" * 1000,
        "[" + "1," * MOST_MARKS + "1]",
        "{}" * 2,
    ],
)
def test_what_is_no_json_of_one_meaning_is_refused(text):
    with pytest.raises(Unreadable):
        read(text)


@given(st.binary() | st.text())
def test_reading_fails_with_its_own_error_alone(text):
    with suppress(Unreadable):
        read(text)
