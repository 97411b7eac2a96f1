"""How a try at one order is recorded: it waits, it is held, and what a clerk is shown of it.

In: a claimed order and how it went. Out: its outcome in the ledger, and a `Step`. Fails only where the ledger
is away for longer than is waited for it. Called by tasks/verdicts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog

from clients.errors import ClientError
from ledger import attempts, orders
from ledger.attempts import Try
from ledger.faults import LedgerUnavailable
from ledger.orders import Claim, Due, Outcome, Trouble
from mapping.digest import body_hash
from mapping.order import Order
from mapping.profile import Mapped
from tasks.calling import Calls
from tasks.resources import Remote, Resources

# Our own stores are asked again this often before a result is left to the lease, in seconds.
STORE_RETRIES = (0.1, 0.5, 1.0, 2.0, 4.0)

log = structlog.get_logger()


@dataclass(slots=True)
class Step:
    """What follows: a next try of this order in `wait` seconds, and orders to ring for now. `called`: whether
    the remote was asked at all.
    """

    wait: float | None = None
    ring: list[Due] = field(default_factory=list)
    woke: bool = False
    called: bool = field(default=False, compare=False)


class Outcomes:
    """One claimed order, and what is recorded of it."""

    def __init__(
        self, r: Resources, target: Remote, claim: Claim, task_id: str | None, calls: Calls
    ) -> None:
        self._r = r
        self._target = target
        self._claim = claim
        self._task_id = task_id
        self._kind = "create"
        self._calls = calls

    def _hold(
        self,
        reason: str,
        mapped: Mapped,
        tried: Try,
        said: str = "",
        trouble: Trouble | None = None,
    ) -> Step:
        # What an earlier try may have made is still to be looked up once a person has released it.
        outcome = Outcome(
            "held",
            reason,
            problems_of(mapped, reason, said),
            uncertain_since=self._claim.uncertain_since,
            lookups=self._claim.lookups,
            wanted_hash=self._wanted_hash(mapped),
            sent_hash=self._claim.sent_hash,
            trouble=trouble or self._claim.trouble,
        )
        self._record(outcome, tried)
        log.warning("order_held", reason=reason)
        return Step()

    def _wait(
        self,
        reason: str,
        pause: float,
        mapped: Mapped,
        tried: Try | None,
        *,
        counts: bool = True,
        trouble: Trouble | None = None,
        said: str = "",
        shadow: bool = False,
    ) -> Step:
        outcome = Outcome(
            "waiting",
            reason,
            problems_of(mapped, reason, said),
            next_try_at=self._now() + timedelta(seconds=pause),
            uncertain_since=self._claim.uncertain_since,
            lookups=self._claim.lookups,
            counts=counts,
            wanted_hash=self._wanted_hash(mapped),
            shadow=shadow,
            trouble=trouble or self._claim.trouble,
        )
        self._record(outcome, tried)
        if tried is not None:
            log.warning("order_waits", reason=reason, seconds=round(pause, 1))
        return Step(wait=pause if counts else None)

    def _wait_uncertain(
        self,
        mapped: Mapped,
        since: datetime,
        lookups: int,
        pause: float,
        exc: ClientError | None,
        kind: str,
        *,
        woke: bool = False,
        trouble: Trouble | None = None,
    ) -> Step:
        outcome = Outcome(
            "waiting",
            "uncertain",
            problems_of(mapped),
            next_try_at=self._now() + timedelta(seconds=pause),
            uncertain_since=since,
            lookups=lookups,
            counts=exc is not None,
            wanted_hash=self._wanted_hash(mapped),
            # A look-up carries nothing: what it looks for is what was sent before.
            sent_hash=self._carried_hash(mapped) if kind == "create" else None,
            trouble=trouble or self._claim.trouble,
        )
        what = "not_found" if exc is None else "uncertain" if kind == "create" else "failed"
        tried = self._tried(kind, what, getattr(exc, "status", None), told_by(exc))
        self._record(outcome, tried)
        log.warning("order_uncertain", seconds=round(pause, 1), lookups=lookups)
        return Step(wait=pause, woke=woke)

    def _wanted_hash(self, mapped: Mapped) -> str | None:
        """Of the body that the order maps to. None where one that was sent earlier may be there: then storing
        has told what of the order is ours, and what it found stays.
        """
        claim = self._claim
        if claim.uncertain_since is not None and claim.sent_hash is not None:
            return None
        return body_hash(mapped.draft)

    def _carried_hash(self, mapped: Mapped) -> str:
        """The hash of what the target has, if it has anything, now that a call was made: what that carried,
        or an earlier one of unknown fate. Where those differ nobody knows.
        """
        now = body_hash(mapped.draft)
        if self._claim.uncertain_since is None:
            return now
        before = self._adopted_hash(mapped)
        return now if before in {None, now} else orders.UNKNOWN

    def _adopted_hash(self, mapped: Mapped) -> str | None:
        """The hash of what was sent, and is adopted now; None: it was the order as it still is. Of an
        order whose call the ledger has forgotten, one that went back in time, nobody knows what that carried:
        then an order that was ever edited may be another one.
        """
        order, sent = mapped.order, self._claim.sent_hash
        if self._is_forgotten() and order is not None and _was_edited(order):
            return orders.UNKNOWN
        return sent

    def _is_forgotten(self) -> bool:
        """Whether the ledger has no record of the call because of which this order is uncertain."""
        since = self._claim.uncertain_since
        sent_at = attempts.last_sent_at(self._r.ledger, self._claim.pk)
        longest = self._r.ledger.longest_call
        return since is not None and (sent_at is None or sent_at < since - longest)

    def _tried(self, kind: str, outcome: str, status: int | None = None, said: str = "") -> Try:
        calls = self._calls
        return Try(kind, calls.started_at, calls.took_ms, outcome, status, said, self._task_id)

    def _record(self, outcome: Outcome, tried: Try | None) -> bool:
        ledger, claim = self._r.ledger, self._claim
        return _insist(lambda: orders.record(ledger, claim, outcome, tried, self._now()))

    def _now(self) -> datetime:
        return self._r.ledger.now()


def _insist(record: Callable[[], bool]) -> bool:
    """What a remote has told us is not thrown away because the ledger is away for a moment."""
    for pause in STORE_RETRIES:
        try:
            return record()
        except LedgerUnavailable:
            log.warning("ledger_unavailable", seconds=pause)
            time.sleep(pause)
    return record()


def _was_edited(order: Order) -> bool:
    """Whether the shop's own times say that it was changed after it was made, or do not say."""
    made, changed = order.created_at, order.updated_at
    return made is None or changed is None or changed > made


def told_by(exc: ClientError | None) -> str:
    return "" if exc is None else getattr(exc, "excerpt", "") or str(exc)


def problems_of(mapped: Mapped, reason: str = "", said: str = "") -> list[dict[str, Any]] | None:
    """What a clerk is shown: the mapping's findings, and what the CRM said."""
    problems = [problem.to_dict() for problem in mapped.problems]
    if said:
        problems.append({"code": reason, "level": "held", "field": "", "detail": said})
    return problems or None
