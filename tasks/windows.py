"""Which times a poll asks for, and how far its cursor may move.

In: the cursor, the clock, the zone of the source's stamps. Out: a window, a watermark. Pure. Called by
tasks/polling. Source: docs/contracts/okliving.md, "Polling rules".
"""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from connection import EVERYTHING, Connection
from ledger.connections import Poll
from tasks.slices import Window
from tasks.storing import Polled

# The overlap around a clock change, when the shop's stamps jump by an hour or repeat one.
CLOCK_CHANGE_OVERLAP = timedelta(minutes=75)
NEAR = timedelta(hours=3)
# How far a stamp may lie outside of what was asked for, and around a clock change, when both ends are moved.
SLACK = timedelta(seconds=5)
CLOCK_CHANGE_SLACK = timedelta(minutes=130)


def next_window(asked: Connection, zone: ZoneInfo, held: Poll, now: datetime) -> Window:
    """From the watermark, less the overlap, to the clock, less the lag."""
    end = now - timedelta(seconds=asked.poll_lag)
    if held.watermark is None:
        return Window(min(held.counts_from, end), end)
    back = overlap(held.watermark, now, zone, timedelta(seconds=asked.poll_overlap))
    return Window(max(held.watermark - back, EVERYTHING), end)


def overlap(watermark: datetime, now: datetime, zone: ZoneInfo, usual: timedelta) -> timedelta:
    """How far before the watermark to read: more around a clock change of the shop's zone, since its
    stamps carry no offset.
    """
    return max(usual, CLOCK_CHANGE_OVERLAP) if _clocks_change(watermark, now, zone) else usual


def slack(part: Window, zone: ZoneInfo) -> timedelta:
    """How far outside of `part` a shop that heeds it may list an order."""
    near = any(_clocks_change(moment, moment, zone) for moment in (part.start, part.end))
    return CLOCK_CHANGE_SLACK if near else SLACK


def _clocks_change(start: datetime, end: datetime, zone: ZoneInfo) -> bool:
    before = (start - NEAR).astimezone(zone).utcoffset()
    return before != (end + NEAR).astimezone(zone).utcoffset()


def next_watermark(held: Poll, polled: Polled, certain_to: datetime) -> datetime | None:
    """The newest stamp seen, no earlier than before, and never later than what was read for certain, which
    is the poll's clock less the lag at most. None while nothing was seen: the clock of a shop may be behind
    ours.
    """
    seen = [moment for moment in (held.watermark, polled.newest) if moment is not None]
    return min(max(seen), certain_to) if seen else None
