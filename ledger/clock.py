"""The time by which leases and waits are counted: the database's, so that hosts whose clocks differ agree.

In: what the database says its time is, measured now and then. Out: that time at any moment, carried on by a
clock of this host that neither a set clock nor a suspended machine spoils. Called by ledger/database.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

# Hosts and database may differ by so many seconds before a person is told.
SKEW_LIMIT = 10.0
# A measurement older than this, in seconds, is made anew: the clock that carries it on drifts, too. One that
# failed is repeated after so many.
OLD = 60.0
AGAIN = 5.0
# One whose round trip took longer than this says too little to replace an earlier one.
SLOW = 0.5


def elapsed() -> float:
    """Seconds since some moment, those in which the machine was suspended included, where it can say so."""
    try:
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    except (AttributeError, OSError):
        return time.monotonic()


class HostClock:
    """The host's own clock: a file's database has no other."""

    skew = 0.0
    is_known = True

    def now(self) -> datetime:
        return datetime.now(UTC)

    def is_due(self) -> bool:
        return False

    def measure(self, ask: Callable[[], datetime]) -> None:
        """There is nothing to measure."""


class DatabaseClock:
    """A server's clock as measured. Thread-safe: one tuple is replaced."""

    def __init__(self) -> None:
        self._base: tuple[datetime, float] | None = None
        self._due = float("-inf")

    @property
    def is_known(self) -> bool:
        return self._base is not None

    def now(self) -> datetime:
        """Only once it is known."""
        base = self._base
        if base is None:
            raise ValueError("The database was not asked for its time yet.")
        return base[0] + timedelta(seconds=elapsed() - base[1])

    @property
    def skew(self) -> float:
        """Seconds by which this host's clock is ahead of the database's."""
        return (datetime.now(UTC) - self.now()).total_seconds()

    def is_due(self) -> bool:
        return elapsed() > self._due

    def measure(self, ask: Callable[[], datetime]) -> None:
        """Ask the database; its answer was right half the round trip ago."""
        self._due = elapsed() + AGAIN
        before = elapsed()
        told = ask()
        after = elapsed()
        if after - before > SLOW and self._base is not None:
            return
        self._base = told.astimezone(UTC), (before + after) / 2
        self._due = after + OLD
