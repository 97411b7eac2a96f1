"""The commands `orders ...`: see orders, and mend what holds them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Annotated, Any

import typer

import settings
from cli import words
from cli.answers import (
    COLOURS,
    WRONG,
    As,
    Connection,
    Json,
    Of,
    OrderId,
    acting,
    answer,
    complain,
    demand_state,
    hint,
    moment,
    out,
    print_json,
    tell,
    warn,
)
from cli.listing import Limit, ListByDefault, tell_rest
from cli.reviewing import (
    as_dict,
    print_comments,
    print_found,
    print_review,
    review_as_dict,
    reviewed,
    standing,
)
from cli.updates import as_dict as update_as_dict
from cli.updates import table as updates_table
from desk import finding, orders, running, waiting
from desk.naming import as_called, named
from desk.opening import opened
from desk.ringing import bells
from desk.zones import Zones

if TYPE_CHECKING:
    from datetime import tzinfo

    from cli.tables import Table
    from desk.gates import Closed
    from ledger.history import Act

app = typer.Typer(
    help="See orders, and mend what holds them. Without a command: `list`.", cls=ListByDefault
)


@app.command("list")
def list_orders(
    state: Annotated[str | None, typer.Option(help=f"One of {', '.join(orders.STATES)}.")] = None,
    limit: Limit = 50,
    connection: Of = None,
    *,
    changed: Annotated[
        bool,
        typer.Option("--changed", help="Those alone that were changed in the shop since."),
    ] = False,
    as_json: Json = False,
) -> None:
    """List orders, the newest first."""
    demand_state(state, orders.STATES)
    chosen = settings.load()
    of: dict[str, Any] = {"state": state, "connection": connection, "changed": changed}
    with opened(chosen) as ledger:
        rows = orders.listing(ledger, **of, limit=limit)
        if as_json:
            print_json([as_dict(row) for row in rows])
        elif rows:
            out().print(_table(rows, Zones(chosen), _unread(chosen, rows)))
            if any(row.reason for row in rows):
                hint("In full, with what to do: `orderbridge orders show ID`.")
        elif changed:
            out().print("No order was changed in the shop since it was created.")
        else:
            out().print("No orders yet." if state is None else f"No orders are {state}.")
        tell_rest(len(rows), limit, "orders", lambda: orders.total(ledger, **of))


@app.command("show")
def show_order(
    order_id: Annotated[
        str, typer.Argument(metavar="ID", help="The shop's order id, or what `orders find` takes.")
    ],
    connection: Connection = None,
    *,
    as_json: Json = False,
) -> None:
    """Show one order: its state, what is wrong with it, whose it is, every try, and what people did."""
    from desk import gates

    chosen = settings.load()
    zones = Zones(chosen)
    with opened(chosen) as ledger:
        try:
            meant = finding.meant(ledger, order_id, connection)
        except finding.Several as exc:
            complain(str(exc))
            if not as_json:
                print_found(exc.found, zones)
            raise typer.Exit(WRONG) from None
        shown = orders.show(ledger, meant.order_id, meant.connection)
        seen = reviewed(chosen, ledger, meant)
        stopped = gates.stopping(ledger, shown.order)
        waits = waiting.reasons(ledger, shown.updates, chosen.connections)
    if as_json:
        more = {
            "attempts": [dataclasses.asdict(tried) for tried in shown.attempts],
            "updates": [update_as_dict(one, waits.get(one.id)) for one in shown.updates],
            "history": [dataclasses.asdict(act) for act in shown.history],
        }
        print_json(as_dict(shown.order) | (review_as_dict(seen) if seen else {}) | more)
        return
    zone = zones.of(shown.order.connection)
    unread = _unread(chosen, [shown.order])
    _print_order(shown.order, zone, stopped, is_read=shown.order.connection not in unread)
    if seen is not None:
        print_review(shown.order, seen)
    if shown.attempts:
        out().print(_tries_table(shown.attempts, shown.order, zone))
    if shown.updates:
        out().print(updates_table(shown.updates[::-1], zones, waits))
        print_comments(shown.updates[::-1])
    if shown.history:
        out().print(_history_table(shown.history, zone))


@app.command("retry")
def retry_order(
    order_id: OrderId, connection: Connection = None, who: As = None, *, as_json: Json = False
) -> None:
    """Try an order again now, whatever it waits for; one that is held is checked anew."""
    mended, silent = _mend(orders.retry, order_id, connection, who)
    done = "will be tried" if silent else "will be tried now"
    _say_mended(mended, done, silent, as_json=as_json)


@app.command("release")
def release_order(
    order_id: OrderId, connection: Connection = None, who: As = None, *, as_json: Json = False
) -> None:
    """Send a held order as it is: you accept what it is held for as right. What is missing holds it again.

    After something was put right use `orders retry`, which checks the order anew.
    """
    mended, silent = _mend(orders.release, order_id, connection, who)
    _say_mended(mended, "is released", silent, as_json=as_json)


@app.command("ignore")
def ignore_order(
    order_id: OrderId, connection: Connection = None, who: As = None, *, as_json: Json = False
) -> None:
    """Never send an order."""
    with opened(settings.load()) as ledger:
        row = orders.ignore(ledger, order_id, connection, who=acting(who))
    back = f"To send it after all: `orderbridge orders retry {named(order_id, row.connection)}`."
    if row.uncertain_since is not None:
        back = f"{words.maybe_there(row)} {back}"
    answer(as_dict(row), f"Order {order_id} will not be sent. {back}", as_json=as_json)


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
    seen = f"How it stands: `orderbridge orders show {named(row.order_id, row.connection)}`."
    answer(as_dict(row), f"Order {row.order_id} {done}{later}. {seen}", as_json=as_json)
    warn(silent)


# --- for people -----------------------------------------------------------------------------------------


def _unread(chosen: settings.Settings, rows: list[orders.Row]) -> Collection[str]:
    """The sources that nobody reads, as far as it is told what is wrong with an order."""
    if not any(row.reason or row.problems for row in rows):
        return ()
    from connectors import registry

    return registry.unread_names(chosen)


def _table(rows: list[orders.Row], zones: Zones, unread: Collection[str]) -> Table:
    from cli.tables import Table

    table = Table("order", "state", "CRM", "received", "why", texts={"why"})
    several = len({row.connection for row in rows}) > 1
    for row in rows:
        table.add_row(
            f"{row.connection} {row.order_id}" if several else row.order_id,
            standing(row),
            row.target_id or "",
            moment(row.received_at, zones.of(row.connection)),
            words.why(row, is_read=row.connection not in unread),
        )
    return table


def _print_order(
    row: orders.Row, zone: tzinfo | None, stopped: list[Closed], *, is_read: bool
) -> None:
    from cli.console import coloured

    heading = coloured(f"Order {row.order_id}", "bold")
    out().print(heading, "of", f"{row.connection}:", standing(row))
    if row.target_id:
        out().print(f"In {row.target} as {row.target_id}, external id {row.external_id}")
    if row.stage or row.tracking_number:
        heard = {"stage": row.stage, "tracking number": row.tracking_number}
        said_there = ", ".join(f"{name} {value}" for name, value in heard.items() if value)
        out().print(f"Last heard from there: {said_there}")
    found = {problem["code"] for problem in row.problems}
    for told in words.reasons_of_order(row):
        if told["code"] not in found:
            tell(words.of_order(told, row.order_id, row.connection, is_read=is_read))
    if row.state in orders.OPEN:
        _print_next(row, zone, stopped)
    if row.state == "ignored" and row.uncertain_since is not None:
        out().print(words.maybe_there(row))
    reasons = row.reason.split(", ")
    for problem in row.problems:
        if problem["level"] == "held" and row.state != "held":
            # Nothing is asked of anybody any more; why it waits now is said above.
            if problem["code"] not in reasons:
                out().print(coloured(words.settled(problem), "dim"))
            continue
        level = coloured(problem["level"], COLOURS[problem["level"]])
        said = words.of_order(problem, row.order_id, row.connection, is_read=is_read)
        tell(said, level, f"{problem['field']}:")


def _print_next(row: orders.Row, zone: tzinfo | None, stopped: list[Closed]) -> None:
    """When it is tried again, or what has to end before."""
    for gate in stopped:
        out().print(as_called(f"{gate.why} {gate.how_it_opens}"), soft_wrap=True)
    if not stopped and not row.being_worked_on:
        out().print(f"Next try {moment(row.next_try_at, zone)}")


def _tries_table(tries: list[orders.Try], row: orders.Row, zone: tzinfo | None) -> Table:
    from cli.tables import Table

    table = Table("tried", "what", "took", "status", "outcome", "answer", texts={"answer"})
    answers = words.once((tried.excerpt for tried in tries), row.problems)
    for tried, said in zip(tries, answers, strict=True):
        table.add_row(
            moment(tried.started_at, zone),
            tried.kind,
            f"{tried.duration_ms} ms",
            str(tried.status or ""),
            tried.outcome,
            said,
        )
    return table


def _history_table(acts: list[Act], zone: tzinfo | None) -> Table:
    from cli.tables import Table

    table = Table("done", "who", "what", "before → after", texts={"before → after"})
    for act in acts:
        table.add_row(moment(act.at, zone), act.who, words.done(act), words.difference(act))
    return table
