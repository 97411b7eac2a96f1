"""The Celery application: its configuration, logging and what binds ids to log lines.

`celery -A tasks worker|beat|flower` starts here; a wrong setting ends it with one sentence. Tasks are in
their own files; nothing is done here.
"""

from __future__ import annotations

import inspect
import logging
import os
import signal
import sys
from functools import cache, cached_property
from typing import IO, Any

import redis
import structlog
from celery import Celery, Task, signals
from click import ClickException, Context, Option, echo
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

import file_modes
import flower_settings
import lanes
import logs
import settings
from connections_file import SettingsError
from connectors import registry
from ledger import faults
from ledger.database import open_ledger
from ledger.faults import LedgerUnavailable
from ledger.identity import WrongLedger, identify
from ledger.routes import demand_same_routes
from tasks import telling
from tasks.threads import THREADS


class WrongSetting(SettingsError, ClickException):  # noqa: N818  it says what is, as the errors of clients do
    """A setting is wrong, as the commands of Celery tell it: one sentence, and an exit code of 2."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        echo(f"orderbridge: {self.message}", err=True, file=file)


class DiscreetTask(Task):
    """A task whose arguments are shown only where each of them has a name in it: see tasks/messages."""

    Request = "tasks.messages:Request"

    @cached_property
    def named(self) -> frozenset[str]:
        """The arguments that it names; what any sender may call as he likes is none."""
        found = inspect.signature(self.run).parameters.values()
        return frozenset(one.name for one in found if one.kind is not one.VAR_KEYWORD)

    @cached_property
    def names_all(self) -> bool:
        """Whether it takes nothing but what it names."""
        return len(self.named) == len(inspect.signature(self.run).parameters)


class Application(Celery):
    """Reads its settings when they are first needed: to import a task needs no broker, and ends nothing."""

    task_cls = DiscreetTask

    def _load_config(self) -> Any:
        try:
            return super()._load_config()
        except SettingsError as exc:
            raise WrongSetting(str(exc)) from None


def read_settings(context: Context, *_: Any) -> None:
    """What each command of Celery begins with: Flower takes its options from the environment before it takes
    ours, and a wrong one would be a traceback.
    """
    _ = app.conf.broker_url
    if context.info_name != "flower":
        return
    try:
        flower_settings.check()
        if not any(word.startswith(("--port", "--address", "--unix")) for word in sys.argv):
            flower_settings.demand_place(flower_settings.port())
    except SettingsError as exc:
        raise WrongSetting(str(exc)) from None


app = Application("orderbridge")
app.config_from_object("celeryconfig")
# The one place where Celery lets something of ours come before a command's own work.
app.user_options["preload"].add(
    Option(
        ["--read-settings"], hidden=True, is_flag=True, expose_value=False, callback=read_settings
    )
)

log = structlog.get_logger()


@signals.setup_logging.connect
def begin(**_: Any) -> None:
    """What a worker and a beat begin with, before either opens a file. Not done where this is imported: other
    programs import it too, whose files are theirs.
    """
    file_modes.close_to_others()
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
    """A worker that would write into a ledger of the other world does not start, nor one that would leave
    orders behind whose target has changed.
    """
    chosen = settings.current()
    ledger = open_ledger(chosen.database_url)
    try:
        chosen.demand_calls()
        identify(ledger, sandbox=chosen.sandbox)
        ledger.measure_clock()
        demand_same_routes(ledger, chosen.routes)
    except LedgerUnavailable as exc:
        raise SystemExit(f"orderbridge: {faults.told(exc)}") from None
    except (SettingsError, WrongLedger) as exc:
        echo(f"orderbridge: {exc}", err=True)
        raise SystemExit(WrongSetting.exit_code) from None
    finally:
        ledger.close()


@signals.celeryd_after_setup.connect
def share_the_threads(instance: Any, **_: Any) -> None:
    """No remote may take all threads of this worker: see tasks/threads."""
    THREADS.serve(instance.concurrency, app.amqp.queues.consume_from)


@signals.celeryd_after_setup.connect
def refuse_what_would_tell_nobody(**_: Any) -> None:
    """The worker that tells people does not start with an address at which nobody would hear it."""
    chosen = settings.current()
    if not chosen.notify or "upkeep" not in app.amqp.queues.consume_from:
        return
    try:
        telling.demand_understood(chosen)
    except SettingsError as exc:
        raise SystemExit(f"orderbridge: {exc}") from None
    telling.begin_anew(chosen)


@signals.heartbeat_sent.connect
def show_that_the_lanes_are_served(**_: Any) -> None:
    """Every other second, from the thread that takes messages: one that hangs gives no sign."""
    try:
        lanes.sign(_signs(), app.amqp.queues.consume_from)
    except RedisError:
        log.warning("sign_not_kept")


@cache
def _signs() -> redis.Redis:
    """A client that does not keep the worker from its messages for long."""
    return redis.Redis.from_url(
        settings.current().broker, socket_timeout=1, socket_connect_timeout=1, retry=None
    )


@signals.worker_ready.connect
def ring_for_what_waits(**_: Any) -> None:
    """What waits for this start does not wait for the sweeper's minute too: what shadow mode mapped, when the
    mode is live now, and what became due while nobody worked.
    """
    if "upkeep" not in app.amqp.queues.consume_from:
        return
    try:
        app.send_task("upkeep.sweep", kwargs={"grace": 0.0}, queue="upkeep", retry=False)
    except (KombuError, OSError, RedisError):
        log.warning("ring_failed", doorbell="upkeep.sweep", count=1)


@signals.beat_init.connect
def poll_at_start(**_: Any) -> None:
    """The first poll does not wait for the first tick."""
    for name in registry.read_names(settings.current()):
        app.send_task("orders.fetch", kwargs={"connection": name}, queue="fetch", expires=60)


@signals.task_prerun.connect
def bind_ids(task_id: str, task: Any, **_: Any) -> None:
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(task_id=logs.shown(task_id), task=task.name)


@signals.task_postrun.connect
def unbind_ids(**_: Any) -> None:
    structlog.contextvars.clear_contextvars()
