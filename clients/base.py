"""How a call travels: one HTTP connection pool, one total time limit, one translation of failures.

Nothing here knows a remote system; what an answer means is judged in the client that asked.
"""

import contextlib
import json
import re
import ssl
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlencode

import httpx
import orjson

from clients.deadline import Deadline, DeadlineTransport
from clients.errors import (
    AuthFailed,
    Dropped,
    Forbidden,
    Garbled,
    Misconfigured,
    RateLimited,
    Rejected,
    RemoteError,
    ServerError,
    TimedOut,
    Unreachable,
    masked,
)

USER_AGENT: Final = "orderbridge/0.1"
MAX_BODY: Final = 64 * 1024 * 1024
# Seconds; the longest pause of the retry policy (docs/architecture.md, "Waits, leases and probes").
RETRY_AFTER_CEILING: Final = 900.0
# A call is not begun with less of its time left than this share: it would only end uncertain.
_WORTH_STARTING: Final = 0.1
# Addresses are few; those with a query or an id in them may be many.
_KEPT_URLS: Final = 64
JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"

_TLS_SPOKEN_TO_PLAIN_PORT = frozenset(
    {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}
)
_LONE_SURROGATE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)

# What JSON may be made of before it is taken for text: no order lies deeper, no number is longer.
_DEEPEST: Final = 64
_MOST_DIGITS: Final = 300
_TOKEN: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)

# What an httpx error says about the call. A class not named here is judged by its nearest base.
_ERRORS: Final[dict[type[BaseException], tuple[type[RemoteError], str]]] = {
    httpx.ConnectTimeout: (Unreachable, "no connection within the time-out; it is tried again"),
    httpx.ConnectError: (Unreachable, "no connection could be made; it is tried again"),
    httpx.PoolTimeout: (Unreachable, "every connection stayed busy; it is tried again"),
    httpx.ProxyError: (Unreachable, "the proxy made no connection; it is tried again"),
    httpx.TimeoutException: (TimedOut, "no whole answer within the time-out"),
    httpx.DecodingError: (Garbled, "the answer's compression cannot be read"),
    httpx.UnsupportedProtocol: (Misconfigured, "the URL must begin with https:// or http://"),
    httpx.LocalProtocolError: (Misconfigured, "the request cannot be sent; check URL and secrets"),
    httpx.InvalidURL: (Misconfigured, "the URL cannot be read; correct it"),
    UnicodeError: (Misconfigured, "the request cannot be sent; check URL and secrets"),
    httpx.StreamError: (Dropped, "the answer could not be read to its end"),
    httpx.HTTPError: (Dropped, "the connection broke before the whole answer came"),
}

_CAUGHT: Final = (
    httpx.HTTPError,
    httpx.StreamError,
    httpx.InvalidURL,
    UnicodeError,
)

# 4xx that are not the order's fault; any other 4xx is.
_STATUSES: Final[dict[int, tuple[type[RemoteError], str]]] = {
    401: (AuthFailed, "the login is refused; correct the credentials"),
    402: (Forbidden, "the remote asks for payment; settle the account"),
    403: (Forbidden, "the login lacks a permission; grant it there"),
    404: (Misconfigured, "the address does not exist; check the URL"),
    405: (Misconfigured, "the address does not take this method; check the URL"),
    407: (Misconfigured, "a proxy asks for a login"),
    408: (TimedOut, "the remote waited too long for the request"),
    410: (Misconfigured, "the address is gone; check the URL"),
    421: (Misconfigured, "the host does not serve this address; check the URL"),
    425: (RateLimited, "the remote asks to try later"),
    426: (Misconfigured, "the remote asks for another protocol; check the URL"),
    429: (RateLimited, "too many calls; it is tried again when the remote allows"),
    451: (Forbidden, "the remote refuses for legal reasons"),
}


@dataclass(slots=True)
class Answer:
    """A whole answer: any status, the body decoded, `json` None where the body is not JSON."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    json: Any
    secrets: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def masked(self, text: str) -> str:
        return masked(text, self.secrets)

    @property
    def excerpt(self) -> str:
        body = self.body[:8192]
        if len(self.body) == len(body) and self.json is not None:
            # Written anew, since PHP escapes every Ukrainian letter.
            with contextlib.suppress(TypeError):
                body = orjson.dumps(self.json)
        return self.masked(body.decode("utf-8", "replace"))


class HttpTransport:
    """Calls to one base URL over keep-alive connections; safe to share between threads.

    In: base URL, the secrets to mask in whatever is quoted. Out: an `Answer` for every status. Fails
    with `Misconfigured` for a URL that cannot be right, otherwise with what `_ERRORS` says. Called by
    the clients only; make it after a fork, never before. Proxies from the environment are not used,
    `SSL_CERT_FILE` is.

    A call takes an idle connection, the one used last, or makes one, and puts it back: there are as many
    as calls were ever in flight. Nothing follows redirects or keeps cookies. See
    docs/decisions/a-stack-of-connections.md.
    """

    def __init__(
        self,
        base_url: str,
        *,
        secrets: Iterable[str] = (),
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._base = base_url.strip().rstrip("/")
        self.host = _checked_host(self._base)
        self._secrets = tuple(secret for secret in secrets if secret)
        self._urls: dict[str, httpx.URL] = {}
        # Made once, where it is needed: reading the authorities' certificates takes 50 ms and more.
        speaks_tls = transport is None and httpx.URL(self._base).scheme == "https"
        self._tls = httpx.create_ssl_context() if speaks_tls else None
        self._transport = transport
        self._idle: deque[httpx.BaseTransport] = deque()

    def close(self) -> None:
        """Close the idle connections; no call may be in flight."""
        while self._idle:
            self._idle.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def post_json(
        self, path: str, payload: object, headers: Mapping[str, str], deadline: Deadline
    ) -> Answer:
        """Post the payload as JSON; `Rejected` when it cannot be written as JSON."""
        return self.request("POST", path, headers, deadline, content=as_json(payload))

    def post_form(
        self, path: str, fields: Mapping[str, str], headers: Mapping[str, str], deadline: Deadline
    ) -> Answer:
        """Post the fields as an HTML form does."""
        content = urlencode(fields).encode()
        return self.request("POST", path, headers, deadline, content=content, kind=FORM)

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        deadline: Deadline,
        *,
        content: bytes | None = None,
        kind: str = JSON,
    ) -> Answer:
        """Make one call of any method. `content` of `kind` goes with any of them, GET too; None: no body."""
        if deadline.left() < deadline * _WORTH_STARTING:
            raise Unreachable(f"{self.host}: no time was left to make the call; nothing was sent")
        sent = (value.removeprefix("Bearer ") for value in headers.values())
        secrets = (*self._secrets, *sent)
        told = headers if content is None else {"Content-Type": kind, **headers}
        status: int | None = None
        try:
            with self._connection() as connection:
                response = connection.handle_request(
                    self._built(method, path, content, told, deadline)
                )
                try:
                    status = response.status_code
                    body = self._read(response, deadline)
                finally:
                    response.close()
        except _CAUGHT as exc:
            raise translated(exc, self.host, secrets, status) from exc
        return Answer(status, response.headers, body, parsed(body), secrets)

    @contextlib.contextmanager
    def _connection(self) -> Iterator[httpx.BaseTransport]:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._transport or DeadlineTransport(self._tls)
        try:
            yield connection
        finally:
            self._idle.append(connection)

    def _built(
        self,
        method: str,
        path: str,
        content: bytes | None,
        headers: Mapping[str, str],
        deadline: Deadline,
    ) -> httpx.Request:
        url = self._urls.get(path)
        if url is None:
            url = httpx.URL(self._base + path)
            if len(self._urls) < _KEPT_URLS:
                self._urls[path] = url
        return httpx.Request(
            method,
            url,
            headers=[
                ("User-Agent", USER_AGENT),
                ("Accept", "application/json"),
                ("Accept-Encoding", "gzip"),
                *headers.items(),
            ],
            content=content,
            extensions={
                "timeout": {
                    "connect": deadline,
                    "read": deadline,
                    "write": deadline,
                    "pool": deadline,
                }
            },
        )

    def _read(self, response: httpx.Response, deadline: Deadline) -> bytes:
        chunks: list[bytes] = []
        size = 0
        for chunk in response.iter_bytes():
            chunks.append(chunk)
            size += len(chunk)
            if size > MAX_BODY:
                raise Garbled(
                    f"{self.host}: the answer is larger than {MAX_BODY >> 20} MiB",
                    status=response.status_code,
                )
            if deadline.left() <= 0:
                raise TimedOut(
                    f"{self.host}: no whole answer within {float(deadline):g} s",
                    status=response.status_code,
                )
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def as_json(payload: object) -> bytes:
    """The payload as the body of a call; `Rejected` when it cannot be written as JSON."""
    try:
        return orjson.dumps(payload)
    except TypeError as exc:
        raise Rejected(f"the order cannot be written as JSON: {masked(str(exc))}") from exc


def parsed(body: bytes) -> Any:
    """The body as JSON, None when it is not JSON.

    Takes what PHP shops really send beside clean JSON: a byte order mark, text cut in half (becomes
    U+FFFD), NaN (becomes null), bare line ends inside text. One odd value never spoils the others: what
    lies deeper than any order does, and a number that no computer counts with, become text.
    """
    with contextlib.suppress(ValueError):
        return orjson.loads(body)
    text = _LONE_SURROGATE.sub(rb"\\ufffd", body).decode("utf-8", "replace").removeprefix("\ufeff")
    with contextlib.suppress(ValueError, RecursionError):
        try:
            return _loads(text)
        except RecursionError:
            return _loads(_flattened(text))
    return None


def _loads(text: str) -> Any:
    return json.loads(text, strict=False, parse_constant=lambda _: None, parse_int=_whole)


def _whole(digits: str) -> int | float | str:
    """A whole number as the fast reader gives it: beyond 64 bits as a float; beyond those as it stands."""
    if len(digits) > _MOST_DIGITS:
        return digits
    number = int(digits)
    return number if -(2**63) <= number < 2**64 else float(number)


def _flattened(text: str) -> str:
    """The same JSON with each value that lies deeper than `_DEEPEST` levels written as text."""
    parts: list[str] = []
    depth = begun = 0
    for found in _TOKEN.finditer(text):
        mark = found.group()
        if mark in "[{":
            depth += 1
            if depth == _DEEPEST:
                parts.append(text[begun : found.start()])
                begun = found.start()
        elif mark in "]}":
            if depth == _DEEPEST:
                parts.append(json.dumps(text[begun : found.end()]))
                begun = found.end()
            depth -= 1
    return "".join((*parts, text[begun:]))


def translated(
    exc: Exception, host: str, secrets: Iterable[str] = (), status: int | None = None
) -> RemoteError:
    """Our error for an httpx one: total, what is unknown counts as uncertain."""
    kind, text = next(_ERRORS[base] for base in type(exc).__mro__ if base in _ERRORS)
    if kind is Unreachable and _certificate_fault(exc):
        kind, text = Misconfigured, "the TLS certificate is not accepted; check the URL's host"
    if status is not None and not issubclass(kind, Garbled):
        kind = TimedOut if kind is TimedOut else Dropped
    return kind(f"{host}: {text}", status=status, excerpt=masked(str(exc), secrets))


def status_error(answer: Answer, host: str) -> RemoteError:
    """Our error for an HTTP status that is no success: total over 300 to 599.

    A client looks for the domain's own meaning first; this is what the status alone says.
    """
    status, retry_after = answer.status, retry_after_of(answer.headers)
    kind: type[RemoteError]
    if status == 503 and retry_after is not None:
        kind, text = RateLimited, "down for a while; it is tried again when the remote allows"
    elif status >= 500:
        kind, text = ServerError, "the remote failed"
    elif status < 400:
        kind, text = Misconfigured, "the address redirects; set the URL to where it leads"
    else:
        kind, text = _STATUSES.get(status, (Rejected, "the remote refused the request"))
    return kind(
        f"{host}: HTTP {status}: {text}",
        status=status,
        retry_after=retry_after,
        excerpt=answer.excerpt,
    )


def retry_after_of(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds of a Retry-After header (number or HTTP date), 0 to the ceiling; None without one."""
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", value, re.ASCII):
        return min(float(value), RETRY_AFTER_CEILING)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = (moment - (now or datetime.now(UTC))).total_seconds()
    return min(max(seconds, 0.0), RETRY_AFTER_CEILING)


def _checked_host(base_url: str) -> str:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as exc:
        raise Misconfigured("the URL cannot be read; correct it") from exc
    if url.scheme not in {"http", "https"} or not url.host:
        raise Misconfigured("the URL must be https://host/... or http://host/...; correct it")
    if any(len(label) > 63 for label in url.host.split(".")):
        raise Misconfigured("the URL's host name cannot exist; correct it")
    return url.host


def _certificate_fault(exc: BaseException) -> bool:
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        if isinstance(cause, ssl.SSLError) and cause.reason in _TLS_SPOKEN_TO_PLAIN_PORT:
            return True
        cause = cause.__cause__ or cause.__context__
    return False
