"""How many calls a connection may make: per second, and at the same time, over all workers.

Change the rules of limiting here; who waits for what and for how long is the tasks' affair.
"""

import time
from collections.abc import Callable
from typing import Final

import redis

from clients.failures import reaching_store

# Turns lie so much farther apart than the rate says: a call that is under way for longer than the one
# before it must not come too close to the next.
APART: Final = 1.04
# One call a minute.
SLOWEST: Final = 1 / 60
# For how many in line one release rings at most: one for what comes free, and one more, so that what is
# free elsewhere, where a ring was lost, is found within a few calls. More would find no turn under a rate.
RUNG_AT_ONCE: Final = 2

# What each script below starts with. KEYS: holders, the line. Scores are seconds of Redis's clock:
# of a holder when its lease ends, of a member of the line when it came.
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
if ARGV[4] ~= '' then redis.call('ZADD', KEYS[2], 'NX', score(now), ARGV[4]) end
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
_JOIN: Final = (
    _NOW
    + """
return redis.call('ZADD', KEYS[2], 'NX', score(now), ARGV[1])
"""
)
# KEYS: when the next turn is. ARGV: seconds between two, the longest wait. Seconds until the turn.
_TURN: Final = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local turn = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
if turn - now <= tonumber(ARGV[2]) then
  local next = turn + tonumber(ARGV[1])
  redis.call('SET', KEYS[1], string.format('%.6f', next), 'PX', math.ceil((next - now) * 1000) + 1000)
end
return string.format('%.6f', turn - now)
"""
_IN_USE: Final = (
    _NOW
    + """
return redis.call('ZCARD', KEYS[1])
"""
)


class Turn:
    """The right to one call, from a moment on."""

    def __init__(self, seconds: float, sleep: Callable[[float], None]) -> None:
        self._at = time.monotonic() + seconds
        self._sleep = sleep

    def await_it(self) -> None:
        """Sleep until it comes; call this directly before the call."""
        seconds = self._at - time.monotonic()
        if seconds > 0:
            self._sleep(seconds)


class Rate:
    """At most `per_second` calls in any second over all workers (docs/contracts/onebox.md, "Transport").

    In: a Redis client, the connection's name, the rate: 0 = none, a fraction such as 0.5 is
    one call in two seconds. Turns are given one after the other by Redis's own clock, evenly spaced and a
    little apart: what is let go in bunches arrives in bunches, and two of them make twice the rate. Fails
    with StoreUnavailable. Called before each call of the connection.
    """

    def __init__(
        self,
        store: "redis.Redis",
        name: str,
        per_second: float,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._sleep = sleep
        self._gap = _gap(per_second)
        self._key = f"ob:{name}:turn"
        self._take = store.register_script(_TURN)

    @property
    def gap(self) -> float:
        """Seconds between two turns; 0 without a limit."""
        return self._gap

    def reserve(self, max_wait: float) -> Turn | None:
        """A turn that comes within `max_wait` seconds, None: there is none, and nothing was taken."""
        seconds = self._next(max_wait)
        return None if seconds > max_wait else Turn(seconds, self._sleep)

    def acquire(self, max_wait: float) -> float:
        """Take one call, waiting at most `max_wait` seconds for it.

        0.0: taken. Otherwise nothing was taken, and it is the seconds after which to ask again.
        """
        seconds = self._next(max_wait)
        if seconds > max_wait:
            return seconds
        Turn(seconds, self._sleep).await_it()
        return 0.0

    def wait_time(self) -> float:
        """Seconds until a call may be made, 0.0 = now; takes nothing."""
        return self._next(-1.0)

    def _next(self, max_wait: float) -> float:
        if self._gap == 0:
            return 0.0
        with reaching_store():
            return float(self._take(keys=[self._key], args=[repr(self._gap), repr(max_wait)]))


class Slots:
    """At most `limit` calls in flight over all workers; 0 = no limit, then Redis only knows who is in line.

    A holder's slot expires after `lease_seconds` by Redis's own clock, so a killed worker leaks
    none. Nobody waits in a thread: who gets no slot waits in line by name, oldest first, and the one
    who frees a slot learns whom to ring. A ring may be lost, so the ledger must know the order too
    (docs/architecture.md, "Three stores, one truth"). Fails with StoreUnavailable. Called by the task layer.
    """

    def __init__(self, store: "redis.Redis", name: str, limit: int, lease_seconds: float) -> None:
        self._redis = store
        self._limit = limit
        self._lease = lease_seconds
        self._line_key = f"ob:{name}:line"
        self._keys = [f"ob:{name}:slots", self._line_key]
        self._acquire = store.register_script(_ACQUIRE)
        self._ring = store.register_script(_RING)
        self._join = store.register_script(_JOIN)
        self._in_use = store.register_script(_IN_USE)
        self._awaited = False

    def acquire(self, holder: str, waiting: str = "") -> bool:
        """Whether `holder` now has a slot (again with a whole lease if it had one already).

        If not, `waiting` joins the line, unless it is nobody; if so, it leaves it.
        """
        if self._limit == 0:
            return True
        with reaching_store():
            taken = self._acquire(
                keys=self._keys, args=[str(self._limit), str(self._lease), holder, waiting]
            )
            return bool(taken)

    def has_room(self) -> bool:
        """Whether there is a free slot just now; takes none."""
        return self._limit == 0 or self.in_use() < self._limit

    def release(self, holder: str, *, rings: bool = True) -> list[str]:
        """Give the slot back; whom to ring, at most one for each free slot, in line no more: nobody, where it
        does not ring. Without a limit nobody waits for a slot, and Redis is not asked.
        """
        return self._rung(RUNG_AT_ONCE if rings else 0, holder) if self._limit else []

    def join_line(self, waiting: str) -> None:
        """Without asking for a slot, for who found no thread or no turn; who is in line already keeps its
        place.
        """
        with reaching_store():
            self._join(keys=self._keys, args=[waiting])
        self._awaited = True

    def call_up_here(self) -> list[str]:
        """Whom to ring now that a thread of this process is free, in line no more. Redis is asked only where
        somebody of this process has joined since it last found nobody in line.
        """
        if not self._awaited:
            return []
        # Before the look: who joins meanwhile sets it again.
        self._awaited = False
        rung = self._rung(RUNG_AT_ONCE, "")
        if rung:
            self._awaited = True
        return rung

    def call_up(self, n: int) -> list[str]:
        """The first in line, at most `n` and at most one for each free slot, in line no more."""
        return self._rung(n, "")

    def in_line(self) -> int:
        with reaching_store():
            return int(self._redis.zcard(self._line_key))

    def in_use(self) -> int:
        with reaching_store():
            return int(self._in_use(keys=self._keys))

    def _rung(self, n: int, holder: str) -> list[str]:
        with reaching_store():
            members = self._ring(keys=self._keys, args=[str(self._limit), str(n), holder])
        return [member.decode() if isinstance(member, bytes) else member for member in members]


def _gap(per_second: float) -> float:
    """Seconds between two calls; 0 without a limit."""
    if per_second < 0:
        raise ValueError("a rate is 0 (none) or more calls per second")
    if per_second == 0:
        return 0.0
    if per_second < SLOWEST:
        raise ValueError("a rate below one call a minute is not kept")
    return APART / per_second
