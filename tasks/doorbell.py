"""Rings for orders and updates: one message each, carrying the row's key and the connection's name, no more.

In: what is due. Out: how many messages were sent. A ring that fails is logged and forgotten: the sweeper
rings again for whatever is due in the ledger. Called by tasks/orders, tasks/upkeep and the command line.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import structlog
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from ledger import updates
from ledger.orders import Due
from tasks.app import app

# Messages in one pipeline to the broker.
BATCH = 500

log = structlog.get_logger()


def ring(orders: Iterable[Due]) -> int:
    """Publish one `orders.create` for each order; 0 when the broker could not be reached."""
    return _publish(
        "orders.create",
        "create",
        [{"order_pk": order.pk, "connection": order.connection} for order in orders],
    )


def ring_updates(queues: Iterable[updates.Due]) -> int:
    """Publish one `updates.deliver` for each order's queue; 0 when the broker could not be reached."""
    return _publish(
        "updates.deliver",
        "updates",
        [{"connection": queue.connection, "order_id": queue.order_id} for queue in queues],
    )


def ring_hook(hook_id: int) -> int:
    """Publish one `updates.hook`; 0 when the broker could not be reached."""
    return _publish("updates.hook", "updates", [{"hook_id": hook_id}])


def _publish(task: str, queue: str, messages: list[dict[str, Any]]) -> int:
    if not messages:
        return 0
    try:
        with app.producer_pool.acquire(block=True, timeout=5) as producer, producer.batch(BATCH):
            for kwargs in messages:
                app.send_task(task, kwargs=kwargs, queue=queue, producer=producer, retry=False)
    except (KombuError, RedisError, OSError):
        log.warning("ring_failed", doorbell=task, count=len(messages))
        return 0
    return len(messages)
