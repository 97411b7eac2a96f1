"""How a call travels: warm connections, one total time limit, an answer whole or a failure of ours.

Change here what calls to all remotes have in common. In: method, path, headers, body and a `Deadline`.
Out: an `Answer` of any status. Fails with a `RemoteError`. Nothing here knows a remote system; what an
answer means is judged in the client that asked.
"""

import contextlib
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlencode

import httpx
import orjson

from clients.bodies import MOST_VALUES, as_json, holds_too_much, parsed
from clients.deadline import Deadline, DeadlineTransport
from clients.errors import Garbled, Misconfigured, TimedOut, Unreachable, masked
from clients.failures import CAUGHT, translated
from clients.refusals import said

USER_AGENT: Final = "orderbridge/0.1"
MAX_BODY: Final = 64 * 1024 * 1024
# A call is not begun with less of its time left than this share: it would only end uncertain.
_WORTH_STARTING: Final = 0.1
# Addresses are few; those with a query or an id in them may be many.
_KEPT_URLS: Final = 64
# PHP writes every Ukrainian letter so.
_ESCAPED: Final = re.compile(r"\\u([0-9a-fA-F]{4})")
JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"


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
        """What a person is shown of it: the remote's own words where JSON has them, else its beginning."""
        if words := said(self.json):
            return self.masked(words)
        body = self.body[:8192]
        if len(self.body) == len(body) and self.json is not None:
            with contextlib.suppress(TypeError):
                body = orjson.dumps(self.json)
        text = body.decode("utf-8", "replace")
        return self.masked(_ESCAPED.sub(lambda found: chr(int(found[1], 16)), text))


class Closing:
    """What is closed when the block that it was made for ends, however that ends."""

    def close(self) -> None:
        """Let go of what is open; each kind has its own."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class HttpTransport(Closing):
    """Calls to one base URL over keep-alive connections; safe to share between threads.

    In: base URL, the secrets to mask in whatever is quoted. Out: an `Answer` for every status. Fails
    with `Misconfigured` for a URL that cannot be right, otherwise with what `clients/failures.py` says.
    Called by the clients only; make it after a fork, never before. Proxies from the environment are not
    used, `SSL_CERT_FILE` is.

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
        except CAUGHT as exc:
            raise translated(exc, self.host, secrets, status) from exc
        if holds_too_much(body):
            raise Garbled(
                f"{self.host}: the answer holds more than {MOST_VALUES:,} values; ask for less at once",
                status=status,
            )
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
