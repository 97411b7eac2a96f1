"""The lanes: which queues there are, and the signs of life of those who serve them.

In: Redis, and what a worker consumes. Out: the queues that nobody serves. Raises RedisError. Called by
workers every other second (tasks/app.py), by the gateway's readiness and by the live screen.
"""

from __future__ import annotations

from collections.abc import Collection

import redis

# The queues, see docs/architecture.md, "Waits, leases and probes".
QUEUES = ("fetch", "create", "updates", "ocp", "upkeep")
# Those that something is put into; `ocp` is kept for what comes.
USED = ("fetch", "create", "updates", "upkeep")
# Seconds that a worker's sign of life lasts; it gives one every other second.
SEEN = 30


def _key(queue: str) -> str:
    return f"ob:lane:{queue}:seen"


def sign(store: redis.Redis, queues: Collection[str]) -> None:
    """Say that a worker serves these queues."""
    pipeline = store.pipeline(transaction=False)
    for queue in queues:
        pipeline.set(_key(queue), "1", ex=SEEN)
    pipeline.execute()


def unserved(store: redis.Redis) -> list[str]:
    """The queues that nobody serves."""
    signs = store.mget([_key(queue) for queue in USED])
    return [queue for queue, seen in zip(USED, signs, strict=True) if not seen]
