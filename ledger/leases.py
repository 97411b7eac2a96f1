"""Who may work on a row, and when its time comes: claim, give back, keep, due, probe and wake, written once.

In: a `Leases`, which describes rows of a table that are worked off one holder at a time; aware UTC times.
Every rule stands here as a conditional UPDATE, so that it holds on SQLite and PostgreSQL alike, and
statements are built once: building one costs as much as running it. Used by ledger/orders, ledger/queues
and ledger/hooks. Raises `LedgerUnavailable` where it opens a transaction itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Column, ColumnElement, Connection, Select, Table, bindparam, select, text

from ledger.columns import UtcDateTime
from ledger.database import Ledger

# A doorbell may ring a little before its time: clocks and roundings differ by less than this.
EARLY = timedelta(seconds=0.5)
# Rows woken in one transaction. They lie all over the table, so each is a page of its own: some 6 ms on
# SQLite.
CHUNK = 100
# The least that a time can be later than another one.
TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Taken:
    """What a claim gives: a token that proves it, until when, and the rows as they are now."""

    token: str
    until: datetime
    rows: Sequence[Any]


@dataclass(frozen=True, eq=False)
class Leases:
    """Rows of a table that wait for their time and are worked on under a lease.

    `key` names what is claimed by parameters; where that is several rows, claimed `together`, its parameter
    is a list, and the caller sees to it that their time has come. `open` is the condition of the partial
    index, in its words; `is_open` the same for a row that is found by its key. `remote` is the connection
    whose gate a row waits for; `tie` orders rows that are due at one time; `shown` is told of what is due.
    `claimed` are the columns that a claim gives back, `on_claim` and `on_return` what else is set then
    (their parameters come along with the key's). `unblamed` says of a row that it met nothing bad yet,
    `first` which of these tries a closed gate, `sleeps` that it waits for one, opened at `:opened_at`.
    """

    table: Table
    key: Mapping[str, Column[Any]]
    open: str
    is_open: ColumnElement[bool]
    remote: Column[Any]
    tie: Column[Any]
    shown: tuple[Column[Any], ...]
    claimed: tuple[Any, ...] = ()
    on_claim: Mapping[str, Any] = field(default_factory=dict)
    on_return: Mapping[str, Any] = field(default_factory=dict)
    unblamed: tuple[ColumnElement[bool], ...] = ()
    first: tuple[Any, ...] = ()
    sleeps: tuple[ColumnElement[bool], ...] = ()
    together: bool = False

    # --- the statements ---------------------------------------------------------------------------

    @cached_property
    def these(self) -> ColumnElement[bool]:
        """What is named by the parameters of the key."""
        return sa.and_(
            *(
                column.in_(bindparam(name, expanding=True))
                if self.together
                else column == bindparam(name)
                for name, column in self.key.items()
            )
        )

    @cached_property
    def free(self) -> ColumnElement[bool]:
        """That nobody holds it at `:now`."""
        until = self.table.c.lease_until
        return sa.or_(until.is_(None), until < bindparam("now", type_=UtcDateTime()))

    @cached_property
    def held(self) -> ColumnElement[bool]:
        """That it is held by `:of_token`."""
        return sa.and_(self.these, self.table.c.lease_token == bindparam("of_token"))

    @cached_property
    def _claim(self) -> Any:
        is_due = self.table.c.next_try_at <= bindparam("soon", type_=UtcDateTime())
        conditions = (self.is_open, self.free, *(() if self.together else (is_due,)))
        return (
            sa.update(self.table)
            .where(self.these, *conditions)
            .values(
                lease_until=bindparam("until"),
                lease_token=bindparam("token"),
                **self.on_claim,
            )
            .returning(*(self.claimed or self.key.values()))
        )

    @cached_property
    def due_query(self) -> Select[Any]:
        """Open rows that nobody holds and that have been due since `:before`, the longest due first."""
        column = self.table.c.next_try_at
        return (
            select(*self.shown)
            .where(
                text(self.open),  # as the partial index says it, which serves no other words
                column <= bindparam("before", type_=UtcDateTime()),
                self.free,
            )
            .order_by(column, self.tie)
            .limit(bindparam("most"))
        )

    @cached_property
    def _due(self) -> Select[Any]:
        return self.due_query.where(self._of_remote)

    @property
    def _of_remote(self) -> ColumnElement[bool]:
        return self.remote == bindparam("of_remote")

    @cached_property
    def _candidates(self) -> Select[Any]:
        columns = (*self.key.values(), self.table.c.next_try_at)
        return select(*columns).where(text(self.open), self._of_remote, self.free).limit(1)

    @cached_property
    def _soonest(self) -> Select[Any]:
        return self._candidates.order_by(self.table.c.next_try_at, self.tie)

    @cached_property
    def _unblamed(self) -> Select[Any]:
        first = self.first or (self.table.c.next_try_at, self.tie)
        return self._candidates.where(*self.unblamed).order_by(*first)

    @cached_property
    def _make_due(self) -> Any:
        at, now = self.table.c.next_try_at, bindparam("now", type_=UtcDateTime())
        return (
            sa.update(self.table)
            .where(self.these)
            .values(next_try_at=sa.case((at < now, at), else_=now))
            .returning(*self.shown)
        )

    @cached_property
    def _page(self) -> Select[Any]:
        """The next rows by time, and whether each of them sleeps."""
        at, after = self.table.c.next_try_at, bindparam("after", type_=UtcDateTime())
        position: tuple[Any, Any] = (after, bindparam("after_key"))
        return (
            select(at, self.tie, sa.and_(*self.sleeps).label("sleeps"))
            .where(text(self.open), self._of_remote, sa.tuple_(at, self.tie) > sa.tuple_(*position))
            .order_by(at, self.tie)
            .limit(CHUNK)
        )

    @cached_property
    def _wake(self) -> Any:
        opened_at = bindparam("opened_at", type_=UtcDateTime())
        return (
            sa.update(self.table)
            .where(
                self.tie.in_(bindparam("keys", expanding=True)),
                self._of_remote,
                self.is_open,
                *self.sleeps,
                self.table.c.next_try_at > opened_at,
            )
            .values(next_try_at=opened_at)
        )

    # --- a worker takes one and lets go of it -----------------------------------------------------

    def claim(
        self, db: Connection, of: Mapping[str, Any], now: datetime, seconds: float
    ) -> Taken | None:
        """Take what `of` names for so long; None: somebody has it, or it is not due, or not open."""
        token, until = secrets.token_hex(8), now + timedelta(seconds=seconds)
        moments = {"now": now, "soon": now + EARLY, "until": until, "token": token}
        rows = db.execute(self._claim, {**of, **moments}).all()
        return Taken(token, until, rows) if rows else None

    def change(self, db: Connection, of: Mapping[str, Any], token: str, **values: Any) -> bool:
        """Set this if it is still held by `token`; whether it was."""
        statement = _change(self, *values)
        new = {f"new_{name}": value for name, value in values.items()}
        return bool(db.execute(statement, {**of, "of_token": token, **new}).rowcount)

    def give_back(
        self,
        db: Connection,
        of: Mapping[str, Any],
        token: str,
        next_try_at: datetime,
        **values: Any,
    ) -> bool:
        """Let go of it until that moment; False when it was lost before."""
        statement = _change(self, "next_try_at", *values, returns=True)
        new = {f"new_{name}": value for name, value in values.items()}
        named = {**of, "of_token": token, "new_next_try_at": next_try_at}
        return bool(db.execute(statement, {**named, **new}).rowcount)

    # --- what is due, and what makes it due -------------------------------------------------------

    def due(
        self, ledger: Ledger, remote: str, now: datetime, most: int, grace: float
    ) -> Sequence[Any]:
        """What nobody holds and whose time came `grace` seconds ago or more, the longest due first."""
        before = now - timedelta(seconds=grace)
        values = {"of_remote": remote, "before": before, "now": now, "most": most}
        with ledger.read() as db:
            return db.execute(self._due, values).all()

    def probe(
        self, ledger: Ledger, remote: str, now: datetime, *, unblamed_only: bool
    ) -> Sequence[Any]:
        """The row to try a closed gate with, made due: of those that met nothing bad yet, else the one
        whose time comes first.
        """
        of_remote = {"of_remote": remote, "now": now}

        def unit(db: Connection) -> Sequence[Any]:
            found = db.execute(self._unblamed, of_remote).first()
            if found is None and not unblamed_only:
                found = db.execute(self._soonest, of_remote).first()
            if found is None:
                return []
            of = dict(zip(self.key, found[:-1], strict=True))
            return db.execute(self._make_due, {**of, "now": now}).all()

        return ledger.write(unit)

    def wake(self, ledger: Ledger, remote: str, opened_at: datetime, chunks: int) -> bool:
        """Make due what sleeps, in so many chunks at most; True when nothing is left. Rows are found
        outside the transaction that wakes them: those that stay asleep cost no writer.
        """
        after, after_key = opened_at + TICK, self.tie.type.python_type()
        while chunks > 0:
            position = {"after": after, "after_key": after_key}
            with ledger.read() as db:
                values = {"of_remote": remote, "opened_at": opened_at, **position}
                page = db.execute(self._page, values).all()
            keys = [row[1] for row in page if row.sleeps]
            if keys:
                chunks -= 1
                values = {"of_remote": remote, "keys": keys, "opened_at": opened_at}
                ledger.write(lambda db, values=values: db.execute(self._wake, values))  # type: ignore[misc]
            if len(page) < CHUNK:
                return True
            after, after_key = page[-1][0], page[-1][1]
        return False

    def oldest_due_at(self, db: Connection, now: datetime, *, free: bool) -> datetime | None:
        """Since when the oldest open row has been due; `free`: the oldest that nobody holds. Remote by
        remote, since the index of open rows begins with it.
        """
        found: list[datetime] = []
        statements = _oldest(self, free=free)
        remote = db.execute(statements[0], {"after": ""}).scalar_one_or_none()
        while remote is not None:
            found += db.execute(statements[1], {"of_remote": remote, "now": now}).scalars()
            remote = db.execute(statements[0], {"after": remote}).scalar_one_or_none()
        return min(found, default=None)


@cache
def _change(leases: Leases, *names: str, returns: bool = False) -> Any:
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
    if returns:
        values |= {"lease_until": None, "lease_token": None, **leases.on_return}
    return sa.update(leases.table).where(leases.held).values(values)


@cache
def _oldest(leases: Leases, *, free: bool) -> tuple[Select[Any], Select[Any]]:
    at, remote = leases.table.c.next_try_at, leases.remote
    following = (
        select(remote)
        .where(text(leases.open), remote > bindparam("after"))
        .order_by(remote)
        .limit(1)
    )
    is_due = (text(leases.open), remote == bindparam("of_remote"), at <= bindparam("now"))
    oldest = select(at).where(*is_due, *((leases.free,) if free else ())).order_by(at).limit(1)
    return following, oldest
