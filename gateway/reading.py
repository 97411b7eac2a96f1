"""Reads requests out of the bytes of one connection: HTTP/1.0 and 1.1 (RFC 9112), each whole before it
counts.

In: bytes as they come. Out: requests, in their order. Raises `Unreadable` with the status to refuse with;
what is left of the connection means nothing then. The parsing itself is llhttp's, strict, by httptools.
Called by gateway/connection.py, which knows the time; this knows none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from urllib.parse import unquote_to_bytes, urlsplit

import httptools

from gateway.wsgi import Request

# Bytes of a request's line and headers, and how many headers.
LARGEST_HEAD = 32 * 1024
MOST_HEADERS = 100
# Requests that came before the first of them was answered.
MOST_AT_ONCE = 16
# Bytes of a body in chunks, their sizes and trailers with it, for each byte that the body may have. A chunk
# of one byte takes six.
LARGEST_SHARE_OF_CHUNKS = 8
CHUNKED = b"chunked"
# Headers that say how a request is to be read, and which one it is: one with its name twice would be another
# than with its name once.
_TELLING = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"expect", b"idempotency-key"}
)

UNREADABLE = "This is no HTTP/1 request."
TOO_LARGE_A_HEAD = f"A request's line and headers have {LARGEST_HEAD // 1024} kB at most."


class Unreadable(Exception):  # noqa: N818  it says what is, as the errors of clients do
    """The connection holds no request; what can be answered is this status and sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


class Reader:
    """What has come of one connection.

    `requests` are those that have wholly come. `begun`: a part of one has come, `in_body`: that is
    its body already. `expecting` is set once where the caller waits to be told to go on. `ended`: nothing
    after the last request is read, since its body was larger than its door takes.
    """

    def __init__(
        self, largest: Callable[[str], int], caller: tuple[str, int], server: tuple[str, int]
    ) -> None:
        self._largest, self._caller, self._server = largest, caller, server
        self._parser = httptools.HttpRequestParser(self)
        self._upgraded = False
        self._refusal: Unreadable | None = None
        self.requests: deque[Request] = deque()
        self.ended = False
        # Bytes since the last whole request.
        self._came = 0
        self._start()
        self.begun = False

    def _start(self) -> None:
        self.begun, self.in_body, self.expecting = True, False, False
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._told: dict[bytes, bytes] = {}
        self._body = bytearray()
        self._head = 0

    @property
    def holds(self) -> int:
        """Bytes of bodies that have come and are not asked for yet."""
        return len(self._body) + sum(len(one.body) for one in self.requests)

    def forget(self) -> None:
        """Let go of what has come: nobody will ask for it."""
        self._body = bytearray()
        self.requests.clear()

    def feed(self, data: bytes) -> None:
        """Read on."""
        if self.ended:
            return
        self._came += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError as exc:
            # Of what follows a request that is not read to its end nothing counts.
            if not self.ended:
                raise self._refusal or Unreadable(400, UNREADABLE) from exc
        if self.begun and not self.ended:
            self._bound()

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as exc:
            if self.ended:
                return
            # The wish for another protocol may be ignored (RFC 9110, 7.8); Java's client always utters it.
            # llhttp stops there: another goes on, from a head that says the same of the body.
            if self._parser.get_method() == b"CONNECT":
                raise Unreadable(400, UNREADABLE) from exc
            self._upgraded = True
            self._parser = httptools.HttpRequestParser(self)
            coding = self._told.get(b"transfer-encoding")
            length = self._told.get(b"content-length", b"0")
            framed = b"Transfer-Encoding: " + coding if coding else b"Content-Length: " + length
            self._parser.feed_data(b"POST * HTTP/1.1\r\n" + framed + b"\r\n\r\n")
            self._feed(data[exc.args[0] :])

    def _bound(self) -> None:
        """What is not a request yet may not grow for ever either."""
        if not self.in_body:
            if self._came > LARGEST_HEAD:
                raise Unreadable(431, TOO_LARGE_A_HEAD)
        elif self._came > LARGEST_HEAD + LARGEST_SHARE_OF_CHUNKS * max(self._most, LARGEST_HEAD):
            raise Unreadable(400, "The body comes in too many chunks.")

    def _count(self, length: int) -> None:
        self._head += length
        if self._head > LARGEST_HEAD:
            self._refuse(431, TOO_LARGE_A_HEAD)

    def _refuse(self, status: int, sentence: str) -> None:
        self._refusal = Unreadable(status, sentence)
        raise self._refusal

    # --- what httptools calls -------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if not self._upgraded:
            self._start()

    def on_url(self, part: bytes) -> None:
        if not self._upgraded:
            self._target += part
            self._count(len(part))

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers are ignored: nothing may be said after the body that was not said before it.
        if self._upgraded or self.in_body:
            return
        self._headers.append((name, value))
        self._count(len(name) + len(value) + 4)
        if len(self._headers) > MOST_HEADERS:
            self._refuse(431, f"A request has {MOST_HEADERS} headers at most.")
        known = name.lower()
        if known in _TELLING:
            if known in self._told:
                self._refuse(400, f"The header {known.decode()} is there twice.")
            self._told[known] = value

    def on_headers_complete(self) -> None:
        if self._upgraded:
            return
        self._version = self._parser.get_http_version()
        if self._version not in {"1.0", "1.1"}:
            self._refuse(505, "HTTP/1.1 is spoken here.")
        if self._version == "1.1" and b"host" not in self._told:
            self._refuse(400, "The header Host is missing.")
        coding = self._told.get(b"transfer-encoding", b"").lower()
        if coding and (coding != CHUNKED or self._version == "1.0"):
            self._refuse(501, "A body comes as it is or in chunks.")
        self._method = self._parser.get_method().decode()
        self._target = _origin_form(self._target)
        path = unquote_to_bytes(self._target.partition(b"?")[0])
        self._most = self._largest(path.decode("latin-1"))
        self._keep_alive = self._version == "1.1" and self._parser.should_keep_alive()
        length = int(self._told.get(b"content-length", b"0"))
        self.in_body = True
        if length > self._most:
            self._end()
        elif coding or length:
            self.expecting = self._told.get(b"expect", b"").lower() == b"100-continue"

    def on_body(self, part: bytes) -> None:
        if self.ended:
            return
        self._body += part
        if len(self._body) > self._most:
            self._end()

    def on_message_complete(self) -> None:
        if self.ended or (not self._upgraded and self._parser.should_upgrade()):
            return
        self._upgraded = False
        self._add(keep_alive=self._keep_alive)
        self.begun = self.in_body = self.expecting = False
        self._came = 0
        if len(self.requests) > MOST_AT_ONCE:
            self._refuse(400, "Too many requests at once.")

    def _end(self) -> None:
        """The body is larger than its door takes: the door says so, in its form, as soon as it is known."""
        self.ended = True
        self._add(keep_alive=False)
        self.begun = self.in_body = False

    def _add(self, *, keep_alive: bool) -> None:
        body = bytes(self._body)
        self._body = bytearray()
        self.requests.append(
            Request(
                self._method,
                self._target,
                self._version,
                self._headers,
                body,
                self._caller,
                self._server,
                keep_alive,
            )
        )


def _origin_form(target: bytes) -> bytes:
    """The path and query that are asked for; a whole address is taken too, as for a proxy (RFC 9112, 3.2)."""
    if target.startswith(b"/"):
        return target
    found = urlsplit(target)
    query = b"?" + found.query if found.query else b""
    return (found.path or b"/") + query
