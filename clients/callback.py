"""Tells a tenant of one of its orders: one signed POST to an address that the tenant's file names.

In: whom, where, by which secret, and what. Out: nothing; a 2xx answer means that it was told. Fails with
`Transient` for whatever may be better later, an answer that never came included, since a repeat is harmless:
the receiver knows it by its id; with `Rejected` for what a person must mend. Neither says anything of other
receivers, so no error of here closes the connection. Called by connectors/createorder_feedback.py.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import httpx

from clients.base import JSON, USER_AGENT, Answer
from clients.bodies import as_json, parsed
from clients.deadline import Deadline, DeadlineTransport
from clients.errors import RateLimited, Rejected, StoreUnavailable, Transient, masked
from clients.failures import CAUGHT, translated
from clients.limits import Slots
from clients.statuses import status_error

if TYPE_CHECKING:
    import ssl

SIGNATURE: Final = "X-Orderbridge-Signature"
# Of an answer nothing counts but its status; of a refusal so much is read to be shown to a person.
MOST_READ: Final = 4096
# Calls in flight in this process of a receiver whose last call was quick; of every other one a single call.
MOST_AT_ONCE: Final = 4
# Seconds that a quick call takes at most.
QUICK: Final = 1.0
# 4xx that pass by themselves; all others do not.
_PASSING: Final = frozenset({408, 425, 429})


def signature(secret: str, body: bytes, moment: int) -> str:
    """What the receiver makes anew of the time and the body, to see that it was we who sent it, and when."""
    signed = hmac.new(secret.encode(), b"%d.%b" % (moment, body), hashlib.sha256)
    return f"t={moment},v1={signed.hexdigest()}"


class Callbacks:
    """Calls to the receivers of one connection; safe to share between threads. A connection to one is made
    anew for each call. Nothing follows redirects; certificates are verified, proxies of the environment not
    used. `timeout` is for a whole call, in seconds. All receivers whose last call failed or was slow have the
    places of `share` together, so that those that hang leave places of the connection to others.
    """

    def __init__(
        self, *, timeout: float, share: Slots, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._timeout = timeout
        self._share = share
        self._transport = transport
        self._lock = threading.Lock()
        self._in_flight: Counter[str] = Counter()
        # Whether the last call of a receiver was well; of one that was not called yet nothing is known.
        self._was_well: dict[str, bool] = {}

    def has_place(self, name: str) -> bool:
        """Whether the receiver called so could be told just now. Raises StoreUnavailable."""
        with self._lock:
            if not self._has_room(name):
                return False
            is_shared = self._is_shared(name)
        return not is_shared or self._share.has_room()

    def tell(self, name: str, url: str, secret: str, told: Mapping[str, Any]) -> None:
        """Post this to the receiver called so. Raises also StoreUnavailable."""
        with self._place(name):
            began, has_answered = time.monotonic(), False
            try:
                self._post(url, secret, as_json(told))
                has_answered = True
            except Rejected:
                has_answered = True
                raise
            finally:
                is_quick = time.monotonic() - began <= QUICK
                with self._lock:
                    self._was_well[name] = has_answered and is_quick

    def close(self) -> None:
        """As every client has it; between two calls nothing is open."""

    @contextmanager
    def _place(self, name: str) -> Iterator[None]:
        with self._lock:
            if not self._has_room(name):
                raise _no_place(name)
            is_shared = self._is_shared(name)
            self._in_flight[name] += 1
        try:
            if not is_shared:
                yield
                return
            holder = f"{name}:{uuid4().hex}"
            if not self._share.acquire(holder):
                raise _no_place(name)
            try:
                yield
            finally:
                # A place that cannot be given back ends with its lease.
                with suppress(StoreUnavailable):
                    self._share.release(holder, rings=False)
        finally:
            with self._lock:
                self._in_flight[name] -= 1

    def _has_room(self, name: str) -> bool:
        return self._in_flight[name] < (MOST_AT_ONCE if self._was_well.get(name) else 1)

    def _is_shared(self, name: str) -> bool:
        return self._was_well.get(name) is False

    def _post(self, url: str, secret: str, body: bytes) -> None:
        host, secrets = _host(url), (secret, url)
        deadline = Deadline(self._timeout)
        answer: Answer | None = None
        transport = self._transport or DeadlineTransport(self._tls if url[:6] == "https:" else None)
        try:
            response = transport.handle_request(_request(url, secret, body, deadline))
            try:
                answer = Answer(response.status_code, response.headers, b"", None, secrets)
                if not answer.ok:
                    answer.body = _beginning(response)
            finally:
                response.close()
        except CAUGHT as exc:
            # Once the status has come, the rest says nothing more.
            if answer is None:
                failed = translated(exc, host, secrets)
                raise Transient(str(failed), excerpt=failed.excerpt) from exc
        finally:
            if self._transport is None:
                transport.close()
        if not answer.ok:
            raise _refusal(answer, host)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        # Reading the authorities' certificates takes 50 ms and more.
        return httpx.create_ssl_context()


def _no_place(name: str) -> Transient:
    return Transient(f"the receiver of {name} is being called already; it is tried again")


def _request(url: str, secret: str, body: bytes, deadline: Deadline) -> httpx.Request:
    headers = {
        "User-Agent": USER_AGENT,
        "Accept": JSON,
        "Accept-Encoding": "identity",
        "Content-Type": JSON,
        SIGNATURE: signature(secret, body, int(time.time())),
    }
    limits = dict.fromkeys(("connect", "read", "write", "pool"), deadline)
    return httpx.Request("POST", url, headers=headers, content=body, extensions={"timeout": limits})


def _host(url: str) -> str:
    try:
        return httpx.URL(url).host
    except httpx.InvalidURL as exc:
        raise Rejected("the address cannot be read; load the right one") from exc


def _beginning(response: httpx.Response) -> bytes:
    read = b""
    for chunk in response.iter_raw():
        read += chunk
        if len(read) >= MOST_READ:
            break
    return read[:MOST_READ]


def _refusal(answer: Answer, host: str) -> Transient | Rejected:
    answer.json = parsed(answer.body)
    status, said = answer.status, answer.excerpt
    failed = status_error(answer, host)
    if isinstance(failed, RateLimited) or status in _PASSING or not 300 <= status < 500:
        # Another class than RateLimited, which would bind all receivers.
        return Transient(str(failed), status=status, retry_after=failed.retry_after, excerpt=said)
    if status < 400:
        told = "it leads elsewhere; load the address to which it leads"
    else:
        told = "the receiver refuses it"
    return Rejected(masked(f"{host}: HTTP {status}: {told}"), status=status, excerpt=said)
