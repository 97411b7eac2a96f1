"""Rings for orders: one message each, carrying the row's key and the connection's name, no more.

In: what is due. Out: how many messages were sent. A ring that fails is logged and forgotten: the sweeper
rings again for whatever is due in the ledger. Called by tasks/orders, tasks/upkeep and the command line.
"""

from __future__ import annotations

from collections.abc import Iterable

import structlog
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from ledger.orders import Due
from tasks.app import app

# Messages in one pipeline to the broker.
BATCH = 500

log = structlog.get_logger()


def ring(orders: Iterable[Due]) -> int:
    """Publish one `orders.create` for each order; 0 when the broker could not be reached."""
    waiting = list(orders)
    try:
        with app.producer_pool.acquire(block=True, timeout=5) as producer, producer.batch(BATCH):
            for order in waiting:
                app.send_task(
                    "orders.create",
                    kwargs={"order_pk": order.pk, "connection": order.connection},
                    queue="create",
                    producer=producer,
                    retry=False,
                )
    except (OperationalError, RedisError, OSError):
        log.warning("ring_failed", orders=len(waiting))
        return 0
    return len(waiting)
