"""What an answer of the CRM, or the lack of one, means for the order that it was given to.

In: the claimed order, and how a call ended. Out: its outcome in the ledger, word to the gate, and a `Step`.
An order's own fault and the connection's look alike when they are met: an order is only suspected with the
connection, backs off by itself, and is held when others go through all the same. Called by tasks/creating.
Source: docs/architecture.md, "When a call fails"; docs/contracts/onebox.md, "Errors that matter".
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from clients.errors import AuthFailed, ClientError, RateLimited, RemoteError, TokenLost
from connectors.ports import Target
from ledger import attempts, orders
from ledger.attempts import Try
from ledger.orders import Due, Outcome, Trouble
from mapping.profile import Mapped
from tasks import retry
from tasks.calling import Verdict, tell, verdict
from tasks.outcomes import Outcomes, Step, problems_of, told_by

# Source: docs/contracts/onebox.md, "Errors that matter"; so many within so many seconds.
ALIKE = 5
ALIKE_WITHIN = timedelta(minutes=10)
# An order that alone gets no answer is sent so often, or tried for so long, until a person is asked.
MOST_SENDS = 8
LONGEST_TROUBLE = timedelta(days=1)
# An order that so often was told that it will pass, while others went through, speaks for itself alone.
PASSED_BY = 3
# So long a target that knows repeats is trusted to remember a call: such services promise a day.
REMEMBERED = timedelta(hours=23)
# What a call does may show a moment after it ended, in seconds.
MARGIN = 0.5
# Most lost answers belong to calls that took effect: looked for after so many seconds.
FIRST_LOOK_UP = 2.0

log = structlog.get_logger()


class Verdicts(Outcomes):
    """What becomes of one claimed order."""

    @property
    def _receiver(self) -> Target:
        """What takes the order. Raises ValueError where a connection that receives none was configured."""
        target = self._target.connector.target
        if target is None:
            raise ValueError(f"{self._target.name} receives no orders")
        return target

    @property
    def _takes_repeats(self) -> bool:
        """Whether nobody can ask the target, and nobody needs to."""
        return self._target.connector.finder is None and self._receiver.takes_repeats

    def _is_remembered(self, mapped: Mapped, since: datetime) -> bool:
        """Whether no call of unknown fate can be so old that the target may have forgotten it. Of one that
        the ledger has forgotten only the order's own age is known.
        """
        claim, order = self._claim, mapped.order
        moments = [since, claim.state_at, attempts.first_unanswered_at(self._r.ledger, claim.pk)]
        if self._is_forgotten():
            if order is None or order.created_at is None:
                return False
            moments.append(order.created_at)
        return self._now() - min(filter(None, moments)) < REMEMBERED

    # --- the call failed --------------------------------------------------------------------------

    def _failed(self, exc: ClientError, mapped: Mapped) -> Step:
        meant = verdict(exc)
        if not isinstance(exc, RemoteError) or meant is Verdict.OURS:
            raise exc
        if meant is Verdict.PAUSE:
            return self._blamed(exc, mapped)
        if meant is Verdict.PERSON:
            return self._refused(exc, mapped)
        if meant is Verdict.LOOK_UP:
            self._count(exc)
            return self._unanswered(exc, mapped)
        if isinstance(exc, RateLimited | TokenLost):
            return self._put_off(exc, mapped)
        self._count(exc)
        pause = retry.wait(self._claim.tries, exc.retry_after)
        tried = self._tried("create", "failed", exc.status, told_by(exc))
        return self._wait("crm_unavailable", pause, mapped, tried)

    def _put_off(self, exc: RemoteError, mapped: Mapped) -> Step:
        """It is said to pass. When it does for others again and again and not for this order, it is the
        order's own: then it binds nobody else, and a person sees it after a day.
        """
        before, tries = self._claim.trouble, self._claim.tries
        last = attempts.last_sent_at(self._r.ledger, self._claim.pk) if tries >= PASSED_BY else None
        alone = self._others_went_through(last)
        self._count(exc, binds=not alone)
        tried = self._tried("create", "failed", exc.status, told_by(exc))
        trouble = replace(before, troubled_since=before.troubled_since or self._now())
        if alone and self._is_long(trouble):
            return self._hold("crm_keeps_failing", mapped, tried, told_by(exc), trouble)
        pause = retry.wait(tries, exc.retry_after or None)
        if alone:
            pause = max(pause, retry.wait(tries))
        return self._wait("crm_unavailable", pause, mapped, tried, trouble=trouble)

    def _count(self, exc: ClientError, *, binds: bool = True) -> None:
        """Tell the gate; a remote that says how long it wants no calls says it of all of them."""
        tell(self._target.gate, exc, str(self._claim.pk), binds=binds)

    def _blamed(self, exc: RemoteError, mapped: Mapped) -> Step:
        """It looks like the connection's fault. When others go through all the same, it is the order's."""
        tried = self._tried(self._kind, "connection_fault", exc.status, exc.excerpt)
        before = self._claim.trouble
        strikes = before.strikes + self._others_went_through(before.blamed_at)
        pause = retry.blamed_wait(strikes, again=before.blamed_at is not None)
        trouble = replace(before, blamed_at=self._now(), strikes=strikes)
        if pause is None:
            # Known to be its own: it says nothing about the connection, and closes it for nobody.
            return self._hold(self._refusal, mapped, tried, exc.excerpt or str(exc), trouble)
        login = isinstance(exc, AuthFailed)
        closed = self._target.gate.suspect(str(exc), str(self._claim.pk), login=login)
        step = self._wait(
            "connection_paused", pause, mapped, tried, counts=False, trouble=trouble, said=str(exc)
        )
        step.wait = pause
        if closed:
            step.ring = self._probe()
        return step

    def _refused(self, exc: RemoteError, mapped: Mapped) -> Step:
        """Permanent for this order, unless the refusals show that it is the connection's fault."""
        said = exc.excerpt or str(exc)
        tried = self._tried(self._kind, "refused", exc.status, said)
        gate, before = self._target.gate, self._claim.trouble
        row = gate.row()
        if row.closed_by == "fault" and row.reason == said:
            trouble = replace(before, blamed_at=self._now())
            pause = retry.BLAMED_AGAIN
            return self._wait(
                "connection_paused", pause, mapped, tried, counts=False, trouble=trouble, said=said
            )
        cleared = gate.is_cleared(said)
        woke = self._succeeded(sent=self._kind == "create")
        strikes = before.strikes + self._others_went_through(before.blamed_at)
        trouble = replace(before, strikes=strikes)
        step = self._hold(self._refusal, mapped, tried, said, trouble)
        step.woke = woke
        if not cleared and not strikes:
            step.ring = self._judge_alike(said)
        return step

    @property
    def _refusal(self) -> str:
        """The reason of an order that was refused. Of a repeat an earlier call may have arrived: a target
        that is given another body under the same key refuses that.
        """
        is_repeat = self._takes_repeats and self._claim.uncertain_since is not None
        return "repeat_refused" if is_repeat else "crm_refused"

    def _judge_alike(self, said: str) -> list[Due]:
        """Close the gate when the latest orders were all refused alike; the one to try it with at once."""
        now, ledger, name = self._now(), self._r.ledger, self._target.name
        alike = attempts.refused_alike(ledger, name, said, ALIKE, now - ALIKE_WITHIN)
        if not alike:
            return []
        orders.wait_again(ledger, alike, "connection_paused", now, retry.BLAMED_AGAIN)
        self._target.gate.fault(said, probe_after=0.0)
        return self._probe()

    def _probe(self) -> list[Due]:
        """Another order, to try the gate with that was closed just now."""
        now = self._now()
        return orders.probe(self._r.ledger, self._target.name, now, unblamed_only=True)

    def _unanswered(self, exc: RemoteError, mapped: Mapped) -> Step:
        """The order may have arrived. One that alone gets no answer is sent ever more seldom; where nobody
        can find out whether it did, a person is asked at once, or the target is sent it again that knows it.
        """
        if self._takes_repeats:
            pause = retry.wait(self._claim.tries, exc.retry_after)
            return self._wait_uncertain(mapped, self._now(), 0, pause, exc, "create")
        if self._target.connector.finder is None:
            return self._ask_a_person(mapped, self._now(), exc)
        last = attempts.last_sent_at(self._r.ledger, self._claim.pk)
        alone = self._others_went_through(last)
        before, now = self._claim.trouble, self._now()
        counts = alone or before.sends < retry.SENDS_OF_AN_OUTAGE
        trouble = replace(
            before,
            sends=before.sends + counts,
            troubled_since=before.troubled_since or now,
        )
        if (alone and trouble.sends >= MOST_SENDS) or self._is_long(trouble):
            return self._give_up(exc, mapped, trouble, now, "create")
        wait = self._r.settings.uncertain_wait + MARGIN
        resend = retry.resend_wait(trouble.sends)
        pause = retry.look_up_wait(0.0, wait, resend)
        if resend <= wait:
            pause = min(FIRST_LOOK_UP, pause)
        return self._wait_uncertain(mapped, now, 0, pause, exc, "create", trouble=trouble)

    def _is_long(self, trouble: Trouble) -> bool:
        """Whether the order has been without an answer for so long, by a connection that is open."""
        since = trouble.troubled_since
        if since is None or self._now() - since < LONGEST_TROUBLE:
            return False
        return self._target.gate.row().closed_by is None

    def _give_up(
        self, exc: ClientError, mapped: Mapped, trouble: Trouble, since: datetime, kind: str
    ) -> Step:
        """A person is asked; should the order be released, it is looked up first."""
        sent_hash = self._carried_hash(mapped) if kind == "create" else self._claim.sent_hash
        self._claim = replace(self._claim, uncertain_since=since, lookups=0, sent_hash=sent_hash)
        outcome = "uncertain" if kind == "create" else "failed"
        tried = self._tried(kind, outcome, getattr(exc, "status", None), told_by(exc))
        return self._hold("crm_keeps_failing", mapped, tried, told_by(exc), trouble)

    def _ask_a_person(
        self, mapped: Mapped, since: datetime, exc: RemoteError | None = None
    ) -> Step:
        """A target that cannot be asked may have this order: who releases it sends it once more. `exc` is
        what the call ended in; without one it is an earlier call of which nobody knows.
        """
        self._claim = replace(self._claim, uncertain_since=since, lookups=0)
        tried = self._tried("map", "held")
        if exc is not None:
            tried = self._tried("create", "uncertain", exc.status, told_by(exc))
        return self._hold(orders.NO_LOOKUP, mapped, tried, told_by(exc))

    def _others_went_through(self, since: datetime | None) -> bool:
        claim = self._claim
        return attempts.another_order_went_through(
            self._r.ledger, self._target.name, claim.pk, since
        )

    # --- the call went through ---------------------------------------------------------------------

    def _succeeded(self, *, sent: bool = True) -> bool:
        """The CRM answered. True when that ended an outage: a sweep makes due what waited."""
        return self._target.gate.succeeded(sent=sent)

    def _created(
        self,
        mapped: Mapped,
        target_ids: list[str],
        tried: Try,
        *,
        woke: bool,
        sent_hash: str | None = None,
    ) -> Step:
        """The order is there: with the body that it maps to now, unless `sent_hash` is of another one."""
        problems, target_id = problems_of(mapped) or [], target_ids[0]
        wanted_hash = self._wanted_hash(mapped)
        if len(target_ids) > 1:
            log.critical("order_doubled", target_ids=target_ids)
            problems.append(orders.doubled_problem(target_ids))
        outcome = Outcome(
            "created",
            "",
            problems or None,
            target_id,
            wanted_hash=wanted_hash,
            sent_hash=wanted_hash if sent_hash is None else sent_hash,
        )
        kept = self._record(outcome, tried)
        if not kept:
            self._compare_ids(target_id)
        log.info("order_created", target_id=target_id, outcome=tried.outcome, kept=kept)
        return Step(woke=woke)

    def _compare_ids(self, target_id: str) -> None:
        """Someone else has gone on with this order: two ids mean that the CRM has it twice."""
        other = orders.doubled(self._r.ledger, self._claim, target_id)
        if other is not None:
            log.critical("order_doubled", target_ids=[other, target_id])
