"""Which queues of updates are due, and which one tries a closed gate.

In: an aware UTC time. Out: queues to ring for. Raises `LedgerUnavailable` when the database cannot be
reached. Called by tasks/upkeep, and by tasks/outcomes where a call looks like the connection's fault.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, case, or_, select, text, update

from ledger.database import Ledger
from ledger.models import IS_OPEN_QUEUE
from ledger.updates import ATTEMPTS, QUEUES, UPDATES, Due


def due(ledger: Ledger, connection: str, now: datetime, most: int, grace: float = 0.0) -> list[Due]:
    """Queues nobody drains whose time came `grace` seconds ago or more, the longest due first."""
    query = (
        select(QUEUES.c.connection, QUEUES.c.order_id)
        .where(
            text(IS_OPEN_QUEUE),  # as the partial index says it, which serves no other words
            QUEUES.c.connection == connection,
            QUEUES.c.next_try_at <= now - timedelta(seconds=grace),
            or_(QUEUES.c.lease_until.is_(None), QUEUES.c.lease_until < now),
        )
        .order_by(QUEUES.c.next_try_at)
        .limit(most)
    )
    with ledger.read() as db:
        return [Due(*row) for row in db.execute(query)]


def probe(
    ledger: Ledger, connection: str, now: datetime, *, unblamed_only: bool = False
) -> list[Due]:
    """The queue to try a closed gate with, made due: the one whose time comes first, of those that did not
    meet what closed it, else of all.
    """
    of = {"of_connection": connection, "now": now}

    def unit(db: Connection) -> list[Due]:
        order_id = db.execute(_UNBLAMED, of).scalar_one_or_none()
        if order_id is None and not unblamed_only:
            order_id = db.execute(_FIRST, of).scalar_one_or_none()
        if order_id is None:
            return []
        db.execute(
            update(QUEUES)
            .where(QUEUES.c.connection == connection, QUEUES.c.order_id == order_id)
            .values(next_try_at=case((QUEUES.c.next_try_at < now, QUEUES.c.next_try_at), else_=now))
        )
        return [Due(connection, order_id)]

    return ledger.write(unit)


_FIRST = (
    select(QUEUES.c.order_id)
    .where(
        text(IS_OPEN_QUEUE),
        QUEUES.c.connection == bindparam("of_connection"),
        or_(QUEUES.c.lease_until.is_(None), QUEUES.c.lease_until < bindparam("now")),
    )
    .order_by(QUEUES.c.next_try_at)
    .limit(1)
)
_UNBLAMED = _FIRST.where(QUEUES.c.blamed_at.is_(None))


def went_through_since(
    ledger: Ledger, connection: str, order_id: str, since: datetime | None
) -> bool:
    """Whether this source took an update of another order by a call that began after that moment."""
    if since is None:
        return False
    query = (
        select(ATTEMPTS.c.id)
        .join(UPDATES, UPDATES.c.id == ATTEMPTS.c.update_id)
        .where(
            ATTEMPTS.c.started_at > since,
            ATTEMPTS.c.outcome == "sent",
            UPDATES.c.connection == connection,
            UPDATES.c.order_id != order_id,
        )
        .limit(1)
    )
    with ledger.read() as db:
        return db.execute(query).first() is not None
