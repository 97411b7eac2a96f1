"""What a failure beneath a client means: one of httpx for the call, one of our own Redis for its caller.

Change it when a failure is to be called otherwise, or httpx has a new one. In: an exception of `CAUGHT`,
the status where one had come by then, the secrets to mask; or a block that reaches for Redis. Out: an error
of ours. Nothing fails in its own right.
"""

import contextlib
import ssl
from collections.abc import Iterable, Iterator
from typing import Final

import httpx
import redis

from clients.errors import (
    Dropped,
    Garbled,
    Misconfigured,
    RemoteError,
    StoreUnavailable,
    TimedOut,
    Unreachable,
    masked,
)

_TLS_SPOKEN_TO_PLAIN_PORT = frozenset(
    {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}
)

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

CAUGHT: Final = (
    httpx.HTTPError,
    httpx.StreamError,
    httpx.InvalidURL,
    UnicodeError,
)


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


def _certificate_fault(exc: BaseException) -> bool:
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        if isinstance(cause, ssl.SSLError) and cause.reason in _TLS_SPOKEN_TO_PLAIN_PORT:
            return True
        cause = cause.__cause__ or cause.__context__
    return False


@contextlib.contextmanager
def reaching_store() -> Iterator[None]:
    """Whatever goes wrong with Redis inside is a StoreUnavailable."""
    try:
        yield
    except redis.RedisError as exc:
        raise StoreUnavailable(f"Redis does not answer ({type(exc).__name__})") from exc
