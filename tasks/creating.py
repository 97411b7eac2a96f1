"""Carries one order into the CRM: claim, map, look up when an earlier try is uncertain, send, record.

In: the order's key and its connection. Out: a `Step`: how long until the next try, and whom to ring for
now. Fails only where our own stores fail, and then the lease and the sweeper mend it: nothing is held for
it and no try is counted. Called by tasks/orders.create. Source: design, "A task's life" and invariants.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from clients.errors import (
    ClientError,
    ConnectionFault,
    PhoneTaken,
    Rejected,
    StoreUnavailable,
    Transient,
    Uncertain,
)
from ledger import orders
from ledger.database import LedgerUnavailable
from ledger.orders import Claim, Due, Outcome, Try
from mapping.problems import DOUBTS
from mapping.profile import Mapped
from mapping.source import from_text
from tasks import retry
from tasks.gate import Admission
from tasks.resources import Resources, Target

# Source: contract onebox, Errors that matter.
ALIKE = 5
# In shadow mode an order is mapped anew this often, in seconds.
SHADOW_WAIT = 900.0
# A first call may wait this long for its turn under the rate limit, in seconds; then the order is parked.
RATE_PATIENCE = 1.0
# A second call of the same try, such as the send after a look-up, has a place and waits longer.
SECOND_PATIENCE = 5.0
# A call reaches the CRM a moment after its try began, in seconds: its time to take effect runs from there.
MARGIN = 0.5
# Our own stores are asked again this often before a result is left to the lease, in seconds.
STORE_RETRIES = (0.1, 0.5, 1.0, 2.0, 4.0)

log = structlog.get_logger()


@dataclass(slots=True)
class Step:
    """What follows: a next try of this order in `wait` seconds, and orders to ring for now."""

    wait: float | None = None
    ring: list[Due] = field(default_factory=list)
    woke: bool = False


class NoTimeLeft(Exception):  # noqa: N818  it says what is, as the errors of clients do
    """The next call could outlive the lease, or its turn did not come, so it is not begun."""


def create(r: Resources, pk: int, connection: str, task_id: str | None = None) -> Step:
    """One try at one order; returns at once when there is nothing to do or no way open."""
    target = r.target_of(connection)
    if r.settings.mode == "shadow":
        return _with_claim(r, target, pk, task_id)
    admission = target.gate.admit()
    if admission is Admission.CLOSED:
        return Step()
    parked = f"{connection}:{pk}"
    holder = f"{parked}:{task_id}"
    if not target.slots.acquire(holder, parked):
        return Step()
    step = Step()
    try:
        if target.rate.acquire(RATE_PATIENCE) > 0:
            target.slots.park(parked)
        else:
            step = _with_claim(r, target, pk, task_id)
    finally:
        step.ring = [due_of(member) for member in target.slots.release(holder)]
    return step


def due_of(parked: str) -> Due:
    """The order that a parked member names."""
    connection, _, pk = parked.rpartition(":")
    return Due(int(pk), connection)


def _with_claim(r: Resources, target: Target, pk: int, task_id: str | None) -> Step:
    claim = orders.claim(r.ledger, pk, _now(), target.settings.lease, task_id)
    if claim is None:
        return Step()
    structlog.contextvars.bind_contextvars(connection=claim.connection, order_id=claim.order_id)
    attempt = _Attempt(r, target, claim, task_id)
    try:
        return attempt.make()
    except (StoreUnavailable, NoTimeLeft) as exc:
        log.warning("order_given_back", because=type(exc).__name__)
        orders.give_back(r.ledger, claim, _now() + timedelta(seconds=5))
        return Step(wait=5.0)


class _Attempt:
    """One try at one claimed order."""

    def __init__(self, r: Resources, target: Target, claim: Claim, task_id: str | None) -> None:
        self._r = r
        self._target = target
        self._claim = claim
        self._task_id = task_id
        self._started_at = _now()
        self._clock = time.monotonic()
        self._calls = 0

    def make(self) -> Step:
        mapped = self._r.profiles[self._claim.connection].map(from_text(self._claim.source))
        process = self._process(mapped)
        if process is None:
            return self._hold(", ".join(mapped.reasons), mapped, self._tried("map", "held"))
        if self._r.settings.mode == "shadow":
            return self._wait("shadow", SHADOW_WAIT, mapped, None, counts=False)
        try:
            if self._claim.uncertain_since is not None:
                step = self._look_up(mapped)
                if step is not None:
                    return step
            return self._send(mapped, process)
        except ClientError as exc:
            return self._failed(exc, mapped)

    def _process(self, mapped: Mapped) -> dict[str, Any] | None:
        """What is sent: the mapped order, or one whose every doubt a person has accepted."""
        if self._claim.accepted and set(mapped.reasons) <= DOUBTS:
            return mapped.draft
        return mapped.target

    # --- the calls ------------------------------------------------------------------------------

    def _look_up(self, mapped: Mapped) -> Step | None:
        """Adopt what an earlier try made; wait for what it may make yet; None: it may be sent again."""
        since = self._claim.uncertain_since or self._started_at
        self._begin_call()
        try:
            found = self._target.client.find_orders([self._claim.external_id])
        except (Uncertain, Transient) as exc:
            self._count(exc)
            pause = retry.wait(self._claim.tries, exc.retry_after)
            return self._wait_uncertain(mapped, since, self._claim.lookups, pause, exc, "look-up")
        opened = self._succeeded()
        ids = found.get(self._claim.external_id, [])
        if ids:
            return self._created(
                mapped, ids[0], self._tried("look-up", "adopted"), ids, woke=opened
            )
        lookups = self._claim.lookups + 1
        elapsed = (_now() - since).total_seconds()
        wait = self._r.settings.uncertain_wait + MARGIN
        if elapsed >= wait and lookups >= 2:
            orders.begin_again(self._r.ledger, self._claim, _now())
            log.info("uncertain_order_sent_again", lookups=lookups)
            return None
        pause = retry.look_up_wait(elapsed, wait)
        return self._wait_uncertain(mapped, since, lookups, pause, None, "look-up", woke=opened)

    def _send(self, mapped: Mapped, process: dict[str, Any]) -> Step:
        self._begin_call()
        try:
            target_id = self._target.client.set_order(process)
        except PhoneTaken as exc:
            card = self._find_card(process)
            if card is None:
                raise Rejected(str(exc), status=exc.status, excerpt=exc.excerpt) from exc
            self._begin_call()
            linked = {**process, "client": {"userid": card}}
            target_id = self._target.client.set_order(linked)
        opened = self._succeeded()
        return self._created(mapped, target_id, self._tried("create", "created", 200), woke=opened)

    def _find_card(self, process: dict[str, Any]) -> str | None:
        """The card that holds the buyer's phone. Source: contract onebox, Errors that matter."""
        phones = process.get("client", {}).get("phones", [])
        if not phones:
            return None
        self._begin_call()
        return self._target.client.find_contact(phones[0])

    def _begin_call(self) -> None:
        """Before each call: its turn under the rate limit, and a lease that outlives it."""
        if self._calls and self._target.rate.acquire(SECOND_PATIENCE) > 0:
            raise NoTimeLeft
        if (self._claim.lease_until - _now()).total_seconds() < self._target.settings.timeout:
            raise NoTimeLeft
        self._calls += 1
        self._started_at, self._clock = _now(), time.monotonic()

    # --- what came of them ----------------------------------------------------------------------

    def _failed(self, exc: ClientError, mapped: Mapped) -> Step:
        if isinstance(exc, StoreUnavailable):
            raise exc
        if isinstance(exc, ConnectionFault):
            self._target.gate.fault(str(exc))
            tried = self._tried("create", "connection_fault", exc.status, exc.excerpt)
            return self._wait("connection_paused", 0.0, mapped, tried, counts=False)
        if isinstance(exc, Rejected):
            return self._refused(exc, mapped)
        self._count(exc)
        pause = retry.wait(self._claim.tries, getattr(exc, "retry_after", None))
        if isinstance(exc, Uncertain):
            first = retry.look_up_wait(0.0, self._r.settings.uncertain_wait)
            pause = min(2.0, first)
            return self._wait_uncertain(mapped, self._started_at, 0, pause, exc, "create")
        tried = self._tried("create", "failed", getattr(exc, "status", None), _said(exc))
        return self._wait("crm_unavailable", pause, mapped, tried)

    def _succeeded(self) -> bool:
        """The CRM answered. True when that ended an outage: a sweep makes due what waited."""
        return self._target.gate.succeeded()

    def _count(self, exc: ClientError) -> None:
        if exc.counts_for_breaker:
            self._target.gate.failed(str(exc))

    def _refused(self, exc: Rejected, mapped: Mapped) -> Step:
        """Permanent for this order, unless the refusals show that it is the connection's fault."""
        said = exc.excerpt or str(exc)
        tried = self._tried("create", "refused", exc.status, said)
        gate = self._target.gate.row()
        if gate.closed_by == "fault" and gate.reason == said:
            return self._wait("connection_paused", 60.0, mapped, tried, counts=False)
        opened = self._succeeded()
        step = self._hold("crm_refused", mapped, tried, said)
        step.woke = opened
        alike = orders.refused_alike(self._r.ledger, self._target.name, said, ALIKE)
        if alike:
            orders.wait_again(self._r.ledger, alike, "connection_paused", _now())
            self._target.gate.fault(said)
        return step

    def _created(
        self,
        mapped: Mapped,
        target_id: str,
        tried: Try,
        all_ids: list[str] | None = None,
        *,
        woke: bool,
    ) -> Step:
        if all_ids is not None and len(all_ids) > 1:
            log.critical("order_doubled", target_ids=all_ids)
        kept = self._record(Outcome("created", "", _problems(mapped), target_id), tried)
        log.info("order_created", target_id=target_id, outcome=tried.outcome, kept=kept)
        return Step(woke=woke)

    def _hold(self, reason: str, mapped: Mapped, tried: Try, said: str = "") -> Step:
        problems = _problems(mapped) or []
        if said:
            problems.append({"code": reason, "level": "held", "field": "", "detail": said})
        # What an earlier try may have made is still to be looked up once a person has released it.
        outcome = Outcome(
            "held",
            reason,
            problems,
            uncertain_since=self._claim.uncertain_since,
            lookups=self._claim.lookups,
        )
        self._record(outcome, tried)
        log.warning("order_held", reason=reason)
        return Step()

    def _wait(
        self, reason: str, pause: float, mapped: Mapped, tried: Try | None, *, counts: bool = True
    ) -> Step:
        outcome = Outcome(
            "waiting",
            reason,
            _problems(mapped),
            next_try_at=_now() + timedelta(seconds=pause),
            uncertain_since=self._claim.uncertain_since,
            lookups=self._claim.lookups,
            counts=counts,
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
    ) -> Step:
        outcome = Outcome(
            "waiting",
            "uncertain",
            _problems(mapped),
            next_try_at=_now() + timedelta(seconds=pause),
            uncertain_since=since,
            lookups=lookups,
            counts=exc is not None,
        )
        what = "not_found" if exc is None else "uncertain" if kind == "create" else "failed"
        tried = self._tried(kind, what, getattr(exc, "status", None), _said(exc))
        self._record(outcome, tried)
        log.warning("order_uncertain", seconds=round(pause, 1), lookups=lookups)
        return Step(wait=pause, woke=woke)

    def _tried(self, kind: str, outcome: str, status: int | None = None, said: str = "") -> Try:
        took = int((time.monotonic() - self._clock) * 1000)
        return Try(kind, self._started_at, took, outcome, status, said, self._task_id)

    def _record(self, outcome: Outcome, tried: Try | None) -> bool:
        return _insist(lambda: orders.record(self._r.ledger, self._claim, outcome, tried, _now()))


def _insist(record: Callable[[], bool]) -> bool:
    """What a remote has told us is not thrown away because the ledger is away for a moment."""
    for pause in STORE_RETRIES:
        try:
            return record()
        except LedgerUnavailable:
            log.warning("ledger_unavailable", seconds=pause)
            time.sleep(pause)
    return record()


def _said(exc: ClientError | None) -> str:
    return "" if exc is None else getattr(exc, "excerpt", "") or str(exc)


def _problems(mapped: Mapped) -> list[dict[str, Any]] | None:
    return [problem.to_dict() for problem in mapped.problems] or None


def _now() -> datetime:
    return datetime.now(UTC)
