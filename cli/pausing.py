"""The commands `pause` and `resume`: a person stops the calls to a connection, and lets them go on."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

import settings
from cli.answers import As, Json, acting, answer, out, print_json
from desk.naming import as_called
from desk.opening import opened
from desk.ringing import bells

if TYPE_CHECKING:
    from ledger.connections import Direction

Name = Annotated[str, typer.Argument(metavar="CONNECTION", help="Its name: see check.")]
Reads = Annotated[bool, typer.Option("--read", help="Calls that only read there.")]
Writes = Annotated[bool, typer.Option("--write", help="Calls that change something there.")]


def pause(
    connection: Name,
    *,
    read: Reads = False,
    write: Writes = False,
    reason: Annotated[str, typer.Option(help="Why, for whoever finds it paused.")],
    who: As = None,
    as_json: Json = False,
) -> None:
    """Stop calls to a connection until `resume`. A call under way ends; after a second none begins."""
    from desk import gates

    chosen = settings.load()
    with opened(chosen) as ledger:
        closed = gates.pause(
            ledger, chosen, connection, _directions(read, write), reason=reason, who=acting(who)
        )
    if as_json:
        print_json([dataclasses.asdict(one) for one in closed])
        return
    for one in closed:
        out().print(one.why)
        out().print(as_called(one.how_it_opens), soft_wrap=True)


def resume(
    connection: Name,
    *,
    read: Reads = False,
    write: Writes = False,
    who: As = None,
    as_json: Json = False,
) -> None:
    """Let calls go out again that a person paused; what waited for them goes at once."""
    from desk import gates
    from tasks import closings

    chosen = settings.load()
    directions = _directions(read, write)
    with opened(chosen) as ledger:
        rung = gates.resume(
            ledger,
            chosen,
            connection,
            directions,
            who=acting(who),
            bells=bells(chosen.redis_url),
        )
    later = "" if rung else " What waited goes within a minute of the start: no broker answers now."
    calls = " and ".join(closings.CALLS[one] for one in directions)
    answer(
        {"connection": connection, "resumed": directions, "rung": rung},
        f"{connection}: {calls} go on.{later}",
        as_json=as_json,
    )


def _directions(read: bool, write: bool) -> list[Direction]:
    chosen: list[Direction] = []
    if read:
        chosen.append("read")
    if write:
        chosen.append("write")
    return chosen
