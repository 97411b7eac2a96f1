"""How often one caller may come: a fixed window of a second, shared by all gateway processes.

In: the name of a door's rate and the caller's. Out: nothing, or a `Refusal` with 429 and Retry-After. While
Redis is away each process counts for itself: a limit must not close the doors.
docs/decisions/limits-at-the-doors.md says why so.
"""

from __future__ import annotations

import time

import structlog
from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter
from redis.exceptions import RedisError

from gateway.errors import Refusal
from tasks.resources import Resources

# Seconds for which Redis is left alone after it failed to answer.
AWAY = 5.0

log = structlog.get_logger()


class RateLimit:
    """The limit of requests a second for each caller; 0 = none."""

    def __init__(self, r: Resources) -> None:
        most = r.settings.gateway_rate
        self._item = RateLimitItemPerSecond(most) if most else None
        storage = RedisStorage(
            "redis://", connection_pool=r.redis.connection_pool, key_prefix="ob:gateway"
        )
        self._shared = FixedWindowRateLimiter(storage)
        self._own = FixedWindowRateLimiter(MemoryStorage())
        self._away_until = float("-inf")

    def count(self, rate: str, caller: str | None) -> None:
        """Count one request of this caller under this rate; raises Refusal when it is one too many."""
        if self._item is not None and not self._hit(self._item, f"{rate}:{caller or ''}"):
            raise Refusal(429, "Too many requests; wait a second.", headers={"Retry-After": "1"})

    def _hit(self, item: RateLimitItemPerSecond, whose: str) -> bool:
        if time.monotonic() >= self._away_until:
            try:
                return self._shared.hit(item, whose)
            except RedisError:
                self._away_until = time.monotonic() + AWAY
                log.warning("rate_counted_alone", seconds=AWAY)
        return self._own.hit(item, whose)
