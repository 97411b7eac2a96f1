"""The commands `hooks ...`: what a CRM's hook said and what it became, once more, and as a trial."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

import settings
from cli import updates, words
from cli.answers import (
    FAILED,
    WRONG,
    As,
    Json,
    Of,
    acting,
    answer,
    demand_one_of,
    err,
    hint,
    moment,
    out,
    plain,
    print_json,
    stop,
)
from cli.listing import Limit
from desk.opening import opened
from desk.ringing import hook_bell
from desk.zones import Zones

if TYPE_CHECKING:
    from cli.tables import Table
    from desk.hooks import Shown, Trial

app = typer.Typer(
    help="See what the CRM's hook said and what it became; act on it again; test an action.",
    no_args_is_help=True,
)

HookId = Annotated[int, typer.Argument(metavar="CALL", help="The call's number.")]


@app.command("list")
def list_hooks(
    connection: Of = None,
    outcome: Annotated[
        str | None, typer.Option(help="What it came to, such as unfilled or unknown_stage.")
    ] = None,
    limit: Limit = 50,
    *,
    as_json: Json = False,
) -> None:
    """List calls of the hook, the newest first, each with what it became."""
    from desk import hooks

    demand_one_of("--outcome", outcome, hooks.KNOWN_OUTCOMES)
    chosen = settings.load()
    with opened(chosen) as ledger:
        found = hooks.listing(
            chosen, ledger, connection=connection, outcome=outcome, limit=limit + 1
        )
    shown = found[:limit]
    if as_json:
        print_json([as_dict(one) for one in shown])
    else:
        out().print(_table(shown, Zones(chosen)) if shown else "No calls.")
        if shown:
            hint(
                "Its fields: `orderbridge hooks show CALL`. Once more: `orderbridge hooks replay CALL`."
            )
    if len(found) > limit:
        err().print(f"{limit} calls, there are more; --limit shows them.")


@app.command("show")
def show_hook(hook_id: HookId, *, as_json: Json = False) -> None:
    """Show one call: its fields, what it became, the updates as they stand, who replayed it."""
    from desk import hooks

    chosen = settings.load()
    with opened(chosen) as ledger:
        shown = hooks.show(chosen, ledger, hook_id)
    if as_json:
        print_json(_in_full(shown))
        return
    _print(shown, Zones(chosen))


@app.command("replay")
def replay_hook(hook_id: HookId, who: As = None, *, as_json: Json = False) -> None:
    """Act on a call again, after the profile was mended: nothing is sent twice, nor what is past."""
    from desk import hooks

    chosen = settings.load()
    with opened(chosen) as ledger:
        hooks.replay(ledger, hook_id, who=acting(who), ring=hook_bell(chosen.redis_url))
        shown = hooks.show(chosen, ledger, hook_id)
    told = f"Call {hook_id} will be acted on again. What comes of it: `orderbridge hooks show {hook_id}`"
    answer(as_dict(shown), told, as_json=as_json)


@app.command("test")
def try_hook(
    fields: Annotated[
        list[str], typer.Argument(metavar="FIELD=VALUE...", help="The fields of the action.")
    ],
    connection: Annotated[
        str | None,
        typer.Option(help="Whose hook; left out: the only one that there is."),
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="The address in the action, to be checked too.")
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Say what a call with these fields would become. Nothing is kept, sent or asked of the CRM."""
    from desk import hooks
    from tasks import resources

    said = _said(fields)
    chosen = settings.load()
    _ = chosen.broker  # before anything else is found wrong: without one nothing is configured
    trial = hooks.trial(resources.build(chosen), connection, said, address)
    if as_json:
        print_json(_trial(trial))
    else:
        _print_trial(trial)
    if not trial.is_good:
        raise typer.Exit(FAILED)


def _said(fields: list[str]) -> dict[str, str]:
    said = {}
    for one in fields:
        name, sign, value = one.partition("=")
        if not sign or not name:
            stop(
                f"Give each field as FIELD=VALUE, such as externalid=okl-1; {one!r} is not.", WRONG
            )
        said[name] = value
    return said


# --- for machines ---------------------------------------------------------------------------------------


def as_dict(shown: Shown) -> dict[str, Any]:
    """A call for machines."""
    row: dict[str, Any] = plain(dataclasses.asdict(shown.call))
    return {**row, "words": _words(shown)}


def _in_full(shown: Shown) -> dict[str, Any]:
    return {
        **as_dict(shown),
        "updates": [updates.as_dict(row, None) for row in shown.updates],
        "replays": [{"at": act.at, "who": act.who} for act in shown.replays],
    }


def _trial(trial: Trial) -> dict[str, Any]:
    return {
        "connection": trial.target,
        "source": trial.source,
        "order_id": trial.order_id,
        "would_become": dict(trial.parts) or None,
        "told": [found.to_dict() for found in trial.found],
        "words": [words.of_hook(found, trial.order_id or "") for found in trial.found],
        "faults": trial.faults,
        "demands": trial.demands,
    }


# --- for people -----------------------------------------------------------------------------------------


def _table(found: list[Shown], zones: Zones) -> Table:
    from cli.tables import Table

    lines = Table("call", "received", "outcome", "what became of it", texts={"what became of it"})
    for one in found:
        row = one.call
        told = " ".join(_words(one))
        at = moment(row.received_at, zones.of_target(row.connection))
        lines.add_row(str(row.id), at, row.outcome, told)
    return lines


def _print(shown: Shown, zones: Zones) -> None:
    from cli.tables import Table

    row = shown.call
    zone = zones.of_target(row.connection)
    ended = "" if row.done_at is None else f", acted on {moment(row.done_at, zone)}"
    out().print(
        f"Call {row.id} of {row.connection}, received {moment(row.received_at, zone)}{ended}"
    )
    out().print(f"Outcome: {row.outcome}")
    for told in _words(shown):
        out().print(told)
    fields = Table("field", "value", texts={"value"})
    for name, value in row.fields.items():
        fields.add_row(name, value)
    out().print(fields if row.fields else "Its fields are not kept.")
    if shown.updates:
        out().print(updates.table(shown.updates, zones, None))
    for act in shown.replays:
        out().print(f"{moment(act.at, zone)} {act.who} {words.done(act)}")


def _print_trial(trial: Trial) -> None:
    from cli.console import coloured

    for fault in trial.faults:
        out().print(coloured(fault, "red"))
    for demand in trial.demands:
        out().print(demand)
    for found in trial.found:
        out().print(words.of_hook(found, trial.order_id or ""))
    if trial.parts:
        would = words.would(trial.parts, trial.order_id or "")
        out().print(coloured(would, "green"))
    elif not trial.hangs_on_a_name:
        out().print(coloured("By itself it would become nothing.", "red"))
    if trial.order_id is not None:
        out().print("A real call has the process read as well; what that says counts too.")


def _words(shown: Shown) -> list[str]:
    return [words.of_hook(found, shown.call.order_id or "") for found in shown.found]
