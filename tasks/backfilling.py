"""Polls that a person asked for: one now, or past days one by one.

In: the connection's name, and how long to wait for a poll that is under way, or the days. Out: a `Polled`
count. Fails as a poll does. Called by the command line.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date, datetime, timedelta

from tasks.polling import PollRunning, Ring, feed_of, poll
from tasks.resources import Resources
from tasks.slices import Window
from tasks.storing import Polled


def poll_after(
    r: Resources,
    connection: str,
    ring: Ring,
    *,
    patience: float,
    window: Window | None = None,
    since: datetime | None = None,
) -> Polled:
    """As `poll`, but waits up to `patience` seconds for a poll that is under way."""
    until = time.monotonic() + patience
    while True:
        try:
            return poll(r, connection, ring, window=window, since=since)
        except PollRunning:
            if time.monotonic() >= until:
                raise
            time.sleep(0.2)


def backfill(
    r: Resources,
    connection: str,
    ring: Ring,
    first: date,
    last: date,
    *,
    on_day: Callable[[], object],
) -> Polled:
    """Read past days one by one, in the shop's time, so that live polls find their turn between them. Orders
    that were placed on the first of them or later count, whenever the source's begin.
    """
    zone = feed_of(r, connection).zone
    since = datetime.combine(first, datetime.min.time(), zone)
    total = Polled()
    day = first
    while day <= last:
        start = datetime.combine(day, datetime.min.time(), zone)
        window = Window(start, start + timedelta(days=1))
        polled = poll_after(r, connection, ring, patience=120.0, window=window, since=since)
        total.pages += polled.pages
        total.orders += polled.orders
        total.stored += polled.stored
        total.aside += polled.aside
        day += timedelta(days=1)
        on_day()
    return total
