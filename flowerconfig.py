"""Flower's settings: loopback, a password always, nothing can be changed through it.

In: what flower_settings reads, or what `orderbridge run` keeps in the data folder. Out: plain names, which
Flower reads as its options; they win over Flower's own reading of the environment. Fails with one sentence
and exit code 2 when there is no password. Read by `celery -A tasks flower` started in the project's root.
Flower answers /metrics and /healthcheck without a password, whatever stands here: both show counts alone.
"""

from __future__ import annotations

from typing import Any

from celery.events.state import Task
from flower.events import EventsState
from flower.views import BaseHandler

import file_modes
import flower_settings
import settings
from connections_file import SettingsError
from lanes import QUEUES
from logs import NOT_SHOWN
from run.private import kept_secret
from tasks.app import WrongSetting, app

file_modes.close_to_others()
USER = "orderbridge"
PASSWORD_FILE = settings.current().data / "flower-password"


def _credentials() -> list[str]:
    login = flower_settings.login()
    if login is not None:
        return [login]
    if PASSWORD_FILE.is_file():
        return [f"{USER}:{kept_secret(PASSWORD_FILE)}"]
    raise SettingsError(
        "Flower shows every task and never starts without a password: "
        "set FLOWER_BASIC_AUTH to user:password."
    )


def _cookie_secret() -> str:
    kept = settings.current().data / "flower-cookie-secret"
    return flower_settings.cookie_secret() or kept_secret(kept)


class DiscreetTask(Task):
    """What is kept of a task: its arguments only where they are ids. A worker of ours tells no others, but
    the sender of a message may. docs/architecture.md, "Invariants", 7.
    """

    def event(self, *args: Any, **kwargs: Any) -> None:
        super().event(*args, **kwargs)
        if not (self.name in app.tasks and app.tasks[self.name].names_all):
            self.args = self.kwargs = NOT_SHOWN


try:
    address, port = flower_settings.address(), flower_settings.port()
    basic_auth = _credentials()
    cookie_secret = _cookie_secret()
except SettingsError as exc:
    raise WrongSetting(str(exc)) from None
read_only = True
app.loader.import_default_modules()
# Pages and API show what is kept: Flower's own `format_task` is asked for the pages alone.
EventsState.Task = DiscreetTask
# All queues, always: Flower's own are those of the workers that it has asked so far, and a queue that nobody
# serves is the one to be seen.
BaseHandler.get_active_queue_names = lambda _: sorted(QUEUES)
# Nothing of Flower's is worth keeping: the ledger is the truth.
persistent = False
# Flower's own 100,000 is memory spent on a history that the ledger keeps better.
max_tasks = 5000
