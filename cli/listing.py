"""Lists: `list` is what a group of commands does when none is named, and a list says what it leaves out.

In: what was typed, or how many rows were shown of how many. Out: the arguments of `list`, or a sentence on
stderr, with --json too. Nothing fails. Called by cli/orders.py, cli/updates.py and cli/hooks.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from cli.answers import err

if TYPE_CHECKING:
    from ledger.tallies import Total

Limit = Annotated[int, typer.Option(help="At most so many, the newest first.", min=1)]


class ListByDefault(TyperGroup):
    """Commands of which `list` may be left out: what is typed then are its options."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        is_option = not args or args[0].startswith("-")
        if is_option and not set(args) & set(ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


def tell_rest(shown: int, limit: int, what: str, count: Callable[[], Total]) -> None:
    """Say how many there are when these are not all. They are counted only where the list is full."""
    if shown < limit:
        return
    total = count()
    if total.rows > shown:
        err().print(f"{shown:,} of {total} {what}; --limit shows more.")
