"""Rings for orders and updates: one message each, carrying the row's key and the connection's name, no more.

In: what is due. Out: how many messages were sent. A ring that fails is logged and forgotten: the sweeper
rings again for whatever is due in the ledger. Called by tasks/orders, tasks/upkeep and the command line.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable

from ledger import updates
from ledger.orders import Due
from tasks.publishing import publish

# Seconds between two rounds of the bell: the first ring goes out at once, those that follow close share a
# pipeline, and several for one order's queue become one.
ROUND = 0.01
# What the reconcile is called among those who wait for a place to read.
RECONCILE = "reconcile"


def ring(orders: Iterable[Due]) -> int:
    """Publish one `orders.create` for each order; 0 when the broker could not be reached."""
    return publish(
        "orders.create",
        "create",
        [
            {"order_pk": order.pk, "connection": order.connection}
            | ({"target": order.target} if order.target else {})
            for order in orders
        ],
    )


def due_of(waiting: str) -> Due:
    """The order that a member of a line waits for."""
    connection, _, pk = waiting.rpartition(":")
    return Due(int(pk), connection)


def ring_waiting(members: Iterable[str]) -> int:
    """Ring for the orders that waited for a place among the calls of their target."""
    return ring(map(due_of, members))


def ring_updates(queues: Iterable[updates.Due]) -> int:
    """Publish one `updates.deliver` for each order's queue; 0 when the broker could not be reached."""
    return publish(
        "updates.deliver",
        "updates",
        [{"connection": queue.connection, "order_id": queue.order_id} for queue in queues],
    )


def ring_hook(hook_id: int) -> int:
    """Publish one `updates.hook`; 0 when the broker could not be reached."""
    return publish("updates.hook", "updates", [{"hook_id": hook_id}])


def ring_for_all() -> int:
    """Have the sweeper ring now for all that is due; 0 when the broker could not be reached."""
    return publish("upkeep.sweep", "upkeep", [{"grace": 0.0}])


def ring_waiting_reads(members: Iterable[str]) -> int:
    """Ring for those who waited for a place to read: hook calls by their keys, and the reconcile."""
    rung = 0
    for member in members:
        if member == RECONCILE:
            rung += publish("updates.reconcile", "updates", [{}])
        else:
            rung += ring_hook(int(member))
    return rung


class Bell:
    """Rings a moment later, from a thread of its own, many in one pipeline.

    For doors that answer someone: their answer waits for the ledger alone, never for the broker.
    """

    def __init__(self) -> None:
        self._orders: deque[Due] = deque()
        self._queues: deque[updates.Due] = deque()
        self._hooks: deque[int] = deque()
        self._wanted = threading.Event()
        threading.Thread(target=self._go_round, name="bell", daemon=True).start()

    def ring_orders(self, orders: Iterable[Due]) -> None:
        self._orders.extend(orders)
        self._wanted.set()

    def ring_updates(self, queues: Iterable[updates.Due]) -> None:
        self._queues.extend(queues)
        self._wanted.set()

    def ring_hook(self, hook_id: int) -> None:
        self._hooks.append(hook_id)
        self._wanted.set()

    def _go_round(self) -> None:
        while self._wanted.wait():
            self._wanted.clear()
            ring(dict.fromkeys(self._orders.popleft() for _ in range(len(self._orders))))
            ring_updates(dict.fromkeys(self._queues.popleft() for _ in range(len(self._queues))))
            while self._hooks:
                ring_hook(self._hooks.popleft())
            time.sleep(ROUND)
