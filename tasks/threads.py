"""How a worker's threads are shared among remotes.

In: which remote a thread is about to call, and how its calls ended. Out: whether it may. Remotes that hang
may hold half of the threads together; and where upkeep shares the worker, two threads are never lent to any,
so that sweeps, pulses and probes go on whatever hangs. Fails never. Called by tasks/calling and tasks/app.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager

# Threads of a worker that the upkeep is sure to find, where it shares one.
KEPT_FREE = 2
# A call that failed after so many seconds hung.
HUNG = 1.0


class Threads:
    """The threads of this process; thread-safe. Without a worker there is nothing to share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._most: int | None = None
        self._held: Counter[str] = Counter()
        self._hung: set[str] = set()

    def serve(self, threads: int, queues: Collection[str]) -> None:
        """From now on this process is a worker with so many threads for these queues."""
        kept = KEPT_FREE if "upkeep" in queues else 0
        self._most = max(threads - kept, 1)

    @contextmanager
    def entered(self, name: str) -> Iterator[bool]:
        """A thread for calls of this remote for as long as the block runs, or False."""
        has_entered = self._enter(name)
        try:
            yield has_entered
        finally:
            if has_entered:
                with self._lock:
                    self._held[name] -= 1

    def ended(self, name: str, seconds: float, *, failed: bool) -> None:
        """A call of this remote ended; it hung, or it is well."""
        if failed and seconds < HUNG:
            return
        if failed == (name in self._hung):
            return
        with self._lock:
            (self._hung.add if failed else self._hung.discard)(name)

    def has_room(self, name: str) -> bool:
        """Whether there is a thread for a call of this remote just now."""
        with self._lock:
            return self._has_room(name)

    def _enter(self, name: str) -> bool:
        with self._lock:
            has_room = self._has_room(name)
            self._held[name] += has_room
            return has_room

    def _has_room(self, name: str) -> bool:
        if self._most is None:
            return True
        if self._held.total() >= self._most:
            return False
        hanging = sum(self._held[one] for one in self._hung)
        return name not in self._hung or hanging < max(self._most // 2, 1)


THREADS = Threads()
