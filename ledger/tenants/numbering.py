"""Gives a tenant's numbers: of orders, positions, accounts, addresses, catalog positions, each from 1.

In: a connection in a transaction that holds the tenant's row, and how many are wanted. Out: the last number
given of each. A transaction that fails gives its numbers back with everything else, so they have no gaps.
Called by ledger/tenants/placing and ledger/tenants/loading.
Source: docs/decisions/numbers-of-a-tenant.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, case, update

from ledger.tables import TENANTS
from ledger.tides import Standing

# What a ledger that went back has forgotten was given: for each time that it went back, so many numbers are
# passed by. Customers know them, and they must not become another's.
PASSED_BY = 10_000
COUNTED = ("order", "position", "account", "address", "catalog")


@dataclass(frozen=True, slots=True)
class Last:
    """The last numbers given."""

    order: int
    position: int
    account: int
    address: int
    catalog: int


def take(db: Connection, tenant: Any, standing: Standing | None, **wanted: int) -> Last:
    """Count on by so many of each; `tenant` is its row, locked, `standing` how the ledger stands."""
    epoch = "" if standing is None else standing.epoch
    passed = PASSED_BY * _times(tenant.epoch, epoch)
    values = {name: wanted.get(name, 0) + passed for name in COUNTED}
    return Last(*db.execute(_TAKE, values | {"of_id": tenant.id, "new_epoch": epoch}).one())


def pass_by(db: Connection, tenant: int, **used: int) -> None:
    """Count on to these numbers at least, which were given elsewhere."""
    values = {name: used.get(name, 0) for name in COUNTED}
    db.execute(_PASS_BY, values | {"of_id": tenant})


def _times(before: str, now: str) -> int:
    """How often the ledger went back since: epochs begin with their number."""
    if before == now:
        return 0
    old, new = (int(epoch.partition("-")[0] or 0) for epoch in (before, now))
    return max(1, new - old)


_LAST = {name: TENANTS.c[f"last_{name}"] for name in COUNTED}
_TAKE = (
    update(TENANTS)
    .where(TENANTS.c.id == bindparam("of_id"))
    .values(
        epoch=bindparam("new_epoch"),
        **{f"last_{name}": last + bindparam(name) for name, last in _LAST.items()},
    )
    .returning(*_LAST.values())
)
_PASS_BY = (
    update(TENANTS)
    .where(TENANTS.c.id == bindparam("of_id"))
    .values(
        **{
            f"last_{name}": case((last < bindparam(name), bindparam(name)), else_=last)
            for name, last in _LAST.items()
        }
    )
)
