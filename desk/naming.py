"""How a command is told which order is meant, for texts that name commands to be pasted.

In: an order's id, which any caller may have chosen, and its connection. Out: words for a shell. Nothing
fails. Called by desk, cli and gateway.
"""

from __future__ import annotations

import shlex

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
