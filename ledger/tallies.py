"""How many orders and updates are in each state: exact as long as they are few, else as of a while ago.

In: an aware UTC time. Out: `Counts`, which say as of when they are. To ask costs the same however long the
ledger: a state is counted to `MOST_EXACT`, and where there are more, what the pulse counted last is told.
Counting those goes by slices of an index and holds no writer. Raises `LedgerUnavailable`. Called by
ledger/measures and ledger/orders (`counts`), tasks/upkeep (`refresh`), desk (`total`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, Table, bindparam, case, func, literal, select, true
from sqlalchemy.dialects import postgresql, sqlite

from ledger import tables
from ledger.database import Ledger
from ledger.tables import TALLIES

# Rows of one state that are counted anew each time somebody asks, and rows in one statement of the others.
MOST_EXACT = 5000
SLICE = 5000
# Rows that are looked at, the newest, to count those of them that are of one connection.
MOST_LOOKED_AT = 50_000
# A tally is renewed after so long, and after a second for so many rows if that is longer.
FRESH = timedelta(minutes=1)
ROWS_A_SECOND = 10_000


@dataclass(frozen=True, slots=True)
class Kind:
    """What is counted: a table with an index over state and id, and its states."""

    name: str
    table: Table
    states: tuple[str, ...]


ORDERS = Kind(
    "orders",
    tables.ORDERS,
    ("received", "waiting", "created", "held", "ignored"),
)
UPDATES = Kind(
    "updates",
    tables.UPDATES,
    ("queued", "sent", "parked", "withdrawn", "cancelled", "refused"),
)


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows by state. `at` is when the oldest of these numbers was right: now, while there are few."""

    rows: dict[str, int]
    at: datetime


@dataclass(frozen=True, slots=True)
class Total:
    """How many rows a list has without its limit, for a person: `sign` says how sure that is."""

    rows: int
    sign: Literal["", "about ", "at least "] = ""

    def __str__(self) -> str:
        return f"{self.sign}{self.rows:,}"


@dataclass(frozen=True, slots=True)
class _Kept:
    """A tally: so many rows of a state at that moment."""

    rows: int
    at: datetime

    @property
    def good_until(self) -> datetime:
        return self.at + max(FRESH, timedelta(seconds=self.rows / ROWS_A_SECOND))


def counts(ledger: Ledger, kind: Kind, now: datetime) -> Counts:
    """Rows of each state. What nobody has tallied yet is tallied now."""
    with ledger.read() as db:
        kept = _kept(db, kind)
        good = {state: tally.rows for state, tally in kept.items() if _is_good(tally, now)}
        few = _few(db, kind, [state for state in kind.states if state not in good])
    found = {state: (good | few)[state] for state in kind.states}
    many = [state for state, rows in found.items() if rows >= MOST_EXACT]
    for state in many:
        if state not in kept:
            kept[state] = _tally(ledger, kind, state, now)
        found[state] = max(found[state], kept[state].rows)
    return Counts(found, min((kept[state].at for state in many), default=now))


def total(
    ledger: Ledger,
    kind: Kind,
    now: datetime,
    *,
    state: str | None = None,
    connection: str | None = None,
    order_id: str | None = None,
) -> Total:
    """How many rows there are of this state, connection and order."""
    if connection is None and order_id is None:
        told = counts(ledger, kind, now)
        rows = sum(told.rows.values()) if state is None else told.rows[state]
        return Total(rows, "about " if rows >= MOST_EXACT and told.at != now else "")
    rows_of = kind.table.c
    newest = select(rows_of.connection).order_by(rows_of.id.desc()).limit(MOST_LOOKED_AT)
    for column, value in ((rows_of.state, state), (rows_of.order_id, order_id)):
        newest = newest if value is None else newest.where(column == value)
    seen = newest.subquery()
    is_of_it = true() if connection is None else seen.c.connection == connection
    counted = select(func.count(), func.sum(case((is_of_it, 1), else_=0))).select_from(seen)
    with ledger.read() as db:
        looked_at, found = db.execute(counted).one()
    return Total(found or 0, "at least " if looked_at >= MOST_LOOKED_AT else "")


def refresh(ledger: Ledger, now: datetime) -> None:
    """Count anew the states whose tally has become old, and those of which there are many now."""
    for kind in (ORDERS, UPDATES):
        with ledger.read() as db:
            kept = _kept(db, kind)
            few = _few(db, kind, [state for state in kind.states if state not in kept])
        old = [state for state, tally in kept.items() if tally.good_until <= now]
        many = [state for state, rows in few.items() if rows == MOST_EXACT]
        for state in (*old, *many):
            _tally(ledger, kind, state, now)


def _is_good(tally: _Kept, now: datetime) -> bool:
    """Whether a tally is told without a look at how many there are: it is fresh, and far from few."""
    # Until the pulse has come, a moment later.
    return tally.rows >= 2 * MOST_EXACT and now < tally.good_until + FRESH


def _few(db: Connection, kind: Kind, states: Sequence[str]) -> dict[str, int]:
    """The rows in each of these states, MOST_EXACT at most."""
    if not states:
        return {}
    state_of = kind.table.c.state
    rows = [select(literal(1)).where(state_of == state).limit(MOST_EXACT) for state in states]
    found = db.execute(
        select(
            *(select(func.count()).select_from(one.subquery()).scalar_subquery() for one in rows)
        )
    ).one()
    return dict(zip(states, map(int, found), strict=True))


def _kept(db: Connection, kind: Kind) -> dict[str, _Kept]:
    """The tallies of a kind by state."""
    names = {f"{kind.name}:{state}": state for state in kind.states}
    query = select(TALLIES).where(TALLIES.c.name.in_(list(names)))
    return {names[row.name]: _Kept(row.rows, row.at) for row in db.execute(query)}


def _tally(ledger: Ledger, kind: Kind, state: str, now: datetime) -> _Kept:
    """Count the rows in this state, slice by slice, and keep the number."""
    rows, after = 0, 0
    while True:
        with ledger.read() as db:
            count, last = db.execute(_slice(kind), {"of_state": state, "after": after}).one()
        rows += count
        if count < SLICE:
            break
        after = last
    values = {"name": f"{kind.name}:{state}", "rows": rows, "at": now}
    ledger.write(lambda db: db.execute(_KEEP[db.dialect.name], values))
    return _Kept(rows, now)


def _slice(kind: Kind) -> Any:
    table = kind.table
    ids = (
        select(table.c.id)
        .where(table.c.state == bindparam("of_state"), table.c.id > bindparam("after"))
        .order_by(table.c.id)
        .limit(SLICE)
        .subquery()
    )
    return select(func.count(), func.max(ids.c.id))


def _keep(dialect: Any) -> Any:
    new = dialect.insert(TALLIES)
    return new.on_conflict_do_update(
        index_elements=[TALLIES.c.name],
        set_={"rows": new.excluded.rows, "at": new.excluded.at},
    )


_KEEP = {"sqlite": _keep(sqlite), "postgresql": _keep(postgresql)}
