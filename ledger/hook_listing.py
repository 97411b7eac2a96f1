"""Calls of a hook as people see them, and a person's wish that one be acted on again.

In: plain values and aware UTC times; who acts, for the history. Out: frozen rows, the newest first. A replay
opens the call again under its own number, so that whatever it made before is found by the same keys. Raises
`NotPossible` with a plain sentence, and `LedgerUnavailable`. Called by desk/hooks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update

from ledger import history
from ledger.columns import UtcDateTime
from ledger.database import Ledger
from ledger.history import Act
from ledger.hook_endings import OUTCOMES
from ledger.orders import NotPossible
from ledger.tables import HISTORY, HOOKS

# What has come to nothing yet.
WAITING = "waiting"
KNOWN_OUTCOMES = (WAITING, *OUTCOMES)


@dataclass(frozen=True, slots=True)
class Row:
    """One call. `outcome` is what it came to, `told` that in words' codes; `source` and `order_id` are whose
    order it is about, `updates` the numbers of those that it made or found.
    """

    id: int
    connection: str
    fields: dict[str, Any]
    received_at: datetime
    done_at: datetime | None
    outcome: str
    source: str | None = None
    order_id: str | None = None
    updates: list[int] = field(default_factory=list)
    told: list[dict[str, str]] = field(default_factory=list)


_COLUMNS = (
    HOOKS.c.id,
    HOOKS.c.connection,
    HOOKS.c.fields,
    HOOKS.c.received_at,
    HOOKS.c.done_at,
    HOOKS.c.outcome,
    HOOKS.c.became,
)


def listing(
    ledger: Ledger, *, connection: str | None = None, outcome: str | None = None, limit: int
) -> list[Row]:
    """Calls, the newest first: those of one box, or of one outcome, off the end of each part of the index."""
    kinds = KNOWN_OUTCOMES if outcome is None else (outcome,)
    with ledger.read() as db:
        if connection is None and outcome is None:
            return [_row(row) for row in db.execute(_NEWEST, {"most": limit})]
        names = list(_connections(db)) if connection is None else [connection]
        parts = [
            {"of_connection": name, "of_outcome": "" if kind == WAITING else kind, "most": limit}
            for name in names
            for kind in kinds
        ]
        rows = [row for part in parts for row in db.execute(_NEWEST_OF, part)]
    return [_row(row) for row in sorted(rows, key=lambda row: -row.id)[:limit]]


def _connections(db: Connection) -> Iterator[str]:
    """Whose calls there are, by a look at the index for each."""
    after = db.scalar(_NEXT_CONNECTION, {"after": ""})
    while after is not None:
        yield after
        after = db.scalar(_NEXT_CONNECTION, {"after": after})


_NEWEST = select(*_COLUMNS).order_by(HOOKS.c.id.desc()).limit(bindparam("most"))
_NEWEST_OF = _NEWEST.where(
    HOOKS.c.connection == bindparam("of_connection"), HOOKS.c.outcome == bindparam("of_outcome")
)
_NEXT_CONNECTION = select(func.min(HOOKS.c.connection)).where(
    HOOKS.c.connection > bindparam("after")
)


def find(ledger: Ledger, hook_id: int) -> Row | None:
    with ledger.read() as db:
        return _found(db, hook_id)


def replay(ledger: Ledger, hook_id: int, now: datetime, *, who: str) -> Row:
    """Open a call again. Raises NotPossible for one that waits, or whose fields are not kept."""

    def unit(db: Connection) -> Row:
        db.execute(_LOCK, {"of_id": hook_id})
        row = _found(db, hook_id)
        if row is None:
            raise NotPossible(f"Call {hook_id} is not kept any more.")
        if row.done_at is None:
            raise NotPossible(f"Call {hook_id} waits for a worker: it will be acted on by itself.")
        if not row.fields:
            raise NotPossible(
                f"The fields of call {hook_id} are not kept: an earlier version acted on it."
            )
        db.execute(_OPEN, {"of_id": hook_id, "now": now})
        after = {"call": hook_id, "from": row.outcome}
        if row.source is None:
            act = Act(now, who, "hook_replayed", "connection", row.connection, after=after)
        else:
            order = row.order_id
            act = Act(now, who, "hook_replayed", "order", row.source, order, after=after)
        history.write_in(db, act)
        return row

    return ledger.write(unit)


def replays(ledger: Ledger, row: Row) -> list[Act]:
    """Who asked for this call to be acted on again, the oldest first."""
    found = _acts(ledger, row.connection, None)
    if row.source is not None:
        found += _acts(ledger, row.source, row.order_id)
    return [act for act in found if (act.after or {}).get("call") == row.id]


def _acts(ledger: Ledger, connection: str, order_id: str | None) -> list[Act]:
    of_order = HISTORY.c.order_id == order_id if order_id else HISTORY.c.order_id.is_(None)
    query = (
        select(*(HISTORY.c[name] for name in Act.__dataclass_fields__))
        .where(HISTORY.c.connection == connection, of_order, HISTORY.c.what == "hook_replayed")
        .order_by(HISTORY.c.id)
    )
    with ledger.read() as db:
        return [Act(*row) for row in db.execute(query)]


_LOCK = select(HOOKS.c.id).where(HOOKS.c.id == bindparam("of_id")).with_for_update()
_OPEN = (
    update(HOOKS)
    .where(HOOKS.c.id == bindparam("of_id"))
    .values(
        done_at=None,
        outcome="",
        next_try_at=bindparam("now", type_=UtcDateTime()),
        replayed_at=bindparam("now", type_=UtcDateTime()),
        tries=0,
        lease_until=None,
        lease_token=None,
    )
)


def _found(db: Connection, hook_id: int) -> Row | None:
    row = db.execute(select(*_COLUMNS).where(HOOKS.c.id == hook_id)).first()
    return None if row is None else _row(row)


def _row(row: Any) -> Row:
    became: Mapping[str, Any] = row.became or {}
    return Row(
        id=row.id,
        connection=row.connection,
        fields=row.fields or {},
        received_at=row.received_at,
        done_at=row.done_at,
        outcome=WAITING if row.done_at is None else row.outcome,
        source=became.get("connection"),
        order_id=became.get("order_id"),
        updates=list(became.get("updates") or []),
        told=[] if row.done_at is None else list(became.get("told") or []),
    )
