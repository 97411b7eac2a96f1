"""The two tasks of an order's way: `orders.fetch` reads a shop, `orders.create` carries one order on.

Thin: they call tasks/polling and tasks/creating, ring, and say when to come back. Enqueued by beat, by
each other, by the sweeper and by the command line.
"""

from __future__ import annotations

from typing import Any

import structlog

from ledger.faults import LedgerUnavailable
from tasks import creating, heartbeat, polling, retry
from tasks.app import app
from tasks.doorbell import ring, ring_for_all
from tasks.resources import resources

log = structlog.get_logger()


# Seconds before a poll looks again for a thread; its message expires with the tick that sent it.
LANE_FULL = 1.0


@app.task(name="orders.fetch", bind=True, ignore_result=True, acks_late=True, max_retries=None)
def fetch(self: Any, connection: str) -> None:
    """Poll one source. No retry of what failed: the next tick is that. Raises PollFailed, so that Flower
    shows it.
    """
    structlog.contextvars.bind_contextvars(connection=connection)
    try:
        polled = polling.poll(resources(), connection, ring)
    except polling.PollRunning:
        log.info("poll_already_running")
        return
    except polling.PollPaused:
        log.info("poll_paused")
        return
    except polling.LaneFull:
        if self.request.retries == 0:
            log.warning("lane_full")
        raise self.retry(countdown=LANE_FULL) from None
    log.info(
        "shop_polled",
        pages=polled.pages,
        orders=polled.orders,
        stored=polled.stored,
        aside=polled.aside,
    )
    heartbeat.after_poll(resources())


@app.task(
    name="orders.create",
    bind=True,
    ignore_result=True,
    acks_late=True,
    max_retries=None,
)
def create(self: Any, order_pk: int, connection: str, target: str = "") -> None:
    """Carry one order into the CRM. A lost message costs delay only: the ledger knows what is due."""
    try:
        step = creating.create(resources(), order_pk, connection, self.request.id, target)
    except LedgerUnavailable:
        log.warning("ledger_unavailable")
        raise self.retry(countdown=5) from None
    if step.ring:
        ring(step.ring)
    if step.woke:
        ring_for_all()
    if step.wait is not None and step.wait <= retry.IN_CELERY:
        raise self.retry(countdown=step.wait)
