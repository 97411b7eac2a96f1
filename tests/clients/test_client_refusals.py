"""What a remote says of a failure in JSON is told in its words, in whatever shape it says it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.base import Answer
from clients.refusals import said

TOLD = [
    ({"status": 0, "errorArray": ["немає складу"]}, "немає складу"),
    ({"errors": [{"status": "400", "code": "C", "title": "T", "detail": "ні"}]}, "ні"),
    ({"errors": [{"status": "400", "code": "C__D", "title": "T"}]}, "T"),
    ({"errors": [{"code": "C__D", "meta": {"trace": ["/var/www"]}}]}, "C__D"),
    ({"errors": [{"detail": "a"}, {"detail": "b"}, {"detail": "a"}]}, "a; b"),
    ({"errors": {"statusid": ["Stage not found"]}}, "statusid: Stage not found"),
    ({"errors": [], "message": "no"}, "no"),
    ({"error": "invalid_client", "error_description": "Wrong secret"}, "Wrong secret"),
    ({"error": {"code": 12, "message": "no"}}, "no"),
    ({"error": True, "errorText": "no"}, "no"),
    ({"type": "about:blank", "title": "T", "detail": "no", "status": 400}, "no"),
    ({"dataArray": {"name": "x"}, "status": 1}, ""),
    ({"code": 500}, ""),
    ({}, ""),
    (["no"], ""),
    ("no", ""),
    (None, ""),
]


@pytest.mark.parametrize(("answer", "words"), TOLD)
def test_its_own_words_without_the_json(answer, words):
    assert said(answer) == words


def answered(body):
    try:
        parsed = json.loads(body)
    except ValueError:
        parsed = None
    return Answer(400, {}, body, parsed, ("our-secret",))


def test_an_excerpt_is_these_words_masked():
    told = {"errors": [{"detail": "Телефон +380501234567, our-secret, a@b.example", "id": "7"}]}
    assert answered(json.dumps(told).encode()).excerpt == "Телефон ***, ***, ***"


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"data": "Замовлення"}).encode(),
        json.dumps({"data": "Замовлення"}).encode()[:-2],
        json.dumps({"data": "Замовлення", "more": "x" * 9000}).encode(),
        json.dumps({"message": "Замовлення", "more": "x" * 9000}).encode(),
    ],
)
def test_ukrainian_is_never_shown_as_escapes(body):
    assert "Замовлення" in answered(body).excerpt
    assert "\\u" not in answered(body).excerpt


def test_what_was_escaped_is_masked_and_steers_nothing():
    phone = "".join(f"\\u{ord(digit):04x}" for digit in "0501234567")
    assert answered(f'{{"a": "{phone} \\u001b[31m'.encode()).excerpt == '{"a": "*** [31m'


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["errors", "error", "message", "detail", "x"]), inner)
    ),
)


@given(JSON)
def test_it_takes_any_json(answer):
    assert isinstance(said(answer), str)


def test_it_is_short_however_much_there_is():
    deep = {"message": "x"}
    for _ in range(1000):
        deep = {"errors": [deep]}
    assert said(deep) == ""
    assert said({"errors": [{"detail": "y" * 5_000}] * 3}) == "y" * 1_000
    assert len(said({"errors": [{"detail": str(n)} for n in range(5_000)]}).split("; ")) == 100
