"""What Redis holds of a token for all workers: the token sealed, who logs in now, the login that failed.

Change here how each is kept, and for how long; when to log in is decided in `clients/tokens.py`. In and out:
a token with its moments, a lock, a failure. Fails with StoreUnavailable; what may be left undone
without harm, giving the lock back and remembering a failure, does not.
"""

import contextlib
from dataclasses import dataclass
from typing import Any, Final

import orjson
import redis
from cryptography.fernet import Fernet, InvalidToken
from redis.lock import Lock

from clients.errors import (
    AuthFailed,
    ConnectionFault,
    Forbidden,
    Misconfigured,
    RateLimited,
    RemoteError,
    StoreUnavailable,
    TokenLost,
    Transient,
    Unreachable,
    masked,
)
from clients.failures import reaching_store
from clients.statuses import RETRY_AFTER_CEILING

# Seconds. A refused login is remembered this long, so that 50 threads do not lock the address
# (docs/contracts/okliving.md, "Errors": ten failed logins); an unreachable one shorter, to come back soon.
REFUSED_REMEMBERED: Final = 10.0
UNREACHABLE_REMEMBERED: Final = 2.0
# What a login can fail with, as it is named in Redis. Whoever may write there makes nothing else of it.
FAILURES: Final[dict[str, type[RemoteError]]] = {
    kind.__name__: kind
    for kind in (
        Transient,
        Unreachable,
        RateLimited,
        TokenLost,
        ConnectionFault,
        AuthFailed,
        Forbidden,
        Misconfigured,
    )
}
# Characters of a remembered failure's sentence.
LONGEST_MESSAGE: Final = 500
# Seconds that a lock outlives the login's time-out, for what happens around the login.
_LOCK_MARGIN: Final = 5.0


@dataclass(frozen=True, slots=True)
class Held:
    """A token with the moments (epoch seconds) from which it is to be renewed and is of no use."""

    token: str
    renew_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class _Failure:
    """A login's failure as it lies in Redis."""

    kind: str
    message: str
    status: int | None
    retry_after: float | None
    excerpt: str

    def is_sound(self) -> bool:
        """Whether each value is of the kind that it should be: JSON says nothing of that."""
        wait = self.retry_after
        return (
            isinstance(self.message, str)
            and isinstance(self.excerpt, str)
            and (self.status is None or type(self.status) is int)
            and (wait is None or (type(wait) in {int, float} and 0 <= wait <= RETRY_AFTER_CEILING))
        )


class TokenStore:
    """The three keys of one connection; `login_timeout` seconds is the longest that a login takes."""

    is_shared = True

    def __init__(
        self, store: "redis.Redis", connection: str, cipher: Fernet, login_timeout: float
    ) -> None:
        self._redis = store
        self._cipher = cipher
        self._login_timeout = login_timeout
        self._key = f"ob:{connection}:token"
        self._lock_key = f"ob:{connection}:token:lock"
        self._failure_key = f"ob:{connection}:token:failure"

    def lock(self) -> Lock | None:
        """The lock, None when another one holds it; a crashed owner's lock expires."""
        lock = self._redis.lock(
            self._lock_key, timeout=self._login_timeout + _LOCK_MARGIN, thread_local=False
        )
        with reaching_store():
            return lock if lock.acquire(blocking=False) else None

    def unlock(self, lock: Lock) -> None:
        # A lock that cannot be given back, or is lost already, expires by itself.
        with contextlib.suppress(StoreUnavailable), reaching_store():
            lock.release()

    def read(self) -> Held | None:
        with reaching_store():
            sealed = self._redis.get(self._key)
        if sealed is None:
            return None
        try:
            token, renew_at, expires_at = orjson.loads(self._cipher.decrypt(sealed))
            return Held(str(token), float(renew_at), float(expires_at))
        except (InvalidToken, ValueError, TypeError):
            # Sealed with another key, or by another version: as good as absent.
            return None

    def write(self, held: Held, life: float) -> None:
        plain = orjson.dumps([held.token, held.renew_at, held.expires_at])
        with reaching_store():
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.set(self._key, self._cipher.encrypt(plain), px=max(1, int(life * 1000)))
            pipeline.delete(self._failure_key)
            pipeline.execute()

    def remember(self, failure: RemoteError) -> None:
        seconds = UNREACHABLE_REMEMBERED
        if isinstance(failure, ConnectionFault | RateLimited):
            seconds = failure.retry_after or REFUSED_REMEMBERED
        value = orjson.dumps(
            _Failure(
                kind=type(failure).__name__,
                message=str(failure),
                status=failure.status,
                retry_after=failure.retry_after,
                excerpt=failure.excerpt,
            )
        )
        with contextlib.suppress(StoreUnavailable), reaching_store():
            self._redis.set(self._failure_key, value, px=int(seconds * 1000))

    def remembered_failure(self) -> RemoteError | None:
        with reaching_store():
            value = self._redis.get(self._failure_key)
        return None if value is None else _failure(value)


class NotStored:
    """In the place of a TokenStore, for one who shares nothing: nobody else logs in, and nothing is kept."""

    is_shared = False

    def lock(self) -> Any:
        return self

    def unlock(self, lock: object) -> None:
        """There is nothing to give back."""

    def read(self) -> Held | None:
        return None

    def write(self, held: Held, life: float) -> None:
        """It stays with who logged in."""

    def remember(self, failure: RemoteError) -> None:
        """Nobody else is to wait for it."""

    def remembered_failure(self) -> RemoteError | None:
        return None


def _failure(value: bytes | str) -> RemoteError | None:
    """What was remembered; None for what no version of ours wrote, so that a login tells how it is."""
    try:
        told = _Failure(**orjson.loads(value))
    except (ValueError, TypeError):
        return None
    kind = FAILURES.get(told.kind) if isinstance(told.kind, str) else None
    if kind is None or not told.is_sound():
        return None
    return kind(
        masked(told.message, length=LONGEST_MESSAGE),
        status=told.status,
        retry_after=told.retry_after,
        excerpt=masked(told.excerpt),
    )
