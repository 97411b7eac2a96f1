"""What the CRM was last heard to say of each process, and the updates that a change of it makes.

In: what a hook call said and what was read, in order. Out: accepted updates. A transition is a transition:
what differs from what was last heard counts one further, and its update stands under a key made of the
process and that count, so that hook and reconcile together produce it once, and the same stage later again
produces it again. Comparing, counting and accepting are one transaction. Raises `LedgerUnavailable`.
Called by tasks/listening and tasks/reconciling. Source: docs/decisions/hearing-a-transition.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from ledger import tides
from ledger.database import Ledger
from ledger.enqueueing import Asked, KeyReused, Refusal, accept_in, refuse_in
from ledger.hook_intake import REPEATED_WITHIN
from ledger.tables import ORDERS, UPDATES
from ledger.transitions import Process, Remark, Stand, next_state
from ledger.watching import next_check


@dataclass(frozen=True, slots=True)
class Heard:
    """What hearing made: updates that are new, and those whose key stands for something else."""

    accepted: int = 0
    reused: int = 0


_HEARD = (
    select(
        ORDERS.c.id,
        ORDERS.c.target,
        ORDERS.c.heard_stage,
        ORDERS.c.heard_number,
        ORDERS.c.heard,
        ORDERS.c.heard_at,
        ORDERS.c.state,
        ORDERS.c.state_at,
    )
    .where(
        ORDERS.c.connection == bindparam("of_connection"),
        ORDERS.c.order_id == bindparam("of_order"),
    )
    .with_for_update()
)
_KNOWN_KEY = select(UPDATES.c.id).where(UPDATES.c.key.in_(bindparam("keys", expanding=True)))
_SAME_REMARK = select(UPDATES.c.id).where(
    UPDATES.c.connection == bindparam("of_connection"),
    UPDATES.c.order_id == bindparam("of_order"),
    UPDATES.c.origin == bindparam("of_origin"),
    UPDATES.c.accepted_at >= bindparam("since"),
    UPDATES.c.digest == bindparam("of_digest"),
)


def hear(
    ledger: Ledger,
    process: Process,
    told: Sequence[Stand | Remark | Refusal],
    now: datetime,
    *,
    through: frozenset[str],
    read: bool,
    begin: Callable[[Connection], bool] | None = None,
    since: int | None = None,
) -> Heard | None:
    """Take what was told of one process, in order, and when it is to be read next: soon, if it was not
    `read` now. `through` are the stages of a finished process. `begin` runs first in the same transaction;
    None when it says no, or when more was heard than the `since` changes that were known before it was
    told: then nothing is done.
    """

    def unit(db: Connection) -> Heard | None:
        if begin is not None and not begin(db):
            return None
        row = db.execute(
            _HEARD, {"of_connection": process.connection, "of_order": process.order_id}
        ).first()
        if row is not None and since not in (None, row.heard):
            return None
        news = _without_repeats(db, told)
        if row is None:
            return _counted([_take_unknown(db, one, now) for one in news])
        (stage, number), count, results = _take(db, row, process, news, now)
        changed_at = now if count > row.heard else row.heard_at
        check_at = (
            next_check(now, changed_at or row.state_at, through=stage in through) if read else now
        )
        db.execute(
            update(ORDERS)
            .where(ORDERS.c.id == row.id)
            .values(
                heard_stage=stage,
                heard_number=number,
                heard=count,
                heard_at=changed_at,
                check_at=check_at if row.state == "created" else None,
            )
        )
        return _counted(results)

    return ledger.write(unit)


def _take(
    db: Connection,
    row: Any,
    process: Process,
    news: Sequence[Stand | Remark | Refusal],
    now: datetime,
) -> tuple[tuple[str | None, str | None], int, list[bool | None]]:
    """What was heard of this process after these, how many changes that makes, and what was accepted."""
    state, count = (row.heard_stage, row.heard_number), row.heard
    results: list[bool | None] = []
    for one in news:
        if isinstance(one, Remark):
            results.append(_accept(db, one.asked, now))
            continue
        if isinstance(one, Refusal):
            refuse_in(db, one, now)
            continue
        after = next_state(state, one)
        if after == state:
            continue
        state, count = after, count + 1
        if one.refused is not None:
            refuse_in(db, one.refused, now)
        if one.asked is None or (count == 1 and _is_known(db, one)):
            continue
        key = f"{row.target}:{process.external_id}:heard:{count}"
        results.append(_accept(db, replace(one.asked, key=key), now))
    return state, count, results


def _take_unknown(db: Connection, one: Stand | Remark | Refusal, now: datetime) -> bool | None:
    """Of a process that the ledger lacks nothing can be remembered: the state itself is the key."""
    if isinstance(one, Remark):
        return _accept(db, one.asked, now)
    refused = one if isinstance(one, Refusal) else one.refused
    if refused is not None:
        refuse_in(db, refused, now)
    if isinstance(one, Refusal):
        return None
    if one.asked is None:
        return None
    return _accept(db, replace(one.asked, key=one.keys[0]), now)


def _is_known(db: Connection, stand: Stand) -> bool:
    """Whether this came before the ledger knew the process, or remembered what it heard."""
    return db.execute(_KNOWN_KEY, {"keys": list(stand.keys)}).first() is not None


def _without_repeats(
    db: Connection, told: Sequence[Stand | Remark | Refusal]
) -> list[Stand | Remark | Refusal]:
    """Without the comments that another call brought a moment before: a box may send along with each
    stage what was last written.
    """
    said_at: dict[str, datetime] = {}
    news: list[Stand | Remark | Refusal] = []
    for one in told:
        if isinstance(one, Remark):
            before = said_at.get(one.asked.digest)
            said_at[one.asked.digest] = one.said_at
            if one.said_at - before <= REPEATED_WITHIN if before else _is_repeated(db, one):
                continue
        news.append(one)
    return news


def _is_repeated(db: Connection, remark: Remark) -> bool:
    asked = remark.asked
    values = {
        "of_connection": asked.connection,
        "of_order": asked.order_id,
        "of_origin": asked.origin,
        "of_digest": asked.digest,
        "since": remark.said_at - REPEATED_WITHIN,
    }
    return db.execute(_SAME_REMARK, values).first() is not None


def _accept(db: Connection, asked: Asked, now: datetime) -> bool:
    """Whether it was accepted; not where its key stands for another update. While the gap of a ledger that
    went back is open it may have been heard before, and sent.
    """
    standing = tides.doubts(db)
    try:
        accept_in(db, asked, now, in_doubt=standing is not None and standing.is_behind)
    except KeyReused:
        return False
    return True


def _counted(results: list[bool | None]) -> Heard:
    return Heard(accepted=results.count(True), reused=results.count(False))
