"""The commands on the gateway's keys: make one, which is shown once, list them, remove one.

In: the data folder's file of keys, and those of the environment, which are only listed. Out: the file.
Fails with `SettingsError` and `Absent`.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

import api_keys
import settings
from cli.answers import Json, answer, out, print_json
from desk.errors import Absent, Wrong
from desk.naming import as_called

app = typer.Typer(help="The gateway's keys.", no_args_is_help=True, pretty_exceptions_enable=False)


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
    tenant: Annotated[
        list[str] | None,
        typer.Option(
            help="Which tenant it is for, whose orders alone it places and sees; left out: all."
        ),
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Make a key. It is printed once; what is kept is its digest."""
    from run.private import write_private

    chosen = settings.load()
    secret, key = api_keys.made(
        name, scope or (), map(chosen.source, connection or ()), tenant or ()
    )
    with _held(chosen.data):
        kept = api_keys.kept(chosen.key_file)
        api_keys.distinct((*chosen.api_keys, *kept, key))
        write_private(chosen.key_file, api_keys.as_file((*kept, key)))
    told = {"key": secret, **_narrowed(key), "variable": api_keys.as_variable(key)}
    answer(
        told,
        f"{secret}\n\nThis is the key {name}; it is shown this once. Its digest is in {chosen.key_file}; a "
        f"gateway of this data folder takes it from now on. For another, add to {api_keys.VARIABLE}:\n"
        f"{told['variable']}",
        as_json=as_json,
    )


@app.command("list")
def list_keys(*, as_json: Json = False) -> None:
    """List the keys: who calls with each, what it may do, and where it stands."""
    chosen = settings.load()
    places = [("environment", chosen.api_keys), ("file", api_keys.kept(chosen.key_file))]
    rows = [_as_dict(key, place) for place, keys in places for key in keys]
    if as_json:
        print_json(rows)
    elif rows:
        _show(rows)
    else:
        out().print(as_called("No keys. `orderbridge key new NAME` makes one."), soft_wrap=True)


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="Whose key.")], *, as_json: Json = False
) -> None:
    """Remove a key of the data folder: from now on a gateway of this folder refuses it."""
    from run.private import write_private

    chosen = settings.load()
    if any(key.name == name for key in chosen.api_keys):
        raise Wrong(
            f"The key {name} stands in {api_keys.VARIABLE}: take it out there and start the gateway again."
        )
    with _held(chosen.data):
        kept = api_keys.kept(chosen.key_file)
        gone = next((key for key in kept if key.name == name), None)
        if gone is None:
            raise Absent(
                f"There is no key {name!r}. `orderbridge key list` shows those that there are."
            )
        write_private(chosen.key_file, api_keys.as_file(key for key in kept if key is not gone))
    answer(_as_dict(gone, "removed"), f"The key {name} opens nothing any more.", as_json=as_json)


def _as_dict(key: api_keys.ApiKey, place: str) -> dict[str, Any]:
    return {**_narrowed(key), "place": place}


def _narrowed(key: api_keys.ApiKey) -> dict[str, Any]:
    return {
        "name": key.name,
        "scopes": sorted(key.scopes),
        "connections": None if key.connections is None else sorted(key.connections),
        "tenants": None if key.tenants is None else sorted(key.tenants),
    }


def _show(rows: list[dict[str, Any]]) -> None:
    from cli.tables import Table

    columns = ("connections", "tenants")
    table = Table("name", "may", *columns, "stands in", texts={"may", *columns})
    for row in rows:
        scopes = "all" if set(row["scopes"]) == api_keys.EVERYTHING else ", ".join(row["scopes"])
        named = ["all" if row[of] is None else ", ".join(row[of]) for of in columns]
        place = api_keys.VARIABLE if row["place"] == "environment" else api_keys.FILE
        table.add_row(row["name"], scopes, *named, place)
    out().print(table)


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
