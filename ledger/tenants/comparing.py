"""What a file lists against what a tenant has: what is new, what is changed, what cannot be told. Only reads.

In: a connection, the key of the tenant's row, and some of what its file lists. Out: a `Difference`. An entry
is found by its number, else as ledger/tenants/loading says; never is one guessed among several. Called by
ledger/tenants/loading, to say what a file would do and again in the transaction that does it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from sqlalchemy import BindParameter, Column, Connection, Select, bindparam, select

from ledger.tables import ACCOUNTS, ADDRESSES, CATALOG

# Values in one statement.
_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry of a file: where it stands, its number if it says one, and what it says by column; an account
    with its addresses.
    """

    path: str
    number: int | None
    values: Mapping[str, Any]
    addresses: Sequence[Listed] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """An entry that is not there as it is listed. `number` None: it gets one. `before` is how that stands of
    which it says otherwise, None where it is new; `of` the account whose address it is.
    """

    kind: str
    listed: Listed
    number: int | None
    before: Mapping[str, Any] | None = None
    of: Listed | None = None
    of_number: int | None = None


@dataclass(slots=True)
class Difference:
    """All of it. `taken` are the numbers that entries are found to be, by kind, each with its path."""

    changes: list[Change] = field(default_factory=list)
    same: Counter[str] = field(default_factory=Counter)
    mistakes: dict[str, list[str]] = field(default_factory=dict)
    taken: dict[tuple[str, int], str] = field(default_factory=dict)

    def mistake(self, path: str, sentence: str) -> None:
        self.mistakes.setdefault(path, []).append(sentence)

    def seal(self) -> str:
        """What tells these changes from any others, in a few bytes; empty: there are none."""
        if not self.changes:
            return ""
        said = ((c.kind, c.listed.path, c.number, c.before, c.of_number) for c in self.changes)
        found = blake2b(digest_size=16)
        for one in said:
            found.update(repr(one).encode())
        return found.hexdigest()

    def note(self, change: Change, row: Any) -> None:
        """What an entry comes to that is this row, or none."""
        if row is not None:
            before = {
                name: getattr(row, name)
                for name, value in change.listed.values.items()
                if getattr(row, name) != value
            }
            if not self._take(change):
                return
            if not before:
                self.same[change.kind] += 1
                return
            change = Change(
                change.kind, change.listed, change.number, before, change.of, change.of_number
            )
        self.changes.append(change)

    def _take(self, change: Change) -> bool:
        number = change.number or 0
        first = self.taken.setdefault((change.kind, number), change.listed.path)
        if first != change.listed.path:
            self.mistake(change.listed.path, f"is {change.kind} {number}, as {first} is.")
        return first == change.listed.path


def plan_anew(db: Connection) -> None:
    """Have PostgreSQL plan each of these statements by what the tables hold by then: a load begins with an
    empty one, and a plan for that reads it through, again and again while it grows. For one transaction.
    """
    if db.dialect.name != "sqlite":
        db.exec_driver_sql("SET LOCAL plan_cache_mode = force_custom_plan")


def accounts(db: Connection, tenant: int, listed: Sequence[Listed], found: Difference) -> None:
    """Add what these accounts and their addresses come to."""
    external = [name for one in listed if (name := one.values.get("external_customer_id"))]
    names = [
        one.values["customer_name"]
        for one in listed
        if one.number is None and "external_customer_id" not in one.values
    ]
    numbers = [one.number for one in listed if one.number is not None]
    by_number = {row.account_id: row for row in _rows(db, _BY_NUMBER, tenant, numbers)}
    by_external = {
        row.external_customer_id: row for row in _rows(db, _BY_EXTERNAL_ID, tenant, external)
    }
    by_name = _grouped(_rows(db, _BY_NAME, tenant, names), "customer_name")
    rows = {}
    for one in listed:
        by_key = by_external.get(one.values.get("external_customer_id"))
        if one.number is not None:
            row = by_number.get(one.number)
            if by_key is not None and by_key.account_id != one.number:
                found.mistake(
                    f"{one.path}.external_customer_id", f"is account {by_key.account_id}'s."
                )
        elif "external_customer_id" in one.values:
            row = by_key
        else:
            row = _only(
                by_name[one.values["customer_name"]], one, "customer_name", "account_id", found
            )
        rows[one.path] = row
        number = one.number if row is None else row.account_id
        found.note(Change("account", one, number), row)
    _addresses(db, tenant, listed, rows, found)


def _addresses(
    db: Connection,
    tenant: int,
    listed: Sequence[Listed],
    rows: Mapping[str, Any],
    found: Difference,
) -> None:
    there = [row.account_id for row in rows.values() if row is not None]
    kept = _grouped(_rows(db, _OF_ACCOUNTS, tenant, there), "account_id")
    numbers = [a.number for one in listed for a in one.addresses if a.number is not None]
    by_number = {row.account_address_id: row for row in _rows(db, _ADDRESSES, tenant, numbers)}
    for one in listed:
        account = rows[one.path]
        owner = one.number if account is None else account.account_id
        of_account = kept[account.account_id] if account is not None and one.addresses else []
        by_text = _grouped(of_account, "text")
        for address in one.addresses:
            if address.number is None:
                row = _only(
                    by_text[address.values["text"]], address, "text", "account_address_id", found
                )
            else:
                row = by_number.get(address.number)
                if row is not None and row.account_id != owner:
                    found.mistake(
                        f"{address.path}.account_address_id", f"is account {row.account_id}'s."
                    )
                    continue
            number = address.number if row is None else row.account_address_id
            found.note(Change("address", address, number, None, one, owner), row)


def catalog(db: Connection, tenant: int, listed: Sequence[Listed], found: Difference) -> None:
    """Add what these catalog positions come to."""
    numbers = [one.number for one in listed if one.number is not None]
    unsaid = [one.values for one in listed if one.number is None]
    codes = [said["product_code"] for said in unsaid if said["product_code"]]
    names = [said["product_name"] for said in unsaid if not said["product_code"]]
    by_number = {row.catalog_position_id: row for row in _rows(db, _CATALOG, tenant, numbers)}
    by = {
        "product_code": _grouped(_rows(db, _BY_CODE, tenant, codes), "product_code"),
        "product_name": _grouped(_rows(db, _BY_PRODUCT, tenant, names), "product_name"),
    }
    for one in listed:
        if one.number is not None:
            row = by_number.get(one.number)
        else:
            key = "product_code" if one.values["product_code"] else "product_name"
            row = _only(by[key][one.values[key]], one, key, "catalog_position_id", found)
        number = one.number if row is None else row.catalog_position_id
        found.note(Change("position", one, number), row)


def _only(rows: Sequence[Any], listed: Listed, key: str, better: str, found: Difference) -> Any:
    """The one row that bears the entry's key; several are a mistake, since they cannot be told apart."""
    if len(rows) > 1:
        numbers = ", ".join(str(getattr(row, better)) for row in rows[:5])
        found.mistake(
            f"{listed.path}.{key}", f"is borne by several: {numbers}. Say which by its {better}."
        )
    return rows[0] if rows else None


def _rows(db: Connection, statement: Any, tenant: int, keys: Sequence[Any]) -> list[Any]:
    return [
        row
        for begin in range(0, len(keys), _AT_ONCE)
        for row in db.execute(
            statement, {"of_tenant": tenant, "keys": keys[begin : begin + _AT_ONCE]}
        )
    ]


def _grouped(rows: Iterable[Any], name: str) -> defaultdict[Any, list[Any]]:
    made = defaultdict(list)
    for row in rows:
        made[getattr(row, name)].append(row)
    return made


def _those(query: Select[Any], tenant: Column[Any], key: Column[Any]) -> Any:
    keys: BindParameter[Any] = bindparam("keys", expanding=True)
    return query.where(tenant == bindparam("of_tenant"), key.in_(keys))


_BY_NUMBER = _those(select(ACCOUNTS), ACCOUNTS.c.tenant, ACCOUNTS.c.account_id)
_BY_EXTERNAL_ID = _those(select(ACCOUNTS), ACCOUNTS.c.tenant, ACCOUNTS.c.external_customer_id)
_BY_NAME = _those(select(ACCOUNTS), ACCOUNTS.c.tenant, ACCOUNTS.c.customer_name)
_OF_ACCOUNTS = _those(select(ADDRESSES), ADDRESSES.c.tenant, ADDRESSES.c.account_id)
_ADDRESSES = _those(select(ADDRESSES), ADDRESSES.c.tenant, ADDRESSES.c.account_address_id)
_CATALOG = _those(select(CATALOG), CATALOG.c.tenant, CATALOG.c.catalog_position_id)
_BY_CODE = _those(select(CATALOG), CATALOG.c.tenant, CATALOG.c.product_code)
_BY_PRODUCT = _those(select(CATALOG), CATALOG.c.tenant, CATALOG.c.product_name)
