"""Calls the application for one request that has wholly come, as PEP 3333 says, and makes its answer's bytes.

In: a request. Out: the answer, and its bytes, head and body. An application that raises is answered with 500;
what it raised goes to the log, by its type. Called by the threads of gateway/workers.py. Sources: PEP 3333;
RFC 9110 and 9112 for what an answer must say.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from email.utils import formatdate
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

import structlog

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

# Where an application says for how many seconds its answer is to be kept back: no thread waits for that.
KEEP_BACK = "orderbridge.keep_back"
OUR_FAULT = b"This went wrong on our side.\n"
# Statuses that have no body, and no length of one (RFC 9110, 8.6).
WITHOUT_BODY = ("1", "204", "304")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Request:
    """One request, read to its end. `target` is its path with what follows a question mark; `keep_alive` is
    whether the connection may be used again.
    """

    method: str
    target: bytes
    version: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
    caller: tuple[str, int]
    server: tuple[str, int]
    keep_alive: bool

    @property
    def path(self) -> bytes:
        return self.target.partition(b"?")[0]


@dataclass(frozen=True, slots=True)
class Answer:
    """What an application said; `seconds` is for how long it is to be kept back."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes
    seconds: float = 0.0


def answer(app: WSGIApplication, request: Request) -> Answer:
    """The application's answer."""
    environ = _environ(request)
    try:
        status, headers, body = _called(app, environ)
    except Exception as exc:  # noqa: BLE001  whatever it is, the caller gets an answer and the thread goes on
        log.error("application_failed", error=type(exc).__name__)  # noqa: TRY400  its text may be personal
        return Answer("500 Internal Server Error", [], OUR_FAULT)
    return Answer(status, headers, body, environ.get(KEEP_BACK, 0.0))


def written(said: Answer, *, keep_alive: bool) -> bytes:
    """An answer as it goes over the wire."""
    lines = [f"HTTP/1.1 {said.status}", *(f"{name}: {value}" for name, value in said.headers)]
    told = any(name.lower() == "content-length" for name, _ in said.headers)
    if not told and not said.status.startswith(WITHOUT_BODY):
        lines.append(f"Content-Length: {len(said.body)}")
    lines.append(f"Date: {formatdate(usegmt=True)}")
    if not keep_alive:
        lines.append("Connection: close")
    return "\r\n".join((*lines, "", "")).encode("latin-1", "replace") + said.body


def _called(
    app: WSGIApplication, environ: dict[str, Any]
) -> tuple[str, list[tuple[str, str]], bytes]:
    begun: list[tuple[str, list[tuple[str, str]]]] = []
    pieces: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], _: object = None) -> Any:
        begun.append((status, headers))
        return pieces.append

    told = app(environ, start_response)
    try:
        pieces += told
    finally:
        if hasattr(told, "close"):
            told.close()
    status, headers = begun[-1]
    return status, headers, b"".join(pieces)


def _environ(request: Request) -> dict[str, Any]:
    path, _, query = request.target.partition(b"?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": (unquote_to_bytes(path) if b"%" in path else path).decode("latin-1"),
        "QUERY_STRING": query.decode("latin-1"),
        "SERVER_NAME": request.server[0],
        "SERVER_PORT": str(request.server[1]),
        "SERVER_PROTOCOL": f"HTTP/{request.version}",
        "REMOTE_ADDR": request.caller[0],
        "REMOTE_PORT": str(request.caller[1]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(request.body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.headers:
        # A name with a low line would pass for the one with a dash, in the variables that WSGI makes of them.
        if b"_" in name:
            continue
        key = name.decode("latin-1").upper().replace("-", "_")
        if key not in {"CONTENT_TYPE", "CONTENT_LENGTH"}:
            key = f"HTTP_{key}"
        text = value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    return environ
