"""The commands on the gateway's keys: make one, which is shown once."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

import api_keys
import settings
from cli.answers import Json, answer

app = typer.Typer(help="The gateway's keys.", no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def keys() -> None:
    """Make `key` a group although it has one command."""


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Who calls with it; stands in the history.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(help=f"What it may do: {', '.join(api_keys.SCOPES)}; left out: all."),
    ] = None,
    connection: Annotated[
        list[str] | None, typer.Option(help="Which connection it is for; left out: all.")
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Make a key. It is printed once; what is kept is its digest."""
    from run.private import write_private

    chosen = settings.load()
    secret, key = api_keys.made(name, scope or (), map(chosen.source, connection or ()))
    with _held(chosen.data):
        kept = api_keys.kept(chosen.key_file)
        api_keys.distinct((*chosen.api_keys, *kept, key))
        write_private(chosen.key_file, api_keys.as_file((*kept, key)))
    told = {
        "name": name,
        "key": secret,
        "scopes": sorted(key.scopes),
        "connections": None if key.connections is None else sorted(key.connections),
        "variable": api_keys.as_variable(key),
    }
    answer(
        told,
        f"{secret}\n\nThis is the key {name}; it is shown this once. Its digest is in {chosen.key_file}; a "
        f"gateway of this data folder takes it from now on. For another, add to {api_keys.VARIABLE}:\n"
        f"{told['variable']}",
        as_json=as_json,
    )


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold the folder, so that of two who make a key at once neither loses the other's."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)
