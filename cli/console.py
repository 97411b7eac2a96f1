"""The console that people read: what is printed is text, never markup, and a line stays a line.

In: sentences, tables and values, which may hold what a remote or a buyer wrote. Out: a terminal's lines; in
a pipe or a file lines as long as they are, since nobody told a width. Nothing fails. rich reads markup,
names of emoji and escape sequences in every text by default, and colours whatever looks like a number; here
it does not. Made by cli/answers.py, which imports it only when something is printed.
"""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from plain_text import line, plain

__all__ = ["TextConsole", "coloured"]

# Where there is no terminal: wider than any line.
ENDLESS = 1_000_000


class TextConsole(Console):
    """Prints each `str`, also in a table, as it stands: on one line, and without controls."""

    def __init__(self, *, stderr: bool = False, **options: Any) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False, **options)
        if not self.is_terminal:
            self.width = ENDLESS

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(line(text), **options)


def coloured(value: object, style: str) -> Text:
    """A value in a colour: what markup would be for."""
    return Text(plain(str(value)), style)
