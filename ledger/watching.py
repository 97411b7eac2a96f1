"""When a process in the target is read again: often while it is young, ever more rarely, then no more.

In: plain values and aware UTC times. Out: the processes whose time has come, and when each is read next. How
often that is, is changed here. Raises `LedgerUnavailable`. Called by tasks/reconciling, and by ledger/hearing
for what it heard. Source: docs/decisions/hearing-a-transition.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, bindparam, select, text, update

from ledger.conditions import IS_WATCHED
from ledger.database import Ledger
from ledger.tables import ORDERS
from ledger.transitions import Process, Stand, next_state

# A process is read again after a quarter of the time since it last changed, within these bounds, and no
# more when nothing came of it for so long; one that is through may still be opened again.
SOONEST, LATEST = timedelta(minutes=10), timedelta(days=1)
WATCHED = timedelta(days=30)
WATCHED_WHEN_THROUGH = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Watched:
    """A process whose time to be read has come, and what was last heard of it."""

    pk: int
    process: Process
    stage: str | None
    number: str | None
    heard: int
    changed_at: datetime

    def differs(self, stand: Stand) -> bool:
        return next_state((self.stage, self.number), stand) != (self.stage, self.number)


def next_check(now: datetime, changed_at: datetime, *, through: bool) -> datetime | None:
    """When a process that last changed at that moment is read next; None: no more."""
    age = max(now - changed_at, timedelta())
    if age > (WATCHED_WHEN_THROUGH if through else WATCHED):
        return None
    return now + min(max(age / 4, SOONEST), LATEST)


_WATCHED = (
    select(
        ORDERS.c.id,
        ORDERS.c.connection,
        ORDERS.c.order_id,
        ORDERS.c.external_id,
        ORDERS.c.heard_stage,
        ORDERS.c.heard_number,
        ORDERS.c.heard,
        ORDERS.c.heard_at,
        ORDERS.c.state_at,
    )
    .where(
        text(IS_WATCHED),
        and_(ORDERS.c.target == bindparam("of_target"), ORDERS.c.check_at <= bindparam("now")),
    )
    .order_by(ORDERS.c.check_at)
    .limit(bindparam("most"))
)
_CHECKED = (
    update(ORDERS)
    .where(ORDERS.c.id == bindparam("pk"), ORDERS.c.heard == bindparam("since"))
    .values(check_at=bindparam("next_check"))
)


def watched(ledger: Ledger, target: str, now: datetime, most: int) -> list[Watched]:
    """The processes of a target whose time to be read has come, the longest due first."""
    values = {"of_target": target, "now": now, "most": most}
    with ledger.read() as db:
        return [
            Watched(
                row.id,
                Process(row.connection, row.order_id, row.external_id),
                row.heard_stage,
                row.heard_number,
                row.heard,
                row.heard_at or row.state_at,
            )
            for row in db.execute(_WATCHED, values)
        ]


def unchanged(
    ledger: Ledger, rows: Sequence[Watched], now: datetime, through: frozenset[str]
) -> None:
    """These were read and say what they said before: only when they are read next is written, and not where
    more was heard meanwhile, which said when.
    """
    _check_at(
        ledger,
        [
            {
                "pk": row.pk,
                "since": row.heard,
                "next_check": next_check(now, row.changed_at, through=row.stage in through),
            }
            for row in rows
        ],
    )


def put_off(ledger: Ledger, rows: Sequence[Watched], until: datetime) -> None:
    """These cannot be read: they are to be read again then."""
    _check_at(ledger, [{"pk": row.pk, "since": row.heard, "next_check": until} for row in rows])


def _check_at(ledger: Ledger, values: list[dict[str, Any]]) -> None:
    if values:
        ledger.write(lambda db: db.execute(_CHECKED, values))
