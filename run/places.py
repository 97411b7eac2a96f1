"""What a person is told of a run: in which mode it is, and what runs where.

In: settings, addresses, ports. Out: words for the terminal, in which no password stands. Nothing fails. How
a mode or a place is called is changed here. Called by run/system.py.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path

    from settings import Settings

MODES = {
    "shadow": "SHADOW: orders are read and mapped, nothing is written to the real systems",
    "live": "LIVE: orders are created in the real CRM",
    "live and shadow": "LIVE and SHADOW: `mode` of each connection says where orders are created",
}
SANDBOX = "SANDBOX: simulated systems, nothing leaves this machine"


@dataclass(frozen=True, slots=True)
class Place:
    """A line of the table of what runs where."""

    name: str
    address: str
    note: str = ""


def mode(settings: Settings) -> str:
    """The mode of all connections, or all modes that there are."""
    return " and ".join(sorted({one.mode for one in settings.connections.values()}))


def without_password(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or 'unix socket'}:{parts.port or 6379}{parts.path}"


def moved(port: int, preferred: int) -> str:
    return "" if port == preferred else f" ({preferred} was taken)"


def short(path: Path) -> str:
    """Relative to where the person stands, when it lies below."""
    with suppress(ValueError):
        return str(path.relative_to(os.getcwd()))  # noqa: PTH109  a str is all that is needed
    return str(path)
