"""How Celery talks to Redis: kombu's own transport with what it lacks.

Named in celeryconfig.py for the schemes of Redis. What is overridden is no documented name of kombu, whose
version is pinned: a new one must pass the whole-system tests, which flush, stop and kill the broker at work.
Source: docs/decisions/less-of-redis-per-message.md.
"""

from __future__ import annotations

from typing import Any

import redis as client
from kombu.transport import redis


class QoS(redis.QoS):
    """Gives no message back, and acknowledges none, over a channel whose connection has broken.

    kombu 5.7 tries to, and the AttributeError which that raises ends a worker whose broker went away
    while it was at work, instead of letting it connect again. The ledger knows what is due, and what
    comes twice finds nothing to do.
    """

    def restore_unacked_once(self, stderr: Any = None) -> None:
        if self._is_connected():
            super().restore_unacked_once(stderr)  # type: ignore[no-untyped-call]  # kombu has no types

    def ack(self, delivery_tag: str) -> None:
        if self._is_connected():
            super().ack(delivery_tag)  # type: ignore[no-untyped-call]  # kombu has no types

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        if self._is_connected():
            super().reject(delivery_tag, requeue)  # type: ignore[no-untyped-call]  # kombu has no types

    def _is_connected(self) -> bool:
        # kombu takes the one or the other away, depending on where the break was noticed.
        connection = self.channel.connection
        return connection is not None and connection.client is not None


class Channel(redis.Channel):
    """Keeps one Redis client for its pool: kombu 5.7 makes a new one for each message that it takes and
    for each that it acknowledges, which is a tenth of all that a worker does for an order.
    """

    QoS = QoS
    _kept: client.Redis | None = None

    def _create_client(self, asynchronous: bool = False) -> client.Redis:
        if asynchronous:
            return super()._create_client(asynchronous=True)  # type: ignore[no-untyped-call,no-any-return]  # as above
        if self._kept is None or self._kept.connection_pool is not self.pool:
            self._kept = super()._create_client()  # type: ignore[no-untyped-call]  # as above
        return self._kept


class Transport(redis.Transport):
    """As kombu's, with a channel of our own."""

    Channel = Channel
