"""Time passes: what texts there are of what ended long ago is blanked, the record of each call and act is
deleted.

In: a moment; what ended before it is over. Out: how many rows. Ids and states stay. In chunks, each a
transaction of its own that holds the writer for some milliseconds, with a rest after each as long as it
took, so that others write meanwhile; started again it goes on. With nothing to do it costs a look at each
table's oldest rows. Raises `LedgerUnavailable`. Called by tasks/upkeep; what waits for a person for too long
is ended by ledger/expiring. Every column that can hold a text is cleared here: a test walks the tables.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Table,
    and_,
    bindparam,
    delete,
    exists,
    func,
    null,
    select,
    text,
    true,
    update,
)

from ledger.conditions import HAS_ANSWER, HAS_OLD_WORDS, IS_PURGEABLE, IS_UNDONE
from ledger.database import Ledger
from ledger.tables import (
    ATTEMPTS,
    CURSORS,
    GATES,
    HISTORY,
    HOOKS,
    INTAKE,
    ORDERS,
    PLACED_ORDERS,
    PLACED_POSITIONS,
    QUEUES,
    UPDATES,
)

# Rows in one transaction: some 10 ms on SQLite.
CHUNK = 200
# Rows looked at in one statement where some are kept.
PAGE = 500

# What is over; attempts of the others are kept, however old.
OVER = ("created", "ignored")
STILL_OPEN = ("queued", "parked")
# What stays of what a clerk was told of an update: what became of which part, not what it said.
TOLD = ("part", "fate", "code", "level", "field")
# What goes with an order's source; its number stays, as its ids do.
_FORGOTTEN = (
    "problems",
    "known_source",
    "tracking",
    "phone",
    "name",
    "buyer_phone",
    "buyer_name",
)


def orders(ledger: Ledger, before: datetime) -> int:
    """Blank personal data of orders that were finished before that moment."""
    finished = and_(text(IS_PURGEABLE), ORDERS.c.state_at < before)
    found = select(ORDERS.c.id).where(finished).order_by(ORDERS.c.state_at).limit(CHUNK)

    def blank(db: Connection, ids: Sequence[int]) -> int:
        return blank_orders(db, ids, finished)

    return in_chunks(ledger, found, blank)


def blank_orders(db: Connection, ids: Sequence[int], finished: Any, **more: Any) -> int:
    """Blank these orders as far as they are still finished, and what was answered to them."""
    db.execute(_BLANK_OF_ORDERS, {"ids": ids})
    blanked = update(ORDERS).where(ORDERS.c.id.in_(ids), finished)
    forgotten = dict.fromkeys(_FORGOTTEN)
    count = db.execute(blanked.values(source="", **forgotten, **more)).rowcount
    _blank_placed(db, ids)
    return count


def _blank_placed(db: Connection, ids: Sequence[int]) -> None:
    """Of those that were placed with us, what stands beside their blanked source."""
    placed = list(db.execute(_BLANK_PLACED, {"ids": ids}))
    if placed:
        # One by one: SQLite looks through the whole table for a list of pairs.
        db.execute(_BLANK_POSITIONS, [{"of_tenant": p[0], "of_order": p[1]} for p in placed])


def intake(ledger: Ledger, before: datetime) -> int:
    """Delete what came in a list of orders before that moment and was none."""
    return _delete_older(ledger, INTAKE, INTAKE.c.received_at, before)


def updates(ledger: Ledger, before: datetime) -> int:
    """Blank what updates that ended before that moment said and were answered, and what was known of their
    orders by then; delete those that were refused, whose ids are whatever somebody wrote there.
    """
    ended = and_(text(HAS_OLD_WORDS), UPDATES.c.state_at < before)
    found = select(UPDATES.c.id).where(ended).order_by(UPDATES.c.state_at).limit(CHUNK)

    def blank(db: Connection, ids: Sequence[int]) -> int:
        return blank_updates(db, ids, ended, before)

    return in_chunks(ledger, found, blank)


def blank_updates(db: Connection, ids: Sequence[int], ended: Any, before: datetime) -> int:
    """Blank these updates as far as they have still ended, and what was answered to them."""
    db.execute(_BLANK_OF_UPDATES, {"ids": ids})
    # Still ended when it is locked: a person may send it again meanwhile.
    still = select(*_SAID).where(UPDATES.c.id.in_(ids), ended).with_for_update()
    rows = db.execute(still).all()
    refused = [row.id for row in rows if row.state == "refused"]
    if refused:
        _delete(db, UPDATES, refused)
    blanked = [_blanked(row) for row in rows if row.state != "refused"]
    if blanked:
        db.execute(_BLANK_UPDATE, blanked)
        queues = {(row.connection, row.order_id) for row in rows if row.state != "refused"}
        # One by one: SQLite looks through the whole table for a list of pairs.
        of_these = [{"of_connection": name, "of_order": order} for name, order in queues]
        db.execute(_FORGET_KNOWN, [of | {"before": before} for of in of_these])
    return len(rows)


def attempts(ledger: Ledger, before: datetime) -> int:
    """Delete the tries before that moment, but for those at orders and updates that are not over yet.

    By the key, in which attempts came in: a page without an old one is where the walk ends. What is kept is
    passed by, outside any transaction.
    """
    total, after = 0, 0
    for _ in restful():
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


def answers(ledger: Ledger, before: datetime) -> int:
    """Blank what remotes answered before that moment, whatever became of the order since."""
    old = and_(text(HAS_ANSWER), ATTEMPTS.c.started_at < before)
    found = select(ATTEMPTS.c.id).where(old).order_by(ATTEMPTS.c.started_at).limit(CHUNK)
    blanked = update(ATTEMPTS).values(excerpt="")

    def blank(db: Connection, ids: Sequence[int]) -> int:
        return db.execute(blanked.where(ATTEMPTS.c.id.in_(ids))).rowcount

    return in_chunks(ledger, found, blank)


def reasons(ledger: Ledger, before: datetime) -> int:
    """Blank why gates were closed and polls failed before that moment: it quotes what the remote said."""
    closed = update(GATES).where(GATES.c.closed_at < before, GATES.c.reason != "")
    cleared = update(GATES).where(GATES.c.cleared_at < before, GATES.c.cleared != "")
    failed = update(CURSORS).where(CURSORS.c.failed_at < before, CURSORS.c.error != "")
    blanked = (
        closed.values(reason="", who=""),
        cleared.values(cleared=""),
        failed.values(error=""),
    )
    return ledger.write(lambda db: sum(db.execute(one).rowcount for one in blanked))


def hook_calls(ledger: Ledger, before: datetime) -> int:
    """Delete the calls of the hook that were worked off before that moment, or came before it and never
    were: the reconcile has read those processes since.
    """
    undone = select(HOOKS.c.id).where(text(IS_UNDONE), HOOKS.c.received_at < before).limit(CHUNK)
    gone = in_chunks(ledger, undone, lambda db, ids: _delete(db, HOOKS, ids))
    return gone + _delete_older(ledger, HOOKS, HOOKS.c.done_at, before)


def history(ledger: Ledger, before: datetime) -> int:
    """Delete what people did before that moment."""
    return _delete_older(ledger, HISTORY, HISTORY.c.at, before)


def _blanked(row: Any) -> dict[str, Any]:
    parts = {
        name: part | {"value": None} if part.get("personal") else part
        for name, part in row.parts.items()
    }
    fates = [{name: told[name] for name in TOLD if name in told} for told in row.fates or []]
    return {"of_id": row.id, "parts": parts, "fates": fates or None}


_SAID = (
    UPDATES.c.id,
    UPDATES.c.connection,
    UPDATES.c.order_id,
    UPDATES.c.state,
    UPDATES.c.parts,
    UPDATES.c.fates,
)
_BLANK_UPDATE = (
    update(UPDATES)
    .where(UPDATES.c.id == bindparam("of_id"))
    .values(parts=bindparam("parts"), fates=bindparam("fates"), options={}, personal=False)
)


_FORGET_KNOWN = (
    update(QUEUES)
    .where(
        QUEUES.c.connection == bindparam("of_connection"),
        QUEUES.c.order_id == bindparam("of_order"),
        QUEUES.c.known_at < bindparam("before"),
    )
    .values(known=null(), known_at=None)
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


_BLANK_PLACED = (
    update(PLACED_ORDERS)
    .where(
        PLACED_ORDERS.c.order_pk.in_(bindparam("ids", expanding=True)),
        exists().where(ORDERS.c.id == PLACED_ORDERS.c.order_pk, ORDERS.c.source == ""),
    )
    .values(order_type="", order_status="")
    .returning(PLACED_ORDERS.c.tenant, PLACED_ORDERS.c.order_id)
)
_BLANK_POSITIONS = (
    update(PLACED_POSITIONS)
    .where(
        PLACED_POSITIONS.c.tenant == bindparam("of_tenant"),
        PLACED_POSITIONS.c.order_id == bindparam("of_order"),
    )
    .values(position_type="", product_name="", product_code="", unit="")
)


def _blank_attempts(column: Any) -> Any:
    of_these = column.in_(bindparam("ids", expanding=True))
    return update(ATTEMPTS).where(of_these, ATTEMPTS.c.excerpt != "").values(excerpt="")


_BLANK_OF_ORDERS = _blank_attempts(ATTEMPTS.c.order_pk)
_BLANK_OF_UPDATES = _blank_attempts(ATTEMPTS.c.update_id)


def in_chunks(
    ledger: Ledger,
    found: Any,
    change: Callable[[Connection, Sequence[int]], int],
    chunk: int = CHUNK,
) -> int:
    """Change what is found, so many at a time, until nothing is; what is changed is found no more."""
    total = 0
    for _ in restful():
        with ledger.read() as db:
            ids = list(db.execute(found).scalars())
        if ids:
            total += ledger.write(lambda db, ids=ids: change(db, ids))  # type: ignore[misc]
        if len(ids) < chunk:
            break
    return total


def _delete_older(ledger: Ledger, table: Table, column: Any, before: datetime) -> int:
    found = select(table.c.id).where(column < before).order_by(column).limit(CHUNK)
    return in_chunks(ledger, found, lambda db, ids: _delete(db, table, ids))


def _delete(db: Connection, table: Table, ids: Sequence[int]) -> int:
    return db.execute(delete(table).where(table.c.id.in_(ids))).rowcount


def restful() -> Iterator[None]:
    """Endless rounds, with a rest after each as long as it took."""
    while True:
        began = time.monotonic()
        yield
        time.sleep(time.monotonic() - began)
