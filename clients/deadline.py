"""The total time of one call, and the connection that keeps it: a slow drip cannot outlive it.

Change here how long connecting may take, how long an idle connection is kept, and how a call is given up.
In: a `Deadline` as the time-out of an httpx request. Out: a transport of one connection. Fails as httpx does,
with its time-outs when the time is over (`clients/failures.py` says what they mean).
"""

import contextlib
import socket
import ssl
import struct
from collections.abc import Iterable, Iterator
from time import monotonic
from typing import Any, Final

import httpcore
import httpx

# Seconds; an unreachable address is known long before a slow answer is.
CONNECT_TIMEOUT: Final = 5.0
# Seconds; below Apache's default of 5, since a connection that the remote closes just as we send
# makes an order uncertain.
KEEPALIVE: Final = 4.0
# Linger for no time at all: closing resets the connection.
_AT_ONCE: Final = struct.pack("ii", 1, 0)
_WRITE_CHUNK: Final = 64 * 1024


class Deadline(float):
    """Seconds that a call may take altogether, counted from now.

    It is a float, so that any transport can take it as an ordinary time-out, and our own connection
    asks it before every read how much is left: a slow drip cannot outlive it.
    """

    __slots__ = ("at",)

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.at = monotonic() + seconds

    def left(self) -> float:
        return self.at - monotonic()


class DeadlineTransport(httpx.HTTPTransport):
    """httpx's own transport over a connection that keeps the call's `Deadline`.

    httpx has no parameter for the network backend, so the pool that it would make is made here, the same
    but with ours.
    """

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls,
            max_connections=1,
            max_keepalive_connections=1,
            keepalive_expiry=KEEPALIVE,
            network_backend=_DeadlineBackend(),
        )


class _DeadlineBackend(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            left = _left(timeout, httpcore.ConnectTimeout)
            seconds = CONNECT_TIMEOUT if left is None else min(left, CONNECT_TIMEOUT)
            stream = super().connect_tcp(host, port, seconds, local_address, socket_options)
        except UnicodeError as exc:
            raise httpcore.ConnectError(str(exc)) from exc
        return _DeadlineStream(stream)


class _DeadlineStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with self._reset_when_over():
            return self._stream.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with self._reset_when_over():
            for start in range(0, len(buffer), _WRITE_CHUNK):
                chunk = buffer[start : start + _WRITE_CHUNK]
                self._stream.write(chunk, _left(timeout, httpcore.WriteTimeout))

    @contextlib.contextmanager
    def _reset_when_over(self) -> Iterator[None]:
        """A call given up is not to arrive later: the kernel would go on to deliver what it still holds of
        it after an ordinary close. So the connection is reset, which throws that away.
        """
        try:
            yield
        except httpcore.TimeoutException:
            raw = self._stream.get_extra_info("socket")
            if raw is not None:
                with contextlib.suppress(OSError):
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            raise

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        seconds = _left(timeout, httpcore.ConnectTimeout)
        return _DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, seconds))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(timeout: float | None, expired: type[Exception]) -> float | None:
    if not isinstance(timeout, Deadline):
        return timeout
    seconds = timeout.left()
    if seconds <= 0:
        raise expired("the call's time is over")
    return seconds
