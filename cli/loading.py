"""The command `load`: tenants with their accounts and catalog, from a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import settings
from cli.answers import WRONG, Json, answer, complain, err, out

if TYPE_CHECKING:
    from desk.errors import Wrong
    from desk.loading import Progress
    from desk.tenants_report import Report, Told

# Mistakes that are shown.
MOST_MISTAKES = 20
# Tenants that are named where something is said of several.
MOST_ASTRAY = 10
MANY = {
    "tenant": "tenants",
    "account": "accounts",
    "address": "addresses",
    "position": "catalog positions",
}


def load(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="YAML, or JSON (.json).")],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be created and changed.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Create or change tenants with their accounts, addresses and catalog; nothing is ever deleted."""
    from desk import loading
    from desk.errors import Wrong
    from desk.opening import opened

    chosen = settings.load()
    try:
        with opened(chosen) as ledger, _progress() as progress:
            report = loading.load(chosen, ledger, file, dry_run=dry_run, progress=progress)
    except Wrong as exc:
        _complain(exc)
        raise typer.Exit(WRONG) from None
    if not as_json:
        _show(report, dry_run=dry_run)
    answer(_as_dict(report, dry_run=dry_run), _sentence(report, dry_run=dry_run), as_json=as_json)
    if report.astray:
        err().print(_of_astray(report), soft_wrap=True)


@contextmanager
def _progress() -> Iterator[Progress]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} rows"),
        TimeElapsedColumn(),
        console=err(),
        transient=True,
        disable=not err().is_terminal,
    ) as bars:
        bar = bars.add_task("Checking and loading", total=None)
        yield lambda done, everything: bars.update(bar, completed=done, total=everything)


def _complain(wrong: Wrong) -> None:
    said = [f"{path}: {one}" for path, several in wrong.errors.items() for one in several]
    for one in said[:MOST_MISTAKES]:
        err().print(one, soft_wrap=True)
    if len(said) > MOST_MISTAKES:
        err().print(f"and {len(said) - MOST_MISTAKES} more")
    complain(str(wrong))


def _show(report: Report, *, dry_run: bool) -> None:
    from cli.tables import Table

    if not report.changes:
        return
    table = Table("what", "new", "changed", "as they were")
    for kind, one in report.counts.items():
        if sum(one.values()):
            table.add_row(MANY[kind], str(one["new"]), str(one["changed"]), str(one["same"]))
    out().print(table)
    if dry_run:
        for told in report.told:
            out().print(_line(told), soft_wrap=True)
        if report.changes > len(report.told):
            out().print(f"and {report.changes - len(report.told)} more")


def _of_astray(report: Report) -> str:
    named = ", ".join(report.astray[:MOST_ASTRAY])
    if len(report.astray) > MOST_ASTRAY:
        named += f" and {len(report.astray) - MOST_ASTRAY} more"
    if not report.taking:
        why = "No connection takes orders of tenants: add one of kind createorder with a target."
    else:
        why = f"Say by which they come, at `connection:` in the file: {', '.join(report.taking)}."
    return f"Orders of {named} are refused yet (503). {why}"


def _line(told: Told) -> str:
    if told.is_new:
        return f"{told.path}: new {told.kind} {told.name}"
    changes = "; ".join(
        f"{key} {_shown(before)} → {_shown(after)}" for key, (before, after) in told.changes.items()
    )
    return f"{told.path}: {told.kind} {told.name}: {changes}"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "nothing" if value in {None, ""} else str(value)


def _sentence(report: Report, *, dry_run: bool) -> str:
    if not report.changes:
        return "Nothing to change: all of it is there already."
    new = sum(one["new"] for one in report.counts.values())
    changed = sum(one["changed"] for one in report.counts.values())
    if dry_run:
        return f"It would create {new} and change {changed}. Nothing was written."
    return f"Created {new}, changed {changed}. Nothing is ever deleted by a load."


def _as_dict(report: Report, *, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        **{MANY[kind].replace(" ", "_"): dict(one) for kind, one in report.counts.items()},
        "changes": [
            {
                "path": told.path,
                "kind": told.kind,
                "name": told.name,
                "new": told.is_new,
                "changes": {
                    key: {"before": before, "after": after}
                    for key, (before, after) in told.changes.items()
                },
            }
            for told in report.told
        ],
        "changes_not_shown": report.changes - len(report.told),
        "refused_yet": report.astray,
    }
