"""The Celery application: its configuration, logging and what binds ids to log lines.

`celery -A tasks worker|beat|flower` starts here. Tasks are in their own files; nothing is done here.
"""

from __future__ import annotations

import logging
import os
import signal
from typing import Any

import structlog
from celery import Celery, signals
from kombu.transport import redis as transport

import logs
import settings
from ledger.database import LedgerUnavailable, open_ledger
from ledger.migrate import WrongLedger, identify


class QoS(transport.QoS):
    """Does not give unacknowledged messages back over a connection that has just broken.

    kombu 5.7 tries to, and the AttributeError which that raises ends a worker whose broker went away
    while it was at work, instead of letting it connect again. The ledger knows what is due.
    """

    def restore_unacked_once(self, stderr: Any = None) -> None:
        if self.channel.connection.client is not None:
            super().restore_unacked_once(stderr)  # type: ignore[no-untyped-call]  # as above


transport.Channel.QoS = QoS

app = Celery("orderbridge")
try:
    app.config_from_object("celeryconfig", force=True)
except settings.SettingsError as exc:
    raise SystemExit(f"orderbridge: {exc}") from None

log = structlog.get_logger()


@signals.setup_logging.connect
def configure_logging(**_: Any) -> None:
    logs.configure()
    logging.getLogger("celery.worker.request").addHandler(AckGuard(level=logging.CRITICAL))


class AckGuard(logging.Handler):
    """Ends a worker that failed to acknowledge a message.

    Celery never gets back the place that a failed ack took, so the worker would serve fewer and fewer
    tasks. Only under a supervisor, which starts it again; elsewhere the log line must do.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if not record.getMessage().startswith(("Couldn't ack", "Couldn't reject")):
            return
        supervised = settings.current().supervised
        log.error("acknowledgement_failed", restarting=supervised)
        if supervised:
            os.kill(os.getpid(), signal.SIGTERM)


@signals.worker_init.connect
def refuse_the_wrong_ledger(**_: Any) -> None:
    """A worker that would write into a ledger of the other world does not start."""
    chosen = settings.current()
    ledger = open_ledger(chosen.database_url)
    try:
        identify(ledger, sandbox=chosen.sandbox)
    except (WrongLedger, LedgerUnavailable) as exc:
        raise SystemExit(f"orderbridge: {exc}") from None
    finally:
        ledger.close()


@signals.beat_init.connect
def poll_at_start(**_: Any) -> None:
    """The first poll does not wait for the first tick."""
    for name in settings.current().shops:
        app.send_task("orders.fetch", kwargs={"connection": name}, queue="fetch", expires=60)


@signals.task_prerun.connect
def bind_ids(task_id: str, task: Any, **_: Any) -> None:
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(task_id=task_id, task=task.name)


@signals.task_postrun.connect
def unbind_ids(**_: Any) -> None:
    structlog.contextvars.clear_contextvars()
