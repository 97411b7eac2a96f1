"""Keeps what a file lists of a tenant: creates and changes, never deletes.

In: what `Listed` entries say. Out: how they differ from what is there; whether they were kept. An account
without a number is found by its external id if it says one, else by its exact name; an address by its text
within its account; a catalog position by its code if it says one, else by its name. Each call is one
transaction: a load that is broken off is completed by another. Raises `LedgerUnavailable`. Called by
desk/loading.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, bindparam, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ledger import tides
from ledger.database import Ledger
from ledger.tables import ACCOUNTS, ADDRESSES, CATALOG, TENANTS
from ledger.tenants import comparing, numbering
from ledger.tenants.comparing import Change, Difference, Listed
from ledger.tenants.resolving import tenant_row

# What a tenant is that its file does not say, when it is made.
DEFAULTS: dict[str, Any] = {
    "creates_accounts": True,
    "address_policy": "one",
    "is_delivered": True,
}
# Those of a tenant's numbers that a file may give.
NUMBERED = {"account": "account", "address": "address", "position": "catalog"}
# The ids of a tenant that is not there yet: none.
NOBODY = 0


def stored(ledger: Ledger, name: str) -> Any:
    """The row of this tenant, whatever the case of its name; None: there is none."""
    with ledger.read() as db:
        return tenant_row(db, name)


def compare(
    ledger: Ledger,
    tenant: int,
    accounts: Sequence[Listed],
    catalog: Sequence[Listed],
    found: Difference,
) -> None:
    """Add what keeping these would do; nothing is written."""
    with ledger.read() as db:
        comparing.plan_anew(db)
        comparing.accounts(db, tenant, accounts, found)
        comparing.catalog(db, tenant, catalog, found)


def keep_tenant(
    ledger: Ledger, name: str, values: Mapping[str, Any], highest: Mapping[str, int]
) -> int:
    """Make the tenant, or change it to say this; its key. Its numbers go on behind the `highest` that its
    file gives, by the words of NUMBERED, before any of them is given.
    """

    def unit(db: Connection) -> int:
        row = tenant_row(db, name, locked=True)
        if row is None:
            # Of no epoch: in a ledger that went back it may have been there before, with numbers given.
            made = {"name": name, "name_key": name.lower(), "epoch": ""}
            dialect = sqlite if db.dialect.name == "sqlite" else postgresql
            new = dialect.insert(TENANTS).values(DEFAULTS | dict(values) | made)
            db.execute(new.on_conflict_do_nothing())
            row = tenant_row(db, name, locked=True)
        elif values:
            db.execute(update(TENANTS).where(TENANTS.c.id == row.id).values(**values))
        numbering.pass_by(db, row.id, **{NUMBERED[kind]: top for kind, top in highest.items()})
        return int(row.id)

    return ledger.write(unit)


def keep(
    ledger: Ledger,
    tenant: int,
    accounts: Sequence[Listed],
    catalog: Sequence[Listed],
    checked: str,
) -> bool:
    """Keep these. False, and nothing is written, where it would be other than what was `checked`, whose seal
    that is: something has come between.
    """

    def unit(db: Connection) -> bool:
        row = db.execute(_LOCKED, {"of_id": tenant}).one()
        comparing.plan_anew(db)
        found = Difference()
        comparing.accounts(db, tenant, accounts, found)
        comparing.catalog(db, tenant, catalog, found)
        if found.mistakes or found.seal() != checked:
            return False
        _write(db, row, found.changes)
        return True

    return ledger.write(unit)


def settle(ledger: Ledger) -> None:
    """Have PostgreSQL look at what the tables hold now, so that whoever placed orders while they were small
    plans anew. A file plans by its indexes alone.
    """
    if ledger.engine.dialect.name != "sqlite":
        ledger.write(lambda db: db.exec_driver_sql(_ANALYZE))


def _write(db: Connection, tenant: Any, changes: Sequence[Change]) -> None:
    new = [change for change in changes if change.before is None]
    numbers = _numbers(db, tenant, new)
    of_accounts = {change.listed.path: numbers[change.listed.path] for change in new}
    for kind, (table, number) in _TABLES.items():
        rows = [
            {"tenant": tenant.id, number: numbers[change.listed.path]}
            | ({"account_id": _owner(change, of_accounts)} if kind == "address" else {})
            | dict(change.listed.values)
            for change in new
            if change.kind == kind
        ]
        for columns in {tuple(row) for row in rows}:
            db.execute(insert(table), [row for row in rows if tuple(row) == columns])
        for change in changes:
            if change.kind == kind and change.before is not None:
                these = table.c.tenant == tenant.id, table.c[number] == change.number
                said = {name: change.listed.values[name] for name in change.before}
                db.execute(update(table).where(*these).values(**said))


def _owner(change: Change, numbers: Mapping[str, int]) -> int:
    """The account of a new address, which may be new itself."""
    if change.of_number is not None:
        return change.of_number
    return numbers[change.of.path] if change.of is not None else NOBODY


def _numbers(db: Connection, tenant: Any, new: Sequence[Change]) -> dict[str, int]:
    """The numbers of what is new by its path: its own, else the next ones."""
    wanted = Counter(NUMBERED[change.kind] for change in new if change.number is None)
    last = numbering.take(db, tenant, tides.doubts(db), **wanted) if wanted else None
    following: dict[str, Iterator[int]] = {
        name: iter(range(getattr(last, name) - count + 1, getattr(last, name) + 1))
        for name, count in wanted.items()
    }
    return {
        change.listed.path: next(following[NUMBERED[change.kind]])
        if change.number is None
        else change.number
        for change in new
    }


_TABLES: Mapping[str, tuple[Table, str]] = {
    "account": (ACCOUNTS, "account_id"),
    "address": (ADDRESSES, "account_address_id"),
    "position": (CATALOG, "catalog_position_id"),
}
_ANALYZE = f"ANALYZE {', '.join(table.name for table, _ in _TABLES.values())}"
_LOCKED = select(TENANTS).where(TENANTS.c.id == bindparam("of_id")).with_for_update(key_share=True)
