"""The command `check`: what is wrong with a connection, and how to mend it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

import settings
from cli.answers import FAILED, UNCHECKED, Json, out, print_json
from desk.naming import as_called

if TYPE_CHECKING:
    from rich.text import Text

    from tasks.checking import Line

# How each answer is shown; a good one may come with advice.
MARKS = {"good": ("good", "green"), "bad": ("bad", "red"), "unchecked": ("not checked", "yellow")}
ADVISED = ("good, but", "yellow")
NOT_READ = (
    "Reading orders was not tested, since in some shops that consumes them: --read-orders does it."
)


def check(
    connection: Annotated[
        str | None, typer.Option(help="Test this one alone; left out: all.")
    ] = None,
    *,
    read_orders: Annotated[
        bool,
        typer.Option(
            "--read-orders", help="Also read the shop's orders; in some shops that consumes them."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Test every configured connection, or this one: good, bad with what to do, or not checked and why.

    Logs in anew, whatever the workers hold. Exit code 1: one is bad; else 5: one was not checked.
    """
    from connectors import registry
    from tasks import checking, resources

    chosen = settings.load()
    names = None if connection is None else [chosen.connection(connection).name]
    found = checking.check(resources.build(chosen), names, read_orders=read_orders)
    if as_json:
        print_json([_as_dict(line) for line in found])
    else:
        _show(found)
        read = registry.read_names(chosen)
        if not read_orders and any(line.connection in read for line in found):
            out().print(NOT_READ)
    raise typer.Exit(_code(found))


def _code(found: list[Line]) -> int:
    answers = {line.answer for line in found}
    return FAILED if "bad" in answers else UNCHECKED if "unchecked" in answers else 0


def _as_dict(line: Line) -> dict[str, Any]:
    return dataclasses.asdict(line) | {"good": line.good}


def _show(found: list[Line]) -> None:
    from cli.tables import Table

    table = Table("connection", "what", "result", "what to do", texts={"result", "what to do"})
    for line in found:
        table.add_row(line.connection, line.what, _result(line), as_called(line.mend))
    out().print(table)


def _result(line: Line) -> Text:
    from rich.text import Text

    from cli.console import coloured

    mark = ADVISED if line.good and line.mend else MARKS[line.answer]
    return Text(" ").join((coloured(*mark), coloured(line.result, "")))
