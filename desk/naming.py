"""How commands stand in texts so that they can be pasted: which order is meant, and how we are called here.

In: an order's id, which any caller may have chosen, and its connection; sentences that quote a command as
`orderbridge ...`, which is how every sentence of ours has it. Out: words for a shell. Nothing fails. Called
by desk, cli, run and gateway.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

from default_pair import SOURCE


def named(order_id: str, connection: str | None = None) -> str:
    """The order as the last words of a command: its id, and its connection where the id alone may mean
    another's. What names no connection means the default pair's.
    """
    word = shlex.quote(order_id)
    if order_id.startswith("-"):
        word = f"-- {word}"
    if connection is None or connection == SOURCE:
        return word
    return f"--connection {shlex.quote(connection)} {word}"


def program() -> str:
    """The name by which this person calls us: on their path, or where they found us."""
    called = sys.argv[0]
    if Path(called).name != "orderbridge" or shutil.which("orderbridge"):
        return "orderbridge"
    return shlex.quote(called)


def as_called(sentence: str) -> str:
    """A sentence of ours whose commands can be pasted."""
    return sentence.replace("`orderbridge ", f"`{program()} ")
