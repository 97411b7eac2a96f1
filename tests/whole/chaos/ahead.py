"""Starts a Python module on a host whose clock is ahead: `python ahead.py SECONDS MODULE ARGUMENTS...`.

Only what this process asks of its clock is changed, before anything else is imported; databases and Redis
have clocks of their own, and waits go by the monotonic clock, as on a real host.
"""

from __future__ import annotations

import datetime as dt
import runpy
import sys
import time
from pathlib import Path

real = dt.datetime


def set_clock(seconds):
    clock, clock_ns = time.time, time.time_ns
    time.time = lambda: clock() + seconds
    time.time_ns = lambda: clock_ns() + int(seconds * 1e9)
    ahead = dt.timedelta(seconds=seconds)

    class Kind(type):
        """Every real datetime is one of the class that stands in for it."""

        def __instancecheck__(cls, instance):
            return isinstance(instance, real)

        def __subclasscheck__(cls, subclass):
            return issubclass(subclass, real)

    class Ahead(real, metaclass=Kind):
        """Gives real datetimes, so that drivers and parsers know them by their type."""

        def __new__(cls, *args, **kwargs):
            return real(*args, **kwargs)

        @classmethod
        def now(cls, tz=None):
            return real.now(tz) + ahead

        @classmethod
        def utcnow(cls):
            return real.now(dt.UTC).replace(tzinfo=None) + ahead

        @classmethod
        def today(cls):
            return real.now() + ahead

    dt.datetime = Ahead


if __name__ == "__main__":
    set_clock(float(sys.argv[1]))
    module, sys.argv = sys.argv[2], sys.argv[2:]
    # As `python -m` does: the working directory, not the folder of this file.
    sys.path[0] = str(Path.cwd())
    runpy.run_module(module, run_name="__main__", alter_sys=True)
