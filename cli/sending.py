"""The commands by which a person settles where one order is: `orders send-one` sends it for real although in
shadow mode, asked for twice; `orders adopt` says that it is there already.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

import settings
from cli import words
from cli.answers import (
    FAILED,
    WRONG,
    As,
    By,
    Connection,
    Json,
    OrderId,
    acting,
    answer,
    complain,
    err,
    stop,
)
from cli.reviewing import as_dict
from desk import orders
from desk.naming import named
from desk.opening import opened
from desk.ringing import bells

if TYPE_CHECKING:
    from desk.sending import Proposal

# Seconds that a person waits for a worker and the target.
PATIENCE = 90.0


def send_one(
    order_id: OrderId,
    connection: Connection = None,
    who: As = None,
    *,
    yes_really: Annotated[
        str | None,
        typer.Option(metavar="ID", help="In place of both questions: the order's id once more."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Create ONE order in the real target although in shadow mode; shown and asked for twice before."""
    from connectors import registry
    from desk import sending
    from tasks import resources

    chosen = settings.load()
    _demand_consent_or_terminal(order_id, yes_really, as_json=as_json)
    _ = chosen.broker  # a worker sends it, so there must be one to be rung
    r = resources.build(chosen)
    proposal = sending.propose(r, order_id, connection)
    if yes_really is None:
        _ask_twice(proposal)
    sent = sending.send(
        r, proposal, who=acting(who), bells=bells(chosen.redis_url), patience=PATIENCE
    )
    if sent.state == "created":
        told = f"Order {order_id} is created in {sent.target} as {sent.target_id}."
        answer(as_dict(sent), told, as_json=as_json)
        return
    if as_json:
        answer(as_dict(sent), "", as_json=True)
    is_read = sent.connection not in registry.unread_names(chosen)
    complain(
        f"Order {order_id} is {sent.state}. {words.why(sent, is_read=is_read)} "
        f"How it goes on: `orderbridge orders show {named(order_id, sent.connection)}`."
    )
    raise typer.Exit(FAILED)


def adopt_order(
    order_id: OrderId,
    number: Annotated[
        str,
        typer.Option("--as", metavar="NUMBER", help="The number under which it is there."),
    ],
    connection: Connection = None,
    who: By = None,
    *,
    as_json: Json = False,
) -> None:
    """Say that an order is where it goes to already, and under which number: it is never sent.

    For one of which nobody knows whether it arrived, and for one that somebody made there by hand.
    """
    with opened(settings.load()) as ledger:
        row = orders.adopt(ledger, order_id, number, connection, who=acting(who))
    seen = f"`orderbridge orders show {named(order_id, row.connection)}`."
    then = f"How it stands: {seen}"
    if row.changed:
        then = f"It was changed since it was sent: carry that over by hand. What it is: {seen}"
    told = f"Order {order_id} is {row.target_id} in {row.target}, and is not sent any more. {then}"
    answer(as_dict(row), told, as_json=as_json)


def _demand_consent_or_terminal(order_id: str, yes_really: str | None, *, as_json: bool) -> None:
    """Nothing that is piped in, and no slip in a script, sends an order."""
    if yes_really is None and (as_json or not sys.stdin.isatty()):
        stop(f"Nobody is here to be asked. In a script: --yes-really {order_id}", WRONG)
    if yes_really is not None and yes_really != order_id:
        stop(f"--yes-really says {yes_really}, the order is {order_id}. Nothing is sent.", WRONG)


def _ask_twice(proposal: Proposal) -> None:
    from cli.tables import Table

    order = proposal.order
    table = Table("what", "which", texts={"which"})
    number = f", number {proposal.number}" if proposal.number not in {"", order.order_id} else ""
    table.add_row("order", f"{order.order_id} of {order.connection}{number}")
    table.add_row("to", f"{proposal.city or 'no town'}")
    table.add_row("sum", f"{proposal.total} {proposal.currency}, {proposal.lines} lines")
    table.add_row("created in", f"{order.target}, {proposal.address}")
    err().print("This order is created FOR REAL, although in shadow mode:")
    err().print(table)
    if not typer.confirm(f"Create it in {order.target}?", err=True):
        stop("Nothing is sent.", FAILED)
    typed = typer.prompt("Type the order's id to send it", err=True, default="", show_default=False)
    if typed.strip() != order.order_id:
        stop("That is not its id. Nothing is sent.", FAILED)
