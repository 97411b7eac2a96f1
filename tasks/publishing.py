"""Publishes messages of a task, many in one pipeline.

In: a task's name, its queue, the arguments of each message. Out: how many were sent; 0 when the broker could
not be reached, which is logged and forgotten: the sweeper rings again for whatever is due in the ledger.
Called by tasks/doorbell. Source: docs/decisions/what-each-short-cut-buys.md.
"""

from __future__ import annotations

from typing import Any

import structlog
from kombu.exceptions import KombuError
from kombu.utils.uuid import uuid
from redis.exceptions import RedisError

from tasks.app import app

# Messages in one pipeline to the broker.
BATCH = 500

log = structlog.get_logger()


def publish(task: str, queue: str, messages: list[dict[str, Any]]) -> int:
    """Not by `send_task`: of its time, four times this, most goes into what these messages have no use for
    (routes, results, a task's options, declaring what Redis has not).
    """
    if not messages:
        return 0
    amqp = app.amqp
    try:
        with app.producer_pool.acquire(block=True, timeout=5) as producer, producer.batch(BATCH):
            for kwargs in messages:
                message = amqp.as_task_v2(
                    uuid(), task, (), kwargs, argsrepr="()", kwargsrepr=str(kwargs)
                )
                amqp.send_task_message(
                    producer, task, message, queue=queue, declare=[], retry=False
                )
    except (KombuError, RedisError, OSError):
        log.warning("ring_failed", doorbell=task, count=len(messages))
        return 0
    return len(messages)
