"""What of an order in its source may be ours: the values that updates brought there, or would have.

In: whose order. Out: values by part. What a person cancelled before any call carried it is not ours: where it
stands in the source all the same, somebody else put it there. Raises `LedgerUnavailable`. Called by
tasks/wanting, tasks/draining, desk/reviewing and ledger/hearing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, bindparam, or_, select, text

from ledger.conditions import OF_AN_UPDATE
from ledger.database import Ledger
from ledger.tables import ATTEMPTS, UPDATES

Values = dict[str, list[Any]]


def brought(ledger: Ledger, connection: str, order_id: str) -> Values:
    """What a call of ours may have set, by part."""
    with ledger.read() as db:
        rows = _updates(db, connection, order_id)
        ended = [row.id for row in rows if not row.in_doubt and _cancelled(row.parts)]
        carried = _carried(db, ended) if ended else set()
    return _values(
        (name, part["value"])
        for row in rows
        for name, part in row.parts.items()
        if part["state"] != "cancelled" or row.in_doubt or (row.id, name) in carried
    )


def asked_in(db: Connection, connection: str, order_id: str) -> Values:
    """What was asked for, by part, whatever became of it; within a transaction."""
    rows = _updates(db, connection, order_id)
    return _values((name, part["value"]) for row in rows for name, part in row.parts.items())


def _updates(db: Connection, connection: str, order_id: str) -> list[Any]:
    of = {"of_connection": connection, "of_order": order_id}
    return list(db.execute(_UPDATES, of))


def _cancelled(parts: dict[str, Any]) -> bool:
    return any(part["state"] == "cancelled" for part in parts.values())


def _carried(db: Connection, ids: list[int]) -> set[tuple[int, str]]:
    """Which parts of these updates a call carried that may have set them."""
    found = db.execute(_CARRIED, {"of_ids": ids})
    return {(row.update_id, name) for row in found for name in row.parts.split(",")}


def _values(brought: Iterable[tuple[str, Any]]) -> Values:
    values: Values = {}
    for name, value in brought:
        values.setdefault(name, []).append(value)
    return values


_UPDATES = select(UPDATES.c.id, UPDATES.c.parts, UPDATES.c.in_doubt).where(
    UPDATES.c.connection == bindparam("of_connection"), UPDATES.c.order_id == bindparam("of_order")
)
# One that was refused with several parts may have set some of them.
_CARRIED = select(ATTEMPTS.c.update_id, ATTEMPTS.c.parts).where(
    text(OF_AN_UPDATE),
    ATTEMPTS.c.update_id.in_(bindparam("of_ids", expanding=True)),
    or_(
        ATTEMPTS.c.outcome.in_(("sent", "uncertain", "lost")),
        ATTEMPTS.c.parts.contains(","),
    ),
)
