"""Notices a ledger that went back in time, and makes a new beginning of it.

Each connection that writes raises a tide, a number, in each of its commits; a memory outside the ledger
(Redis, and the process itself) is told afterwards. A memory that is behind means nothing; one that is ahead
proves that commits were lost, whatever the reason: a power cut, a server that took over without the last of
them, a restored backup. Then nothing that the ledger does not know as created may be sent without a look:
`begin_anew`. In and out: a connection in a transaction, aware UTC times. Called by ledger/database.py and
ledger/lookout.py. Source: docs/decisions/a-ledger-that-went-back.md.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, cast

from sqlalchemy import (
    Connection,
    case,
    delete,
    exists,
    func,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import OperationalError

from ledger.tables import CURSORS, IDENTITY, ORDERS, QUEUES, TIDES, UPDATES

# How far before the newest moment that the ledger knows its shops are read again: what was put back together
# from parts may have a cursor that is newer than its orders.
MARGIN = timedelta(hours=1)
# The clocks of shops and ledger may differ by so much.
SHOP_SKEW = timedelta(hours=1)
# A writer that has not written for so long is forgotten, in the memory first.
FORGOTTEN = timedelta(days=7)
DROPPED = timedelta(days=30)


class Memory(Protocol):
    """What remembers how high the tides were, outside of the ledger."""

    def heights(self, epoch: str) -> dict[str, int] | None:
        """The greatest height of each writer that it was told of in this epoch; None: it cannot say."""

    def keep(self, epoch: str, writer: str, height: int) -> None:
        """Remember this soon. Returns at once and never fails."""

    def newest_epoch(self) -> str | None:
        """The newest epoch in which it was told of anything; None: it cannot say."""

    def forget(self, epoch: str, writers: Sequence[str]) -> None:
        """These write no more."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a new beginning must reckon with: whose shops are read, for how long a call may be under way that
    the ledger has forgotten, and how much later it may take effect.
    """

    sources: tuple[str, ...] = ()
    call: timedelta = timedelta(seconds=120)
    effect: timedelta = timedelta(seconds=120)


@dataclass(frozen=True, slots=True)
class Standing:
    """How the ledger stands: who it is, its epoch, when it last went back, when that was caught up with, and
    how high the tides are.
    """

    id: str
    epoch: str
    went_back_at: datetime | None
    caught_up_at: datetime | None
    heights: dict[str, int] = field(default_factory=dict)
    # Whether it could be compared with what is remembered outside of the ledger.
    is_compared: bool = True

    def doubt(self, stamp: datetime | None, call: timedelta) -> dict[str, Any]:
        """What an order that is new to the ledger begins with: looked up before it is sent if it may have
        been known before, once behind the moment by which all that was under way is settled.
        """
        if self.went_back_at is None or not self._is_doubtful(stamp, self.went_back_at):
            return {"uncertain_since": None, "lookups": 0}
        return {"uncertain_since": self.went_back_at + call, "lookups": 1}

    @property
    def is_behind(self) -> bool:
        """Whether shops are still to be read again."""
        return self.went_back_at is not None and self.caught_up_at is None

    def _is_doubtful(self, stamp: datetime | None, went_back_at: datetime) -> bool:
        """Whether an order changed in the shop at `stamp` may have been known, and sent, before the ledger
        went back: while shops are still read again, and later on one that was there by then, such as a
        back-fill of old days brings.
        """
        return self.is_behind or stamp is None or stamp < went_back_at + SHOP_SKEW


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is known outside of the ledger: the newest epoch, and how high the tides were in it."""

    epoch: str
    heights: Mapping[str, int] = field(default_factory=dict)

    def is_ahead_of(self, seen: Standing) -> bool:
        """Whether the ledger has lost something of it."""
        if seen.epoch != self.epoch:
            return seen.epoch < self.epoch
        return any(seen.heights.get(writer, 0) < height for writer, height in self.heights.items())


def standing(db: Connection) -> Standing | None:
    """None for a ledger that is not marked yet."""
    row = db.execute(_IDENTITY).first()
    if row is None:
        return None
    return Standing(*row, {r.writer: r.height for r in db.execute(_HEIGHTS)})


def doubts(db: Connection) -> Standing | None:
    """As `standing`, without the heights; for who stores orders and who hears of processes."""
    row = db.execute(_IDENTITY).first()
    return None if row is None else Standing(*row)


_IDENTITY = select(
    IDENTITY.c.id, IDENTITY.c.epoch, IDENTITY.c.went_back_at, IDENTITY.c.caught_up_at
)
_HEIGHTS = select(TIDES.c.writer, TIDES.c.height)


def rise(db: Connection, writer: str, now: datetime) -> tuple[int, str | None]:
    """Raise a writer's tide; how high it is then, and the ledger's epoch. Past SQLAlchemy, since every
    commit does this: its way takes five times as long.
    """
    if db.dialect.name != "sqlite":
        row = db.exec_driver_sql(_RISE.format("%s", "%s"), (writer, now)).one()
        return int(row[0]), row[1]
    at = now.replace(tzinfo=None).isoformat(" ", "microseconds")
    raw = cast("sqlite3.Connection", db.connection.driver_connection)
    statement = _RISE.format("?", "?")
    try:
        ((height, epoch),) = raw.execute(statement, (writer, at)).fetchall()
    except sqlite3.Error as exc:
        raise OperationalError(statement, None, exc) from exc
    return int(height), epoch


_RISE = (
    "INSERT INTO tides (writer, height, at) VALUES ({}, 1, {})"
    " ON CONFLICT (writer) DO UPDATE SET height = tides.height + 1, at = excluded.at"
    " RETURNING height, (SELECT epoch FROM identity)"
)


def new_writer() -> str:
    return secrets.token_hex(8)


def begin_anew(
    db: Connection, seen: Standing, now: datetime, bounds: Bounds, *, newest: str = ""
) -> datetime | None:
    """Put the ledger into a new epoch, newer than the `newest` that anybody remembers: its shops are read
    again from before the gap, and what it does not know as created or sent may have been. Returns the newest
    moment that the ledger knows; None when another process was first. All in one transaction: nobody may
    claim an order in between.
    """
    if db.dialect.name != "sqlite":
        names = ", ".join(table.name for table in (ORDERS, QUEUES, UPDATES, CURSORS))
        db.execute(text(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE"))
    # Epochs are told apart and put in order by their number.
    number = int(max(seen.epoch, newest).partition("-")[0] or 0) + 1
    values = {"epoch": f"{number:06d}-{secrets.token_hex(6)}", "went_back_at": now}
    anew = (
        update(IDENTITY).where(IDENTITY.c.epoch == seen.epoch).values(**values, caught_up_at=None)
    )
    if not db.execute(anew).rowcount:
        return None
    known = cast("datetime | None", db.execute(select(func.max(TIDES.c.at))).scalar())
    _read_again(db, (known or now) - MARGIN, bounds.sources)
    _doubt_orders(db, now + bounds.call)
    _doubt_updates(db, now + bounds.call + bounds.effect)
    return known or now


def _read_again(db: Connection, since: datetime, sources: Sequence[str]) -> None:
    """Move every cursor back, end polls under way, and begin with shops that the ledger has not heard of
    where it was.
    """
    dialect = sqlite if db.dialect.name == "sqlite" else postgresql
    for name in sources:
        new = dialect.insert(CURSORS).values(connection=name, start_at=since, error="")
        db.execute(new.on_conflict_do_nothing())
    db.execute(
        update(CURSORS).values(
            watermark=case((CURSORS.c.watermark > since, since), else_=CURSORS.c.watermark),
            behind=True,
            lease_until=None,
            lease_token=None,
        )
    )


def _doubt_orders(db: Connection, settled: datetime) -> None:
    """What is not known as created is looked up before it is sent: once behind the moment by which all that
    was under way is settled is enough. Whoever holds such an order has it no more.
    """
    db.execute(
        update(ORDERS)
        .where(ORDERS.c.state.in_(("received", "waiting", "held", "ignored")))
        .values(uncertain_since=settled, lookups=1, lease_until=None, lease_token=None)
    )


def _doubt_updates(db: Connection, settled: datetime) -> None:
    """Any call may have been made for what is queued, and nothing is certain that calls have taught."""
    db.execute(
        update(QUEUES)
        .where(QUEUES.c.open | QUEUES.c.known_at.is_not(None))
        .values(doubted=True, settled_at=settled, lease_until=None, lease_token=None)
    )
    db.execute(update(UPDATES).where(UPDATES.c.state == "queued").values(in_doubt=True))


def close_gap(db: Connection, sources: Sequence[str], now: datetime) -> bool:
    """The gap is closed once every shop that is read has been read to the end by a poll that began after the
    ledger was put into its new epoch, since that moved the cursors back and ended the polls under way.
    What they stored meanwhile is looked up one by one, whenever its turn comes. True when this closed it.
    """
    behind = exists().where(CURSORS.c.behind, CURSORS.c.connection.in_(sources))
    return bool(
        db.execute(
            update(IDENTITY)
            .where(IDENTITY.c.went_back_at.is_not(None), IDENTITY.c.caught_up_at.is_(None), ~behind)
            .values(caught_up_at=now)
        ).rowcount
    )


def silent(db: Connection, now: datetime) -> list[str]:
    """Writers that have written nothing for long."""
    return list(db.execute(select(TIDES.c.writer).where(TIDES.c.at < now - FORGOTTEN)).scalars())


def drop(db: Connection, now: datetime, remembered: Collection[str]) -> None:
    """Let go of writers that have written nothing for very long, and that the memory has forgotten."""
    gone = TIDES.c.at < now - DROPPED, TIDES.c.writer.not_in(remembered)
    db.execute(delete(TIDES).where(*gone))
