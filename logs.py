"""How this house logs: structlog, JSON lines off a terminal, static event names, ids as fields.

Called once by each process at start. Neither personal data nor secrets are ever passed to a logger;
what may be a field is listed in docs/operations.md.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Any

import orjson
import structlog

from plain_text import escaped, line, plain

# Chatter that costs a line per task or per request; ours says the same with the order's id in it.
QUIET = ("celery.app.trace", "celery.worker.strategy", "httpx", "httpcore", "kombu", "alembic")

# In the place of what nobody is to see.
NOT_SHOWN = "(not shown)"
# What a name or an id that another system gave may look like.
NAME = re.compile(r"[A-Za-z0-9_.:@#/-]{1,100}")

SHARED: tuple[structlog.typing.Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def configure(level: int = logging.INFO) -> None:
    """Send everything, the standard library's records included, to stderr in one format."""
    people = sys.stderr.isatty()
    last: tuple[structlog.typing.Processor, ...] = (
        (_text_alone, structlog.dev.ConsoleRenderer())
        if people
        else (structlog.processors.JSONRenderer(serializer=_one_line),)
    )
    # Our own lines go straight to the stream: through the standard library each costs four times as much.
    structlog.configure(
        processors=[*SHARED, structlog.processors.format_exc_info, *last],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*SHARED, structlog.stdlib.ExtraAdder(allow=())],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                *last,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def shown(name: object) -> str:
    """A name or an id of another system's as it may stand in a log: one that could be a text is none."""
    return name if isinstance(name, str) and NAME.fullmatch(name) else NOT_SHOWN


def _one_line(event: Any, **_: Any) -> str:
    return escaped(orjson.dumps(event, default=str).decode())


def _text_alone(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """For a terminal: no field steers it or makes a line of its own; a traceback keeps its lines."""
    return {
        name: _seen(name, value) if isinstance(value, str) else value
        for name, value in event.items()
    }


def _seen(name: str, value: str) -> str:
    return plain(value) if name == "exception" else line(value)
