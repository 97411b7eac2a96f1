"""The command `notify test`: whether people hear what they are told.

In: the channels of ORDERBRIDGE_NOTIFY. Out: a message on each, and whether it was taken. Fails with
`SettingsError`, and exit code 1 when one was not. An address is never shown, only its scheme and host.
"""

from __future__ import annotations

import typer

import channels
import settings
from cli.answers import FAILED, WRONG, Json, out, print_json, stop

app = typer.Typer(
    help="Who is told what waits for a person.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
# What became of a message, and what to do.
TAKEN = "taken"
SAID = {
    "silent": ("no answer in time", "Check the address."),
    "refused": (
        "not taken",
        "Check its host, token and password.",
    ),
    "not_understood": ("not understood", "See github.com/caronc/apprise."),
}


@app.callback()
def _group() -> None:
    """Keeps `test` a command of its own, though it is the only one."""


@app.command("test")
def send_test(*, as_json: Json = False) -> None:
    """Send a test message to each address of ORDERBRIDGE_NOTIFY, and say which was taken."""
    from tasks import telling

    chosen = settings.load()
    if not chosen.notify:
        stop(
            f"{channels.NOTIFY} is not set here, so nobody is told anything. Set it to addresses such as "
            "tgram://TOKEN/CHAT; with Compose call this in worker-fetch.",
            WRONG,
        )
    found = telling.trial(chosen)
    if as_json:
        print_json(
            [
                {"channel": channel.name, "taken": outcome == TAKEN, "outcome": outcome}
                for channel, outcome in found
            ]
        )
    else:
        _show(found)
    raise typer.Exit(0 if all(outcome == TAKEN for _, outcome in found) else FAILED)


def _show(found: list[tuple[channels.Channel, str]]) -> None:
    from cli.console import coloured
    from cli.tables import Table

    table = Table("channel", "result", "what to do", texts={"result", "what to do"})
    for channel, outcome in found:
        kind, _, status = outcome.partition("refused_")
        result, mend = SAID.get(kind or "refused", ("", ""))
        if status:
            result += f": HTTP {status}"
        if outcome == TAKEN:
            table.add_row(channel.name, coloured("taken", "green"), "")
        else:
            table.add_row(channel.name, coloured(result, "red"), mend)
    out().print(table)
