"""The command `preview`: how an order would be sent, without sending it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import settings
from cli import words
from cli.answers import COLOURS, Connection, Json, json_text, out, print_json, tell
from desk.opening import opened

if TYPE_CHECKING:
    from cli.tables import Table
    from desk.previewing import Preview


def preview(
    what: Annotated[str, typer.Argument(metavar="ID_OR_FILE", help="An order id, or a JSON file.")],
    connection: Connection = None,
    *,
    as_json: Json = False,
) -> None:
    """Map an order without sending it: source, recipient before and after, target, problems."""
    from desk import previewing

    chosen = settings.load()
    source, connection = _read_order(what, chosen, connection)
    found = previewing.preview(chosen, connection, source)
    if as_json:
        print_json(_as_dict(found))
    else:
        _show(found, connection)


def _read_order(
    what: str, chosen: settings.Settings, connection: str | None
) -> tuple[object, str | None]:
    """The order and whose it is."""
    from desk import previewing

    if Path(what).is_file():
        return previewing.read_file(what), connection
    with opened(chosen) as ledger:
        return previewing.read_order(ledger, what, connection)


def _as_dict(found: Preview) -> dict[str, Any]:
    return {
        "order_id": found.order_id,
        "external_id": found.external_id,
        "held": found.held,
        "reasons": found.reasons,
        "problems": [problem.to_dict() for problem in found.problems],
        "recipient": {"before": found.before, "after": found.after},
        "target": found.target,
        "source": found.source,
    }


def _show(found: Preview, connection: str | None) -> None:
    from cli.console import coloured

    _head("what came in")
    out().print(coloured(json_text(found.source), ""), soft_wrap=True)
    _head("recipient")
    out().print(_recipient_table(found.before or {}, found.after or {}))
    _head("what the CRM would get" + (", were it not held" if found.held else ""))
    out().print(coloured(json_text(found.target), ""), soft_wrap=True)
    for problem in found.problems:
        level = coloured(problem.level, COLOURS[problem.level])
        told = words.of_order(problem.to_dict(), found.order_id, connection, is_read=found.is_read)
        tell(told, level, f"{problem.field}:")
    would = ("It would be held.", "red") if found.held else ("It would be sent.", "green")
    out().print(coloured(*would))


def _head(said: str) -> None:
    from cli.console import coloured

    out().print(coloured(f"— {said} —", "bold"))


def _recipient_table(before: dict[str, Any], after: dict[str, Any]) -> Table:
    from cli.console import coloured
    from cli.tables import Table

    table = Table("", "before", "after", texts={"before", "after"})
    for name in {**before, **after}:
        old, new = str(before.get(name) or ""), str(after.get(name) or "")
        table.add_row(name, old, new if old == new else coloured(new, "yellow"))
    return table
