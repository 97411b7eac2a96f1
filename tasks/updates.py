"""The tasks of the way back: `updates.enqueue` takes an update, `updates.deliver` drains an order's queue,
`updates.hook` acts on a call of the OneBox hook, `updates.reconcile` finds what a lost call left behind.

Thin: they call tasks/accepting, tasks/delivering, tasks/listening and tasks/reconciling. Enqueued by other
systems, the gateway, the sweeper and beat.
"""

from __future__ import annotations

from typing import Any

import structlog

from clients.errors import StoreUnavailable
from ledger.faults import LedgerUnavailable
from ledger.updates import Due
from tasks import accepting, delivering, listening, reconciling, retry
from tasks.app import app
from tasks.doorbell import ring_updates
from tasks.resources import resources

log = structlog.get_logger()


@app.task(
    name="updates.enqueue",
    bind=True,
    ignore_result=True,
    acks_late=True,
    max_retries=None,
)
def enqueue(self: Any, **fields: Any) -> None:
    """The door for Celery clients. Best effort: nobody hears the answer, so that a refusal is kept as an
    update with the state `refused`. The message's id is the key when none is given.
    """
    try:
        accepting.accept_flat(resources(), fields, origin="celery", key=self.request.id)
    except LedgerUnavailable:
        log.warning("ledger_unavailable")
        raise self.retry(countdown=5) from None


@app.task(
    name="updates.deliver",
    bind=True,
    ignore_result=True,
    acks_late=True,
    max_retries=None,
)
def deliver(self: Any, connection: str, order_id: str) -> None:
    """Drain one order's queue. A lost message costs delay only: the ledger knows what is due."""
    due = Due(connection, order_id)
    try:
        step = delivering.deliver(resources(), due, self.request.id)
    except LedgerUnavailable:
        log.warning("ledger_unavailable")
        raise self.retry(countdown=5) from None
    if step.woke:
        app.send_task("upkeep.sweep", kwargs={"grace": 0.0}, queue="upkeep", retry=False)
    ring_updates(step.ring)
    if step.wait == 0.0:
        ring_updates([due])
    elif step.wait is not None and step.wait <= retry.IN_CELERY:
        raise self.retry(countdown=step.wait)


@app.task(
    name="updates.hook",
    bind=True,
    ignore_result=True,
    acks_late=True,
    max_retries=None,
)
def hook(self: Any, hook_id: int) -> None:
    """Act on a call of the OneBox hook, and on the others of its process. A lost message costs delay only:
    the ledger knows what is due.
    """
    try:
        wait = listening.act(resources(), hook_id)
    except (LedgerUnavailable, StoreUnavailable) as exc:
        log.warning("hook_given_back", because=type(exc).__name__)
        raise self.retry(countdown=5) from None
    if wait is not None and wait <= retry.IN_CELERY:
        raise self.retry(countdown=wait)


@app.task(name="updates.reconcile", ignore_result=True, acks_late=True)
def reconcile() -> None:
    """Read stage and tracking number of the processes in OneBox, and produce what a lost hook did not."""
    produced = reconciling.reconcile(resources())
    if produced:
        log.info("reconciled", updates=produced)
