"""What each channel was told and when, so that neither a restart nor a second worker tells it twice.

In: the names of channels, aware UTC times. Out: the right to speak on a channel for a while, what it was told
before, how it fares. Who dies between speaking and noting it lets the next one say it once more. Raises
`LedgerUnavailable`. Called by tasks/telling.py and tasks/checking.py.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ledger.database import Ledger
from ledger.tables import CHANNELS, TELLINGS

# What was over for so long is forgotten.
FORGOTTEN = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Told:
    """What a channel was last told of a subject."""

    subject: str
    newest: datetime
    told_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Fares:
    """How a channel fares."""

    name: str
    next_try_at: datetime
    told_at: datetime | None
    failures: int
    failing_since: datetime | None
    error: str


_FARES = tuple(CHANNELS.c[name] for name in Fares.__dataclass_fields__)
_TOLD = tuple(TELLINGS.c[name] for name in Told.__dataclass_fields__)


def channels(ledger: Ledger, names: Collection[str]) -> list[Fares]:
    """Those of these names on which was spoken, or tried to."""
    query = select(*_FARES).where(CHANNELS.c.name.in_(list(names))).order_by(CHANNELS.c.name)
    with ledger.read() as db:
        return [Fares(*row) for row in db.execute(query)]


def told(ledger: Ledger, channel: str) -> dict[str, Told]:
    """What it was told, by subject."""
    with ledger.read() as db:
        rows = db.execute(select(*_TOLD).where(TELLINGS.c.channel == channel))
        return {row.subject: Told(*row) for row in rows}


def begin(ledger: Ledger, names: Sequence[str], now: datetime) -> None:
    """A worker starts: one that failed is tried at once, since its address may be another now, and those of
    other names are forgotten.
    """

    def unit(db: Connection) -> None:
        failed = CHANNELS.c.failures > 0
        db.execute(update(CHANNELS).where(failed).values(next_try_at=now))
        for table, column in ((CHANNELS, CHANNELS.c.name), (TELLINGS, TELLINGS.c.channel)):
            db.execute(delete(table).where(column.not_in(list(names))))

    ledger.write(unit)


def claim(ledger: Ledger, channel: str, now: datetime, lease: timedelta) -> str | None:
    """The right to speak on a channel for so long; None: it is not its time, or somebody else speaks."""
    token = secrets.token_hex(8)

    def unit(db: Connection) -> bool:
        _ensure(db, channel, now)
        statement = (
            update(CHANNELS)
            .where(
                CHANNELS.c.name == channel,
                CHANNELS.c.next_try_at <= now,
                or_(CHANNELS.c.lease_until.is_(None), CHANNELS.c.lease_until <= now),
            )
            .values(lease_until=now + lease, lease_token=token)
        )
        return bool(db.execute(statement).rowcount)

    return token if ledger.write(unit) else None


def note(
    ledger: Ledger, channel: str, token: str, said: Sequence[Told], now: datetime, again: timedelta
) -> None:
    """It was told this; for so long nothing more is said on it. Noted also when the right was lost meanwhile:
    it was said.
    """

    def unit(db: Connection) -> None:
        for one in said:
            db.execute(_keep(db.dialect.name, channel, one))
        long_ago = TELLINGS.c.ended_at < now - FORGOTTEN
        db.execute(delete(TELLINGS).where(TELLINGS.c.channel == channel, long_ago))
        fine = {"failures": 0, "failing_since": None, "error": "", "told_at": now}
        _release(db, channel, token, next_try_at=now + again, **fine)

    ledger.write(unit)


def end_silently(ledger: Ledger, channel: str, token: str, over: Sequence[Told]) -> None:
    """There is nothing to say; what these are about is over, which is worth no message."""

    def unit(db: Connection) -> None:
        for one in over:
            db.execute(_keep(db.dialect.name, channel, one))
        _release(db, channel, token)

    ledger.write(unit)


def note_failure(
    ledger: Ledger, channel: str, token: str, error: str, now: datetime, wait: timedelta
) -> None:
    """It took nothing; it is tried again after so long."""

    def unit(db: Connection) -> None:
        since = select(CHANNELS.c.failing_since).where(CHANNELS.c.name == channel)
        _release(
            db,
            channel,
            token,
            failures=CHANNELS.c.failures + 1,
            failing_since=db.execute(since).scalar_one_or_none() or now,
            error=error,
            next_try_at=now + wait,
        )

    ledger.write(unit)


def _release(db: Connection, channel: str, token: str, **values: Any) -> None:
    of_mine = CHANNELS.c.name == channel, CHANNELS.c.lease_token == token
    db.execute(
        update(CHANNELS).where(*of_mine).values(lease_until=None, lease_token=None, **values)
    )


def _ensure(db: Connection, channel: str, now: datetime) -> None:
    new = (sqlite if db.dialect.name == "sqlite" else postgresql).insert(CHANNELS)
    db.execute(new.values(name=channel, next_try_at=now).on_conflict_do_nothing())


def _keep(dialect: str, channel: str, one: Told) -> Any:
    new = (sqlite if dialect == "sqlite" else postgresql).insert(TELLINGS)
    values = {"newest": one.newest, "told_at": one.told_at, "ended_at": one.ended_at}
    return new.values(channel=channel, subject=one.subject, **values).on_conflict_do_update(
        index_elements=[TELLINGS.c.channel, TELLINGS.c.subject], set_=values
    )
