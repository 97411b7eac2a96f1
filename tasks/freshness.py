"""When a source counts as not read for long.

In: the settings, or the resources. Out: a time, or the sources. Raises `LedgerUnavailable`. Called by
gateway/health, tasks/concerns and tasks/heartbeat.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from ledger import connections
from tasks.resources import Resources

# A successful poll this many intervals ago, or this many seconds if that is longer, is too old.
LATE_INTERVALS = 5
LATE_SECONDS = 300


def late_after(fetch_interval: int) -> timedelta:
    return timedelta(seconds=max(LATE_INTERVALS * fetch_interval, LATE_SECONDS))


def all_are_read(r: Resources, now: datetime) -> bool:
    """Whether every source that is read was read well lately."""
    polled = {row.connection: row.polled_at for row in connections.cursors(r.ledger)}
    late = late_after(r.settings.fetch_interval)
    return all((at := polled.get(name)) is not None and now - at <= late for name in r.feeds)
