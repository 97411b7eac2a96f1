"""The commands `update` and `updates ...`: send an update, see those on their way, mend what is parked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

import settings
from cli import words
from cli.answers import (
    As,
    Connection,
    Json,
    Of,
    OrderId,
    acting,
    answer,
    demand_state,
    err,
    hint,
    moment,
    out,
    plain,
    print_json,
    tell,
    warn,
)
from cli.listing import Limit, ListByDefault, tell_rest
from desk import running, updates, waiting
from desk.naming import as_called
from desk.opening import opened
from desk.ringing import bells
from desk.zones import Zones
from mapping.statuses import ACTIONS

if TYPE_CHECKING:
    from datetime import tzinfo

    from rich.text import Text

    from cli.tables import Table

app = typer.Typer(
    help="See updates on their way to the shop, and mend what is parked. Without a command: `list`.",
    cls=ListByDefault,
)

# Why an update waits, where another one of its order is in its way.
BEHIND = "update_waits_behind"

UpdateId = Annotated[int, typer.Argument(metavar="NUMBER", help="The update's number.")]


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
        err().print(coloured("warning", "yellow"), as_called(words.sentence(warning, row.order_id)))
    answer(
        {"id": str(row.id), "order_id": row.order_id, "state": row.state},
        f"Update {row.id} of order {row.order_id} is {row.state}. {_seen(row)}",
        as_json=as_json,
    )
    warn(running.silence(chosen, "updates"))


@app.command("list")
def list_updates(
    state: Annotated[str | None, typer.Option(help=f"One of {', '.join(updates.STATES)}.")] = None,
    order_id: Annotated[str | None, typer.Option("--order-id", help="Of one order only.")] = None,
    limit: Limit = 50,
    connection: Of = None,
    *,
    as_json: Json = False,
) -> None:
    """List updates, the newest first."""
    demand_state(state, updates.STATES)
    chosen = settings.load()
    of = {"state": state, "connection": connection, "order_id": order_id}
    with opened(chosen) as ledger:
        rows = updates.listing(ledger, **of, limit=limit)
        waits = waiting.reasons(ledger, rows, chosen.connections)
        if as_json:
            print_json([as_dict(row, waits.get(row.id)) for row in rows])
        else:
            out().print(table(rows, Zones(chosen), waits) if rows else "No updates.")
            if waits or any(row.reason for row in rows):
                hint("In full, with what to do: `orderbridge updates show NUMBER`.")
        tell_rest(len(rows), limit, "updates", lambda: updates.total(ledger, **of))


@app.command("show")
def show_update(update_id: UpdateId, *, as_json: Json = False) -> None:
    """Show one update: what was asked, what became of each part, and every call."""
    chosen = settings.load()
    with opened(chosen) as ledger:
        shown = updates.show(ledger, update_id)
        waits = waiting.reasons(ledger, [shown.update], chosen.connections)
    if as_json:
        attempts = [dataclasses.asdict(call) for call in shown.calls]
        print_json({**as_dict(shown.update, waits.get(update_id)), "attempts": attempts})
        return
    zones = Zones(chosen)
    out().print(table([shown.update], zones, None))
    _print_told(shown.update, waits.get(update_id))
    if shown.calls:
        out().print(_calls_table(shown, zones.of(shown.update.connection)))


@app.command("retry")
def retry_update(update_id: UpdateId, who: As = None, *, as_json: Json = False) -> None:
    """Send a parked update after all, however old it is."""
    row, wait = _mend(updates.retry, update_id, who)
    answer(as_dict(row, wait), f"Update {update_id} will be sent. {_seen(row)}", as_json=as_json)
    warn(running.silence(settings.load(), "updates"))


@app.command("cancel")
def cancel_update(update_id: UpdateId, who: As = None, *, as_json: Json = False) -> None:
    """Never send what of an update is not sent yet."""
    row, wait = _mend(updates.cancel, update_id, who)
    answer(as_dict(row, wait), f"Update {update_id} is cancelled.", as_json=as_json)


def _mend(
    act: Callable[..., updates.Update], update_id: int, who: str | None
) -> tuple[updates.Update, updates.Told | None]:
    chosen = settings.load()
    with opened(chosen) as ledger:
        row = act(ledger, update_id, who=acting(who), bells=bells(chosen.redis_url))
        return row, waiting.reasons(ledger, [row], chosen.connections).get(row.id)


def _seen(row: updates.Update) -> str:
    """How to see what becomes of it."""
    return f"How it stands: `orderbridge updates show {row.id}`."


def as_dict(row: updates.Update, wait: updates.Told | None) -> dict[str, Any]:
    """An update for machines; `wait` is why it has not gone yet."""
    asked = row.values
    shown = {k: v for k, v in plain(dataclasses.asdict(row)).items() if k != "options"}
    codes = [told["code"] for told in words.reasons_of_update(row, wait)]
    return {
        **shown,
        "id": str(row.id),
        "reason": ", ".join(dict.fromkeys(codes)),
        "waits_behind": wait["after"] if wait and wait["code"] == BEHIND else None,
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


def table(
    rows: list[updates.Update], zones: Zones, waits: Mapping[int, updates.Told] | None
) -> Table:
    """Updates: what each asks for, how it stands and why; `waits` is why those that are queued have not gone
    yet, None where the reasons are told in full beside it.
    """
    from cli.tables import Table

    heads = ["update", "order", "state", "accepted", "what", *([] if waits is None else ["why"])]
    lines = Table(*heads, texts={"what", "why"})
    for row in rows:
        what = ", ".join(_part_shown(name, part) for name, part in row.parts.items())
        lines.add_row(
            str(row.id),
            row.order_id,
            _coloured(row.state),
            moment(row.accepted_at, zones.of(row.connection)),
            what,
            *(() if waits is None else (words.why_update(row, waits.get(row.id)),)),
        )
    return lines


def _part_shown(name: str, part: updates.Part) -> str:
    """A part in the table of updates; what is personal is not repeated there."""
    value = "yes" if part.personal else part.value
    return f"{'TTN' if name == 'tracking_number' else name} {value}"


def _print_told(row: updates.Update, wait: updates.Told | None) -> None:
    """Why it has not gone yet, and what became of its parts, with what to do."""
    whole = [told for told in words.reasons_of_update(row, wait) if told not in row.fates]
    for one in [*whole, *row.fates]:
        part = one.get("part") or one.get("field")
        said = words.of_update(one, row) if one.get("code") else [one.get("fate", "")]
        tell(said, *([f"{part}:"] if part else []))


def _calls_table(shown: updates.Shown, zone: tzinfo | None) -> Table:
    from cli.tables import Table

    heads = ("called", "parts", "took", "status", "outcome", "answer")
    lines = Table(*heads, texts={"parts", "answer"})
    answers = words.once((call.excerpt for call in shown.calls), shown.update.fates)
    for call, said in zip(shown.calls, answers, strict=True):
        lines.add_row(
            moment(call.started_at, zone),
            call.parts.replace(",", ", "),
            f"{call.duration_ms} ms",
            str(call.status or ""),
            call.outcome,
            said,
        )
    return lines


def _coloured(state: str) -> Text:
    from cli.console import coloured

    colour = {"sent": "green", "parked": "red", "queued": "yellow", "refused": "red"}.get(
        state, "dim"
    )
    return coloured(state, colour)
