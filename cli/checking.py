"""The command `check`: what is wrong with a connection, and how to mend it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

import settings
from cli.answers import FAILED, Connection, Json, out, print_json

if TYPE_CHECKING:
    from tasks.checking import Line


def check(
    connection: Connection = None,
    *,
    read_orders: Annotated[
        bool,
        typer.Option(
            "--read-orders", help="Also read the shop's orders; in some shops that consumes them."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Test every configured connection, or this one, and say what is wrong and how to mend it."""
    from tasks import checking, resources

    chosen = settings.load()
    names = None if connection is None else [chosen.connection(connection).name]
    found = checking.check(resources.build(chosen), names, read_orders=read_orders)
    if as_json:
        print_json([dataclasses.asdict(line) for line in found])
    else:
        _show(found)
    raise typer.Exit(0 if all(line.good for line in found) else FAILED)


def _show(found: list[Line]) -> None:
    from rich.text import Text

    from cli.console import coloured
    from cli.tables import Table

    table = Table("connection", "what", "result", "what to do", texts={"result", "what to do"})
    for line in found:
        mark = coloured("good", "green") if line.good else coloured("bad", "red")
        result = Text(" ").join((mark, coloured(line.result, "")))
        table.add_row(line.connection, line.what, result, line.mend)
    out().print(table)
