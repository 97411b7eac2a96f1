"""One token per connection, shared by all workers through Redis, renewed by one of them at a time.

Rules of sharing change here; how a remote's login looks is in its client.
"""

import base64
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, cast
from uuid import uuid4

import orjson
import redis
import structlog
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from clients import errors
from clients.base import Answer
from clients.errors import (
    AuthFailed,
    ClientError,
    ConnectionFault,
    RateLimited,
    Rejected,
    RemoteError,
    StoreUnavailable,
    Transient,
    Uncertain,
    Unreachable,
)

# Seconds. A refused login is remembered this long, so that 50 threads do not lock the address
# (docs/contracts/okliving.md, "Errors": ten failed logins); an unreachable one shorter, to come back soon.
REFUSED_REMEMBERED: Final = 10.0
UNREACHABLE_REMEMBERED: Final = 2.0
# Seconds between two looks of those who wait for another worker's login.
_LOOK_AGAIN: Final = 0.05
# Seconds that a lock outlives the login's time-out, for what happens around the login.
_LOCK_MARGIN: Final = 5.0

_RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""

_log = structlog.get_logger()


def cipher_for(secret_key: str | None, connection_secret: str) -> Fernet:
    """The cipher of tokens at rest: of ORDERBRIDGE_SECRET_KEY, else of the connection's own secret.

    All processes derive the same (docs/architecture.md, "Invariants", 7). ValueError when both are empty.
    """
    source = secret_key or connection_secret
    if not source:
        raise ValueError("neither ORDERBRIDGE_SECRET_KEY nor a secret of the connection is set")
    key = HKDF(hashes.SHA256(), 32, salt=None, info=b"orderbridge token").derive(source.encode())
    return Fernet(base64.urlsafe_b64encode(key))


@dataclass(frozen=True, slots=True)
class _Held:
    """A token with the moments (epoch seconds) from which it is to be renewed and is of no use."""

    token: str
    renew_at: float
    expires_at: float


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
        self._redis = store
        self._connection = connection
        self._cipher = cipher
        self._login = login
        self._renew_ahead = renew_ahead
        self._login_timeout = login_timeout
        self._clock = clock
        self._key = f"ob:{connection}:token"
        self._lock_key = f"ob:{connection}:token:lock"
        self._failure_key = f"ob:{connection}:token:failure"
        self._unlock = store.register_script(_RELEASE)
        self._held: _Held | None = None
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

    def renew(self) -> str:
        """A new token by a login now, whatever is stored or remembered: the connection test."""
        until = time.monotonic() + self._login_timeout
        with self._waiting_turn(until), self._lock(until):
            return self._log_in()

    def call(self, send: Callable[[str], Answer], is_dead: Callable[[Answer], bool]) -> Answer:
        """Send with a token; on a dead-token answer replace it and send once more, never in a loop.

        The second answer is returned as it is: a dead-token answer in it means TokenLost.
        """
        token = self.get()
        answer = send(token)
        return send(self.replace(token)) if is_dead(answer) else answer

    def _renewed_ahead(self, held: _Held) -> str:
        """Ahead of time nobody waits and no failure matters: the old token is still good."""
        if not self._turn.acquire(blocking=False):
            return held.token
        try:
            stored = self._read()
            if stored is not None and self._clock() < stored.renew_at:
                self._held = stored
                return stored.token
            if self._remembered_failure() is not None:
                return held.token
            owner = self._locked()
            if owner is None:
                return held.token
            try:
                return self._log_in()
            finally:
                self._unlocked(owner)
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
                if (failure := self._remembered_failure()) is not None:
                    raise failure
                with self._lock_now() as ours:
                    # Between our look and our lock another one may have logged in.
                    if ours:
                        return self._taken_over(dead) or self._log_in()
                self._pause(until)

    def _taken_over(self, dead: str | None) -> str | None:
        stored = self._usable(self._read(), dead)
        if stored is None:
            return None
        self._held = stored
        return stored.token

    def _usable(self, held: _Held | None, dead: str | None) -> _Held | None:
        if held is None or held.token == dead or self._clock() >= held.expires_at:
            return None
        return held

    def _log_in(self) -> str:
        try:
            token, life = self._login()
        except RemoteError as exc:
            failure = _certain(exc)
            self._remember(failure)
            raise failure from exc
        now = self._clock()
        # A token of a short life is renewed at its half, not at once again and again.
        ahead = min(self._renew_ahead, life / 2)
        self._held = _Held(token, now + life - ahead, now + life)
        _log.info("token_renewed", connection=self._connection, life_seconds=life)
        # The token is good even when it cannot be shared.
        with contextlib.suppress(StoreUnavailable):
            self._write(self._held, life)
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
    def _lock(self, until: float) -> Iterator[None]:
        while True:
            with self._lock_now() as ours:
                if ours:
                    yield
                    return
            self._pause(until)

    @contextlib.contextmanager
    def _lock_now(self) -> Iterator[bool]:
        owner = self._locked()
        try:
            yield owner is not None
        finally:
            if owner is not None:
                self._unlocked(owner)

    def _pause(self, until: float) -> None:
        if time.monotonic() >= until:
            raise _login_too_slow()
        time.sleep(_LOOK_AGAIN)

    def _locked(self) -> str | None:
        """Our mark in the lock, None when another one holds it; a crashed owner's lock expires."""
        owner = uuid4().hex
        milliseconds = int((self._login_timeout + _LOCK_MARGIN) * 1000)
        with reaching_store():
            ours = self._redis.set(self._lock_key, owner, nx=True, px=milliseconds)
        return owner if ours else None

    def _unlocked(self, owner: str) -> None:
        # A lock that cannot be given back expires by itself.
        with contextlib.suppress(StoreUnavailable), reaching_store():
            self._unlock(keys=[self._lock_key], args=[owner])

    def _read(self) -> _Held | None:
        with reaching_store():
            sealed = self._redis.get(self._key)
        if sealed is None:
            return None
        try:
            token, renew_at, expires_at = orjson.loads(self._cipher.decrypt(sealed))
            return _Held(str(token), float(renew_at), float(expires_at))
        except (InvalidToken, ValueError, TypeError):
            # Sealed with another key, or by another version: as good as absent.
            return None

    def _write(self, held: _Held, life: float) -> None:
        plain = orjson.dumps([held.token, held.renew_at, held.expires_at])
        with reaching_store():
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.set(self._key, self._cipher.encrypt(plain), px=max(1, int(life * 1000)))
            pipeline.delete(self._failure_key)
            pipeline.execute()

    def _remember(self, failure: RemoteError) -> None:
        seconds = UNREACHABLE_REMEMBERED
        if isinstance(failure, ConnectionFault | RateLimited):
            seconds = failure.retry_after or REFUSED_REMEMBERED
        value = orjson.dumps(
            {
                "kind": type(failure).__name__,
                "message": str(failure),
                "status": failure.status,
                "retry_after": failure.retry_after,
                "excerpt": failure.excerpt,
            }
        )
        with contextlib.suppress(StoreUnavailable), reaching_store():
            self._redis.set(self._failure_key, value, px=int(seconds * 1000))

    def _remembered_failure(self) -> RemoteError | None:
        with reaching_store():
            value = self._redis.get(self._failure_key)
        if value is None:
            return None
        fields: dict[str, Any] = orjson.loads(value)
        kind = getattr(errors, fields.pop("kind"), Transient)
        return cast("RemoteError", kind(fields.pop("message"), **fields))


@contextlib.contextmanager
def reaching_store() -> Iterator[None]:
    """Whatever goes wrong with Redis inside is a StoreUnavailable."""
    try:
        yield
    except redis.RedisError as exc:
        raise StoreUnavailable(f"Redis does not answer ({type(exc).__name__})") from exc


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
