"""The command `orderbridge`: what people and scripts do by hand.

Tables for people, `--json` for machines (then stdout carries the JSON alone), errors in one sentence on
stderr. Exit codes: 0 done, 1 it failed, 2 the call or a setting is wrong, 3 there is nothing of that kind,
4 not possible in the present state. A new command is added here and described in README.
"""

from __future__ import annotations

import dataclasses
import io
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import logs
import settings
from ledger import attempts, orders, updates
from ledger.database import Ledger, LedgerUnavailable, open_ledger
from ledger.identity import WrongLedger, identify
from ledger.migrate import upgrade
from mapping import problems, profile
from mapping.source import from_text
from mapping.statuses import ACTIONS

FAILED, WRONG, ABSENT, IMPOSSIBLE = 1, 2, 3, 4

app = typer.Typer(
    help="Carries orders from the shop into the CRM, and what the CRM decides back.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
orders_app = typer.Typer(
    help="See orders, and mend what holds them.", no_args_is_help=False, invoke_without_command=True
)
app.add_typer(orders_app, name="orders")
updates_app = typer.Typer(
    help="See updates on their way to the shop, and mend what is parked.", no_args_is_help=True
)
app.add_typer(updates_app, name="updates")

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
OrderId = Annotated[str, typer.Argument(help="The shop's order id.")]
UpdateId = Annotated[int, typer.Argument(help="The update's number.")]
Connection = Annotated[
    str | None, typer.Option(help="Which shop; needed when several have this id.")
]

out = Console()
err = Console(stderr=True)


# --- starting ---------------------------------------------------------------------------------------


@app.command()
def run(
    *,
    plain: Annotated[bool, typer.Option("--plain", help="Lines instead of a live screen.")] = False,
) -> None:
    """Run the whole system: the sandbox, or the real systems when they are configured."""
    from run import system  # noqa: PLC0415  only this command starts processes

    try:
        code = system.run(screen=not plain)
    except system.RunError as exc:
        _stop(str(exc), FAILED)
    raise SystemExit(code)


@app.command()
def migrate(*, as_json: Json = False) -> None:
    """Bring the ledger's tables to this version."""
    chosen = settings.load()
    upgrade(chosen.database_url, sandbox=chosen.sandbox)
    _answer({"migrated": True}, "The ledger is at this version.", as_json=as_json)


@app.command()
def gateway(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
) -> None:
    """Serve the HTTP doors."""
    from gateway import server  # noqa: PLC0415  only this command serves

    server.serve(settings.load(), host, port)


# --- looking and fetching -----------------------------------------------------------------------------


@app.command()
def check(
    *,
    read_orders: Annotated[
        bool,
        typer.Option(
            "--read-orders", help="Also read the shop's orders; in some shops that consumes them."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Test every configured connection, and say what is wrong and how to mend it."""
    _demand_broker()
    from tasks import checking, resources  # noqa: PLC0415  needs a broker, which others do not

    found = checking.check(resources.build(settings.load()), read_orders=read_orders)
    if as_json:
        _print_json([dataclasses.asdict(line) for line in found])
    else:
        table = Table("connection", "what", "result", "what to do", box=None, header_style="bold")
        for line in found:
            mark = "[green]good[/]" if line.good else "[red]bad[/]"
            table.add_row(line.connection, line.what, f"{mark} {line.result}", line.mend)
        out.print(table)
    raise typer.Exit(0 if all(line.good for line in found) else FAILED)


@app.command()
def fetch(
    connection: Annotated[str, typer.Option(help="Which shop.")] = "okliving",
    *,
    as_json: Json = False,
) -> None:
    """Poll the shop once, now, and enqueue what is new. Waits up to 30 s for a poll that is running."""
    _demand_broker()
    from tasks import polling  # noqa: PLC0415  needs a broker, which others do not

    polled = _poll(
        connection, lambda r, ring: polling.poll_after(r, connection, ring, patience=30.0)
    )
    _answer(
        _counts(polled),
        f"{polled.orders} orders on {polled.pages} pages: {polled.stored} new or changed, "
        f"{polled.known} known, {polled.aside} that are no orders.",
        as_json=as_json,
    )


@app.command()
def backfill(
    start: Annotated[datetime, typer.Option("--from", help="First day.", formats=["%Y-%m-%d"])],
    end: Annotated[
        datetime, typer.Option("--to", help="Last day, included.", formats=["%Y-%m-%d"])
    ],
    connection: Annotated[str, typer.Option(help="Which shop.")] = "okliving",
    *,
    as_json: Json = False,
) -> None:
    """Read the orders of past days; the live poll goes on where it stood."""
    _demand_broker()
    from tasks import polling  # noqa: PLC0415  needs a broker, which others do not

    if end < start:
        _stop("--to is before --from.", WRONG)
    days = (end - start).days + 1
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} days"),
        TimeElapsedColumn(),
        console=err,
        disable=not err.is_terminal,
    ) as progress:
        bar = progress.add_task("Reading past orders", total=days)
        total = _poll(
            connection,
            lambda r, ring: polling.backfill(
                r, connection, ring, start.date(), end.date(), on_day=lambda: progress.advance(bar)
            ),
        )
    _answer(
        _counts(total),
        f"{total.orders} orders in {days} days: {total.stored} new or changed.",
        as_json=as_json,
    )


def _poll(connection: str, work: Callable[[Any, Any], Any]) -> Any:
    from tasks import polling, resources  # noqa: PLC0415  needs a broker, which others do not
    from tasks.doorbell import ring  # noqa: PLC0415  as above

    r = resources.build(settings.load())
    if connection not in r.sources:
        _stop(f"There is no shop called {connection!r}.", WRONG)
    try:
        return work(r, ring)
    except (polling.PollFailed, polling.PollRunning) as exc:
        _stop(str(exc), FAILED)


def _counts(polled: Any) -> dict[str, Any]:
    return {
        "pages": polled.pages,
        "orders": polled.orders,
        "stored": polled.stored,
        "known": polled.known,
        "not_orders": polled.aside,
    }


# --- orders -------------------------------------------------------------------------------------------


@orders_app.callback()
def orders_default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_orders()


@orders_app.command("list")
def list_orders(
    state: Annotated[str | None, typer.Option(help=f"One of {', '.join(orders.STATES)}.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many, the newest first.", min=1)] = 50,
    *,
    as_json: Json = False,
) -> None:
    """List orders, the newest first."""
    if state is not None and state not in orders.STATES:
        _stop(f"--state must be one of {', '.join(orders.STATES)}.", WRONG)
    with _ledger() as (ledger, _):
        rows = orders.listing(ledger, _now(), state=state, limit=limit)
    if as_json:
        _print_json([_as_dict(row) for row in rows])
        return
    table = Table("order", "state", "OneBox", "received", "why", box=None, header_style="bold")
    for row in rows:
        table.add_row(
            escape(row.order_id),
            _coloured(row),
            row.target_id or "",
            _moment(row.received_at),
            escape(_why(row)),
        )
    out.print(table if rows else "No orders yet." if state is None else f"No orders are {state}.")


@orders_app.command("show")
def show_order(order_id: OrderId, connection: Connection = None, *, as_json: Json = False) -> None:
    """Show one order: its state, what is wrong with it, and every try."""
    with _ledger() as (ledger, _):
        row = _find(ledger, order_id, connection)
        tries = attempts.of_order(ledger, row.pk)
        sent = updates.listing(ledger, connection=row.connection, order_id=row.order_id, limit=1000)
    if as_json:
        tried = [_plain(dataclasses.asdict(one)) for one in tries]
        told = [_update_as_dict(update) for update in sent]
        _print_json({**_as_dict(row), "attempts": tried, "updates": told})
        return
    out.print(f"[bold]Order {escape(row.order_id)}[/] of {row.connection}: {_coloured(row)}")
    if row.target_id:
        out.print(f"OneBox process {row.target_id}, external id {escape(row.external_id)}")
    if row.reason:
        out.print(escape(_why(row)))
    if row.state in orders.OPEN and not row.being_worked_on:
        out.print(f"Next try {_moment(row.next_try_at)}")
    _show_problems([problems.Problem(**problem) for problem in row.problems], row.order_id)
    if tries:
        table = Table(
            "tried", "what", "took", "status", "outcome", "answer", box=None, header_style="bold"
        )
        for tried in tries:
            table.add_row(
                _moment(tried.started_at),
                tried.kind,
                f"{tried.duration_ms} ms",
                str(tried.status or ""),
                tried.outcome,
                escape(tried.excerpt),
            )
        out.print(table)
    if sent:
        out.print(_updates_table(sent[::-1]))


@orders_app.command("retry")
def retry_order(order_id: OrderId, connection: Connection = None, *, as_json: Json = False) -> None:
    """Try an order again now, whatever it waits for or is held for."""
    _mend(order_id, connection, orders.retry, "will be tried now", ring=True, as_json=as_json)


@orders_app.command("release")
def release_order(
    order_id: OrderId, connection: Connection = None, *, as_json: Json = False
) -> None:
    """Send a held order on its way again, after what it was held for was put right."""
    _mend(order_id, connection, orders.release, "is released", ring=True, as_json=as_json)


@orders_app.command("ignore")
def ignore_order(
    order_id: OrderId, connection: Connection = None, *, as_json: Json = False
) -> None:
    """Never send an order."""
    _mend(order_id, connection, orders.ignore, "will not be sent", ring=False, as_json=as_json)


def _mend(
    order_id: str,
    connection: str | None,
    change: Callable[[Ledger, int, datetime], None],
    done: str,
    *,
    ring: bool,
    as_json: bool,
) -> None:
    with _ledger() as (ledger, chosen):
        row = _find(ledger, order_id, connection)
        try:
            change(ledger, row.pk, _now())
        except orders.NotPossible as exc:
            _stop(str(exc), IMPOSSIBLE)
        rung = ring and chosen.redis_url is not None and _ring(row)
        row = _find(ledger, order_id, row.connection)
    later = " (within a minute: no broker answers now)" if ring and not rung else ""
    _answer(_as_dict(row), f"Order {order_id} {done}{later}.", as_json=as_json)


def _ring(row: orders.Row) -> bool:
    from tasks.doorbell import ring  # noqa: PLC0415  needs a broker, which others do not

    return bool(ring([orders.Due(row.pk, row.connection)]))


# --- updates ------------------------------------------------------------------------------------------


@app.command("update")
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
    connection: Annotated[
        str | None, typer.Option(help="Which shop; needed when there are several.")
    ] = None,
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a tracking number that is not ours.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Change an order's tracking number or status in the shop, or send a comment on it."""
    _demand_broker()
    from tasks import accepting, resources  # noqa: PLC0415  needs a broker, which others do not

    r = resources.build(settings.load())
    request, errors = accepting.read(
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
        flat=True,
    )
    if request is None:
        told = "; ".join(f"{field}: {' '.join(texts)}" for field, texts in errors.items())
        _stop(f"The update is refused. {told}", WRONG)
    try:
        row = accepting.accept(
            r,
            request,
            origin="cli",
            key=None if key is None else f"cli:{key}",
        )
    except (accepting.UnknownConnection, accepting.KeyReused) as exc:
        _stop(str(exc), WRONG)
    for warning in request.warnings:
        err.print(f"[yellow]warning[/] {problems.explain(warning, lang='en')}")
    _answer(
        {"id": str(row.id), "order_id": row.order_id, "state": row.state},
        f"Update {row.id} of order {row.order_id} is {row.state}.",
        as_json=as_json,
    )


@updates_app.command("list")
def list_updates(
    state: Annotated[str | None, typer.Option(help=f"One of {', '.join(updates.STATES)}.")] = None,
    order_id: Annotated[str | None, typer.Option("--order-id", help="Of one order only.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many, the newest first.", min=1)] = 50,
    *,
    as_json: Json = False,
) -> None:
    """List updates, the newest first."""
    if state is not None and state not in updates.STATES:
        _stop(f"--state must be one of {', '.join(updates.STATES)}.", WRONG)
    with _ledger() as (ledger, _):
        rows = updates.listing(ledger, state=state, order_id=order_id, limit=limit)
    if as_json:
        _print_json([_update_as_dict(row) for row in rows])
        return
    out.print(_updates_table(rows) if rows else "No updates.")


@updates_app.command("show")
def show_update(update_id: UpdateId, *, as_json: Json = False) -> None:
    """Show one update: what was asked, what became of each part, and every call."""
    with _ledger() as (ledger, _):
        row = _find_update(ledger, update_id)
        calls = attempts.of_update(ledger, row.id)
    if as_json:
        _print_json(
            {**_update_as_dict(row), "attempts": [dataclasses.asdict(call) for call in calls]}
        )
        return
    out.print(_updates_table([row]))
    for fate in row.fates:
        told = _explained(fate, row.order_id) if "code" in fate else fate.get("fate", "")
        out.print(f"{fate.get('part') or fate.get('field', '')}: {escape(told)}")
    if calls:
        table = Table("called", "parts", "took", "status", "outcome", "answer", box=None)
        for call in calls:
            table.add_row(
                _moment(call.started_at),
                call.parts,
                f"{call.duration_ms} ms",
                str(call.status or ""),
                call.outcome,
                escape(call.excerpt),
            )
        out.print(table)


@updates_app.command("retry")
def retry_update(update_id: UpdateId, *, as_json: Json = False) -> None:
    """Send a parked update after all, however old it is."""
    _mend_update(update_id, updates.retry, "will be sent", as_json=as_json)


@updates_app.command("cancel")
def cancel_update(update_id: UpdateId, *, as_json: Json = False) -> None:
    """Never send what of an update is not sent yet."""
    _mend_update(update_id, updates.cancel, "is cancelled", as_json=as_json)


def _mend_update(
    update_id: int,
    change: Callable[[Ledger, int, datetime], updates.Due],
    done: str,
    *,
    as_json: bool,
) -> None:
    with _ledger() as (ledger, chosen):
        _find_update(ledger, update_id)
        try:
            due = change(ledger, update_id, _now())
        except orders.NotPossible as exc:
            _stop(str(exc), IMPOSSIBLE)
        row = _find_update(ledger, update_id)
    if chosen.redis_url is not None:
        from tasks.doorbell import ring_updates  # noqa: PLC0415  needs a broker, which others do not

        ring_updates([due])
    _answer(_update_as_dict(row), f"Update {update_id} {done}.", as_json=as_json)


def _find_update(ledger: Ledger, update_id: int) -> updates.Update:
    row = updates.find(ledger, update_id)
    if row is None:
        _stop(f"No update {update_id} is in the ledger.", ABSENT)
    return row


def _updates_table(rows: list[updates.Update]) -> Table:
    table = Table(
        "update", "order", "state", "accepted", "what", "why", box=None, header_style="bold"
    )
    for row in rows:
        what = ", ".join(_part_shown(name, part) for name, part in row.parts.items())
        why = " ".join(
            _explained(fate, row.order_id)
            for fate in row.fates
            if fate.get("code") in row.reason.split(", ")
        )
        colour = {"sent": "green", "parked": "red", "queued": "yellow", "refused": "red"}.get(
            row.state, "dim"
        )
        state = f"[{colour}]{row.state}[/]"
        table.add_row(
            str(row.id),
            escape(row.order_id),
            state,
            _moment(row.accepted_at),
            escape(what),
            escape(why),
        )
    return table


def _part_shown(name: str, part: updates.Part) -> str:
    """A part in the table of updates; what is personal is not repeated there."""
    value = "yes" if part.personal else part.value
    return f"{'TTN' if name == 'tracking_number' else name} {value}"


def _update_as_dict(row: updates.Update) -> dict[str, Any]:
    asked = row.values
    return {
        **_plain(dataclasses.asdict(row)),
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


@app.command()
def preview(
    what: Annotated[str, typer.Argument(metavar="ID_OR_FILE", help="An order id, or a JSON file.")],
    connection: Annotated[str, typer.Option(help="Whose mapping.")] = "okliving",
    *,
    as_json: Json = False,
) -> None:
    """Map an order without sending it: source, recipient before and after, target, problems."""
    chosen = settings.load()
    raw = _read_order(what, chosen)
    mapped = _profile(chosen, connection).map(raw)
    report: dict[str, Any] = {
        "order_id": mapped.order_id,
        "external_id": mapped.external_id,
        "held": mapped.held,
        "reasons": mapped.reasons,
        "problems": [problem.to_dict() for problem in mapped.problems],
        "recipient": {
            "before": dataclasses.asdict(mapped.order.recipient) if mapped.order else None,
            "after": dataclasses.asdict(mapped.recipient.person) if mapped.recipient else None,
        },
        "target": mapped.target if mapped.target is not None else mapped.draft,
        "source": raw,
    }
    if as_json:
        _print_json(report)
        return
    out.rule("what the shop sent")
    out.print_json(data=_plain(raw))
    out.rule("recipient")
    _show_recipient(report["recipient"])
    out.rule(
        "what OneBox would get" if not mapped.held else "what OneBox would get, were it not held"
    )
    out.print_json(data=_plain(report["target"]))
    _show_problems(mapped.problems, mapped.order_id or "?")
    out.print("[red]It would be held.[/]" if mapped.held else "[green]It would be sent.[/]")


def _read_order(what: str, chosen: settings.Settings) -> object:
    path = Path(what)
    if path.is_file():
        try:
            return from_text(path.read_text())
        except (ValueError, OSError, RecursionError) as exc:
            _stop(f"{what} cannot be read as JSON: {exc}", WRONG)
    with _ledger(chosen) as (ledger, _):
        source = orders.source(ledger, _find(ledger, what, None).pk)
    if not source:
        _stop(f"Order {what} was purged: its data is not kept any more.", ABSENT)
    return from_text(source)


def _profile(chosen: settings.Settings, connection: str) -> profile.Profile:
    if chosen.shops:
        from tasks.resources import load_profile  # noqa: PLC0415  needs a broker, which others do not

        return load_profile(chosen, connection)
    parameters = {"workflow_id": "1", "status_id": "1", "source_id": None}
    return profile.load(chosen.profile, parameters=parameters)


def _show_recipient(recipient: dict[str, Any]) -> None:
    table = Table("", "before", "after", box=None, header_style="bold")
    before, after = recipient["before"] or {}, recipient["after"] or {}
    for name in {**before, **after}:
        old, new = str(before.get(name) or ""), str(after.get(name) or "")
        shown = escape(new)
        table.add_row(name, escape(old), shown if old == new else f"[yellow]{shown}[/]")
    out.print(table)


# --- the small things -----------------------------------------------------------------------------------


class _ledger:  # noqa: N801  reads as the with-statement it is
    """The ledger of the configured system, opened for one command."""

    def __init__(self, chosen: settings.Settings | None = None) -> None:
        self._chosen = chosen or settings.load()

    def __enter__(self) -> tuple[Ledger, settings.Settings]:
        self._open = open_ledger(self._chosen.database_url)
        identify(self._open, sandbox=self._chosen.sandbox)
        return self._open, self._chosen

    def __exit__(self, *_: object) -> None:
        self._open.close()


def _find(ledger: Ledger, order_id: str, connection: str | None) -> orders.Row:
    rows = [
        row
        for row in orders.listing(ledger, _now(), order_id=order_id)
        if connection is None or row.connection == connection
    ]
    if not rows:
        _stop(f"No order {order_id} is in the ledger.", ABSENT)
    if len(rows) > 1:
        names = ", ".join(row.connection for row in rows)
        _stop(
            f"Several connections have an order {order_id}: say which with --connection ({names}).",
            WRONG,
        )
    return rows[0]


def _why(row: orders.Row) -> str:
    """The reasons in words; what the ledger knows more of is told with its details."""
    known = {problem["code"]: problem for problem in row.problems}
    codes = [code for code in row.reason.split(", ") if code]
    return " ".join(_explained(known.get(code, {"code": code}), row.order_id) for code in codes)


def _explained(told: dict[str, Any], order_id: str) -> str:
    given = {name: told.get(name) for name in ("before", "after") if told.get(name) is not None}
    problem = problems.Problem(
        told["code"],
        told.get("level", "held"),
        told.get("field", ""),
        detail=told.get("detail") or "",
        **given,
    )
    return problems.explain(problem, lang="en", order=order_id)


def _show_problems(found: list[problems.Problem], order_id: str) -> None:
    colours = {"held": "red", "warning": "yellow", "fixed": "cyan"}
    for problem in found:
        colour = colours[problem.level]
        told = problems.explain(problem, lang="en", order=order_id)
        out.print(f"[{colour}]{problem.level}[/] {problem.field}: {escape(told)}")


def _coloured(row: orders.Row) -> str:
    colour = {"created": "green", "held": "red", "waiting": "yellow", "ignored": "dim"}.get(
        row.state, "cyan"
    )
    changed = " (changed in the shop since)" if row.changed else ""
    return f"[{colour}]{row.state}[/]{changed}"


def _moment(value: datetime) -> str:
    return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _now() -> datetime:
    return datetime.now(UTC)


def _as_dict(row: orders.Row) -> dict[str, Any]:
    return {key: value for key, value in _plain(dataclasses.asdict(row)).items() if key != "pk"}


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=_json_default))


def _json_default(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal | timedelta | Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, default=_json_default, ensure_ascii=False, indent=2) + "\n")


def _answer(machine: dict[str, Any], person: str, *, as_json: bool) -> None:
    if as_json:
        _print_json(machine)
    else:
        out.print(person, markup=False)


def _stop(message: str, code: int) -> NoReturn:
    _complain(message)
    raise typer.Exit(code)


def _demand_broker() -> None:
    """Before tasks are imported, which end the process with a code of their own when a setting is wrong.
    Raises SettingsError.
    """
    _ = settings.load().broker


def _complain(message: str) -> None:
    err.print(f"[red]orderbridge:[/] {escape(message)}", highlight=False)


def main() -> None:
    """The entry point: known trouble is one sentence, not a traceback."""
    logs.configure()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A lone surrogate in an order's text is printed as the escape that it is in JSON.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app()
    except (settings.SettingsError, WrongLedger, profile.ProfileError) as exc:
        _complain(str(exc))
        sys.exit(WRONG)
    except LedgerUnavailable as exc:
        _complain(f"{exc} Is the database running? {exc.__cause__}")
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
