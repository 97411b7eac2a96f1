"""Carries one order's queue of updates to the shop, in the order in which they were accepted.

In: the order. Out: a `Step`: how long until the next try, or that more came in meanwhile. One drain at a
time holds the queue's lease. A failure stops this order's queue only. What can no longer be right (too old,
withdrawn, illegal for sure, refused) is parked with the reason or dropped, never sent by trial.
Called by tasks/updates.deliver. Source: design, invariant 4; contract okliving, update-order and statuses.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from clients.errors import (
    AuthFailed,
    ClientError,
    ConnectionFault,
    IllegalTransition,
    NotFound,
    RateLimited,
    Rejected,
    StoreUnavailable,
    Uncertain,
)
from ledger import attempts, orders, updates
from ledger.attempts import Try
from ledger.database import LedgerUnavailable
from ledger.updates import Due, Fate, Known, Queue, Row
from mapping import statuses
from mapping.source import from_text
from mapping.statuses import Machine
from mapping.updates import UpdateRequest
from mapping.updates import body as update_body
from tasks import retry
from tasks.gate import Admission
from tasks.resources import Resources, Source

# In the order in which they are sent apart.
MACHINES = ("order", "delivery")
# What a part is called in the texts for a clerk.
FIELDS = {
    "tracking_number": "tracking_number",
    "order": "statuses.order",
    "delivery": "statuses.delivery",
    "note": "note",
}
SHIPPING = ("ship", "ship_partially")
# A call may take its time-out twice when it must log in first; none is begun that could outlive the lease.
LONGEST_CALL = 2.0
# Our own stores are asked again after so many seconds.
STORE_PAUSE = 5.0
# Without a free place or a turn under the rate, a queue rests for so many seconds, and waits so long for a
# turn.
NO_PLACE = 1.0
RATE_PATIENCE = 5.0
# What our own calls taught us is certain for so long: the shop's people change states too, and a shop that
# gives each order only once never tells.
CERTAIN_FOR = timedelta(hours=1)
# The shop's times are whole seconds.
SECOND = timedelta(seconds=1)
# What the ledger keeps of a tracking number.
LONGEST_NUMBER = 64

log = structlog.get_logger()


@dataclass(slots=True)
class Step:
    """What follows: the next try in `wait` seconds (0: at once), whether an outage ended, and what to ring
    for now.
    """

    wait: float | None = None
    woke: bool = False
    ring: list[Due] = field(default_factory=list)


class _Stop(Exception):  # noqa: N818  it ends a drain, nothing is wrong
    """The queue of this order goes on later."""

    def __init__(self, step: Step) -> None:
        super().__init__()
        self.step = step


def deliver(r: Resources, due: Due, task_id: str | None = None) -> Step:
    """Drain one order's queue as far as it goes."""
    source = r.sources[due.connection]
    if r.settings.mode == "shadow" or source.gate.admit() is Admission.CLOSED:
        return Step()
    holder = f"{due.connection}:{due.order_id}:{task_id}"
    try:
        if not source.slots.acquire(holder):
            return Step(wait=NO_PLACE)
    except StoreUnavailable:
        return Step(wait=STORE_PAUSE)
    try:
        return _drain(r, source, due, task_id)
    finally:
        # A place that cannot be given back ends with its lease.
        with suppress(StoreUnavailable):
            source.slots.release(holder)


def _drain(r: Resources, source: Source, due: Due, task_id: str | None) -> Step:
    now = r.ledger.now()
    claimed = updates.claim(r.ledger, due, now, source.settings.lease)
    if claimed is None:
        return Step()
    structlog.contextvars.bind_contextvars(connection=due.connection, order_id=due.order_id)
    queue, rows, left_behind = claimed
    drain = _Drain(r, source, queue, rows, task_id)
    try:
        if left_behind:
            drain.doubt()
        return drain.run()
    except _Stop as stop:
        return stop.step
    except StoreUnavailable:
        log.warning("updates_given_back")
        return drain.rest(r.ledger.now() + timedelta(seconds=STORE_PAUSE))
    except LedgerUnavailable:
        raise
    except Exception as exc:
        # What nobody thought of: a call may have arrived, and is not made again each time a lease ends.
        log.exception("update_failed", because=type(exc).__name__)
        drain.doubt()
        pause = timedelta(seconds=retry.wait(queue.tries))
        return drain.rest(r.ledger.now() + pause, counted=True)


class _Drain:
    """One drain of one order's queue."""

    def __init__(
        self, r: Resources, source: Source, queue: Queue, rows: list[Row], task_id: str | None
    ) -> None:
        self._r = r
        self._source = source
        self._rules = r.profiles[source.name].updates
        self._queue = queue
        self._rows = rows
        self._task_id = task_id
        self._tries = queue.tries
        self._first_parked = self._find_parked()
        self._calls = 0
        self._woke = False
        self._taught: set[str] = set()
        self._lease_until = queue.lease_until
        self._shop, self._seen_at = self._read_shop()
        self._known = self._first_known()

    def run(self) -> Step:
        self._withdraw_parked()
        for place, row in enumerate(self._rows):
            self._deliver(row, self._rows[place + 1 :])
        more = updates.rest(self._r.ledger, self._queue, self._now())
        return Step(wait=0.0 if more else None, woke=self._woke)

    def rest(self, until: datetime, *, counted: bool = False) -> Step:
        """Give the queue back until then; `counted` when a try failed."""
        updates.rest(
            self._r.ledger,
            self._queue,
            self._now(),
            next_try_at=until,
            counted=counted,
        )
        return Step(wait=max((until - self._now()).total_seconds(), 0.0), woke=self._woke)

    def doubt(self) -> None:
        """Whoever drained this queue last vanished: a call for the first update that could be sent may
        have arrived, or may yet. What a person put before it since does not count as that one.
        """
        self._unsettle()
        self._known = replace(self._known, order_certain=False, delivery_certain=False)
        for place, row in enumerate(self._rows):
            sendable = set(row.parts_left) - self._blocked_statuses(row)
            if not sendable:
                continue
            fate = _unchanged(row, in_doubt=True, fates=_with_doubled_note(row, row.parts_left))
            self._record(row, fate, known=self._known)
            self._rows[place] = _after(row, fate)
            if not _is_retried(row):
                return

    def _find_parked(self) -> int | None:
        """Where the statuses of this queue are held up, if it has any that are to be sent."""
        if not any(set(row.parts_left) & set(MACHINES) for row in self._rows):
            return None
        return updates.first_parked(self._r.ledger, self._queue.connection, self._queue.order_id)

    def _withdraw_parked(self) -> None:
        """End what waits for a person, where a later update has settled the matter meanwhile."""
        later = [r for r in self._rows if r.tracking_number or r.delivery_action == "cancel"]
        if not later:
            return
        for row in updates.parked(self._r.ledger, self._queue.connection, self._queue.order_id):
            newer = [other for other in later if other.seq > row.seq]
            ended = row
            for part in row.parts_parked:
                ended = self._drop_taken_over(ended, part, newer) or ended
            if ended is not row:
                self._rows = [ended if other.id == ended.id else other for other in self._rows]
                self._first_parked = self._find_parked()

    # --- one update -------------------------------------------------------------------------------

    def _deliver(self, row: Row, later: list[Row]) -> None:
        row = self._drop_outdated(row, later)
        blocked = self._blocked_statuses(row)
        while True:
            sendable = tuple(part for part in row.parts_left if part not in blocked)
            if not sendable:
                return
            row = self._send_next(row, sendable)

    def _drop_outdated(self, row: Row, later: list[Row]) -> Row:
        """End what is not to be sent any more: withdrawn by a later update, or parked for a person."""
        age = self._now() - row.accepted_at
        retried = _is_retried(row)
        for part in row.parts_left:
            kind = "status" if part in MACHINES else part
            taken_over = self._drop_taken_over(row, part, later)
            if taken_over is not None:
                row = taken_over
            elif age > self._rules.greatest_age[kind] and not retried:
                row = self._end_part(row, part, "parked", "update_too_old")
            elif part == "tracking_number" and self._is_not_ours(row):
                theirs, ours = self._known.tracking_number, row.tracking_number
                row = self._end_part(
                    row, part, "parked", "update_ttn_differs", before=theirs, after=ours
                )
        return row

    def _drop_taken_over(self, row: Row, part: str, later: list[Row]) -> Row | None:
        newer = next((other for other in later if _takes_over(other, row, part)), None)
        if newer is None:
            return None
        code = "update_replaced" if part == "tracking_number" else "update_withdrawn"
        return self._end_part(row, part, "withdrawn", code, after=_value(newer, part))

    def _is_not_ours(self, row: Row) -> bool:
        """Whether the shop has a tracking number that we did not send, and replacing was not asked."""
        theirs = self._known.tracking_number
        if row.replace or not theirs or theirs == row.tracking_number:
            return False
        ours = updates.our_tracking_numbers(self._r.ledger, row.connection, row.order_id)
        return theirs not in ours

    def _blocked_statuses(self, row: Row) -> set[str]:
        """Statuses are strictly ordered: none overtakes a parked one of its order."""
        if self._first_parked is None or self._first_parked >= row.seq:
            return set()
        return set(MACHINES)

    # --- one call ---------------------------------------------------------------------------------

    def _send_next(self, row: Row, sendable: tuple[str, ...]) -> Row:
        """Make the next call for this update, and record what came of it."""
        wanted: dict[str, str] = {}
        for name in MACHINES:
            if name not in sendable:
                continue
            plan = self._plan(row, name)
            if plan.refused is not None:
                allowed = _named(name, plan.refused.allowed)
                return self._end_part(row, name, "parked", "update_illegal", detail=allowed)
            if plan.done:
                return self._end_part(row, name, "sent", "update_nothing_to_do")
            if len(plan.send) > 1:
                return self._call(row, {name: plan.send[0]}, ())
            wanted[name] = plan.send[0]
        parts = sendable[:1] if row.apart else sendable
        return self._call(row, {n: a for n, a in wanted.items() if n in parts}, parts)

    def _plan(self, row: Row, name: str) -> statuses.Plan:
        """What the last poll saw is good enough to find a path, not to spare a call or refuse one."""
        action = (row.order_action if name == "order" else row.delivery_action) or ""
        state, certain = self._state(name)
        # Who retries what was parked knows better than we do.
        certain = certain and not row.in_doubt and not _is_retried(row)
        guess = self._rules.planner == "plan" and state is not None
        known = statuses.Known(state, certain=certain or guess)
        plan = statuses.plan(self._machine(name), known, action, self._rules.planner)
        return plan if certain or plan.send else statuses.Plan(send=(action,))

    def _call(self, row: Row, actions: dict[str, str], parts: tuple[str, ...]) -> Row:
        """`parts` are those that this call completes; none for a step on the way."""
        self._begin_call(row)
        body = update_body(
            UpdateRequest(
                row.order_id,
                tracking_number=row.tracking_number if "tracking_number" in parts else None,
                order=actions.get("order"),
                delivery=actions.get("delivery"),
                note=row.note if "note" in parts else None,
            )
        )
        began, clock = self._now(), time.monotonic()

        def call(outcome: str, exc: ClientError | None = None) -> Try:
            took = int((time.monotonic() - clock) * 1000)
            carried = ",".join((*parts, *(n for n in actions if n not in parts)))
            said = "" if exc is None else getattr(exc, "excerpt", "") or str(exc)
            status = 200 if exc is None else getattr(exc, "status", None)
            return Try("update", began, took, outcome, status, said, self._task_id, carried)

        try:
            self._source.client.update_order(body)
        except ClientError as exc:
            return self._failed(row, actions, parts, exc, call)
        self._woke |= self._succeeded()
        self._known = self._known_after(actions, row if "tracking_number" in parts else None)
        self._taught |= set(actions)
        taught = bool(actions) or "tracking_number" in parts
        row = self._end_parts(row, parts, call("sent"), taught=taught)
        log.info("update_sent", update_id=row.id, parts=",".join(parts) or "step")
        return row

    def _begin_call(self, row: Row) -> None:
        """A call whose answer was lost may still take effect: until then only its own repeat may go."""
        now = self._now()
        repeats = row.in_doubt and not self._calls
        settled_at = self._queue.settled_at
        if settled_at is not None and now < settled_at and not repeats:
            raise _Stop(self.rest(settled_at))
        if self._source.rate.acquire(RATE_PATIENCE) > 0:
            raise _Stop(self.rest(now + timedelta(seconds=NO_PLACE)))
        now = self._now()
        longest = LONGEST_CALL * self._source.settings.timeout
        if (self._lease_until - now).total_seconds() < longest:
            raise _Stop(self.rest(now))
        self._calls += 1

    # --- what came of it --------------------------------------------------------------------------

    def _failed(
        self, row: Row, actions: dict[str, str], parts: tuple[str, ...], exc: ClientError, call: Any
    ) -> Row:
        if isinstance(exc, StoreUnavailable):
            raise exc
        if isinstance(exc, ConnectionFault):
            return self._blamed(row, parts or tuple(actions), exc, call)
        if isinstance(exc, Rejected):
            self._woke |= self._succeeded()
            return self._refused(row, actions, parts, exc, call)
        if exc.counts_for_breaker:
            self._source.gate.failed(str(exc), self._queue.order_id)
        if isinstance(exc, RateLimited) and exc.retry_after:
            self._source.gate.asked_to_wait(exc.retry_after, str(exc))
        pause = retry.wait(self._tries, getattr(exc, "retry_after", None))
        if isinstance(exc, Uncertain):
            self._unsettle()
            self._doubt_states(actions)
            fate = _unchanged(row, in_doubt=True, fates=_with_doubled_note(row, parts))
            self._record(row, fate, call("uncertain", exc), self._known)
        else:
            self._record(row, _unchanged(row), call("failed", exc))
        log.warning("update_waits", update_id=row.id, seconds=round(pause, 1))
        raise _Stop(self.rest(self._now() + timedelta(seconds=pause), counted=True))

    def _blamed(self, row: Row, parts: tuple[str, ...], exc: ConnectionFault, call: Any) -> Row:
        """It looks like the connection's fault. When others go through all the same, it is this update's: its
        parts are parked with what was said.
        """
        queue, ledger = self._queue, self._r.ledger
        login = isinstance(exc, AuthFailed)
        closed = self._source.gate.suspect(str(exc), queue.order_id, login=login)
        others = attempts.another_queue_went_through(
            ledger, queue.connection, queue.order_id, queue.blamed_at
        )
        strikes = queue.strikes + others
        pause = retry.blamed_wait(strikes, again=queue.blamed_at is not None)
        made = call("connection_fault", exc)
        if pause is None:
            self._queue = replace(queue, blamed_at=None, strikes=0)
            for part in parts:
                row = self._end_part(
                    row, part, "parked", "update_refused", detail=made.excerpt, call=made
                )
                made = None
            return row
        self._queue = replace(queue, blamed_at=self._now(), strikes=strikes)
        self._record(row, _unchanged(row), made)
        step = self.rest(self._now() + timedelta(seconds=pause))
        if closed:
            step.ring = updates.probe(ledger, queue.connection, self._now(), unblamed_only=True)
        raise _Stop(step)

    def _refused(
        self, row: Row, actions: dict[str, str], parts: tuple[str, ...], exc: Rejected, call: Any
    ) -> Row:
        """Permanent: find out which part it is for, and park that one."""
        made = call("refused", exc)
        if isinstance(exc, NotFound):
            for part in row.parts_left:
                row = self._end_part(row, part, "parked", "update_unknown_order", call=made)
                made = None
            return row
        if len(parts) > 1:
            # Whether the shop applied some of it is unknown: from here on part by part.
            self._doubt_states(actions)
            fate = _unchanged(row, apart=True, fates=_with_doubled_note(row, parts))
            self._record(row, fate, made, self._known)
            return _after(row, fate)
        name = next(iter(actions), None)
        if isinstance(exc, IllegalTransition) and name is not None:
            return self._illegal(row, name, actions[name], exc, call)
        part = parts[0] if parts else name or ""
        return self._end_part(row, part, "parked", "update_refused", detail=made.excerpt, call=made)

    def _illegal(self, row: Row, name: str, action: str, exc: IllegalTransition, call: Any) -> Row:
        """What we knew was wrong: learn from the answer, and see whether the goal is reached."""
        machine = self._machine(name)
        self._known = _with(self._known, name, None, certain=False)
        asked = row.order_action if name == "order" else row.delivery_action
        if asked is None or asked != action:
            # A step of a plan that was made for another state: what was asked goes as it is.
            self._record(row, _unchanged(row), call("refused", exc), self._known)
            return row
        if statuses.resolve(machine, asked, None, exc.possible) == "already_there":
            self._known = _with(self._known, name, statuses.goal(machine, asked), certain=True)
            self._taught.add(name)
            made = call("already_there", exc)
            return self._end_part(row, name, "sent", "update_nothing_to_do", call=made)
        made, allowed = call("refused", exc), _named(name, exc.possible)
        return self._end_part(row, name, "parked", "update_illegal", detail=allowed, call=made)

    def _unsettle(self) -> None:
        """A call of which nobody knows whether it arrived may take effect for a while."""
        until = self._now() + timedelta(seconds=self._r.settings.uncertain_wait)
        self._queue = replace(self._queue, settled_at=until)

    def _doubt_states(self, actions: dict[str, str]) -> None:
        for name in actions:
            self._known = _with(self._known, name, self._state(name)[0], certain=False)

    def _succeeded(self) -> bool:
        return self._source.gate.succeeded()

    def _end_parts(self, row: Row, parts: tuple[str, ...], call: Try, *, taught: bool) -> Row:
        left = tuple(part for part in row.parts_left if part not in parts)
        fates = [*(row.fates or []), *({"part": part, "fate": "sent"} for part in parts)]
        fate = _fate(row, left, row.parts_parked, fates)
        self._record(row, fate, call, self._known if taught else None)
        return _after(row, fate)

    def _end_part(
        self,
        row: Row,
        part: str,
        how: str,
        reason: str,
        *,
        before: str | None = None,
        after: str | None = None,
        detail: str = "",
        call: Try | None = None,
    ) -> Row:
        """One part is over: sent without a call, withdrawn, or parked with its reason."""
        left = tuple(p for p in row.parts_left if p != part)
        told = {
            "part": part,
            "fate": how,
            "code": reason,
            "level": "held" if how == "parked" else "fixed",
            "field": FIELDS[part],
            "before": _value(row, part) if before is None else before,
            "after": after,
            "detail": detail,
        }
        parked = tuple(p for p in row.parts_parked if p != part)
        earlier = [
            t for t in row.fates or [] if t.get("part") != part or part not in row.parts_parked
        ]
        if how == "parked":
            parked = (*parked, part)
        fate = _fate(row, left, parked, [*earlier, told])
        if call is None:
            fate = replace(fate, in_doubt=row.in_doubt and bool(left))
        self._record(row, fate, call, self._known if call is not None else None)
        if how == "parked":
            if part in MACHINES:
                self._first_parked = min(self._first_parked or row.seq, row.seq)
            log.warning("update_parked", update_id=row.id, part=part, reason=reason)
        return _after(row, fate)

    def _record(
        self,
        row: Row,
        fate: Fate,
        call: Try | None = None,
        known: Known | None = None,
    ) -> None:
        lease = self._source.settings.lease
        now = self._now()
        kept = updates.record(
            self._r.ledger,
            self._queue,
            row,
            fate,
            now,
            lease=lease,
            call=call,
            known=None if known is None else self._as_kept(known),
        )
        if not kept:
            raise _Stop(Step())
        if call is not None and call.outcome not in updates.FAILED:
            self._tries = 0
            self._queue = replace(self._queue, blamed_at=None, strikes=0)
        self._lease_until = now + timedelta(seconds=lease)

    def _now(self) -> datetime:
        return self._r.ledger.now()

    # --- what is known of the order in the shop ----------------------------------------------------

    def _machine(self, name: str) -> Machine:
        return self._rules.machines[name]

    def _state(self, name: str) -> tuple[str | None, bool]:
        known = self._known
        if name == "order":
            return known.order_state, known.order_certain
        return known.delivery_state, known.delivery_certain

    def _read_shop(self) -> tuple[Known, datetime | None]:
        """The order as the last poll saw it, and the shop's time of that: states, but no certain ones."""
        found = orders.snapshot(self._r.ledger, self._queue.connection, self._queue.order_id)
        if found is None:
            return Known(), None
        source, seen_at = found
        order = self._r.profiles[self._source.name].map(from_text(source)).order
        if order is None:
            return Known(), None
        number = (order.shipping.tracking_number or "")[:LONGEST_NUMBER] or None
        known = Known(
            self._listed("order", order.status),
            self._listed("delivery", order.delivery_status),
            tracking_number=number,
        )
        return known, seen_at

    def _listed(self, name: str, state: str | None) -> str | None:
        """The state, if the machine's table has it."""
        return state if state in self._machine(name).transitions else None

    def _first_known(self) -> Known:
        """What our own calls taught us, unless the shop was seen to be otherwise since."""
        queue, shop = self._queue, self._shop
        if queue.known_at is None:
            return shop
        seen_at = self._seen_at or queue.known_at - 2 * SECOND
        later, about_then = seen_at > queue.known_at, seen_at + SECOND > queue.known_at

        def merged(ours: str | None, theirs: str | None) -> tuple[str | None, bool]:
            """What counts, and whether it leaves ours as certain as it was."""
            if theirs is None or theirs == ours:
                return ours, True
            return (theirs, False) if later else (ours, not about_then)

        fresh = self._now() - queue.known_at < CERTAIN_FOR
        order, same_order = merged(queue.order_state, shop.order_state)
        delivery, same_delivery = merged(queue.delivery_state, shop.delivery_state)
        return Known(
            order,
            delivery,
            queue.order_certain and same_order and fresh,
            queue.delivery_certain and same_delivery and fresh,
            merged(queue.tracking_number, shop.tracking_number)[0] or shop.tracking_number,
        )

    def _as_kept(self, known: Known) -> Known:
        """What is known, as of now: certain is only what was taught now, or it would never grow old."""
        return replace(
            known,
            order_certain=known.order_certain and "order" in self._taught,
            delivery_certain=known.delivery_certain and "delivery" in self._taught,
        )

    def _known_after(self, actions: dict[str, str], sent: Row | None) -> Known:
        """A success means that each action's goal is reached; of an action that is in no table, none."""
        known = self._known
        for name, action in actions.items():
            machine = self._machine(name)
            found = statuses.is_known_action(machine, action)
            reached = statuses.goal(machine, action) if found else None
            known = _with(known, name, reached, certain=found)
        return known if sent is None else replace(known, tracking_number=sent.tracking_number)


def _with(known: Known, name: str, state: str | None, *, certain: bool) -> Known:
    if name == "order":
        return replace(known, order_state=state, order_certain=certain)
    return replace(known, delivery_state=state, delivery_certain=certain)


def _after(row: Row, fate: Fate) -> Row:
    """The update as it stands after a step."""
    return replace(
        row,
        state=fate.state,
        left=",".join(fate.left),
        parked=",".join(fate.parked),
        reason=fate.reason,
        fates=fate.fates,
        apart=fate.apart,
        in_doubt=fate.in_doubt,
    )


def _fate(
    row: Row, left: tuple[str, ...], parked: tuple[str, ...], fates: list[dict[str, Any]]
) -> Fate:
    """An update with parts left is queued; without, it is as its worst part is."""
    if left:
        state = "queued"
    elif parked:
        state = "parked"
    else:
        state = "sent" if any(told.get("fate") == "sent" for told in fates) else "withdrawn"
    # What a person asked for stays said until it is done.
    codes = [updates.RETRIED] if left and _is_retried(row) else []
    codes += [
        str(told["code"]) for told in fates if told.get("part") in parked and told.get("fate")
    ]
    reason = ", ".join(dict.fromkeys(codes))
    return Fate(state, left, parked, reason, fates, row.apart, in_doubt=False)


def _unchanged(
    row: Row,
    *,
    apart: bool | None = None,
    in_doubt: bool | None = None,
    fates: list[dict[str, Any]] | None = None,
) -> Fate:
    return Fate(
        row.state,
        row.parts_left,
        row.parts_parked,
        row.reason,
        row.fates or [] if fates is None else fates,
        row.apart if apart is None else apart,
        row.in_doubt if in_doubt is None else in_doubt,
    )


def _is_retried(row: Row) -> bool:
    return row.reason.startswith(updates.RETRIED)


def _takes_over(newer: Row, row: Row, part: str) -> bool:
    """A newer tracking number replaces an unsent one; a cancel withdraws an unsent shipping."""
    if part == "tracking_number":
        return part in newer.parts_left
    if part == "delivery" and row.delivery_action in SHIPPING:
        return part in newer.parts_left and newer.delivery_action == "cancel"
    return False


def _value(row: Row, part: str) -> str | None:
    """What the part asks for, as a clerk is shown it; a note is not repeated."""
    values = {
        "tracking_number": row.tracking_number,
        "order": f"order.{row.order_action}",
        "delivery": f"delivery.{row.delivery_action}",
    }
    return values.get(part)


def _named(machine: str, actions: tuple[str, ...]) -> str:
    return ", ".join(f"{machine}.{action}" for action in actions)


def _with_doubled_note(row: Row, parts: tuple[str, ...]) -> list[dict[str, Any]]:
    """A note whose fate is unknown is sent again, and the clerk is told."""
    fates = list(row.fates or [])
    told = {
        "part": "note",
        "code": "update_note_maybe_doubled",
        "level": "warning",
        "field": "note",
    }
    if "note" in parts and told not in fates:
        fates.append(told)
    return fates
