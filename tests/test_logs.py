"""Logs: one JSON object a line on stderr, ids as fields, and nothing that was not allowed to be one."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import settings

SCRIPT = """
import logging, structlog, logs
logs.configure()
log = structlog.get_logger()
structlog.contextvars.bind_contextvars(task_id="t-1")
log.warning("order_held", reason="phone_missing", name="Олена")
logging.getLogger("library").warning("said %s", "so", extra={"customer": "hidden"})
log.debug("too_fine")
for quiet in logs.QUIET:
    logging.getLogger(quiet).info("chatter")
    logging.getLogger(quiet).warning("trouble")
structlog.contextvars.clear_contextvars()
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("library").exception("broke")
logs.configure()
log.info("once")
"""


@pytest.fixture(scope="module")
def said():
    """What a process says that is not at a terminal; it is one of its own, since logging is global."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=settings.ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


def named(said, event):
    return [line for line in said if line["event"] == event]


def test_event_is_static_and_ids_are_fields(said):
    (line,) = named(said, "order_held")
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "order_held",
        "level": "warning",
        "reason": "phone_missing",
        "name": "Олена",
        "task_id": "t-1",
    }


def test_records_of_libraries_have_the_same_form_and_lose_their_extras(said):
    (line,) = named(said, "said so")
    assert (line["level"], line["task_id"]) == ("warning", "t-1")
    assert "hidden" not in json.dumps(said)


def test_only_trouble_is_heard_of_chatterers(said):
    assert named(said, "chatter") == named(said, "too_fine") == []
    assert len(named(said, "trouble")) == 6


def test_ids_are_unbound_and_exceptions_stay_on_their_line(said):
    (line,) = named(said, "broke")
    assert "task_id" not in line
    assert "ZeroDivisionError" in line["exception"]


def test_configured_twice_says_everything_once(said):
    assert len(named(said, "once")) == 1
