"""How many calls a connection may make: per second, and at the same time, over all workers.

Change the rules of limiting here; who waits for what and for how long is the tasks' affair.
"""

import time
from collections.abc import Callable
from fractions import Fraction
from typing import Final

import limits
import redis
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter

from clients.tokens import reaching_store

# How many parked members one release rings at most.
RUNG_AT_ONCE: Final = 100

# What each script below starts with. KEYS: holders, parked. Scores are seconds of Redis's clock:
# of a holder when its lease ends, of a parked member when it came.
_NOW: Final = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local function score(seconds) return string.format('%.6f', seconds) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', score(now))
"""
# ARGV: limit, lease, holder, waiting.
_ACQUIRE: Final = (
    _NOW
    + """
local held = redis.call('ZSCORE', KEYS[1], ARGV[3])
if held or redis.call('ZCARD', KEYS[1]) < tonumber(ARGV[1]) then
  redis.call('ZADD', KEYS[1], score(now + tonumber(ARGV[2])), ARGV[3])
  redis.call('PEXPIRE', KEYS[1], math.ceil(tonumber(ARGV[2]) * 1000) + 1000)
  redis.call('ZREM', KEYS[2], ARGV[4])
  return 1
end
redis.call('ZADD', KEYS[2], 'NX', score(now), ARGV[4])
return 0
"""
)
# ARGV: limit (0 = none), at most so many, holder to remove first ('' = none).
_RING: Final = (
    _NOW
    + """
if ARGV[3] ~= '' then redis.call('ZREM', KEYS[1], ARGV[3]) end
local count = tonumber(ARGV[2])
if tonumber(ARGV[1]) > 0 then
  count = math.min(count, tonumber(ARGV[1]) - redis.call('ZCARD', KEYS[1]))
end
local rung = {}
if count > 0 then
  rung = redis.call('ZRANGE', KEYS[2], 0, count - 1)
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, count - 1)
end
return rung
"""
)
_PARK: Final = (
    _NOW
    + """
return redis.call('ZADD', KEYS[2], 'NX', score(now), ARGV[1])
"""
)
_IN_USE: Final = (
    _NOW
    + """
return redis.call('ZCARD', KEYS[1])
"""
)


class Rate:
    """At most `per_second` calls in any second over all workers (contract onebox, Transport).

    In: a Redis client or URL, the connection's name, the rate: 0 = none, a fraction such as 0.5 is
    one call in two seconds. Fails with StoreUnavailable. Called before each call of the connection.
    """

    def __init__(
        self,
        store: "redis.Redis | str",
        name: str,
        per_second: float,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._sleep = sleep
        self._name = name
        self._item = _rate_item(per_second)
        if self._item is not None:
            self._limiter = MovingWindowRateLimiter(_storage(store, f"ob:{name}:rate"))

    def wait_time(self) -> float:
        """Seconds until a call may be made, 0.0 = now; takes nothing."""
        if self._item is None:
            return 0.0
        with reaching_store():
            window = self._limiter.get_window_stats(self._item, self._name)
        if window.remaining > 0:
            return 0.0
        return max(window.reset_time - time.time(), 0.001)

    def acquire(self, max_wait: float) -> float:
        """Take one call, waiting at most `max_wait` seconds for it.

        0.0: taken. Otherwise nothing was taken, and it is the seconds after which to ask again.
        """
        if self._item is None:
            return 0.0
        until = time.monotonic() + max_wait
        while True:
            with reaching_store():
                if self._limiter.hit(self._item, self._name):
                    return 0.0
            seconds = self.wait_time() or 0.001
            if time.monotonic() + seconds > until:
                return seconds
            self._sleep(seconds)


class Slots:
    """At most `limit` calls in flight over all workers; 0 = no limit, then Redis is not asked.

    A holder's slot expires after `lease_seconds` by Redis's own clock, so a killed worker leaks
    none. Nobody waits in a thread: who gets no slot is parked by name, oldest first, and the one
    who frees a slot learns whom to ring. A ring may be lost, so the ledger must know the order too
    (design, Three stores, one truth). Fails with StoreUnavailable. Called by the task layer.
    """

    def __init__(self, store: "redis.Redis", name: str, limit: int, lease_seconds: float) -> None:
        self._redis = store
        self._limit = limit
        self._lease = lease_seconds
        self._parked_key = f"ob:{name}:parked"
        self._keys = [f"ob:{name}:slots", self._parked_key]
        self._acquire = store.register_script(_ACQUIRE)
        self._ring = store.register_script(_RING)
        self._park = store.register_script(_PARK)
        self._in_use = store.register_script(_IN_USE)

    def acquire(self, holder: str, waiting: str) -> bool:
        """Whether `holder` now has a slot (again with a whole lease if it had one already).

        If not, `waiting` is parked; if so, it is parked no more.
        """
        if self._limit == 0:
            return True
        with reaching_store():
            taken = self._acquire(
                keys=self._keys, args=[str(self._limit), str(self._lease), holder, waiting]
            )
            return bool(taken)

    def release(self, holder: str) -> list[str]:
        """Give the slot back; whom to ring, at most one for each free slot, parked no more."""
        return [] if self._limit == 0 else self._rung(RUNG_AT_ONCE, holder)

    def park(self, waiting: str) -> None:
        """Park without asking for a slot; who is parked already keeps its place."""
        with reaching_store():
            self._park(keys=self._keys, args=[waiting])

    def unpark(self, n: int) -> list[str]:
        """The oldest parked, at most `n` and at most one for each free slot, parked no more."""
        return self._rung(n, "")

    def parked(self) -> int:
        with reaching_store():
            return int(self._redis.zcard(self._parked_key))

    def in_use(self) -> int:
        with reaching_store():
            return int(self._in_use(keys=self._keys))

    def _rung(self, n: int, holder: str) -> list[str]:
        with reaching_store():
            members = self._ring(keys=self._keys, args=[str(self._limit), str(n), holder])
        return [member.decode() if isinstance(member, bytes) else member for member in members]


def _rate_item(per_second: float) -> limits.RateLimitItem | None:
    """The rate as whole calls in whole seconds: 0.5 is one in 2, 2.5 is five in 2."""
    if per_second < 0:
        raise ValueError("a rate is 0 (none) or more calls per second")
    if per_second == 0:
        return None
    share = Fraction(per_second).limit_denominator(60)
    if share == 0:
        raise ValueError("a rate below one call a minute is not kept")
    return limits.RateLimitItemPerSecond(share.numerator, share.denominator)


def _storage(store: "redis.Redis | str", prefix: str) -> RedisStorage:
    if isinstance(store, str):
        return RedisStorage(store, key_prefix=prefix)
    return RedisStorage("redis://", connection_pool=store.connection_pool, key_prefix=prefix)
