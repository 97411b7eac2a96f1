"""The commands `orders ...`: see orders, and mend what holds them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

import settings
from cli import words
from cli.answers import (
    COLOURS,
    As,
    Connection,
    Json,
    Of,
    acting,
    answer,
    demand_state,
    moment,
    out,
    plain,
    print_json,
    warn,
)
from cli.updates import as_dict as update_as_dict
from cli.updates import table as updates_table
from desk import orders, running
from desk.opening import opened
from desk.ringing import bells

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from ledger.history import Act

app = typer.Typer(
    help="See orders, and mend what holds them.", no_args_is_help=False, invoke_without_command=True
)

OrderId = Annotated[str, typer.Argument(help="The shop's order id.")]


@app.callback()
def orders_default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_orders()


@app.command("list")
def list_orders(
    state: Annotated[str | None, typer.Option(help=f"One of {', '.join(orders.STATES)}.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many, the newest first.", min=1)] = 50,
    connection: Of = None,
    *,
    as_json: Json = False,
) -> None:
    """List orders, the newest first."""
    demand_state(state, orders.STATES)
    with opened(settings.load()) as ledger:
        rows = orders.listing(ledger, state=state, connection=connection, limit=limit)
    if as_json:
        print_json([_as_dict(row) for row in rows])
    elif rows:
        out().print(_table(rows))
    else:
        out().print("No orders yet." if state is None else f"No orders are {state}.")


@app.command("show")
def show_order(order_id: OrderId, connection: Connection = None, *, as_json: Json = False) -> None:
    """Show one order: its state, what is wrong with it, every try, and what people did."""
    with opened(settings.load()) as ledger:
        shown = orders.show(ledger, order_id, connection)
    if as_json:
        more = {
            "attempts": [dataclasses.asdict(tried) for tried in shown.attempts],
            "updates": [update_as_dict(update) for update in shown.updates],
            "history": [dataclasses.asdict(act) for act in shown.history],
        }
        print_json(_as_dict(shown.order) | more)
        return
    _print_order(shown.order)
    if shown.attempts:
        out().print(_tries_table(shown.attempts))
    if shown.updates:
        out().print(updates_table(shown.updates[::-1]))
    if shown.history:
        out().print(_history_table(shown.history))


@app.command("retry")
def retry_order(
    order_id: OrderId, connection: Connection = None, who: As = None, *, as_json: Json = False
) -> None:
    """Try an order again now, whatever it waits for or is held for."""
    mended, silent = _mend(orders.retry, order_id, connection, who)
    done = "will be tried" if silent else "will be tried now"
    _say_mended(mended, done, silent, as_json=as_json)


@app.command("release")
def release_order(
    order_id: OrderId, connection: Connection = None, who: As = None, *, as_json: Json = False
) -> None:
    """Send a held order on its way again, after what it was held for was put right."""
    mended, silent = _mend(orders.release, order_id, connection, who)
    _say_mended(mended, "is released", silent, as_json=as_json)


@app.command("ignore")
def ignore_order(
    order_id: OrderId, connection: Connection = None, who: As = None, *, as_json: Json = False
) -> None:
    """Never send an order."""
    with opened(settings.load()) as ledger:
        row = orders.ignore(ledger, order_id, connection, who=acting(who))
    answer(_as_dict(row), f"Order {order_id} will not be sent.", as_json=as_json)


def _mend(
    act: Callable[..., orders.Mended], order_id: str, connection: str | None, who: str | None
) -> tuple[orders.Mended, str | None]:
    """The order after the act, and why nobody goes on with it, if nobody does."""
    chosen = settings.load()
    with opened(chosen) as ledger:
        mended = act(ledger, order_id, connection, who=acting(who), bells=bells(chosen.redis_url))
    return mended, running.silence(chosen, "create")


def _say_mended(mended: orders.Mended, done: str, silent: str | None, *, as_json: bool) -> None:
    later = "" if mended.rung or silent else " within a minute"
    row = mended.order
    answer(_as_dict(row), f"Order {row.order_id} {done}{later}.", as_json=as_json)
    warn(silent)


def _as_dict(row: orders.Row) -> dict[str, Any]:
    return {key: value for key, value in plain(dataclasses.asdict(row)).items() if key != "pk"}


# --- for people -----------------------------------------------------------------------------------------


def _table(rows: list[orders.Row]) -> Table:
    from rich.table import Table

    table = Table("order", "state", "CRM", "received", "why", box=None, header_style="bold")
    several = len({row.connection for row in rows}) > 1
    for row in rows:
        table.add_row(
            f"{row.connection} {row.order_id}" if several else row.order_id,
            _coloured(row),
            row.target_id or "",
            moment(row.received_at),
            words.why(row),
        )
    return table


def _print_order(row: orders.Row) -> None:
    from cli.console import coloured
    from mapping.problems import Problem

    heading = coloured(f"Order {row.order_id}", "bold")
    out().print(heading, "of", f"{row.connection}:", _coloured(row))
    if row.target_id:
        out().print(f"In {row.target} as {row.target_id}, external id {row.external_id}")
    if row.reason:
        out().print(words.why(row))
    if row.state in orders.OPEN and not row.being_worked_on:
        out().print(f"Next try {moment(row.next_try_at)}")
    for problem in row.problems:
        found = Problem(**problem)
        level = coloured(found.level, COLOURS[found.level])
        out().print(level, words.finding(found, row.order_id))


def _tries_table(tries: list[orders.Try]) -> Table:
    from rich.table import Table

    heads = ("tried", "what", "took", "status", "outcome", "answer")
    table = Table(*heads, box=None, header_style="bold")
    for tried in tries:
        table.add_row(
            moment(tried.started_at),
            tried.kind,
            f"{tried.duration_ms} ms",
            str(tried.status or ""),
            tried.outcome,
            tried.excerpt,
        )
    return table


def _history_table(acts: list[Act]) -> Table:
    from rich.table import Table

    table = Table("done", "who", "what", "before → after", box=None, header_style="bold")
    for act in acts:
        table.add_row(moment(act.at), act.who, words.done(act), words.difference(act))
    return table


def _coloured(row: orders.Row) -> Text:
    from cli.console import coloured

    colour = {"created": "green", "held": "red", "waiting": "yellow", "ignored": "dim"}.get(
        row.state, "cyan"
    )
    changed = " (changed in the shop since)" if row.changed else ""
    return coloured(row.state, colour).append(changed, style="default")
