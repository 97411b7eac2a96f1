"""The commands `sandbox ...`: a place to rehearse in, where orders, edits and outages come on call.

In: a running sandbox. Out: what was done there. Fails with `DeskError` outside one. README, "Rehearse", is a
script of them.
"""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

import settings
from cli.answers import Connection, Json, OrderId, answer
from desk.errors import Impossible, Wrong
from desk.naming import named

app = typer.Typer(
    help="Rehearse in the sandbox: orders, edits, outages and stages on call.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Phone = Annotated[str | None, typer.Option(help="The recipient's phone.")]
Name = Annotated[str | None, typer.Option(help='The recipient: "Шевченко Тарас".')]
Total = Annotated[str | None, typer.Option(help="What the shop says is to be paid, UAH.")]
Fields = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Any field: shipping.city=Львів."),
]
System = Annotated[str, typer.Argument(help="shop, crm, or a connection's name.")]


@app.command()
def order(
    phone: Phone = None,
    name: Name = None,
    total: Total = None,
    fields: Fields = None,
    connection: Connection = None,
    *,
    as_json: Json = False,
) -> None:
    """Put a new order into the shop, good but for what is said here."""
    source, done = _at_the_shop("invent", connection, _wanted(phone, name, total, fields))
    answer(
        {"order_id": done["id"], "connection": source},
        f"The shop has a new order {done['id']}. "
        f"After the next poll: `orderbridge orders show {named(done['id'], source)}`.",
        as_json=as_json,
    )


@app.command()
def edit(
    order_id: OrderId,
    phone: Phone = None,
    name: Name = None,
    total: Total = None,
    fields: Fields = None,
    connection: Connection = None,
    *,
    as_json: Json = False,
) -> None:
    """Correct an order in the shop, as a clerk does there."""
    wanted = _wanted(phone, name, total, fields)
    if not wanted:
        raise Wrong("Say what to change: --phone, --name, --total or --set.")
    source, done = _at_the_shop("edit", connection, {"id": order_id, **wanted})
    answer(
        {"order_id": order_id, "connection": source, "changed": done["changed"]},
        f"Order {order_id} is changed in the shop: {', '.join(done['changed'])}. The next poll sees it.",
        as_json=as_json,
    )


@app.command("break")
def break_system(
    system: System,
    how: Annotated[str, typer.Option(help="One of down, slow, errors, login.")] = "down",
    *,
    as_json: Json = False,
) -> None:
    """Break a system: it does not answer, is slow, answers errors, or refuses the login."""
    from run import rehearsal

    chosen = settings.load()
    name = rehearsal.simulated(chosen, system)
    rehearsal.break_system(chosen, name, how)
    answer(
        {"connection": name, "broken": how},
        f"{name} is broken ({how}). Look: `orderbridge check`. Mend it: `orderbridge sandbox mend {name}`.",
        as_json=as_json,
    )


@app.command()
def mend(
    system: Annotated[str | None, typer.Argument(help="Which; left out: all.")] = None,
    *,
    as_json: Json = False,
) -> None:
    """Mend what `sandbox break` broke."""
    from run import rehearsal

    chosen = settings.load()
    rehearsal.demand_sandbox(chosen)
    names = rehearsal.systems(chosen) if system is None else [rehearsal.simulated(chosen, system)]
    for name in names:
        rehearsal.ask(chosen, name, "reset-faults")
    answer(
        {"mended": names},
        f"{', '.join(names)}: mended. What waited goes by itself.",
        as_json=as_json,
    )


@app.command()
def stage(
    order_id: OrderId,
    name: Annotated[str, typer.Argument(help="The stage's name, as in the CRM.")],
    ttn: Annotated[str | None, typer.Option(help="The tracking number, filled in there.")] = None,
    connection: Connection = None,
    *,
    hook: Annotated[
        bool, typer.Option(help="Whether the CRM calls the hook, as its action does.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Move an order's process in the CRM to another stage, as a clerk does there."""
    from desk import orders
    from desk.opening import opened
    from run import rehearsal

    chosen = settings.load()
    rehearsal.demand_sandbox(chosen)
    with opened(chosen) as ledger:
        row = orders.find(ledger, order_id, connection)
    moved = rehearsal.ask(
        chosen,
        row.target,
        "stage",
        {"externalid": row.external_id, "stage": name, "ttn": ttn or ""},
    )
    told: dict[str, Any] = {"order_id": order_id, "process": moved, "hook": None}
    said = f"Process {moved['orderid']} is in the stage {name}."
    if hook:
        told["hook"] = rehearsal.call_hook(
            os.environ["GATEWAY_URL"], _secret(chosen, row.target), moved
        )
        shown = named(order_id, row.connection)
        said += (
            " The hook was called. Look: `orderbridge hooks list`, "
            f"`orderbridge orders show {shown}`."
        )
    answer(told, said, as_json=as_json)


def _secret(chosen: settings.Settings, target: str) -> str:
    from connectors.registry import own_settings

    secrets = own_settings(chosen.connections[target]).hook_secrets
    if not secrets:
        raise Impossible(
            f"{target} has no hook_secrets, so the CRM has no hook to call: add --no-hook."
        )
    return str(secrets[0])


def _wanted(
    phone: str | None, name: str | None, total: str | None, fields: list[str] | None
) -> dict[str, Any]:
    said = {"phone": phone, "name": name, "total": total}
    wanted: dict[str, Any] = {key: value for key, value in said.items() if value is not None}
    for field in fields or ():
        path, equals, value = field.partition("=")
        if not (path and equals):
            raise Wrong(f"--set {field}: what is wanted is FIELD=VALUE.")
        wanted.setdefault("set", {})[path] = value
    return wanted


def _at_the_shop(what: str, connection: str | None, body: dict[str, Any]) -> tuple[str, Any]:
    from run import rehearsal

    chosen = settings.load()
    rehearsal.demand_sandbox(chosen)
    source = chosen.source(connection)
    return source, rehearsal.ask(chosen, source, what, body)
