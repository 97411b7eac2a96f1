"""The commands that read a shop by hand: `fetch` now, `backfill` past days."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

import settings
from cli.answers import WRONG, As, Connection, Json, acting, answer, err, stop

if TYPE_CHECKING:
    from tasks.storing import Polled


def fetch(
    connection: Connection = None,
    *,
    as_json: Json = False,
) -> None:
    """Poll the shop once, now, and enqueue what is new. Waits up to 30 s for a poll that is running."""
    from desk import reading
    from tasks import resources

    chosen = settings.load()
    _ = chosen.broker  # before anything else is found wrong: without one nothing can be read
    name = chosen.source(connection)
    polled = reading.fetch(resources.build(chosen), name)
    answer(
        _counts(polled),
        f"{polled.orders} orders on {polled.pages} pages: {polled.stored} new or changed, "
        f"{polled.known} known, {polled.aside} that are no orders.",
        as_json=as_json,
    )


def backfill(
    start: Annotated[datetime, typer.Option("--from", help="First day.", formats=["%Y-%m-%d"])],
    end: Annotated[
        datetime, typer.Option("--to", help="Last day, included.", formats=["%Y-%m-%d"])
    ],
    connection: Connection = None,
    who: As = None,
    *,
    as_json: Json = False,
) -> None:
    """Read the orders of past days; the live poll goes on where it stood."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from desk import reading
    from tasks import resources

    if end < start:
        stop("--to is before --from.", WRONG)
    chosen = settings.load()
    _ = chosen.broker  # before anything else is found wrong: without one nothing can be read
    name = chosen.source(connection)
    r = resources.build(chosen)
    days = (end - start).days + 1
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} days"),
        TimeElapsedColumn(),
        console=err(),
        disable=not err().is_terminal,
    ) as progress:
        bar = progress.add_task("Reading past orders", total=days)
        total = reading.backfill(
            r,
            name,
            start.date(),
            end.date(),
            who=acting(who),
            on_day=lambda: progress.advance(bar),
        )
    answer(
        _counts(total),
        f"{total.orders} orders in {days} days: {total.stored} new or changed.",
        as_json=as_json,
    )


def _counts(polled: Polled) -> dict[str, Any]:
    return {
        "pages": polled.pages,
        "orders": polled.orders,
        "stored": polled.stored,
        "known": polled.known,
        "not_orders": polled.aside,
    }
