"""The lease on one order's queue of updates, as a drain holds it: each step is recorded under it.

In: a claimed queue. Out: steps committed, the lease prolonged by each, the queue given back. Raises `Stop`
when the queue goes on later: the lease is lost or too short for a call, a lost call may still take effect,
there is no turn under the rate. Called by tasks/draining.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from ledger import queues
from ledger.attempts import Try
from ledger.queues import FAILED, Queue
from ledger.updates import Due, Update
from tasks.calling import Calls, NoTimeLeft, NoTurn
from tasks.resources import Remote, Resources

# A call may take its time-out twice when it must log in first; none is begun that could outlive the lease.
LONGEST_CALL = 2.0
# Without a turn under the rate a queue rests for so many seconds, and waits so long for one.
NO_TURN = 1.0
RATE_PATIENCE = 5.0


@dataclass(slots=True)
class Step:
    """What follows: the next try in `wait` seconds (0: at once), whether an outage ended, and what to ring
    for now.
    """

    wait: float | None = None
    woke: bool = False
    ring: list[Due] = field(default_factory=list)


class Stop(Exception):  # noqa: N818  it ends a drain, nothing is wrong
    """The queue of this order goes on later."""

    def __init__(self, step: Step) -> None:
        super().__init__()
        self.step = step


class QueueLease:
    """The right to drain one queue. `woke` when a call of this drain ended an outage."""

    def __init__(self, r: Resources, source: Remote, queue: Queue, ordered: frozenset[str]) -> None:
        self._r = r
        self._source = source
        self._ordered = ordered
        self._until = queue.lease_until
        self.calls = Calls(source, source.gate, patience=RATE_PATIENCE, longest=LONGEST_CALL)
        self.queue = queue
        self.tries = queue.tries
        self.woke = False

    def now(self) -> datetime:
        return self._r.ledger.now()

    def record(
        self, after: Update, call: Try | None = None, known: dict[str, Any] | None = None
    ) -> None:
        """Commit how an update stands after a step, with its call and what is known now."""
        lease, now = self._source.settings.lease, self.now()
        kept = queues.record(
            self._r.ledger, self.queue, after, now, lease=lease, call=call, known=known
        )
        if not kept:
            raise Stop(Step())
        if call is not None and call.outcome not in FAILED:
            self.tries = 0
            self.queue = replace(self.queue, blamed_at=None, strikes=0)
        self._until = now + timedelta(seconds=lease)

    def begin_call(self, *, repeats: bool) -> None:
        """A call whose answer was lost may still take effect: until then only its own repeat may go."""
        now = self.now()
        settled_at = self.queue.settled_at
        if settled_at is not None and now < settled_at and not (repeats and not self.calls.made):
            raise Stop(self.rest(settled_at))
        try:
            self.calls.begin(self._until)
        except NoTurn:
            raise Stop(self.rest(now + timedelta(seconds=NO_TURN))) from None
        except NoTimeLeft:
            raise Stop(self.rest(self.now())) from None

    def unsettle(self) -> None:
        """A call of which nobody knows whether it arrived may take effect for a while."""
        until = self.now() + timedelta(seconds=self._r.settings.uncertain_wait)
        self.queue = replace(self.queue, settled_at=until)

    def blame(self, at: datetime | None, strikes: int) -> None:
        """Note when what waits here met what looks like the connection's fault, and how often others went
        through all the same.
        """
        self.queue = replace(self.queue, blamed_at=at, strikes=strikes)

    def rest(self, until: datetime, *, counted: bool = False) -> Step:
        """Give the queue back until then; `counted` when a try failed."""
        queues.rest(
            self._r.ledger,
            self.queue,
            self.now(),
            ordered=self._ordered,
            next_try_at=until,
            counted=counted,
        )
        return Step(wait=max((until - self.now()).total_seconds(), 0.0), woke=self.woke)

    def end(self) -> Step:
        """Give the queue back, drained."""
        more = queues.rest(self._r.ledger, self.queue, self.now(), ordered=self._ordered)
        return Step(wait=0.0 if more else None, woke=self.woke)
