"""What people and machines look at: orders as rows, one order's source, the ledger at a glance.

In: an open ledger, aware UTC times. Out: frozen rows. Raises `LedgerUnavailable`. Called, by its package,
by gateway, cli, run and tasks.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from sqlalchemy import Boolean, func, literal_column, select, text

from ledger import tallies
from ledger.conditions import IS_CHANGED, IS_HELD
from ledger.database import Ledger
from ledger.orders.rows import Content, Overview, Row
from ledger.orders.waiting import oldest_due_at
from ledger.tables import ORDERS

# Of so many orders the newest of one source are found: no search reads the whole of a long ledger.
NEWEST = 1000

ROW = select(ORDERS, literal_column(IS_CHANGED, Boolean).label("changed"))


def listing(
    ledger: Ledger,
    now: datetime,
    *,
    state: str | None = None,
    order_id: str | None = None,
    connection: str | None = None,
    changed: bool = False,
    limit: int | None = None,
) -> list[Row]:
    """Orders, the newest first; `changed` only those that their target has otherwise."""
    query = ROW.order_by(ORDERS.c.id.desc())
    if changed:
        query = query.where(text(IS_CHANGED))
    if state is not None:
        query = query.where(ORDERS.c.state == state)
    if order_id is not None:
        query = query.where(ORDERS.c.order_id == order_id)
    if connection is not None:
        query = query.where(ORDERS.c.connection == connection)
    if limit is not None:
        query = query.limit(limit)
    with ledger.read() as db:
        return [to_row(found, now) for found in db.execute(query)]


def source(ledger: Ledger, pk: int) -> str:
    """The shop's JSON of one order, as text; empty when it was purged."""
    with ledger.read() as db:
        return str(db.execute(select(ORDERS.c.source).where(ORDERS.c.id == pk)).scalar_one())


def changed_total(
    ledger: Ledger, *, state: str | None = None, connection: str | None = None
) -> tallies.Total:
    """How many orders count as changed in the shop."""
    most = tallies.MOST_LOOKED_AT
    query = select(ORDERS.c.id).where(text(IS_CHANGED)).limit(most)
    if state is not None:
        query = query.where(ORDERS.c.state == state)
    if connection is not None:
        query = query.where(ORDERS.c.connection == connection)
    with ledger.read() as db:
        rows = db.execute(select(func.count()).select_from(query.subquery())).scalar_one()
    return tallies.Total(rows, "at least " if rows >= most else "")


def held(ledger: Ledger, now: datetime, limit: int) -> list[Row]:
    """Orders that wait for a person, those that were held last first."""
    query = ROW.where(text(IS_HELD), ORDERS.c.state_at <= now).order_by(
        ORDERS.c.state_at.desc(), ORDERS.c.id.desc()
    )
    with ledger.read() as db:
        return [to_row(found, now) for found in db.execute(query.limit(limit))]


def content(ledger: Ledger, pk: int) -> Content:
    """What is sent of one order now; its text is empty when it was purged."""
    accepted = ORDERS.c.accepted_hash == ORDERS.c.content_hash
    query = select(ORDERS.c.source, ORDERS.c.content_hash, accepted).where(ORDERS.c.id == pk)
    with ledger.read() as db:
        text, content_hash, is_accepted = db.execute(query).one()
    return Content(text, content_hash, bool(is_accepted))


def newest_sources(ledger: Ledger, connection: str, most: int) -> list[str]:
    """The JSON texts of this source's newest orders, as far as they are among the newest of all."""
    beyond = select(func.max(ORDERS.c.id) - NEWEST).scalar_subquery()
    query = (
        select(ORDERS.c.source)
        .where(ORDERS.c.id > beyond, ORDERS.c.connection == connection, ORDERS.c.source != "")
        .order_by(ORDERS.c.id.desc())
        .limit(most)
    )
    with ledger.read() as db:
        return [str(text) for text in db.execute(query).scalars()]


def before_change(ledger: Ledger, pk: int) -> str | None:
    """The source's text of a changed order as its target has it, or as a person noted it last: None where it
    is not kept.
    """
    query = select(ORDERS.c.known_source).where(ORDERS.c.id == pk)
    with ledger.read() as db:
        return db.execute(query).scalar_one() or None


def snapshot(ledger: Ledger, connection: str, order_id: str) -> tuple[str, datetime | None] | None:
    """The shop's JSON of one order as last read, and the shop's time of it; None: the ledger has none."""
    query = select(ORDERS.c.source, ORDERS.c.shop_updated_at).where(
        ORDERS.c.connection == connection, ORDERS.c.order_id == order_id, ORDERS.c.source != ""
    )
    with ledger.read() as db:
        row = db.execute(query).first()
    return None if row is None else (row.source, row.shop_updated_at)


def by_process(ledger: Ledger, target: str, target_id: str, connection: str) -> str | None:
    """The id of the order of this connection that this process of the target is, or None."""
    query = select(ORDERS.c.order_id).where(
        ORDERS.c.target == target,
        ORDERS.c.target_id == target_id,
        ORDERS.c.connection == connection,
    )
    with ledger.read() as db:
        return cast("str | None", db.execute(query).scalars().first())


def is_in(ledger: Ledger, target: str, connection: str, order_id: str) -> bool:
    """Whether this order of this connection belongs to this target."""
    query = select(ORDERS.c.id).where(
        ORDERS.c.connection == connection,
        ORDERS.c.order_id == order_id,
        ORDERS.c.target == target,
    )
    with ledger.read() as db:
        return db.execute(query).first() is not None


def overview(ledger: Ledger, now: datetime, latest: int = 12) -> Overview:
    """Counts by state, the newest orders and the oldest due one; the live screen asks each second."""
    counted = tallies.counts(ledger, tallies.ORDERS, now)
    newest = ROW.order_by(ORDERS.c.state_at.desc(), ORDERS.c.id.desc()).limit(latest)
    with ledger.read() as db:
        rows = [to_row(found, now) for found in db.execute(newest)]
        oldest = oldest_due_at(db, now)
    return Overview(counted.rows, counted.at, rows, oldest)


def to_row(found: Any, now: datetime) -> Row:
    """An order as `ROW` selects it."""
    return Row(
        pk=found.id,
        connection=found.connection,
        order_id=found.order_id,
        external_id=found.external_id,
        state=found.state,
        reason=found.reason,
        problems=found.problems or [],
        target=found.target,
        target_id=found.target_id,
        changed=found.changed,
        tries=found.tries,
        received_at=found.received_at,
        state_at=found.state_at,
        next_try_at=found.next_try_at,
        uncertain_since=found.uncertain_since,
        being_worked_on=found.lease_until is not None and found.lease_until >= now,
        stage=found.heard_stage,
        tracking_number=found.heard_number,
    )
