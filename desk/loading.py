"""Loads a file of tenants: what it lists is created or changed, and nothing is ever deleted.

In: the settings, the open ledger and a path. Out: a `Report`. All of it is checked before anything is
written; then some thousand rows are one transaction, so that a load that is broken off is completed by
repeating it. Fails with `Wrong`, whose errors are keyed by paths in the file, with `Impossible` where
something came between, with `SettingsError` and `LedgerUnavailable`. Called by cli/loading. Source:
docs/operations.md, "Tenants".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connections_file import Entry, SettingsError, suggestion
from connectors import registry
from connectors.own_settings import SHORTEST_SECRET
from desk import tenants_file, tenants_schema
from desk.errors import Impossible, Wrong
from desk.tenants_report import Report
from desk.tenants_schema import Mistakes
from ledger.database import Ledger
from ledger.tenants import loading
from ledger.tenants.comparing import Difference, Listed
from references import value
from settings import Settings
from tasks import addressing

# Rows in one transaction, about.
CHUNK = 2000
# The keys of a tenant's defaults, and the columns that keep them.
_COLUMNS = {
    "create_account": "creates_accounts",
    "address_policy": "address_policy",
    "deliver": "is_delivered",
    "callback_url": "callback_url",
}

# Told how much is done, of how much.
Progress = Callable[[int, int], object]


@dataclass(slots=True)
class _Chunk:
    """Entries that are kept in one transaction."""

    accounts: list[Listed] = field(default_factory=list)
    catalog: list[Listed] = field(default_factory=list)
    size: int = 0


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be done for one tenant: `values` are the columns of its own row that change, `checked` the
    seal of what each chunk comes to.
    """

    path: str
    tenant: Mapping[str, Any]
    values: Mapping[str, Any]
    is_new: bool
    checked: list[str]


@dataclass(slots=True)
class _Load:
    """One load under way."""

    chosen: Settings
    ledger: Ledger
    path: Path
    progress: Progress
    size: int
    done: int = 0
    report: Report = field(default_factory=Report)
    mistakes: Mistakes = field(default_factory=dict)

    def went_on(self, chunk: _Chunk) -> None:
        self.done += chunk.size
        self.progress(self.done, self.size)


def load(
    chosen: Settings,
    ledger: Ledger,
    path: Path,
    *,
    dry_run: bool = False,
    progress: Progress = lambda _done, _all: None,
) -> Report:
    """Load the file; with `dry_run` say what that would do."""
    tenants, mistakes = tenants_schema.checked(tenants_file.read(path), sandbox=chosen.sandbox)
    _demand_none(path, mistakes)
    listed = [(f"tenants[{place}]", one) for place, one in enumerate(tenants)]
    rows = sum(chunk.size for at, one in listed for chunk in _chunks(at, one))
    work = _Load(chosen, ledger, path, progress, rows if dry_run else 2 * rows)
    _check_connections(work, listed)
    plans = [_plan(work, at, one) for at, one in listed]
    _demand_none(path, work.mistakes)
    if not dry_run:
        for plan in plans:
            _keep(work, plan)
        if work.report.changes:
            loading.settle(ledger)
    return work.report


def _demand_none(path: Path, mistakes: Mistakes) -> None:
    if mistakes:
        count = sum(map(len, mistakes.values()))
        many = "1 mistake" if count == 1 else f"{count} mistakes"
        raise Wrong(f"{path} has {many}: nothing was loaded.", mistakes)


# --- what is to be done ---------------------------------------------------------------------------------


def _plan(work: _Load, path: str, tenant: Mapping[str, Any]) -> _Plan:
    row = loading.stored(work.ledger, tenant["name"])
    said = _said(work, path, tenant, row)
    values = {key: one for key, one in said.items() if row is None or getattr(row, key) != one}
    name = tenant["name"] if row is None else row.name
    connection = said.get("connection", None if row is None else row.connection)
    work.report.of_route(name, connection, registry.tenant_names(work.chosen))
    is_same = row is not None and not values
    work.report.of_tenant(path, name, row, values, is_same=is_same)
    checked = []
    taken: dict[tuple[str, int], str] = {}
    for chunk in _chunks(path, tenant):
        found = Difference(taken=taken)
        pk = loading.NOBODY if row is None else row.id
        loading.compare(work.ledger, pk, chunk.accounts, chunk.catalog, found)
        work.report.of_entries(found.changes, found.same)
        work.mistakes.update(found.mistakes)
        checked.append(found.seal())
        work.went_on(chunk)
    return _Plan(path, tenant, values, row is None, checked)


def _said(work: _Load, path: str, tenant: Mapping[str, Any], row: Any) -> dict[str, Any]:
    """The columns that the file speaks of; what it does not say stays as it is."""
    defaults = tenant["defaults"]
    said = {column: defaults[key] for key, column in _COLUMNS.items() if key in defaults}
    said["zone"] = tenant["timezone"]
    if "connection" in tenant:
        said["connection"] = tenant["connection"]
    sealed = None if row is None else row.sealed_secret
    if "callback_secret" in defaults:
        said["sealed_secret"] = sealed = _sealed(work, path, tenant, sealed)
    url = said.get("callback_url", None if row is None else row.callback_url)
    if url is not None and sealed is None:
        work.mistakes.setdefault(f"{path}.defaults.callback_secret", []).append(
            "is missing: what is posted to callback_url is signed with it."
        )
    return said


def _sealed(
    work: _Load, path: str, tenant: Mapping[str, Any], sealed: bytes | None
) -> bytes | None:
    """The secret as it is kept; as it is kept already, where it is the same."""
    written = tenant["defaults"]["callback_secret"]
    if written is None:
        return None
    key = "callback_secret"
    entry = Entry(tenant["name"], str(work.path), 0, {key: written}, {}, work.path.parent)
    try:
        secret = str(value(entry, key))
    except SettingsError as exc:
        said = str(exc).removeprefix(entry.where(key)).removeprefix(": ")
        work.mistakes[f"{path}.defaults.{key}"] = [said]
        return b""
    if len(secret) < SHORTEST_SECRET:
        work.mistakes[f"{path}.defaults.{key}"] = [
            f"must have {SHORTEST_SECRET} characters or more: who guesses it can sign in our name."
        ]
        return b""
    if sealed is not None and addressing.unsealed(work.chosen, sealed) == secret:
        return sealed
    return addressing.seal(work.chosen, secret)


def _check_connections(work: _Load, tenants: list[tuple[str, dict[str, Any]]]) -> None:
    """Each tenant that names a connection names one whose orders tenants place."""
    named = {path: one["connection"] for path, one in tenants if one.get("connection")}
    taking = registry.tenant_names(work.chosen)
    for path, name in named.items():
        if name not in taking:
            there = suggestion(name, taking)
            work.mistakes[f"{path}.connection"] = [
                f"{name} is no connection whose orders tenants place. {there}"
            ]


# --- doing it ---------------------------------------------------------------------------------------------


def _keep(work: _Load, plan: _Plan) -> None:
    if not (plan.is_new or plan.values or any(plan.checked)):
        return
    name = plan.tenant["name"]
    highest = _highest(plan)
    pk = loading.keep_tenant(work.ledger, name, plan.values, highest)
    for chunk, checked in zip(_chunks(plan.path, plan.tenant), plan.checked, strict=True):
        is_kept = not checked or loading.keep(
            work.ledger, pk, chunk.accounts, chunk.catalog, checked
        )
        if not is_kept:
            raise Impossible(
                f"Orders of {name}, or another load, came between, so that this one would do something else "
                "by now than what was checked. Repeat it: what it has loaded so far stays."
            )
        work.went_on(chunk)


def _highest(plan: _Plan) -> Counter[str]:
    """The highest number of each kind that the file says."""
    highest: Counter[str] = Counter()
    for chunk in _chunks(plan.path, plan.tenant):
        addresses = [a for one in chunk.accounts for a in one.addresses]
        for kind, entries in (
            ("account", chunk.accounts),
            ("address", addresses),
            ("position", chunk.catalog),
        ):
            highest[kind] = max(highest[kind], *(one.number or 0 for one in entries), 0)
    return highest


def _chunks(path: str, tenant: Mapping[str, Any]) -> Iterator[_Chunk]:
    """What the file lists of the tenant, some thousand rows at a time; made anew each time it is asked for,
    so that never all of it is held twice.
    """
    chunk = _Chunk()
    for place, one in enumerate(tenant["accounts"] or ()):
        chunk.accounts.append(_account(f"{path}.accounts[{place}]", one))
        chunk.size += 1 + len(chunk.accounts[-1].addresses)
        if chunk.size >= CHUNK:
            yield chunk
            chunk = _Chunk()
    for place, one in enumerate(tenant["catalog"] or ()):
        said = {key: one[key] for key in one if key != "catalog_position_id"}
        number = one.get("catalog_position_id")
        chunk.catalog.append(Listed(f"{path}.catalog[{place}]", number, said))
        chunk.size += 1
        if chunk.size >= CHUNK:
            yield chunk
            chunk = _Chunk()
    if chunk.size:
        yield chunk


def _account(path: str, one: Mapping[str, Any]) -> Listed:
    said = {key: one[key] for key in ("customer_name", "external_customer_id") if key in one}
    addresses = [
        Listed(f"{path}.addresses[{place}]", a.get("account_address_id"), {"text": a["text"]})
        for place, a in enumerate(one["addresses"] or ())
    ]
    return Listed(path, one.get("account_id"), said | {"is_loaded": True}, addresses)
