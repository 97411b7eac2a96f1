"""How far each source was read, and who reads it now: one poll at a time, by a lease.

In and out: aware UTC times. Raises `LedgerUnavailable` when the database cannot be reached. Called, by its
package, by tasks/polling, gateway and run.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ledger.database import Ledger
from ledger.tables import CURSORS


@dataclass(frozen=True, slots=True)
class Poll:
    """The right to read one shop, where the last reading ended (None: never read), from when its orders
    count, and whether the last one failed.
    """

    connection: str
    token: str
    watermark: datetime | None
    counts_from: datetime
    failed: bool = False


@dataclass(frozen=True, slots=True)
class CursorRow:
    """How the reading of one shop stands."""

    connection: str
    watermark: datetime | None
    polled_at: datetime | None
    failed_at: datetime | None
    error: str
    start_at: datetime | None = None


def begin_poll(
    ledger: Ledger,
    connection: str,
    now: datetime,
    lease: float,
    counts_from: datetime | None = None,
) -> Poll | None:
    """Take the shop for `lease` seconds, or None when a poll of it is running, whoever started it. The first
    one fixes that its orders count from `counts_from` on; None: from that first attempt.
    """
    token = secrets.token_hex(8)
    wanted = (CURSORS.c.start_at, now) if counts_from is None else (counts_from,)

    def unit(db: Connection) -> Poll | None:
        new = (sqlite if db.dialect.name == "sqlite" else postgresql).insert(CURSORS)
        db.execute(new.values(connection=connection, error="").on_conflict_do_nothing())
        row = db.execute(
            update(CURSORS)
            .where(
                CURSORS.c.connection == connection,
                or_(CURSORS.c.lease_until.is_(None), CURSORS.c.lease_until < now),
            )
            .values(
                start_at=func.coalesce(CURSORS.c.start_at, now),
                counts_from=func.coalesce(CURSORS.c.counts_from, *wanted),
                lease_until=now + timedelta(seconds=lease),
                lease_token=token,
            )
            .returning(CURSORS.c.watermark, CURSORS.c.counts_from, CURSORS.c.error)
        ).first()
        if row is None:
            return None
        return Poll(connection, token, row.watermark, row.counts_from, bool(row.error))

    return ledger.write(unit)


def keep_poll(ledger: Ledger, poll: Poll, now: datetime, lease: float) -> bool:
    """Prolong the lease by another `lease` seconds; False when it was lost."""
    return _update_held(ledger, poll, lease_until=now + timedelta(seconds=lease))


def move_cursor(ledger: Ledger, poll: Poll, watermark: datetime) -> bool:
    """Move the cursor in the middle of a poll, as far as was read for certain; False when the lease was
    lost.
    """
    return _update_held(ledger, poll, watermark=watermark)


def end_poll(
    ledger: Ledger, poll: Poll, now: datetime, watermark: datetime | None, *, whole: bool = True
) -> bool:
    """Move the cursor and give the shop back; False when the lease was lost: then nothing moves. `whole`
    unless only past days were read: a poll that reads all that is new since the cursor has caught up with
    a ledger that went back.
    """
    caught_up = {"behind": False} if whole else {}
    return _update_held(
        ledger,
        poll,
        watermark=watermark,
        polled_at=now,
        failed_at=None,
        error="",
        lease_until=None,
        lease_token=None,
        **caught_up,
    )


def fail_poll(ledger: Ledger, poll: Poll, now: datetime, error: str) -> None:
    """Give the shop back with what went wrong; the cursor stays where it was."""
    _update_held(ledger, poll, failed_at=now, error=error, lease_until=None, lease_token=None)


def leave_poll(ledger: Ledger, poll: Poll) -> None:
    """Give the shop back as if it had not been asked: its reads are paused, and nothing went wrong."""
    _update_held(ledger, poll, lease_until=None, lease_token=None)


def _update_held(ledger: Ledger, poll: Poll, **values: Any) -> bool:
    statement = (
        update(CURSORS)
        .where(CURSORS.c.connection == poll.connection, CURSORS.c.lease_token == poll.token)
        .values(**values)
    )
    return ledger.write(lambda db: bool(db.execute(statement).rowcount))


def cursors(ledger: Ledger) -> list[CursorRow]:
    query = select(
        CURSORS.c.connection,
        CURSORS.c.watermark,
        CURSORS.c.polled_at,
        CURSORS.c.failed_at,
        CURSORS.c.error,
        CURSORS.c.start_at,
    ).order_by(CURSORS.c.connection)
    with ledger.read() as db:
        return [CursorRow(*row) for row in db.execute(query)]
