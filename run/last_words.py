"""With what words a program of a run ended: why it does not start stands in its log, where nobody looks.

In: its log, and where the words of its last start begin. Out: one line of text, which holds what any program
wrote and is printed as text alone; empty where it said nothing. Nothing fails. Called by run/processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plain_text import line

if TYPE_CHECKING:
    from pathlib import Path

# Bytes that are looked at, and letters that are shown.
LOOKED_AT, SHOWN = 8192, 300
OURS = "orderbridge: "


def last_words(log: Path, begin: int) -> str:
    """Our own sentence if there is one, else the last line that is no log line."""
    try:
        with log.open("rb") as file:
            end = file.seek(0, 2)
            file.seek(max(begin, end - LOOKED_AT))
            text = file.read(LOOKED_AT).decode("utf-8", "replace")
    except OSError:
        return ""
    said = [one.strip() for one in text.splitlines() if one.strip() and one[0] not in "{-[ "]
    told = [one.removeprefix(OURS) for one in said if one.startswith(OURS)] or said
    return line(told[-1])[:SHOWN] if told else ""
