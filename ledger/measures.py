"""Figures about the ledger, for /metrics: counts by state, what is due, the last hour's calls.

In: an aware UTC time. Out: a `Measures`. Few statements, each over an index and what the last hour or the
open work is, not the whole ledger, since it is asked for every few seconds. Raises `LedgerUnavailable`.
Called by gateway/metrics.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, literal, select, text

from ledger import orders, queues, tallies
from ledger.conditions import IS_UNDONE, OF_AN_ORDER, OF_AN_UPDATE
from ledger.database import Ledger
from ledger.tables import ATTEMPTS, HOOKS
from ledger.tallies import Counts

# As the partial indexes of each say it.
LANES = {"orders": OF_AN_ORDER, "updates": OF_AN_UPDATE}

WINDOW = timedelta(hours=1)
# Of the window's calls, the newest from which quantiles are taken.
SAMPLE = 1000
# Hook calls that nobody has acted on are counted up to this.
MOST_WAITING = 5000
QUANTILES = {"0.5": 0.5, "0.9": 0.9, "0.99": 0.99}


@dataclass(frozen=True, slots=True)
class Lane:
    """The last hour's calls of one kind: how many by outcome, seconds together, seconds by quantile."""

    outcomes: dict[str, int]
    seconds: float
    quantiles: dict[str, float]


@dataclass(frozen=True, slots=True)
class Measures:
    """The ledger in figures. `hooks` are the last hour's by outcome, `waiting` those not yet acted on,
    MOST_WAITING at most.
    """

    orders: Counts
    updates: Counts
    oldest_order_due_at: datetime | None
    oldest_update_due_at: datetime | None
    hooks: dict[str, int]
    lanes: dict[str, Lane]


def measure(ledger: Ledger, now: datetime) -> Measures:
    """Take all figures."""
    since = now - WINDOW
    counted = [tallies.counts(ledger, kind, now) for kind in (tallies.ORDERS, tallies.UPDATES)]
    with ledger.read() as db:
        return Measures(
            orders=counted[0],
            updates=counted[1],
            oldest_order_due_at=orders.oldest_due_at(db, now, free=True),
            oldest_update_due_at=queues.oldest_due_at(db, now),
            hooks=_hooks(db, since),
            lanes={name: _lane(db, of_these, since) for name, of_these in LANES.items()},
        )


def _hooks(db: Connection, since: datetime) -> dict[str, int]:
    done = (
        select(HOOKS.c.outcome, func.count())
        .where(HOOKS.c.done_at >= since)
        .group_by(HOOKS.c.outcome)
    )
    few = select(literal(1)).select_from(HOOKS).where(text(IS_UNDONE)).limit(MOST_WAITING)
    waiting = select(func.count()).select_from(few.subquery())
    counts = {str(outcome): int(count) for outcome, count in db.execute(done)}
    return counts | {"waiting": int(db.execute(waiting).scalar_one())}


def _lane(db: Connection, of_these: str, since: datetime) -> Lane:
    totals = db.execute(
        select(ATTEMPTS.c.outcome, func.count(), func.sum(ATTEMPTS.c.duration_ms))
        .where(text(of_these), ATTEMPTS.c.started_at >= since)
        .group_by(ATTEMPTS.c.outcome)
    ).all()
    newest = (
        select(ATTEMPTS.c.duration_ms)
        .where(text(of_these), ATTEMPTS.c.started_at >= since)
        .order_by(ATTEMPTS.c.started_at.desc())
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
