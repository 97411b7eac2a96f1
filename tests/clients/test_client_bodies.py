"""Sloppy JSON is read, broken JSON is none, and what cannot be written is refused."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.bodies import as_json, parsed
from clients.errors import Rejected


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a":1}', {"a": 1}),
        (b'\xef\xbb\xbf{"a":1}', {"a": 1}),
        (b'{"a":"\\ud83d"}', {"a": "\ufffd"}),
        (b'{"a":"\\ud83dx\\ude00"}', {"a": "\ufffdx\ufffd"}),
        (b'{"a":"\\ud83d\\ude00","b":"\\udead"}', {"a": "\U0001f600", "b": "\ufffd"}),
        (b'{"a":NaN,"b":-Infinity}', {"a": None, "b": None}),
        (b'{"a":1', None),
        (b"<html>", None),
        (b"", None),
        (b'{"a":"\xff"}', {"a": "\ufffd"}),
        (b'{"a":"x\ny"}', {"a": "x\ny"}),
        (b'{"a":NaN,"b":18446744073709551616}', {"a": None, "b": 2.0**64}),
        (b"[" * 100_000, None),
        (b'{"a":1}<br>', None),
    ],
    ids=str,
)
def test_sloppy_json_is_read_and_broken_json_is_not(body, value):
    assert parsed(body) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body):
    orjson.dumps(parsed(body), option=orjson.OPT_NON_STR_KEYS)


def test_what_cannot_be_written_as_json_is_refused_before_a_call():
    with pytest.raises(Rejected):
        as_json({"name": "\ud83d"})
