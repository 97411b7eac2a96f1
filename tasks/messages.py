"""What a worker says of the messages it takes: who they are, never what they carry.

In: messages of any sender, since other systems enqueue updates. Out: requests whose arguments nothing but
their task sees; of what is no task of ours one log line with its name and id. Celery's own consumer writes
the whole body into the log, and one message without an id makes it connect again for ever. Named by
`worker_consumer` in celeryconfig.py and by the tasks of tasks/app.py. Source: docs/contracts/celery.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import structlog
from celery.worker import consumer, request
from kombu.log import get_logger

from logs import NOT_SHOWN, shown

# What reading a message raises that is not formed as one; what its connection raises is none of these.
MISSHAPEN = (LookupError, TypeError, ValueError)

log = structlog.get_logger()
logger = get_logger(__name__)


class Request(request.Request):
    """A request that tells events, logs and `inspect` its arguments only where all of them have a name in
    its task: those are ids.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        named = self._task.named
        if self._args or not isinstance(self._kwargs, dict) or not self._kwargs.keys() <= named:
            for told in ("argsrepr", "kwargsrepr"):
                self._request_dict[told] = NOT_SHOWN
            self._argsrepr = self._kwargsrepr = NOT_SHOWN

    def info(self, safe: bool = False) -> dict[str, Any]:  # noqa: ARG002  whoever asks is not told more
        return dict(super().info(safe=True))


class Consumer(consumer.Consumer):
    """Takes messages as Celery's does, and lets go of a bad one with a line that quotes nothing of it."""

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        handle = super().create_task_handler(*args, **kwargs)

        def on_task_received(message: Any) -> None:
            try:
                handle(message)
            except MISSHAPEN as exc:
                self._refuse(message, "misshapen", exc)

        return on_task_received

    def on_unknown_message(self, body: object, message: Any) -> None:  # noqa: ARG002  not to be told
        self._refuse(message, "no_task")

    def on_unknown_task(self, body: object, message: Any, exc: Exception) -> None:  # noqa: ARG002  as above
        self._refuse(message, "unknown_task")

    def on_invalid_task(self, body: object, message: Any, exc: Exception) -> None:  # noqa: ARG002  as above
        self._refuse(message, "invalid_task", exc)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        self._refuse(message, "unreadable", exc)

    def _refuse(self, message: Any, why: str, exc: Exception | None = None) -> None:
        """Never the error's text: that of a codec quotes all that it was given."""
        told = message.headers if isinstance(message.headers, Mapping) else {}
        log.error(
            "message_refused",
            because=why,
            error=None if exc is None else type(exc).__name__,
            task=shown(told.get("task")),
            id=shown(told.get("id")),
        )
        message.reject_log_error(logger, self.connection_errors)
