"""Every status that is no success becomes one of our errors; Retry-After is honoured within bounds."""

import datetime as dt

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from one_call import post

from clients.errors import (
    AuthFailed,
    ConnectionFault,
    Forbidden,
    Misconfigured,
    RateLimited,
    Rejected,
    RemoteError,
    ServerError,
    TimedOut,
    Transient,
    Uncertain,
)
from clients.statuses import RETRY_AFTER_CEILING, retry_after_of, status_error


@pytest.mark.parametrize("status", range(300, 600))
def test_every_status_becomes_one_of_ours(status):
    with pytest.raises(RemoteError) as caught:
        raise status_error(post(lambda _: httpx.Response(status)), "x.test")
    error = caught.value
    assert error.status == status
    if status >= 500:
        assert type(error) is ServerError
    elif status < 400:
        assert type(error) is Misconfigured
    assert type(error) not in {RemoteError, Transient, Uncertain, ConnectionFault}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Rejected), (401, AuthFailed), (403, Forbidden), (404, Misconfigured),
        (405, Misconfigured), (408, TimedOut), (409, Rejected), (422, Rejected),
        (425, RateLimited), (429, RateLimited), (500, ServerError), (503, ServerError),
    ],
)  # fmt: skip
def test_what_a_status_is_called(status, kind):
    assert type(status_error(post(lambda _: httpx.Response(status)), "x.test")) is kind


def test_a_503_with_retry_after_is_certain():
    answer = post(lambda _: httpx.Response(503, headers={"Retry-After": "7"}))
    error = status_error(answer, "x.test")
    assert (type(error), error.retry_after) == (RateLimited, 7.0)


NOW = dt.datetime(2026, 11, 21, 10, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        ("1.5", 1.5),
        ("999999", RETRY_AFTER_CEILING),
        ("Sat, 21 Nov 2026 10:01:00 GMT", 60.0),
        ("Sat, 21 Nov 2026 09:00:00 GMT", 0.0),
        ("Sat, 21 Nov 2099 09:00:00 GMT", RETRY_AFTER_CEILING),
        ("Sat, 21 Nov 2026 10:01:00 -0000", 60.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("nan", None),
        ("1e9", None),
        ("٣", None),
        ("Fri, 31 Dec 99999999999999999999 23:59:59 GMT", None),
    ],
)
def test_retry_after_is_honoured_up_to_a_ceiling(value, seconds):
    headers = httpx.Headers([(b"Retry-After", value.encode())])
    assert retry_after_of(headers, NOW) == seconds


@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=40))
def test_any_retry_after_is_seconds_within_bounds_or_none(value):
    seconds = retry_after_of({"Retry-After": value}, NOW)
    assert seconds is None or 0 <= seconds <= RETRY_AFTER_CEILING
