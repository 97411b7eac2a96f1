"""What every request gets: an id, security headers, and one line in the log when it is answered.

In: requests. Out: `X-Request-Id` (the caller's own when it is sane), bound to every log line of the request.
The line holds the route, never the path itself, its query or a body: those may hold secrets.
"""

from __future__ import annotations

import re
import secrets
import time

import structlog
from flask import Flask, Response, g, request

_CONVERTER = re.compile(r"<(?:[^<>]*:)?([a-z_]+)>")
SANE_ID = re.compile(r"[0-9A-Za-z._-]{1,64}")

# Asked for every few seconds by machines; their lines would drown the others.
QUIET = frozenset({"health.healthz", "health.readyz", "metrics.metrics"})

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}

log = structlog.get_logger()


def register(app: Flask) -> None:
    """Do this for every request of the application, before and after all else."""
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    g.began = time.perf_counter()
    given = request.headers.get("X-Request-Id", "")
    g.request_id = given if SANE_ID.fullmatch(given) else secrets.token_hex(8)
    g.caller = None
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def _end(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.request_id
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    write = log.debug if request.endpoint in QUIET else log.info
    write(
        "request",
        method=request.method,
        route=_route(),
        status=response.status_code,
        ms=round((time.perf_counter() - g.began) * 1000, 1),
        caller=g.caller,
    )
    return response


def _route() -> str:
    """The address with its variables' names in place of their values."""
    rule = request.url_rule
    return "unmatched" if rule is None else _CONVERTER.sub(r"{\1}", rule.rule)
