"""The commands that start something or bring it to this version: `run`, `migrate`, `gateway`."""

from __future__ import annotations

from typing import Annotated

import typer

import logs
import settings
from cli.answers import FAILED, Json, answer, stop


def run(
    *,
    plain: Annotated[bool, typer.Option("--plain", help="Lines instead of a live screen.")] = False,
) -> None:
    """Run the whole system: the sandbox, or the real systems when they are configured."""
    from run import system
    from run.errors import RunError

    logs.configure()
    try:
        code = system.run(screen=not plain)
    except RunError as exc:
        stop(str(exc), FAILED)
    raise SystemExit(code)


def migrate(*, as_json: Json = False) -> None:
    """Bring the ledger's tables to this version."""
    from ledger.migrate import upgrade

    chosen = settings.load()
    upgrade(chosen.database_url, sandbox=chosen.sandbox)
    answer({"migrated": True}, "The ledger is at this version.", as_json=as_json)


def gateway(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
) -> None:
    """Serve the HTTP doors."""
    from gateway import server

    logs.configure()
    server.serve(settings.load(), host, port)
