"""Counts wrong keys and secrets by the address they come from, and slows down whoever brings many.

In: the name of the door that refused one, of the request that is being answered. Out: nothing; beyond ten in
a minute the refusal is kept back, ever longer, without holding a thread. A good key is never kept waiting for
the bad ones of others at its address, such as a proxy's. Nothing fails. Counted by each process for itself.
Called by gateway/doors.py.
"""

from __future__ import annotations

import threading
import time
from collections import Counter

import structlog
from flask import request

from gateway.addresses import counted_as
from gateway.errors import Refusal
from gateway.wsgi import KEEP_BACK

# Wrong ones from one address in one window, in seconds, before it is slowed down.
FREE, WINDOW = 10, 60.0
# Seconds for which each further answer is kept back longer than the one before, and the longest.
STEP, LONGEST = 0.1, 5.0

log = structlog.get_logger()


class WrongSecret(Refusal):
    """Somebody brought a key or a secret, and it is none of ours."""


class FailedTries:
    """How many there were of each address in this window."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._window, self._counts = -1, Counter[str]()

    def count(self, door: str) -> None:
        """Count one, and say for how long its answer is kept back."""
        address, window = counted_as(request.remote_addr), int(time.monotonic() / WINDOW)
        with self._lock:
            if window != self._window:
                self._window, self._counts = window, Counter()
            self._counts[address] += 1
            count = self._counts[address]
        if count <= FREE:
            log.warning("wrong_key", address=address, door=door, count=count)
            return
        if count == FREE + 1:
            log.warning("wrong_keys_slowed", address=address, door=door)
        request.environ[KEEP_BACK] = min((count - FREE) * STEP, LONGEST)
