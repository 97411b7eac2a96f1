"""One token per connection, shared by all workers through Redis, renewed by one of them at a time.

Rules of sharing change here; how a remote's login looks is in its client, what lies in Redis in
`clients/token_store.py`. In: a login. Out: a token to use now. Fails as `SharedToken` says.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

import redis
import structlog
from cryptography.fernet import Fernet

from clients.base import Answer
from clients.errors import (
    AuthFailed,
    ClientError,
    Rejected,
    RemoteError,
    StoreUnavailable,
    Transient,
    Uncertain,
    Unreachable,
)
from clients.token_store import Held, NotStored, TokenStore

# Seconds between two looks of those who wait for another worker's login.
_LOOK_AGAIN: Final = 0.05

_log = structlog.get_logger()


class SharedToken:
    """The token of one connection.

    In: `login`, which returns (token, its life in seconds) or raises a RemoteError; `renew_ahead`
    seconds before the end of its life one caller renews it while others go on with the old one;
    `login_timeout` seconds is the longest that a login takes, and that one waits for another's.
    Fails with what the login raised (never an Uncertain one: to the order nothing happened), or
    StoreUnavailable when Redis is away and no token of our own is left. Called by the clients,
    before each call.
    """

    def __init__(
        self,
        store: "redis.Redis",
        connection: str,
        cipher: Fernet,
        login: Callable[[], tuple[str, float]],
        *,
        renew_ahead: float,
        login_timeout: float = 30.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store: TokenStore | NotStored = TokenStore(store, connection, cipher, login_timeout)
        self._connection = connection
        self._login = login
        self._renew_ahead = renew_ahead
        self._login_timeout = login_timeout
        self._clock = clock
        self._held: Held | None = None
        # One thread of a process goes to Redis for a token, the others wait for it here.
        self._turn = threading.Lock()

    def get(self) -> str:
        """A token to use now; no Redis read while our copy is fresh."""
        held = self._held
        if held is not None and self._clock() < held.renew_at:
            return held.token
        if held is not None and self._clock() < held.expires_at:
            return self._renewed_ahead(held)
        return self._obtain(None)

    def replace(self, dead: str) -> str:
        """Another token than the dead one: the one somebody already got, else one login."""
        return self._obtain(dead)

    def log_in_alone(self) -> None:
        """Log in now, whatever is stored or remembered, and share nothing from here on: the connection test.
        Its login may be another than the workers', and wrong (docs/decisions/a-test-logs-in-by-itself.md).
        """
        with self._waiting_turn(time.monotonic() + self._login_timeout):
            self._store, self._held = NotStored(), None
            self._log_in()

    def call(self, send: Callable[[str], Answer], is_dead: Callable[[Answer], bool]) -> Answer:
        """Send with a token; on a dead-token answer replace it and send once more, never in a loop.

        The second answer is returned as it is: a dead-token answer in it means TokenLost.
        """
        token = self.get()
        answer = send(token)
        return send(self.replace(token)) if is_dead(answer) else answer

    def _renewed_ahead(self, held: Held) -> str:
        """Ahead of time nobody waits and no failure matters: the old token is still good."""
        if not self._turn.acquire(blocking=False):
            return held.token
        try:
            stored = self._store.read()
            if stored is not None and self._clock() < stored.renew_at:
                self._held = stored
                return stored.token
            if self._store.remembered_failure() is not None:
                return held.token
            lock = self._store.lock()
            if lock is None:
                return held.token
            try:
                return self._log_in()
            finally:
                self._store.unlock(lock)
        except ClientError:
            return held.token
        finally:
            self._turn.release()

    def _obtain(self, dead: str | None) -> str:
        until = time.monotonic() + self._login_timeout
        with self._waiting_turn(until):
            if (held := self._usable(self._held, dead)) is not None:
                return held.token
            while True:
                if (token := self._taken_over(dead)) is not None:
                    return token
                if (failure := self._store.remembered_failure()) is not None:
                    raise failure
                with self._lock_now() as ours:
                    # Between our look and our lock another one may have logged in.
                    if ours:
                        return self._taken_over(dead) or self._log_in()
                self._pause(until)

    def _taken_over(self, dead: str | None) -> str | None:
        stored = self._usable(self._store.read(), dead)
        if stored is None:
            return None
        self._held = stored
        return stored.token

    def _usable(self, held: Held | None, dead: str | None) -> Held | None:
        if held is None or held.token == dead or self._clock() >= held.expires_at:
            return None
        return held

    def _log_in(self) -> str:
        try:
            token, life = self._login()
        except RemoteError as exc:
            failure = _certain(exc)
            self._store.remember(failure)
            raise failure from exc
        now = self._clock()
        # A token of a short life is renewed at its half, not at once again and again.
        ahead = min(self._renew_ahead, life / 2)
        self._held = Held(token, now + life - ahead, now + life)
        if self._store.is_shared:
            _log.info("token_renewed", connection=self._connection, life_seconds=life)
        # The token is good even when it cannot be shared.
        with contextlib.suppress(StoreUnavailable):
            self._store.write(self._held, life)
        return token

    @contextlib.contextmanager
    def _waiting_turn(self, until: float) -> Iterator[None]:
        if not self._turn.acquire(timeout=max(0.0, until - time.monotonic())):
            raise _login_too_slow()
        try:
            yield
        finally:
            self._turn.release()

    @contextlib.contextmanager
    def _lock_now(self) -> Iterator[bool]:
        lock = self._store.lock()
        try:
            yield lock is not None
        finally:
            if lock is not None:
                self._store.unlock(lock)

    def _pause(self, until: float) -> None:
        if time.monotonic() >= until:
            raise _login_too_slow()
        time.sleep(_LOOK_AGAIN)


def _certain(failure: RemoteError) -> RemoteError:
    """A login's failure as the order sees it: nothing was sent, and the order is not at fault."""
    if isinstance(failure, Uncertain):
        kind: type[RemoteError] = Unreachable
    elif isinstance(failure, Rejected):
        kind = AuthFailed
    else:
        return failure
    return kind(
        f"no login: {failure}",
        status=failure.status,
        retry_after=failure.retry_after,
        excerpt=failure.excerpt,
    )


def _login_too_slow() -> Transient:
    return Transient("another worker's login has not ended in time; it is tried again")
