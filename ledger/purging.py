"""Time passes: personal data of what ended long ago is blanked, and the record of each call is deleted.

In: a moment; what ended before it is over. Out: how many rows. Ids and states stay. In chunks, each a
transaction of its own that holds the writer for some milliseconds, with a rest after each as long as it
took, so that others write meanwhile; started again it goes on. With nothing to do it costs a look at each
table's oldest rows. Raises `LedgerUnavailable`. Called by tasks/upkeep.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection, Table, and_, bindparam, delete, select, text, update

from ledger.database import Ledger
from ledger.models import (
    HAS_OLD_WORDS,
    IS_PURGEABLE,
    Attempt,
    HookCall,
    Intake,
    Order,
    Update,
    UpdateAttempt,
)

ORDERS = cast("Table", Order.__table__)
ATTEMPTS = cast("Table", Attempt.__table__)
INTAKE = cast("Table", Intake.__table__)
UPDATES = cast("Table", Update.__table__)
UPDATE_ATTEMPTS = cast("Table", UpdateAttempt.__table__)
HOOKS = cast("Table", HookCall.__table__)

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
        db.execute(_BLANK_ATTEMPTS, {"ids": ids})
        blanked = update(ORDERS).where(ORDERS.c.id.in_(ids), finished)
        return db.execute(blanked.values(source="", problems=None, sent_source=None)).rowcount

    return _in_chunks(ledger, found, blank)


def intake(ledger: Ledger, before: datetime) -> int:
    """Delete what came in a list of orders before that moment and was none."""
    return _delete_older(ledger, INTAKE, INTAKE.c.received_at, before)


def updates(ledger: Ledger, before: datetime) -> int:
    """Blank the personal parts and the answers of updates that ended before that moment."""
    ended = and_(text(HAS_OLD_WORDS), UPDATES.c.state_at < before)
    found = select(UPDATES.c.id).where(ended).order_by(UPDATES.c.state_at).limit(CHUNK)

    def blank(db: Connection, ids: Sequence[int]) -> int:
        db.execute(_BLANK_UPDATE_ATTEMPTS, {"ids": ids})
        # Still ended when it is locked: a person may send it again meanwhile.
        still = select(UPDATES.c.id, UPDATES.c.parts).where(UPDATES.c.id.in_(ids), ended)
        rows = db.execute(still.with_for_update()).all()
        blanked = [{"of_id": row.id, "parts": _blanked(row.parts)} for row in rows]
        if blanked:
            db.execute(_BLANK_UPDATE, blanked)
        return len(blanked)

    return _in_chunks(ledger, found, blank)


def attempts(ledger: Ledger, before: datetime) -> int:
    """Delete the tries at orders before that moment, but for those of orders that are not over yet."""
    page = (
        select(ATTEMPTS.c.id, ATTEMPTS.c.started_at, ORDERS.c.state.in_(OVER).label("over"))
        .join(ORDERS, ORDERS.c.id == ATTEMPTS.c.order_pk)
        .order_by(ATTEMPTS.c.id)
    )
    return _delete_attempts(ledger, ATTEMPTS, page, before)


def update_attempts(ledger: Ledger, before: datetime) -> int:
    """Delete the calls for updates before that moment, but for those of updates that are not over yet."""
    over = UPDATES.c.state.not_in(STILL_OPEN).label("over")
    page = (
        select(UPDATE_ATTEMPTS.c.id, UPDATE_ATTEMPTS.c.started_at, over)
        .join(UPDATES, UPDATES.c.id == UPDATE_ATTEMPTS.c.update_id)
        .order_by(UPDATE_ATTEMPTS.c.id)
    )
    return _delete_attempts(ledger, UPDATE_ATTEMPTS, page, before)


def hook_calls(ledger: Ledger, before: datetime) -> int:
    """Delete the calls of the hook that were worked off before that moment."""
    return _delete_older(ledger, HOOKS, HOOKS.c.done_at, before)


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
_BLANK_ATTEMPTS = (
    update(ATTEMPTS)
    .where(ATTEMPTS.c.order_pk.in_(bindparam("ids", expanding=True)), ATTEMPTS.c.excerpt != "")
    .values(excerpt="")
)
_BLANK_UPDATE_ATTEMPTS = (
    update(UPDATE_ATTEMPTS)
    .where(
        UPDATE_ATTEMPTS.c.update_id.in_(bindparam("ids", expanding=True)),
        UPDATE_ATTEMPTS.c.excerpt != "",
    )
    .values(excerpt="")
)


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


def _delete_attempts(ledger: Ledger, table: Table, page: Any, before: datetime) -> int:
    """By the key, in which attempts came in: a page without an old one is where the walk ends. What is kept
    is passed by, outside any transaction.
    """
    total, after = 0, 0
    for _ in _restful():
        with ledger.read() as db:
            rows = db.execute(page.where(table.c.id > after).limit(PAGE)).all()
        old = [row for row in rows if row.started_at < before]
        ids = [row.id for row in old if row.over]
        if ids:
            total += ledger.write(lambda db, ids=ids: _delete(db, table, ids))  # type: ignore[misc]
        if not old or len(rows) < PAGE:
            break
        after = rows[-1].id
    return total


def _delete(db: Connection, table: Table, ids: Sequence[int]) -> int:
    return db.execute(delete(table).where(table.c.id.in_(ids))).rowcount


def _restful() -> Iterator[None]:
    """Endless rounds, with a rest after each as long as it took."""
    while True:
        began = time.monotonic()
        yield
        time.sleep(time.monotonic() - began)
