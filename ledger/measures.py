"""Figures about the ledger, for /metrics: counts by state, what is due, the last hour's calls.

In: an aware UTC time. Out: a `Measures`. Few statements, over an index or a bounded number of rows, since it
is asked for every few seconds. Raises `LedgerUnavailable`. Called by gateway/metrics.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Connection, Table, func, or_, select

from ledger.database import Ledger
from ledger.models import Attempt, HookCall, Order, Update, UpdateAttempt, UpdateQueue
from ledger.orders import OPEN
from ledger.orders import STATES as ORDER_STATES
from ledger.updates import STATES as UPDATE_STATES

ORDERS = cast("Table", Order.__table__)
UPDATES = cast("Table", Update.__table__)
QUEUES = cast("Table", UpdateQueue.__table__)
HOOKS = cast("Table", HookCall.__table__)
LANES = {
    "orders": cast("Table", Attempt.__table__),
    "updates": cast("Table", UpdateAttempt.__table__),
}

WINDOW = timedelta(hours=1)
# Of the window's calls, the newest from which quantiles are taken.
SAMPLE = 5000
QUANTILES = {"0.5": 0.5, "0.9": 0.9, "0.99": 0.99}


@dataclass(frozen=True, slots=True)
class Lane:
    """The last hour's calls of one kind: how many by outcome, seconds together, seconds by quantile."""

    outcomes: dict[str, int]
    seconds: float
    quantiles: dict[str, float]


@dataclass(frozen=True, slots=True)
class Measures:
    """The ledger in figures. `hooks` are the last hour's by outcome, `waiting` those not yet acted on."""

    orders: dict[str, int]
    updates: dict[str, int]
    oldest_order_due_at: datetime | None
    oldest_update_due_at: datetime | None
    hooks: dict[str, int]
    lanes: dict[str, Lane]


def measure(ledger: Ledger, now: datetime) -> Measures:
    """Take all figures over one connection."""
    since = now - WINDOW
    with ledger.read() as db:
        return Measures(
            orders=_by_state(db, ORDERS, ORDER_STATES),
            updates=_by_state(db, UPDATES, UPDATE_STATES),
            oldest_order_due_at=_oldest_due(db, ORDERS, ORDERS.c.state.in_(OPEN), now),
            oldest_update_due_at=_oldest_due(db, QUEUES, QUEUES.c.open, now),
            hooks=_hooks(db, since),
            lanes={name: _lane(db, table, since) for name, table in LANES.items()},
        )


def _by_state(db: Connection, table: Table, states: tuple[str, ...]) -> dict[str, int]:
    rows = db.execute(select(table.c.state, func.count()).group_by(table.c.state))
    return dict.fromkeys(states, 0) | {str(state): int(count) for state, count in rows}


def _oldest_due(db: Connection, table: Table, is_open: Any, now: datetime) -> datetime | None:
    """Since when the oldest open row that nobody works on has been due."""
    free = or_(table.c.lease_until.is_(None), table.c.lease_until < now)
    query = select(func.min(table.c.next_try_at)).where(is_open, table.c.next_try_at <= now, free)
    return cast("datetime | None", db.execute(query).scalar_one())


def _hooks(db: Connection, since: datetime) -> dict[str, int]:
    done = (
        select(HOOKS.c.outcome, func.count())
        .where(HOOKS.c.done_at >= since)
        .group_by(HOOKS.c.outcome)
    )
    waiting = select(func.count()).where(HOOKS.c.done_at.is_(None))
    counts = {str(outcome): int(count) for outcome, count in db.execute(done)}
    return counts | {"waiting": int(db.execute(waiting).scalar_one())}


def _lane(db: Connection, table: Table, since: datetime) -> Lane:
    totals = db.execute(
        select(table.c.outcome, func.count(), func.sum(table.c.duration_ms))
        .where(table.c.started_at >= since)
        .group_by(table.c.outcome)
    ).all()
    newest = (
        select(table.c.duration_ms)
        .where(table.c.started_at >= since)
        .order_by(table.c.started_at.desc())
        .limit(SAMPLE)
    )
    durations = sorted(db.execute(newest).scalars())
    return Lane(
        outcomes={str(outcome): int(count) for outcome, count, _ in totals},
        seconds=sum(int(ms) for _, _, ms in totals) / 1000,
        quantiles={
            name: durations[min(int(share * len(durations)), len(durations) - 1)] / 1000
            for name, share in QUANTILES.items()
            if durations
        },
    )
