"""Carries one order's queue of updates to its source: one drain at a time holds the queue's lease.

In: the order. Out: a `Step`: how long until the next try, or that more came in meanwhile. A failure stops
this order's queue only. Called by tasks/updates.deliver; the drain itself is tasks/draining.
"""

from __future__ import annotations

from datetime import timedelta

import structlog

from clients.errors import StoreUnavailable
from ledger import queues
from ledger.faults import LedgerUnavailable
from ledger.updates import Due
from tasks import calling, retry
from tasks.doorbell import ring_waiting
from tasks.draining import Drain
from tasks.gate import Admission
from tasks.queue_lease import Step, Stop
from tasks.resources import Remote, Resources

# Our own stores are asked again after so many seconds.
STORE_PAUSE = 5.0
# Without a free place a queue rests for so many seconds.
NO_PLACE = 1.0

log = structlog.get_logger()


def deliver(r: Resources, due: Due, task_id: str | None = None) -> Step:
    """Drain one order's queue as far as it goes."""
    source = r.sources.get(due.connection)
    if source is None:
        log.error("connection_not_configured", connection=due.connection)
        return Step()
    if source.connection.mode == "shadow" or source.gate.admit() is Admission.CLOSED:
        return Step()
    holder = f"{due.connection}:{due.order_id}:{task_id}"
    try:
        with calling.place(source, "write", holder, ring_waiting) as has_place:
            return _drain(r, source, due, task_id) if has_place else Step(wait=NO_PLACE)
    except StoreUnavailable:
        return Step(wait=STORE_PAUSE)


def _drain(r: Resources, source: Remote, due: Due, task_id: str | None) -> Step:
    now = r.ledger.now()
    claimed = queues.claim(r.ledger, due, now, source.settings.lease)
    if claimed is None:
        return Step()
    structlog.contextvars.bind_contextvars(connection=due.connection, order_id=due.order_id)
    queue, rows, left_behind = claimed
    drain = Drain(r, source, queue, rows, task_id)
    try:
        if left_behind:
            drain.doubt()
        return drain.run()
    except Stop as stop:
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
