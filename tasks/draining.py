"""One drain of one order's queue of updates, in the order in which they were accepted.

In: the claimed queue and its updates. Out: a `Step`: how long until the next try, or that more came in
meanwhile. What can no longer be right (too old, withdrawn, illegal for sure, refused) is parked with the
reason or dropped, never sent by trial. What parts there are and what answers mean is the connector's to say.
Called by tasks/delivering. Source: docs/architecture.md, "Invariants", 4.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NoReturn

import structlog

from clients.errors import (
    AuthFailed,
    ClientError,
    ConnectionFault,
    Rejected,
    StoreUnavailable,
    Uncertain,
)
from connectors.feedback import Asks, Ends, Feedback, Later, Send
from ledger import attempts, orders, queues
from ledger.attempts import Try
from ledger.ours import brought
from ledger.queues import Queue
from ledger.updates import Update, first_blocking, sendable
from tasks import calling, fates, retry
from tasks.queue_lease import QueueLease, Step, Stop
from tasks.resources import Remote, Resources

log = structlog.get_logger()
# Makes the record of a call: of its outcome, and of what it raised.
Note = Callable[[str, ClientError | None], Try]


class Drain:
    """One drain of one order's queue."""

    def __init__(
        self, r: Resources, source: Remote, queue: Queue, rows: list[Update], task_id: str | None
    ) -> None:
        self._ledger = r.ledger
        self._gate = source.gate
        self._feedback = feedback_of(source)
        self._rules = self._feedback.parts
        self._ordered = frozenset(n for n, rule in self._rules.items() if rule.ordered)
        self._lease = QueueLease(r, source, queue, self._ordered)
        self._rows = {row.id: row for row in rows}  # as they stand
        self._parked = [row for row in queue.parked if row.id not in self._rows]
        self._blocking = first_blocking([*rows, *queue.parked])
        self._task_id = task_id
        self._known = self._first_known(queue)

    def run(self) -> Step:
        if self._lease.queue.doubted:
            self._tell_doubled()
        self._withdraw_parked()
        rows = list(self._rows.values())
        for place, row in enumerate(rows):
            self._deliver(row, rows[place + 1 :])
            self._withdraw_parked()
        return self._lease.end()

    def rest(self, until: datetime, *, counted: bool = False) -> Step:
        """Give the queue back until then; `counted` when a try failed."""
        return self._lease.rest(until, counted=counted)

    def doubt(self) -> None:
        """Whoever drained this queue last vanished: a call for the first update that could be sent may
        have arrived, or may yet. What a person put before it since does not count as that one.
        """
        self._lease.unsettle()
        self._known = self._feedback.doubted(self._known)
        for row in list(self._rows.values()):
            if not sendable(row, self._blocking, self._ordered):
                continue
            after = replace(self._doubled(row, row.parts_left), in_doubt=True)
            self._record(after, known=self._known)
            if not row.retried:
                return

    def _first_known(self, queue: Queue) -> Any:
        """What calls have taught and what the last poll saw, as the connector weighs them."""
        seen = orders.snapshot(self._ledger, queue.connection, queue.order_id)
        known = self._feedback.first_known(queue.known, queue.known_at, seen, self._lease.now())
        return self._feedback.doubted(known) if queue.doubted else known

    def _tell_doubled(self) -> None:
        """The ledger went back: a call may have been made for each of these, with all of its parts."""
        for row in list(self._rows.values()):
            after = self._doubled(row, row.parts_left) if row.in_doubt else row
            if after != row:
                self._record(after)

    def _withdraw_parked(self) -> None:
        """End what is parked, where a later update has settled the matter meanwhile."""
        self._parked = [self._settled(row) for row in self._parked]
        for row in list(self._rows.values()):
            self._settled(row)
        self._blocking = first_blocking([*self._rows.values(), *self._parked])

    def _settled(self, row: Update) -> Update:
        """The update without those of its parked parts that a later one has taken over."""
        later = [other for other in self._rows.values() if other.seq > row.seq]
        for part in row.parts_parked:
            row = self._taken_over(row, part, later) or row
        return row

    # --- one update -------------------------------------------------------------------------------

    def _deliver(self, row: Update, later: list[Update]) -> None:
        row = self._drop_outdated(row, later)
        while parts := sendable(row, self._blocking, self._ordered):
            row = self._send_next(row, parts[:1] if row.apart else parts)

    def _drop_outdated(self, row: Update, later: list[Update]) -> Update:
        """End what is not to be sent any more: withdrawn by a later update, or parked for a person."""
        age = self._lease.now() - row.accepted_at
        for part in row.parts_left:
            taken_over = self._taken_over(row, part, later)
            if taken_over is not None:
                row = taken_over
            elif age > self._rules[part].greatest_age and not row.retried:
                row = self._end(row, Ends(part, "parked", "update_too_old"))
        return row

    def _taken_over(self, row: Update, part: str, later: list[Update]) -> Update | None:
        """The update without this part, where a later one has taken its place."""
        for newer in later:
            code = self._feedback.takes_over(fates.asks(newer), fates.asks(row), part)
            if code is not None:
                after = self._feedback.shown(part, newer.values[part])
                return self._end(row, Ends(part, "withdrawn", code, after=after))
        return None

    def _send_next(self, row: Update, parts: tuple[str, ...]) -> Update:
        """Make the next call for this update, and record what came of it."""
        following = self._feedback.plan(
            fates.asks(row),
            parts,
            self._known,
            # Who sends again what was parked knows better than we do.
            trust=not row.in_doubt and not row.retried,
            ours=lambda part: brought(self._ledger, row.connection, row.order_id).get(part, []),
        )
        if isinstance(following, Ends):
            return self._end(row, following)
        if isinstance(following, Later):
            pause = timedelta(seconds=retry.wait(self._lease.tries))
            raise Stop(self.rest(self._lease.now() + pause, counted=True))
        return self._call(row, following)

    def _call(self, row: Update, send: Send) -> Update:
        self._lease.begin_call(repeats=row.in_doubt)
        began, clock = self._lease.now(), time.monotonic()

        def note(outcome: str, exc: ClientError | None = None) -> Try:
            took = int((time.monotonic() - clock) * 1000)
            said = "" if exc is None else getattr(exc, "excerpt", "") or str(exc)
            status = 200 if exc is None else getattr(exc, "status", None)
            carried = ",".join(send.parts)
            return Try("update", began, took, outcome, status, said, self._task_id, carried)

        try:
            self._lease.calls.run(lambda: self._feedback.send(row.order_id, send))
        except ClientError as exc:
            return self._failed(row, send, exc, note)
        self._lease.woke |= self._gate.succeeded()
        before, self._known = self._known, self._feedback.learned(self._known, send)
        after = fates.sent(row, send.completes, self._rules)
        self._record(after, note("sent"), None if self._known is before else self._known)
        log.info("update_sent", update_id=row.id, parts=",".join(send.completes) or "step")
        return after

    # --- what came of it --------------------------------------------------------------------------

    def _failed(self, row: Update, send: Send, exc: ClientError, note: Note) -> Update:
        if isinstance(exc, StoreUnavailable):
            raise exc
        if isinstance(exc, ConnectionFault):
            return self._blamed(row, send, exc, note)
        if isinstance(exc, Rejected):
            self._lease.woke |= self._gate.succeeded()
            return self._refused(row, send, exc, note)
        return self._try_again(row, send, exc, note)

    def _try_again(self, row: Update, send: Send, exc: ClientError, note: Note) -> NoReturn:
        calling.tell(self._gate, exc, row.order_id)
        pause = retry.wait(self._lease.tries, getattr(exc, "retry_after", None))
        if isinstance(exc, Uncertain):
            self._lease.unsettle()
            self._known = self._feedback.doubted(self._known, send)
            after = replace(self._doubled(row, send.completes), in_doubt=True)
            self._record(after, note("uncertain", exc), self._known)
        else:
            self._record(row, note("failed", exc))
        log.warning("update_waits", update_id=row.id, seconds=round(pause, 1))
        raise Stop(self.rest(self._lease.now() + timedelta(seconds=pause), counted=True))

    def _blamed(self, row: Update, send: Send, exc: ConnectionFault, note: Note) -> Update:
        """It looks like the connection's fault. When others go through all the same, it is this update's: its
        parts are parked with what was said.
        """
        queue = self._lease.queue
        others = attempts.another_queue_went_through(
            self._ledger, queue.connection, queue.order_id, queue.blamed_at
        )
        strikes = queue.strikes + others
        pause = retry.blamed_wait(strikes, again=queue.blamed_at is not None)
        call = note("connection_fault", exc)
        if pause is None:
            # Known to be its own: it says nothing about the connection, and closes it for nobody.
            self._lease.blame(None, 0)
            parts = send.completes or send.parts
            return self._end_all(row, [_refusal(part, call) for part in parts], call)
        closed = self._gate.suspect(str(exc), row.order_id, login=isinstance(exc, AuthFailed))
        self._lease.blame(self._lease.now(), strikes)
        self._record(row, call)
        step = self.rest(self._lease.now() + timedelta(seconds=pause))
        if closed:
            now = self._lease.now()
            step.ring = queues.probe(self._ledger, queue.connection, now, unblamed_only=True)
        raise Stop(step)

    def _refused(self, row: Update, send: Send, exc: Rejected, note: Note) -> Update:
        """Permanent: find out which part it is for, and park that one."""
        judged = self._feedback.judged(
            exc, fates.asks(row), send, self._known, self._doubtful_after(row)
        )
        if judged is not None:
            self._known = judged.known
            call = note(judged.outcome, exc)
            if judged.ends:
                return self._end_all(row, list(judged.ends), call)
            self._record(row, call, self._known)
            return row
        call = note("refused", exc)
        if len(send.completes) > 1:
            # Whether the source applied some of it is unknown: from here on part by part.
            self._known = self._feedback.doubted(self._known, send)
            after = replace(self._doubled(row, send.completes), apart=True)
            self._record(after, call, self._known)
            return after
        return self._end_all(row, [_refusal(send.parts[0], call)], call)

    def _doubtful_after(self, row: Update) -> list[Asks]:
        """The updates behind this one that may have arrived as this one may."""
        if not row.in_doubt:
            return []
        later = (one for one in self._rows.values() if one.seq > row.seq and one.in_doubt)
        return [fates.asks(one) for one in later]

    def _end_all(self, row: Update, ends: list[Ends], call: Try) -> Update:
        """Several parts are over by one answer."""
        made: Try | None = call
        for one in ends:
            row = self._end(row, one, made)
            made = None
        return row

    def _end(self, row: Update, ends: Ends, call: Try | None = None) -> Update:
        """One part is over: by an answer, or without a call."""
        shown = self._feedback.shown(ends.part, row.values[ends.part])
        after = fates.ended(row, ends, self._rules, shown, called=call is not None)
        self._record(after, call, self._known if call is not None else None)
        if ends.fate == "parked":
            if after.blocks:
                self._blocking = min(self._blocking or row.seq, row.seq)
            log.warning("update_parked", update_id=row.id, part=ends.part, reason=ends.code)
        return after

    def _doubled(self, row: Update, parts: tuple[str, ...]) -> Update:
        return fates.doubled(row, parts, self._rules)

    def _record(self, after: Update, call: Try | None = None, known: Any = None) -> None:
        kept = None if known is None else dict(self._feedback.kept(known))
        self._lease.record(after, call, kept)
        if after.id in self._rows:
            self._rows[after.id] = after


def feedback_of(source: Remote) -> Feedback[Any]:
    """How this source takes updates."""
    if source.connector.feedback is None:
        raise ValueError(f"{source.name} takes no updates")
    return source.connector.feedback


def _refusal(part: str, call: Try) -> Ends:
    return Ends(part, "parked", "update_refused", detail=call.excerpt)
