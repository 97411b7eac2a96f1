"""The command `orderbridge`: what people and scripts do by hand.

Tables for people, `--json` for machines (then stdout carries the JSON alone), errors in one sentence on
stderr. Exit codes are in cli/answers.py. A new command is a function in the module of its topic, registered
here and described in README.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

import logs
import settings
from cli import (
    checking,
    hooks,
    keys,
    loading,
    notifying,
    orders,
    pausing,
    previewing,
    reading,
    reviewing,
    running,
    sandbox,
    sending,
    updates,
)
from cli.answers import ABSENT, FAILED, IMPOSSIBLE, WRONG, complain
from connections_file import SettingsError
from desk.errors import Absent, DeskError, Failed, Impossible
from ledger import faults
from ledger.faults import LedgerUnavailable
from ledger.identity import WrongLedger

CODES: tuple[tuple[type[DeskError], int], ...] = (
    (Failed, FAILED),
    (Absent, ABSENT),
    (Impossible, IMPOSSIBLE),
    (DeskError, WRONG),
)

# What a full disk and the like say: nothing is set wrong.
PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE)


def _show_version(*, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        sys.stdout.write(f"orderbridge {version('orderbridge')}\n")
        raise typer.Exit


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def begin(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Which version this is.", is_eager=True, callback=_show_version
        ),
    ] = False,
) -> None:
    """Carries orders from the shop into the CRM, and what the CRM decides back."""


app.command()(running.run)
app.command()(running.migrate)
app.command()(running.gateway)
app.command()(checking.check)
app.command()(reading.fetch)
app.command()(reading.backfill)
app.command()(pausing.pause)
app.command()(pausing.resume)
app.command("update")(updates.send_update)
app.command()(previewing.preview)
app.command()(loading.load)
orders.app.command("send-one")(sending.send_one)
orders.app.command("adopt")(sending.adopt_order)
orders.app.command("find")(reviewing.find_orders)
orders.app.command("acknowledge")(reviewing.acknowledge_order)
app.add_typer(orders.app, name="orders")
app.add_typer(updates.app, name="updates")
app.add_typer(hooks.app, name="hooks")
app.add_typer(keys.app, name="key")
app.add_typer(notifying.app, name="notify")
app.add_typer(sandbox.app, name="sandbox")


def _is_of_our_data(error: OSError) -> bool:
    """Whether something in the data folder, or on the way there, cannot be written or read."""
    if not isinstance(error.filename, str | os.PathLike):
        return False
    path, data = Path(os.path.realpath(error.filename)), settings.data_root()
    return path.is_relative_to(data) or data.is_relative_to(path)


def _mistakes() -> tuple[type[Exception], ...]:
    """What a person has to correct. Asked for when something went wrong, and only then imported."""
    from mapping.profile import ProfileError

    return SettingsError, WrongLedger, ProfileError


def main() -> None:
    """The entry point: known trouble is one sentence, not a traceback."""
    # A command answers for itself: what goes as it should is no news. Services log it all (cli/running.py).
    logs.configure(logging.WARNING)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A lone surrogate in an order's text is printed as the escape that it is in JSON.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app()
    except SystemExit:
        raise
    except DeskError as exc:
        complain(str(exc))
        sys.exit(next(code for kind, code in CODES if isinstance(exc, kind)))
    except _mistakes() as exc:
        complain(str(exc))
        sys.exit(WRONG)
    except LedgerUnavailable as exc:
        complain(faults.told(exc))
        sys.exit(FAILED)
    except OSError as exc:
        if not _is_of_our_data(exc):
            raise
        complain(
            f"{exc.filename} in the data folder: {exc.strerror}. Mend that, or set ORDERBRIDGE_DATA to a "
            "folder of your own."
        )
        sys.exit(FAILED if exc.errno in PASSING else WRONG)
