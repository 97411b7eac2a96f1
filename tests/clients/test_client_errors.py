"""The tree of errors: what each class promises, that it pickles, and what masking lets through."""

import inspect
import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients import errors
from clients.errors import EXCERPT_LENGTH, masked

CLASSES = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.RemoteError)
]


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_survives_pickling_whole(kind):
    error = kind("what happened", status=418, retry_after=2.5, excerpt="body")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert (str(copy), vars(copy)) == (str(error), vars(error))


def test_possible_actions_survive_pickling():
    error = errors.IllegalTransition("no", possible=("process", "cancel"))
    assert pickle.loads(pickle.dumps(error)).possible == ("process", "cancel")


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_needs_a_message_only(kind):
    assert kind("text").excerpt == ""


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_says_one_thing_to_do(kind):
    families = (errors.Transient, errors.Uncertain, errors.Rejected, errors.ConnectionFault)
    expected = 0 if kind is errors.RemoteError else 1
    assert sum(issubclass(kind, family) for family in families) == expected


def test_only_a_remote_that_looks_down_counts_for_the_breaker():
    counted = {kind.__name__ for kind in CLASSES if kind.counts_for_breaker}
    assert counted == {
        "Unreachable", "RateLimited", "Uncertain", "TimedOut", "Dropped", "ServerError", "Garbled"
    }  # fmt: skip
    assert not errors.StoreUnavailable.counts_for_breaker


def test_the_store_is_no_remote():
    assert not issubclass(errors.StoreUnavailable, errors.RemoteError)


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("call me at o.shevchenko@ukr.net", "shevchenko"),
        ("phone +380671234567", "1234567"),
        ("phone 067 123-45-67 or (067) 123 45 67", "45"),
        ("order 300167757 failed", "300167757"),
        ("Authorization: Bearer abc.def-123", "abc.def"),
        ('{"access_token":"eyJhbGciOi"}', "eyJ"),
        ('{"restapipassword": "qwerty"}', "qwerty"),
        ("client_secret=s3cr3t&x=1", "s3cr3t"),
        ("it was my-own-secret.", "my-own-secret"),
    ],
)
def test_what_is_private_is_masked(text, hidden):
    shown = masked(text, ["my-own-secret"])
    assert hidden not in shown
    assert "***" in shown


@pytest.mark.parametrize("text", ["#12903", "token in header not found", "Статус 42 не знайдено"])
def test_what_a_person_needs_is_kept(text):
    assert masked(text) == text


@given(st.text(max_size=6000), st.lists(st.text(min_size=4, max_size=20), max_size=3))
def test_an_excerpt_is_short_and_has_no_long_number(text, secrets):
    shown = masked(text, secrets)
    assert len(shown) <= EXCERPT_LENGTH
    assert not re.search(r"\d{7}", shown)


@given(st.text(alphabet="abcdef", min_size=6, max_size=12), st.text(max_size=50))
def test_a_secret_is_never_shown(secret, around):
    assert secret not in masked(f"{around} {secret} {around}", [secret]).replace("***", "")
