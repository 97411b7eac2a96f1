"""How commands answer: exit codes, JSON for machines, tables and sentences for people, options they share.

In: plain rows and sentences. Out: stdout for the answer, stderr for what is wrong. rich is imported by
those who draw something with it. Used by all modules of cli.
"""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from desk.naming import as_called, program
from plain_text import escaped

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

# 0 done, 1 it failed, 2 the call or a setting is wrong, 3 there is nothing of that kind, 4 not possible in
# the present state, 5 it could not be found out.
FAILED, WRONG, ABSENT, IMPOSSIBLE, UNCHECKED = 1, 2, 3, 4, 5
# Of what was found about an order, by how grave it is.
COLOURS = {"held": "red", "warning": "yellow", "fixed": "cyan"}

OrderId = Annotated[str, typer.Argument(metavar="ID", help="The shop's order id.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Connection = Annotated[
    str | None,
    typer.Option(
        help="Which connection; left out: the only one that fits, else the default pair's."
    ),
]
Of = Annotated[str | None, typer.Option("--connection", help="Of one connection only.")]
As = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="NAME",
        help="Who does it, for the history.",
        show_default="your login name",
    ),
]
# Where `--as` says something else.
By = Annotated[
    str | None,
    typer.Option(
        "--by",
        metavar="NAME",
        help="Who does it, for the history.",
        show_default="your login name",
    ),
]


@cache
def out() -> Console:
    return _console(stderr=False)


@cache
def err() -> Console:
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    from cli.console import TextConsole

    return TextConsole(stderr=stderr)


def acting(name: str | None) -> str:
    """Who acts: the name given, else the login's, else the number of the user."""
    if name is not None and name.strip():
        return name.strip()
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return f"user {os.getuid()}"


def demand_state(state: str | None, states: Sequence[str]) -> None:
    """End the command when this is no state that there is."""
    demand_one_of("--state", state, states)


def demand_one_of(option: str, given: str | None, known: Sequence[str]) -> None:
    """End the command when this option was given another word."""
    if given is not None and given not in known:
        stop(f"{option} must be one of {', '.join(known)}.", WRONG)


def moment(value: datetime, zone: tzinfo | None = None) -> str:
    """A time by the clock of this zone, None being the machine's, with its offset: 25 letters."""
    return value.astimezone(zone).isoformat(sep=" ", timespec="seconds")


def answer(machine: dict[str, Any], person: str, *, as_json: bool) -> None:
    """One thing that was done."""
    if as_json:
        print_json(machine)
    else:
        out().print(as_called(person), soft_wrap=True)


def tell(parts: Sequence[str], *head: Text | str) -> None:
    """What is told with its commands, text and command in turn, behind a head: each command on a line of its
    own, which no narrow terminal breaks.
    """
    from cli.console import coloured

    for place, part in enumerate(parts):
        if place % 2:
            command = part.replace("orderbridge", program(), 1)
            out().print(coloured(f"  {command}", "bold"), soft_wrap=True)
        elif place == 0:
            out().print(*head, part.strip())
        elif said := part.strip(" .;,"):
            end = "" if said.endswith(":") else "."
            out().print(f"{said[0].upper()}{said[1:]}{end}")


def hint(sentence: str) -> None:
    """Where more is told, for a person at a terminal; who reads a pipe wants the answer alone."""
    if out().is_terminal:
        out().print(as_called(sentence), soft_wrap=True)


def print_json(value: Any) -> None:
    sys.stdout.write(json_text(value) + "\n")


def json_text(value: Any) -> str:
    """The value as JSON that people can read, and that no terminal is steered by."""
    return escaped(json.dumps(value, default=_json_default, ensure_ascii=False, indent=2))


def plain(value: Any) -> Any:
    """The value as JSON has it."""
    return json.loads(json.dumps(value, default=_json_default))


def _json_default(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal | timedelta | Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def stop(message: str, code: int) -> NoReturn:
    """End the command with this sentence and code."""
    complain(message)
    raise typer.Exit(code)


def warn(message: str | None) -> None:
    """Say, beside the answer, what stands in its way, if anything does."""
    if message is not None:
        from cli.console import coloured

        told = (coloured("warning", "yellow"), coloured(message, ""))
        err().print(*told, soft_wrap=not err().is_terminal)


def complain(message: str) -> None:
    from cli.console import coloured

    err().print(coloured("orderbridge:", "red"), coloured(as_called(message), ""), soft_wrap=True)
