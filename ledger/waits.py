"""How the queues stand in which updates wait: behind what, until when, and whether somebody drains them.

In: numbers of updates. Out: a `Standing` for each that is in a queue. Its cost goes with the numbers, not
with the ledger. Raises `LedgerUnavailable`. Called by desk/waiting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, select

from ledger.database import Ledger
from ledger.tables import QUEUES, UPDATES

# So many numbers go into one statement.
AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Standing:
    """Of the queue in which an update waits. `behind`: the parked update that alone it waits for; `failed`:
    the last try met no good answer.
    """

    behind: int | None
    next_try_at: datetime
    lease_until: datetime | None
    failed: bool


_EARLIER = UPDATES.alias()
_BEHIND = (
    select(_EARLIER.c.id)
    .where(
        _EARLIER.c.connection == UPDATES.c.connection,
        _EARLIER.c.order_id == UPDATES.c.order_id,
        _EARLIER.c.seq < UPDATES.c.seq,
        _EARLIER.c.blocks,
    )
    .order_by(_EARLIER.c.seq)
    .limit(1)
    .scalar_subquery()
)
_STANDING = (
    select(
        UPDATES.c.id,
        QUEUES.c.open,
        QUEUES.c.next_try_at,
        QUEUES.c.lease_until,
        QUEUES.c.tries,
        QUEUES.c.blamed_at,
        _BEHIND,
    )
    .join(
        QUEUES,
        (QUEUES.c.connection == UPDATES.c.connection) & (QUEUES.c.order_id == UPDATES.c.order_id),
    )
    .where(UPDATES.c.id.in_(bindparam("of_ids", expanding=True)))
)


def standing(ledger: Ledger, update_ids: Sequence[int]) -> dict[int, Standing]:
    """How the queue of each of these updates stands."""
    found: dict[int, Standing] = {}
    with ledger.read() as db:
        for first in range(0, len(update_ids), AT_ONCE):
            of = {"of_ids": list(update_ids[first : first + AT_ONCE])}
            for one, is_open, next_try_at, lease_until, tries, blamed_at, behind in db.execute(
                _STANDING, of
            ):
                # An open queue is looked at by a drain, which may find that the parked one has been settled.
                waits_for = None if is_open else behind
                failed = bool(tries) or blamed_at is not None
                found[one] = Standing(waits_for, next_try_at, lease_until, failed)
    return found
