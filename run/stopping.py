"""How a run is told to stop: by a signal, and by a second Ctrl-C in a hurry.

In: SIGINT, SIGTERM and SIGHUP, whose handlers a `Stop` takes for itself. Out: whether a stop was asked for;
`check` fails with `Stopped`, which ends a start under way. Another way to say stop is added here. Called by
run/system.py.
"""

from __future__ import annotations

import signal
import time

# Two Ctrl-C nearer than this are one: some callers send it to the whole group and again to us.
DOUBLE = 0.5


class Stopped(Exception):  # noqa: N818  no error: the person's wish, on its way out of the start
    """The person asked to stop while the system was starting."""


class Stop:
    """Whether the person asked to stop, and whether they are in a hurry."""

    def __init__(self) -> None:
        self._first: float | None = None
        self._hurried = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._asked)

    def requested(self) -> bool:
        return self._first is not None

    def hurried(self) -> bool:
        return self._hurried

    def check(self) -> None:
        """Raises Stopped when a stop was asked for."""
        if self.requested():
            raise Stopped

    def _asked(self, number: int, _frame: object) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = now
        elif number == signal.SIGINT and now - self._first >= DOUBLE:
            self._hurried = True
