"""The commands `update` and `updates ...`: send an update, see those on their way, mend what is parked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

import settings
from cli import words
from cli.answers import (
    As,
    Connection,
    Json,
    Of,
    acting,
    answer,
    demand_state,
    err,
    moment,
    out,
    plain,
    print_json,
    warn,
)
from desk import running, updates
from desk.opening import opened
from desk.ringing import bells
from mapping.statuses import ACTIONS

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

app = typer.Typer(
    help="See updates on their way to the shop, and mend what is parked.", no_args_is_help=True
)

OrderId = Annotated[str, typer.Argument(help="The shop's order id.")]
UpdateId = Annotated[int, typer.Argument(help="The update's number.")]


def send_update(  # noqa: PLR0913  one option for each thing that an update may say
    order_id: OrderId,
    ttn: Annotated[str | None, typer.Option(help="Tracking number.")] = None,
    order: Annotated[
        str | None, typer.Option(help=f"One of {', '.join(ACTIONS['order'])}.")
    ] = None,
    delivery: Annotated[
        str | None, typer.Option(help=f"One of {', '.join(ACTIONS['delivery'])}.")
    ] = None,
    note: Annotated[str | None, typer.Option(help="Comment; the customer may see it.")] = None,
    key: Annotated[
        str | None, typer.Option(help="Repeated with the same key, it is one update.")
    ] = None,
    connection: Connection = None,
    who: As = None,
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a tracking number that is not ours.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Change an order's tracking number or status in the shop, or send a comment on it."""
    from cli.console import coloured
    from tasks import resources

    chosen = settings.load()
    _ = chosen.broker  # before anything else is found wrong: without one nothing can be sent
    r = resources.build(chosen)
    request = updates.asked(
        r,
        {
            "order_id": order_id,
            "tracking_number": ttn,
            "order": order,
            "delivery": delivery,
            "note": note,
            "key": key,
            "connection": connection,
            "replace": replace or None,
        },
    )
    row = updates.send(
        r,
        request,
        who=acting(who),
        origin="cli",
        key=None if key is None else f"cli:{key}",
    )
    for warning in request.warnings:
        err().print(coloured("warning", "yellow"), words.sentence(warning))
    answer(
        {"id": str(row.id), "order_id": row.order_id, "state": row.state},
        f"Update {row.id} of order {row.order_id} is {row.state}.",
        as_json=as_json,
    )
    warn(running.silence(chosen, "updates"))


@app.command("list")
def list_updates(
    state: Annotated[str | None, typer.Option(help=f"One of {', '.join(updates.STATES)}.")] = None,
    order_id: Annotated[str | None, typer.Option("--order-id", help="Of one order only.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many, the newest first.", min=1)] = 50,
    connection: Of = None,
    *,
    as_json: Json = False,
) -> None:
    """List updates, the newest first."""
    demand_state(state, updates.STATES)
    with opened(settings.load()) as ledger:
        rows = updates.listing(
            ledger, state=state, connection=connection, order_id=order_id, limit=limit
        )
    if as_json:
        print_json([as_dict(row) for row in rows])
        return
    out().print(table(rows) if rows else "No updates.")


@app.command("show")
def show_update(update_id: UpdateId, *, as_json: Json = False) -> None:
    """Show one update: what was asked, what became of each part, and every call."""
    with opened(settings.load()) as ledger:
        shown = updates.show(ledger, update_id)
    if as_json:
        attempts = [dataclasses.asdict(call) for call in shown.calls]
        print_json({**as_dict(shown.update), "attempts": attempts})
        return
    out().print(table([shown.update]))
    _print_fates(shown.update)
    if shown.calls:
        out().print(_calls_table(shown.calls))


@app.command("retry")
def retry_update(update_id: UpdateId, who: As = None, *, as_json: Json = False) -> None:
    """Send a parked update after all, however old it is."""
    row = _mend(updates.retry, update_id, who)
    answer(as_dict(row), f"Update {update_id} will be sent.", as_json=as_json)
    warn(running.silence(settings.load(), "updates"))


@app.command("cancel")
def cancel_update(update_id: UpdateId, who: As = None, *, as_json: Json = False) -> None:
    """Never send what of an update is not sent yet."""
    row = _mend(updates.cancel, update_id, who)
    answer(as_dict(row), f"Update {update_id} is cancelled.", as_json=as_json)


def _mend(act: Callable[..., updates.Update], update_id: int, who: str | None) -> updates.Update:
    chosen = settings.load()
    with opened(chosen) as ledger:
        return act(ledger, update_id, who=acting(who), bells=bells(chosen.redis_url))


def as_dict(row: updates.Update) -> dict[str, Any]:
    """An update for machines."""
    asked = row.values
    shown = {k: v for k, v in plain(dataclasses.asdict(row)).items() if k != "options"}
    return {
        **shown,
        "id": str(row.id),
        "parts": {name: part.state for name, part in row.parts.items()},
        "tracking_number": asked.get("tracking_number"),
        "order_action": asked.get("order"),
        "delivery_action": asked.get("delivery"),
        "note": asked.get("note"),
        "replace": bool(row.options.get("replace")),
        "left": row.parts_left,
        "parked": row.parts_parked,
    }


# --- for people -----------------------------------------------------------------------------------------


def table(rows: list[updates.Update]) -> Table:
    """Updates, a line each."""
    from rich.table import Table

    heads = ("update", "order", "state", "accepted", "what", "why")
    lines = Table(*heads, box=None, header_style="bold")
    for row in rows:
        what = ", ".join(_part_shown(name, part) for name, part in row.parts.items())
        lines.add_row(
            str(row.id),
            row.order_id,
            _coloured(row.state),
            moment(row.accepted_at),
            what,
            words.why_update(row),
        )
    return lines


def _part_shown(name: str, part: updates.Part) -> str:
    """A part in the table of updates; what is personal is not repeated there."""
    value = "yes" if part.personal else part.value
    return f"{'TTN' if name == 'tracking_number' else name} {value}"


def _print_fates(row: updates.Update) -> None:
    for fate in row.fates:
        told = words.explained(fate, row.order_id) if "code" in fate else fate.get("fate", "")
        out().print(f"{fate.get('part') or fate.get('field', '')}: {told}")


def _calls_table(calls: list[updates.Try]) -> Table:
    from rich.table import Table

    lines = Table("called", "parts", "took", "status", "outcome", "answer", box=None)
    for call in calls:
        lines.add_row(
            moment(call.started_at),
            call.parts,
            f"{call.duration_ms} ms",
            str(call.status or ""),
            call.outcome,
            call.excerpt,
        )
    return lines


def _coloured(state: str) -> Text:
    from cli.console import coloured

    colour = {"sent": "green", "parked": "red", "queued": "yellow", "refused": "red"}.get(
        state, "dim"
    )
    return coloured(state, colour)
