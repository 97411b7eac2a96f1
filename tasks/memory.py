"""What Redis remembers of the ledger's tides, so that a ledger that went back in time is noticed.

In: each commit's height, from the ledger. Out: what was remembered. Written soon after each commit by a
thread of its own, many commits in one: a memory that is behind means nothing. Fails never; a Redis that is
away, full or empty can say nothing, and then nothing can be noticed by it. Made by tasks/resources.py.
Source: docs/decisions/a-ledger-that-went-back.md.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import timedelta

import redis
from redis.exceptions import RedisError

# Seconds between two notes, and after one that failed.
PAUSE = 0.05
FAILED_PAUSE = 1.0
# Longer than any dedupe key lives: an epoch to which a ledger may go back must be known as long as they are.
KEPT = timedelta(days=90)


class RedisMemory:
    """The heights of all processes of one ledger; thread-safe."""

    def __init__(self, store: redis.Redis, ledger_id: str) -> None:
        self._store = store
        self._ledger_id = ledger_id
        self._heights: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._thread: threading.Thread | None = None

    def heights(self, epoch: str) -> dict[str, int] | None:
        try:
            found = self._store.hgetall(self._key(epoch))
        except RedisError:
            return None
        return {_text(writer): int(height) for writer, height in found.items()}

    def newest_epoch(self) -> str | None:
        try:
            found = self._store.hkeys(self._epochs)
        except RedisError:
            return None
        return max(map(_text, found), default="")

    def keep(self, epoch: str, writer: str, height: int) -> None:
        with self._lock:
            self._heights[epoch, writer] = height
        self._changed.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._go_round, name="tides", daemon=True)
            self._thread.start()

    def forget(self, epoch: str, writers: Sequence[str]) -> None:
        try:
            self._store.hdel(self._key(epoch), *writers)
        except RedisError:
            return

    def _key(self, epoch: str) -> str:
        return f"ob:{self._ledger_id}.{epoch}:tides"

    @property
    def _epochs(self) -> str:
        return f"ob:{self._ledger_id}:epochs"

    def _go_round(self) -> None:
        while self._changed.wait():
            self._changed.clear()
            time.sleep(PAUSE if self._note() else FAILED_PAUSE)

    def _note(self) -> bool:
        """Write down what is new; what could not be written is still to be."""
        with self._lock:
            noted, self._heights = self._heights, {}
        try:
            with self._store.pipeline(transaction=False) as pipeline:
                for (epoch, writer), height in noted.items():
                    pipeline.hset(self._key(epoch), writer, str(height))
                    pipeline.expire(self._key(epoch), KEPT)
                    if epoch:
                        pipeline.hset(self._epochs, epoch, "1")
                        pipeline.expire(self._epochs, KEPT)
                pipeline.execute()
        except RedisError:
            with self._lock:
                self._heights = noted | self._heights
            self._changed.set()
            return False
        return True


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name
