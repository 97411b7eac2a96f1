"""Carries one order into the CRM: claim, map, look up when an earlier try is uncertain, send, record.

In: the order's key, its connection and, where it is known, its own target. Out: a `Step`: how long until
the next try, and whom to ring for now. Fails only where our own stores fail, and then the lease and the
sweeper mend it: nothing is held for it and no try is counted. What an answer means for the order stands in
tasks/verdicts. Called by tasks/orders.create. Source: docs/architecture.md, "When a call fails" and
"Invariants".
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import structlog

from clients.errors import (
    ClientError,
    StoreUnavailable,
    Transient,
    Uncertain,
)
from clients.limits import Turn
from connectors.ports import Finder
from ledger import orders
from ledger.orders import Claim, Due, Outcome
from mapping.digest import body_hash
from mapping.problems import DOUBTS
from mapping.profile import Mapped
from tasks import retry
from tasks.calling import Calls, NoTimeLeft, NoTurn, place
from tasks.doorbell import due_of
from tasks.gate import Admission
from tasks.outcomes import Step, told_by
from tasks.resources import Remote, Resources
from tasks.verdicts import MARGIN, Verdicts

# In shadow mode an order is mapped anew this often, in seconds.
SHADOW_WAIT = 900.0
# A first call may wait this long for its turn under the rate limit, in seconds; then it joins the line.
# It waits for longer where the rate is slow, or a turn would come while nobody waits for it, until the pulse.
RATE_PATIENCE = (1.0, 5.0)
# A second call of the same try, such as the send after a look-up, has a place and waits longer: where the
# rate is slow for so many turns, or it would never come (the lease allows for them).
SECOND_PATIENCE = 5.0
SECOND_TURNS = 3
# An order that was let go without a call is due again after so many seconds.
GIVEN_BACK = 5.0

log = structlog.get_logger()


def create(
    r: Resources, pk: int, connection: str, task_id: str | None = None, target_name: str = ""
) -> Step:
    """One try at one order; returns at once when there is nothing to do or no way open."""
    if connection not in r.sources:
        log.error("connection_not_configured", connection=connection)
        return Step()
    target = r.targets.get(target_name or r.target_name(connection))
    if target is None:
        return _hold_astray(r, pk, task_id)
    if not r.is_live(connection, target.name) and not orders.is_let_through(r.ledger, pk):
        return _with_claim(r, target, pk, task_id)
    admission = target.gate.admit()
    if admission is Admission.CLOSED:
        return Step()
    waiting = f"{connection}:{pk}"
    step = Step()

    def ring(members: list[str]) -> None:
        step.ring += map(due_of, members)

    with place(target, "write", f"{waiting}:{task_id}", ring, waiting=waiting) as has_place:
        if has_place:
            turn = target.rate.reserve(
                min(max(RATE_PATIENCE[0], target.rate.gap), RATE_PATIENCE[1])
            )
            if turn is None:
                raise NoTurn
            is_probe = admission is Admission.PROBE
            made = _with_claim(r, target, pk, task_id, turn, is_probe=is_probe)
            if is_probe and not made.called:
                made.ring += _another_to_probe_with(r, target, pk)
            step = made
    if admission is Admission.PROBE and not step.called:
        target.gate.give_back()
    return step


def _another_to_probe_with(r: Resources, target: Remote, pk: int) -> list[Due]:
    """The order that was to try a closed gate made no call, held for what it lacks, say: another one is to
    try at once, or a wave of such orders keeps the gate closed.
    """
    return [due for due in orders.probe(r.ledger, target.name, r.ledger.now()) if due.pk != pk]


def _with_claim(
    r: Resources,
    target: Remote,
    pk: int,
    task_id: str | None,
    turn: Turn | None = None,
    *,
    is_probe: bool = False,
) -> Step:
    now = r.ledger.now()
    claim = orders.claim(r.ledger, pk, now, target.settings.lease, task_id)
    if claim is None:
        return Step()
    if claim.target != target.name:
        return _elsewhere(r, claim, task_id)
    if turn is None and claim.let_through:
        # Let through a moment ago: it is to pass the guards first.
        orders.give_back(r.ledger, claim, now)
        return Step(ring=[Due(claim.pk, claim.connection, claim.target)])
    structlog.contextvars.bind_contextvars(connection=claim.connection, order_id=claim.order_id)
    attempt = _Attempt(r, target, claim, task_id, turn, is_probe=is_probe)
    try:
        step = attempt.make()
    except (StoreUnavailable, NoTurn, NoTimeLeft) as exc:
        log.warning("order_given_back", because=type(exc).__name__)
        orders.give_back(r.ledger, claim, r.ledger.now() + timedelta(seconds=GIVEN_BACK))
        step = Step(wait=GIVEN_BACK)
    step.called = attempt.called
    return step


def _elsewhere(r: Resources, claim: Claim, task_id: str | None) -> Step:
    """The row's own target decides where an order goes, not the one that its connection has today."""
    orders.give_back(r.ledger, claim, r.ledger.now())
    if claim.target not in r.targets:
        return _hold_astray(r, claim.pk, task_id)
    return Step(ring=[Due(claim.pk, claim.connection, claim.target)])


def _hold_astray(r: Resources, pk: int, task_id: str | None) -> Step:
    """Hold an order whose target is configured no more: it may be there, so it goes nowhere else."""
    now = r.ledger.now()
    claim = orders.claim(r.ledger, pk, now, GIVEN_BACK, task_id)
    if claim is None:
        return Step()
    reason = "target_not_configured"
    told = {"code": reason, "level": "held", "field": "", "detail": claim.target}
    outcome = Outcome(
        "held",
        reason,
        [told],
        uncertain_since=claim.uncertain_since,
        lookups=claim.lookups,
        counts=False,
        trouble=claim.trouble,
    )
    orders.record(r.ledger, claim, outcome, None, now)
    log.error("order_held", reason=reason, target=claim.target)
    return Step()


class _Attempt(Verdicts):
    """One try at one claimed order: its calls."""

    def __init__(
        self,
        r: Resources,
        target: Remote,
        claim: Claim,
        task_id: str | None,
        turn: Turn | None,
        *,
        is_probe: bool,
    ) -> None:
        patience = max(SECOND_PATIENCE, SECOND_TURNS * target.rate.gap)
        calls = Calls(target, target.gate, patience=patience, turn=turn)
        super().__init__(r, target, claim, task_id, calls)
        self._finder = target.connector.finder
        self._knocking = target.knocking if is_probe else None

    @property
    def called(self) -> bool:
        """Whether the remote was asked at all."""
        return self._calls.made

    def make(self) -> Step:
        mapped = self._mapped(self._claim.source)
        body = self._body(mapped)
        claim = self._claim
        shadow = not (self._r.is_live(claim.connection, self._target.name) or claim.let_through)
        if shadow and body is not None:
            return self._wait("shadow", SHADOW_WAIT, mapped, None, counts=False, shadow=True)
        try:
            # Also before it is held: what an earlier try made is there whatever the order says now.
            if self._claim.uncertain_since is not None and not shadow:
                step = self._find_out(mapped, self._claim.uncertain_since)
                if step is not None:
                    return step
            if body is None:
                tried = self._tried("map", "held")
                return self._hold(", ".join(mapped.reasons), mapped, tried)
            return self._spare(mapped) or self._send(mapped, body)
        except ClientError as exc:
            return self._failed(exc, mapped)

    def _mapped(self, source: str) -> Mapped:
        return self._r.map(self._claim.connection, self._target.name, source)

    def _body(self, mapped: Mapped) -> dict[str, Any] | None:
        """What is sent: the mapped order, or one whose every doubt a person has accepted."""
        if self._claim.accepted and set(mapped.reasons) <= DOUBTS:
            return mapped.draft
        return mapped.target

    # --- the calls ------------------------------------------------------------------------------

    def _find_out(self, mapped: Mapped, since: datetime) -> Step | None:
        """Whether an earlier try has made it. None: it may be sent again, since it is not there, or since the
        target knows a repeat yet.
        """
        if self._finder is not None:
            return self._look_up(mapped, self._finder)
        if self._takes_repeats and self._is_remembered(mapped, since):
            return None
        return self._ask_a_person(mapped, since)

    def _look_up(self, mapped: Mapped, finder: Finder) -> Step | None:
        """Adopt what an earlier try made; wait for what it may make yet; None: it may be sent again."""
        claim, since = self._claim, self._claim.uncertain_since or self._now()
        self._kind = "look-up"
        try:
            found = self._calls.make(lambda: finder.find([claim.external_id]), claim.lease_until)
        except (Uncertain, Transient) as exc:
            self._count(exc)
            if self._is_long(claim.trouble):
                return self._give_up(exc, mapped, claim.trouble, since, "look-up")
            pause = retry.wait(claim.tries, exc.retry_after or None)
            return self._wait_uncertain(mapped, since, claim.lookups, pause, exc, "look-up")
        opened = self._succeeded(sent=False)
        ids = found.get(claim.external_id, [])
        if ids:
            tried = self._tried("look-up", "adopted")
            has = self._adopted_hash(mapped)
            return self._created(mapped, ids, tried, woke=opened, sent_hash=has)
        lookups = claim.lookups + 1
        elapsed = (self._now() - since).total_seconds()
        wait = self._r.settings.uncertain_wait + MARGIN
        longest = max(wait, retry.resend_wait(claim.trouble.sends))
        if elapsed >= longest and lookups >= 2:
            sent_hash = body_hash(mapped.draft)
            orders.begin_again(self._r.ledger, claim, sent_hash, self._now())
            self._claim = orders.certain(claim, sent_hash)
            log.info("uncertain_order_not_found", lookups=lookups)
            return None
        pause = retry.look_up_wait(elapsed, wait, longest)
        return self._wait_uncertain(mapped, since, lookups, pause, None, "look-up", woke=opened)

    def _spare(self, mapped: Mapped) -> Step | None:
        """The target is down yet, as a call without effect shows: no order is spent to find that out."""
        lease_until = self._claim.lease_until
        if self._knocking is None:
            return None
        exc = self._knocking.fault(lambda work: self._calls.make(work, lease_until))
        if exc is None:
            return None
        self._count(exc)
        tried = self._tried("knock", "failed", exc.status, told_by(exc))
        pause = retry.wait(self._claim.tries, exc.retry_after)
        return self._wait("crm_unavailable", pause, mapped, tried)

    def _send(self, mapped: Mapped, body: dict[str, Any]) -> Step:
        target, claim = self._receiver, self._claim
        lease_until, is_repeat = claim.lease_until, claim.uncertain_since is not None
        self._kind = "create"
        target_id = self._calls.make(
            lambda: target.put(claim.external_id, body, lambda: self._calls.begin(lease_until)),
            lease_until,
        )
        opened = self._succeeded()
        has = self._carried_hash(mapped) if is_repeat else None
        tried = self._tried("create", "created", 200)
        return self._created(mapped, [target_id], tried, woke=opened, sent_hash=has)
