"""The one way to call a remote: a thread of the lane, a place, a turn under the rate, time enough, the call.

In: a remote, the direction, and the work that calls it. Out: what the work gives; what was called, and for
how long, for the attempt. What an error means stands in VERDICTS, for all flows alike; what becomes of an
order or an update is for those who called. Fails as the client does, with `NoTurn`, `Paused` and `NoTimeLeft`
where no call was made. Called by creating, delivering, polling, reading and checking.
Source: docs/architecture.md, "When a call fails".
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from typing import TypeVar

from clients.errors import (
    ClientError,
    ConnectionFault,
    RateLimited,
    Rejected,
    RemoteError,
    StoreUnavailable,
    Transient,
    Uncertain,
)
from clients.limits import Slots, Turn
from ledger.connections import Direction
from tasks.doorbell import ring_waiting
from tasks.gate import Gate
from tasks.resources import Remote
from tasks.threads import THREADS

T = TypeVar("T")

# Seconds between two looks for a free place, of those who wait for one in a thread.
LOOK = 0.1


class NoTurn(Exception):  # noqa: N818  it says what is, as the errors of clients do
    """The rate gave no turn for so long, so the call is not made."""


class Paused(NoTurn):
    """A person has paused these calls: no turn comes until a person resumes them."""


class NoTimeLeft(Exception):  # noqa: N818  as above
    """The call could outlive the lease, so it is not made."""


class Verdict(enum.Enum):
    """What an error of a call means, whoever made it."""

    OURS = "our own stores are away: give back, count nothing"
    AGAIN = "certain that nothing happened: again later"
    LOOK_UP = "it may have taken effect: find out, or ask a person"
    PERSON = "permanent: a person"
    PAUSE = "the connection's fault: pause it"


VERDICTS: dict[type[ClientError], Verdict] = {
    StoreUnavailable: Verdict.OURS,
    Transient: Verdict.AGAIN,
    Uncertain: Verdict.LOOK_UP,
    Rejected: Verdict.PERSON,
    ConnectionFault: Verdict.PAUSE,
}


def verdict(exc: ClientError) -> Verdict:
    """What this error means."""
    return next(VERDICTS[kind] for kind in type(exc).__mro__ if kind in VERDICTS)


def tell(gate: Gate, exc: ClientError, who: str | None = None, *, binds: bool = True) -> None:
    """Tell the gate what an error says of the remote's health. One that says how long it wants no calls
    says it of all of them, unless it is this one's alone: then it does not bind.
    """
    if exc.counts_for_breaker:
        gate.failed(str(exc), who)
    if isinstance(exc, RateLimited) and exc.retry_after and binds:
        gate.asked_to_wait(exc.retry_after, str(exc))


@contextmanager
def place(
    remote: Remote,
    direction: Direction,
    holder: str,
    ring: Callable[[list[str]], object],
    *,
    waiting: str = "",
    patience: float = 0.0,
) -> Iterator[bool]:
    """A thread and a place among the calls of this remote for as long as the block runs, or False: then
    `waiting` waits in line, and whoever frees a place is told to `ring` for it; who is in no line may wait
    for so many seconds. A block that ends with NoTurn waits in line too. A read has a place among the
    reads, and one among all calls. Raises StoreUnavailable.
    """
    line = remote.slots if direction == "write" else remote.read_slots
    own = 0.0 if waiting else patience
    freed: list[str] = []
    has_turn = True
    try:
        with THREADS.entered(remote.name) as has_thread, ExitStack() as held:
            has_place = has_thread
            if has_thread:
                one = slot(line, holder, freed.extend, waiting=waiting, patience=own)
                has_place = held.enter_context(one)
            if has_place and direction == "read":
                every = slot(remote.slots, holder, ring_waiting, patience=patience)
                has_place = held.enter_context(every)
            if waiting and not has_place:
                line.join_line(waiting)
            yield has_place
    except NoTurn:
        if not waiting:
            raise
        # Rings for nobody: that one would find no turn either.
        has_turn = False
        line.join_line(waiting)
    finally:
        # Not before the thread is free, or who is rung for finds none. Who came into line meanwhile has
        # nobody else to ring for it.
        if has_turn and THREADS.has_room(remote.name):
            with suppress(StoreUnavailable):
                freed = freed or line.call_up_here()
                if line is not remote.slots:
                    ring_waiting(remote.slots.call_up_here())
        if freed:
            ring(freed)


@contextmanager
def slot(
    line: Slots,
    holder: str,
    ring: Callable[[list[str]], object],
    *,
    waiting: str = "",
    patience: float = 0.0,
) -> Iterator[bool]:
    """One of these places for as long as the block runs, as in `place`; for who has a thread already. Who
    leaves it with NoTurn rings for nobody.
    """
    if not _waited(lambda: line.acquire(holder, waiting), patience):
        yield False
        return
    has_turn = True
    try:
        yield True
    except NoTurn:
        has_turn = False
        raise
    finally:
        # A place that cannot be given back ends with its lease.
        with suppress(StoreUnavailable):
            ring(line.release(holder, rings=has_turn))


def _waited(look: Callable[[], bool], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while not look():
        if time.monotonic() >= until:
            return False
        time.sleep(LOOK)
    return True


class Calls:
    """The calls that one holder makes at one remote, one after the other. `gate` is the one they go through:
    none begins while a person has closed it, also between two; None: who calls sees to that, or may call.
    `patience` is how long a turn is waited for, in seconds; `longest` what a call may take, in time-outs;
    `turn` is one that was taken before.
    """

    def __init__(
        self,
        remote: Remote,
        gate: Gate | None,
        *,
        patience: float,
        longest: float = 1.0,
        turn: Turn | None = None,
    ) -> None:
        self._remote = remote
        self._gate = gate
        self._now = remote.gate.now
        self._patience = patience
        self._longest = longest
        self._turn = turn
        self.made = False
        self.started_at = self._now()
        self._clock = time.monotonic()

    def begin(self, lease_until: datetime | None = None) -> None:
        """Before each call: its turn, waited for here so that no work comes between it and the call; no pause
        of a person; and a lease that outlives the call.
        """
        turn = self._turn or self._remote.rate.reserve(self._patience)
        if turn is None:
            raise NoTurn
        turn.await_it()
        self._turn = None
        if self._gate is not None and self._gate.is_paused():
            raise Paused
        if lease_until is not None:
            left = (lease_until - self._now()).total_seconds()
            if left < self._longest * self._remote.settings.timeout:
                raise NoTimeLeft
        self._starts()

    def make(self, work: Callable[[], T], lease_until: datetime | None = None) -> T:
        """Make a call, and more where `work` begins them itself."""
        self.begin(lease_until)
        return self.run(work)

    def run(self, work: Callable[[], T]) -> T:
        """Make a call whose turn has come."""
        self._starts()
        try:
            result = work()
        except RemoteError as exc:
            THREADS.ended(self._remote.name, self._seconds, failed=exc.counts_for_breaker)
            raise
        THREADS.ended(self._remote.name, self._seconds, failed=False)
        return result

    def _starts(self) -> None:
        self.made = True
        self.started_at, self._clock = self._now(), time.monotonic()

    @property
    def took_ms(self) -> int:
        """How long the last call has taken."""
        return int(self._seconds * 1000)

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._clock
