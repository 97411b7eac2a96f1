"""Refuses to start while open orders of a connection belong to another target than it has now.

In: an open ledger and the target of each source. Out: nothing, or `RouteChanged`, which says which orders
these are and what to do. Called where the system, a worker or the gateway starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from sqlalchemy import func, select, text

from ledger.database import Ledger, open_ledger
from ledger.faults import LedgerUnavailable
from ledger.identity import WrongLedger
from ledger.tables import ORDERS

# As literals, which the index by state serves.
_OPEN = "state IN ('received', 'waiting', 'held')"
# Orders that are named.
NAMED = 5


class RouteChanged(WrongLedger):
    """Orders of this ledger are still to come into a target that is their source's no more."""


def check_routes(database_url: str, targets: Mapping[str, str]) -> None:
    """As `demand_same_routes`, with a ledger opened for it. One that is away is not asked."""
    if not targets:
        return
    ledger = open_ledger(database_url)
    try:
        with suppress(LedgerUnavailable):
            demand_same_routes(ledger, targets)
    finally:
        ledger.close()


def demand_same_routes(ledger: Ledger, targets: Mapping[str, str]) -> None:
    """Every order that is received, waiting or held belongs to the target of its source. `targets` names
    those of all sources; empty, nothing is configured and nothing is sent. Raises RouteChanged.
    """
    if not targets:
        return
    routes = (
        select(ORDERS.c.connection, ORDERS.c.target, func.count())
        .where(text(_OPEN))
        .group_by(ORDERS.c.connection, ORDERS.c.target)
        .order_by(ORDERS.c.connection, ORDERS.c.target)
    )
    with ledger.read() as db:
        found = db.execute(routes).all()
    for connection, target, count in found:
        if targets.get(connection) != target:
            named = _newest(ledger, connection, target)
            raise RouteChanged(_sentence(connection, target, targets.get(connection), count, named))


def _newest(ledger: Ledger, connection: str, target: str) -> list[str]:
    query = (
        select(ORDERS.c.order_id)
        .where(text(_OPEN), ORDERS.c.connection == connection, ORDERS.c.target == target)
        .order_by(ORDERS.c.id.desc())
        .limit(NAMED)
    )
    with ledger.read() as db:
        return list(db.execute(query).scalars())


def _sentence(connection: str, target: str, now: str | None, count: int, named: list[str]) -> str:
    changed = (
        f"The connection {connection} is configured no more"
        if now is None
        else f"The target of {connection} is {now} now"
    )
    orders = "1 order of it is" if count == 1 else f"{count} orders of it are"
    ids = ", ".join(named) + (", …" if count > len(named) else "")
    return (
        f"{changed}, but {orders} still open for {target} ({ids}). They may be there already, so they go "
        f"nowhere else. Name {connection} with the target {target} again until they are created, or give "
        f"them up: `orderbridge orders ignore ID --connection {connection}`."
    )
