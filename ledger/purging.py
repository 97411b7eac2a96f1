"""Time passes: personal data of what ended long ago is blanked, the record of each call and act is deleted.

In: a moment; what ended before it is over. Out: how many rows. Ids and states stay. In chunks, each a
transaction of its own that holds the writer for some milliseconds, with a rest after each as long as it
took, so that others write meanwhile; started again it goes on. With nothing to do it costs a look at each
table's oldest rows. Raises `LedgerUnavailable`. Called by tasks/upkeep.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, and_, bindparam, delete, func, select, text, true, update

from ledger.conditions import HAS_OLD_WORDS, IS_PURGEABLE
from ledger.database import Ledger
from ledger.tables import ATTEMPTS, HISTORY, HOOKS, INTAKE, ORDERS, UPDATES

# Rows in one transaction: some 10 ms on SQLite.
CHUNK = 200
# Rows looked at in one statement where some are kept.
PAGE = 500

# What is over; attempts of the others are kept, however old.
OVER = ("created", "ignored")
STILL_OPEN = ("queued", "parked")


def orders(ledger: Ledger, before: datetime) -> int:
    """Blank personal data of orders that were finished before that moment."""
    finished = and_(text(IS_PURGEABLE), ORDERS.c.state_at < before)
    found = select(ORDERS.c.id).where(finished).order_by(ORDERS.c.state_at).limit(CHUNK)

    def blank(db: Connection, ids: Sequence[int]) -> int:
        db.execute(_BLANK_OF_ORDERS, {"ids": ids})
        blanked = update(ORDERS).where(ORDERS.c.id.in_(ids), finished)
        return db.execute(blanked.values(source="", problems=None)).rowcount

    return _in_chunks(ledger, found, blank)


def intake(ledger: Ledger, before: datetime) -> int:
    """Delete what came in a list of orders before that moment and was none."""
    return _delete_older(ledger, INTAKE, INTAKE.c.received_at, before)


def updates(ledger: Ledger, before: datetime) -> int:
    """Blank the personal parts and the answers of updates that ended before that moment."""
    ended = and_(text(HAS_OLD_WORDS), UPDATES.c.state_at < before)
    found = select(UPDATES.c.id).where(ended).order_by(UPDATES.c.state_at).limit(CHUNK)

    def blank(db: Connection, ids: Sequence[int]) -> int:
        db.execute(_BLANK_OF_UPDATES, {"ids": ids})
        # Still ended when it is locked: a person may send it again meanwhile.
        still = select(UPDATES.c.id, UPDATES.c.parts).where(UPDATES.c.id.in_(ids), ended)
        rows = db.execute(still.with_for_update()).all()
        blanked = [{"of_id": row.id, "parts": _blanked(row.parts)} for row in rows]
        if blanked:
            db.execute(_BLANK_UPDATE, blanked)
        return len(blanked)

    return _in_chunks(ledger, found, blank)


def attempts(ledger: Ledger, before: datetime) -> int:
    """Delete the tries before that moment, but for those at orders and updates that are not over yet.

    By the key, in which attempts came in: a page without an old one is where the walk ends. What is kept is
    passed by, outside any transaction.
    """
    total, after = 0, 0
    for _ in _restful():
        with ledger.read() as db:
            rows = db.execute(_ATTEMPTS, {"after": after}).all()
        old = [row for row in rows if row.started_at < before]
        ids = [row.id for row in old if row.over]
        if ids:
            total += ledger.write(lambda db, ids=ids: _delete(db, ATTEMPTS, ids))  # type: ignore[misc]
        if not old or len(rows) < PAGE:
            break
        after = rows[-1].id
    return total


def hook_calls(ledger: Ledger, before: datetime) -> int:
    """Delete the calls of the hook that were worked off before that moment."""
    return _delete_older(ledger, HOOKS, HOOKS.c.done_at, before)


def history(ledger: Ledger, before: datetime) -> int:
    """Delete what people did before that moment."""
    return _delete_older(ledger, HISTORY, HISTORY.c.at, before)


def _blanked(parts: dict[str, Any]) -> dict[str, Any]:
    return {
        name: part | {"value": None} if part.get("personal") else part
        for name, part in parts.items()
    }


_BLANK_UPDATE = (
    update(UPDATES)
    .where(UPDATES.c.id == bindparam("of_id"))
    .values(parts=bindparam("parts"), personal=False)
)
_ATTEMPTS = (
    select(
        ATTEMPTS.c.id,
        ATTEMPTS.c.started_at,
        func.coalesce(ORDERS.c.state.in_(OVER), UPDATES.c.state.not_in(STILL_OPEN), true()).label(
            "over"
        ),
    )
    .outerjoin(ORDERS, ORDERS.c.id == ATTEMPTS.c.order_pk)
    .outerjoin(UPDATES, UPDATES.c.id == ATTEMPTS.c.update_id)
    .where(ATTEMPTS.c.id > bindparam("after"))
    .order_by(ATTEMPTS.c.id)
    .limit(PAGE)
)


def _blank_attempts(column: Any) -> Any:
    of_these = column.in_(bindparam("ids", expanding=True))
    return update(ATTEMPTS).where(of_these, ATTEMPTS.c.excerpt != "").values(excerpt="")


_BLANK_OF_ORDERS = _blank_attempts(ATTEMPTS.c.order_pk)
_BLANK_OF_UPDATES = _blank_attempts(ATTEMPTS.c.update_id)


def _in_chunks(
    ledger: Ledger, found: Any, change: Callable[[Connection, Sequence[int]], int]
) -> int:
    """Change what is found until nothing is; what is changed is found no more."""
    total = 0
    for _ in _restful():
        with ledger.read() as db:
            ids = list(db.execute(found).scalars())
        if ids:
            total += ledger.write(lambda db, ids=ids: change(db, ids))  # type: ignore[misc]
        if len(ids) < CHUNK:
            break
    return total


def _delete_older(ledger: Ledger, table: Table, column: Any, before: datetime) -> int:
    found = select(table.c.id).where(column < before).order_by(column).limit(CHUNK)
    return _in_chunks(ledger, found, lambda db, ids: _delete(db, table, ids))


def _delete(db: Connection, table: Table, ids: Sequence[int]) -> int:
    return db.execute(delete(table).where(table.c.id.in_(ids))).rowcount


def _restful() -> Iterator[None]:
    """Endless rounds, with a rest after each as long as it took."""
    while True:
        began = time.monotonic()
        yield
        time.sleep(time.monotonic() - began)
