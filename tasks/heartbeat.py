"""Tells a monitor after each good poll that all sources are read, so that it tells people when that ends.

In: the resources, after a poll that went well. Out: one call of ORDERBRIDGE_HEARTBEAT_URL, while every
source was read lately: one that hangs is not hidden by the others. Nothing fails: what goes wrong is
logged, and the next poll calls again. Called by tasks/orders.fetch.
Source: docs/decisions/apprise-tells.md.
"""

from __future__ import annotations

import structlog

from clients.errors import ClientError
from clients.heartbeat import ping
from connection import is_loopback
from ledger.faults import LedgerUnavailable
from tasks.freshness import all_are_read
from tasks.resources import Resources

log = structlog.get_logger()


def after_poll(r: Resources) -> None:
    url = r.settings.heartbeat_url
    # A sandbox must not tell that the real system lives.
    if url is None or (r.settings.sandbox and not is_loopback(url)):
        return
    try:
        if not all_are_read(r, r.ledger.now()):
            return
        status = ping(url)
    except (ClientError, LedgerUnavailable) as exc:
        log.warning("heartbeat_not_taken", because=type(exc).__name__)
        return
    if not 200 <= status < 300:
        log.warning("heartbeat_not_taken", because=status)
