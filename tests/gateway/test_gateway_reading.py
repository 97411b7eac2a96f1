"""Requests out of bytes: however they come apart they are the same, and nothing ambiguous is one."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from itertools import pairwise, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.reading import LARGEST_HEAD, MOST_AT_ONCE, MOST_HEADERS, Reader, Unreadable

HOST = b"Host: x\r\n"
LARGEST = 1000


def reader():
    return Reader(lambda path: 0 if path == "/none" else LARGEST, ("127.0.0.1", 1), ("h", 2))


def read(*pieces):
    one = reader()
    for piece in pieces:
        one.feed(piece)
    return [(r.method, r.target, r.body, r.keep_alive) for r in one.requests]


CHUNKS = (
    b"POST /c HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
)
WISH = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
SEVERAL = (
    b"GET /a?b=1 HTTP/1.1\r\n" + HOST + b"\r\n",
    b"POST /p HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc",
    CHUNKS,
    b"POST /u HTTP/1.1\r\n" + HOST + WISH + b"Content-Length: 2\r\n\r\nhi",
    b"GET http://x/whole?q HTTP/1.1\r\n" + HOST + WISH + b"\r\n",
    b"GET /last HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n",
)
READ = [
    ("GET", b"/a?b=1", b"", True),
    ("POST", b"/p", b"abc", True),
    ("POST", b"/c", b"abc", True),
    ("POST", b"/u", b"hi", True),
    ("GET", b"/whole?q", b"", True),
    ("GET", b"/last", b"", False),
]


@given(st.lists(st.integers(0, len(b"".join(SEVERAL))), max_size=12))
def test_requests_are_the_same_however_their_bytes_come_apart(cuts):
    whole = b"".join(SEVERAL)
    edges = [0, *sorted(cuts), len(whole)]
    assert read(*(whole[a:b] for a, b in pairwise(edges))) == READ


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_whatever_comes_is_read_or_refused(pieces):
    one = reader()
    with suppress(Unreadable):
        for piece in pieces:
            one.feed(piece)


HEAD = b"POST /p HTTP/1.1\r\n" + HOST


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (HEAD + b"Idempotency-Key: a\r\nidempotency-key: a\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01", 400),
        (b"GET /\r\n\r\n", 505),
        (b"GET / HTTP/0.9\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
        (b"GET / HTTP/1.1\n" + b"Host: x\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (b"CONNECT x:1 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (HEAD + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
        (HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501),
        (HEAD + b"Content-Length: -1\r\n\r\n", 400),
        (HEAD + b"Content-Length: 99999999999999999999\r\n\r\n", 400),
        (b"GET /" + b"a" * LARGEST_HEAD + b" HTTP/1.1\r\n" + HOST + b"\r\n", 431),
        (HEAD + b"A: " + b"a" * LARGEST_HEAD + b"\r\n\r\n", 431),
        (HEAD + b"A: b\r\n" * (MOST_HEADERS + 1) + b"\r\n", 431),
        ((b"GET / HTTP/1.1\r\n" + HOST + b"\r\n") * (MOST_AT_ONCE + 1), 400),
    ],
)
def test_what_could_be_read_in_two_ways_or_without_end_is_refused(sent, status):
    with pytest.raises(Unreadable) as refused:
        read(sent)
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("beginning", "more", "status"),
    [
        (b"GET / HTTP/1.1\r\nA: ", b"a" * 1000, 431),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1;" + b"e" * 1000 + b"\r\na\r\n", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nA: ", b"a" * 1000, 400),
    ],
)
def test_no_part_of_a_request_grows_for_ever(beginning, more, status):
    one = reader()
    one.feed(beginning)
    with pytest.raises(Unreadable) as refused:
        deque(map(one.feed, repeat(more, 16 * LARGEST_HEAD // len(more))), maxlen=0)
    assert refused.value.status == status


@pytest.mark.parametrize("told", [True, False])
def test_a_body_beyond_its_doors_limit_ends_the_reading_and_the_door_says_so(told):
    one = reader()
    framing = (
        b"Content-Length: 1001\r\n\r\n" if told else b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n"
    )
    one.feed(HEAD + framing)
    assert len(one.requests) == told
    one.feed(b"x" * 1001 + (b"" if told else b"\r\n0\r\n\r\n") + b"GET /smuggled HTTP/1.1\r\n\r\n")
    (request,) = one.requests
    assert one.ended
    assert not request.keep_alive
    assert len(request.body) == (0 if told else LARGEST + 1)


def test_an_address_that_is_written_otherwise_has_its_doors_limit():
    told = HOST + b"Content-Length: 3\r\n\r\nabc"
    assert read(b"POST /%6eone HTTP/1.1\r\n" + told) == [("POST", b"/%6eone", b"", False)]
    assert read(b"POST /%6eon HTTP/1.1\r\n" + told) == [("POST", b"/%6eon", b"abc", True)]


def test_a_trailer_says_nothing():
    trailer = CHUNKS.removesuffix(b"\r\n") + b"Authorization: Bearer x\r\n\r\n"
    one = reader()
    one.feed(trailer)
    assert [name for name, _ in one.requests[0].headers] == [b"Host", b"Transfer-Encoding"]
