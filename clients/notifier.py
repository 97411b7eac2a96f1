"""Tells people by apprise: in a program of its own, for a bounded time, and without a trace of the
addresses.

In: addresses as apprise takes them, a title, a text. Out: what became of each. Nothing fails: whoever
gives no answer within LIMIT seconds is `silent`. Called by tasks/telling.py. Source:
docs/decisions/apprise-tells.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

# Seconds for everything: apprise gives a connection 4 and each read 4, but one that drips has no end, and a
# URL may say otherwise.
LIMIT: Final = 30.0
SILENT: Final = "silent"
TAKEN: Final = "taken"
NOT_UNDERSTOOD: Final = "not_understood"
_PROGRAM: Final = Path(__file__).with_name("notifier_program.py")
# What it needs of the surroundings; none of our secrets.
_HANDED_ON: Final = (
    "HOME", "LANG", "LC_ALL", "PATH", "PYTHONPATH", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE",
    "TMPDIR", "TZ", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Letter:
    """What one address is told; without a text it is only asked whether it is understood."""

    url: str = field(repr=False)
    title: str = ""
    text: str = ""


def send(letters: Sequence[Letter], limit: float = LIMIT) -> list[str]:
    """What became of each: `taken`, `understood`, `not_understood`, `refused`, `refused_STATUS`, `silent`."""
    asked = {
        "limit": limit + 1,
        "letters": [[one.url, one.title, one.text] for one in letters],
    }
    try:
        done = subprocess.run(  # noqa: S603  our own program; what it is told goes by stdin
            [sys.executable, "-P", str(_PROGRAM)],
            input=json.dumps(asked).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=limit,
            check=False,
            env={name: os.environ[name] for name in _HANDED_ON if name in os.environ},
        )
        told = done.stdout
    except subprocess.TimeoutExpired as exc:
        told = exc.stdout or b""
    except OSError as exc:
        log.error("notifier_not_started", error=type(exc).__name__)  # noqa: TRY400  its text says no more
        told = b""
    outcomes = dict(_lines(told))
    return [outcomes.get(index, SILENT) for index in range(len(letters))]


def _lines(told: bytes) -> list[tuple[int, str]]:
    whole = told[: told.rfind(b"\n") + 1]
    return [tuple(json.loads(line)) for line in whole.splitlines()]
