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

from ledger import tides, unknown
from ledger.database import Ledger
from ledger.enqueueing import Asked, KeyReused, Refusal, accept_in, refuse_in
from ledger.hook_intake import REPEATED_WITHIN
from ledger.ours import asked_in
from ledger.tables import ORDERS, UPDATES
from ledger.transitions import Came, Process, Remark, Stand, next_state
from ledger.watching import next_check


@dataclass(frozen=True, slots=True)
class Heard:
    """What hearing made: updates that are new, and those whose key stands for something else."""

    accepted: int = 0
    reused: int = 0


Told = Stand | Remark | Refusal

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
_MADE = (
    select(UPDATES.c.id, UPDATES.c.parts)
    .where(UPDATES.c.key.in_(bindparam("keys", expanding=True)))
    .order_by(UPDATES.c.id)
)
# Of so many changes, the latest, what they asked for is compared with what is told once more.
MOST_CHANGES = 100
_SAME_REMARK = select(UPDATES.c.id).where(
    UPDATES.c.connection == bindparam("of_connection"),
    UPDATES.c.order_id == bindparam("of_order"),
    UPDATES.c.origin == bindparam("of_origin"),
    UPDATES.c.accepted_at >= bindparam("since"),
    UPDATES.c.digest == bindparam("of_digest"),
)


def hear(  # noqa: PLR0913  what was told, and what else is one transaction with it
    ledger: Ledger,
    process: Process,
    told: Sequence[Told],
    now: datetime,
    *,
    through: frozenset[str],
    read: bool,
    begin: Callable[[Connection], bool] | None = None,
    end: Callable[[Connection, Sequence[Came]], object] | None = None,
    since: int | None = None,
) -> Heard | None:
    """Take what was told of one process, in order, and when it is to be read next: soon, if it was not
    `read` now. `through` are the stages of a finished process. `begin` runs first in the same transaction;
    None when it says no, or when more was heard than the `since` changes that were known before it was
    told: then nothing is done. `end` runs last, with what came of each thing that was told.
    """

    def unit(db: Connection) -> Heard | None:
        if begin is not None and not begin(db):
            return None
        row = db.execute(
            _HEARD, {"of_connection": process.connection, "of_order": process.order_id}
        ).first()
        if row is not None and since not in (None, row.heard):
            return None
        is_new = _news(db, told)
        if row is None:
            came = [
                _take_unknown(db, process, one, now) if new else Came("repeated")
                for one, new in zip(told, is_new, strict=True)
            ]
        else:
            (stage, number), count, came = _take(db, row, process, told, is_new, now)
            changed_at = now if count > row.heard else row.heard_at
            last_at = changed_at or row.state_at
            check_at = next_check(now, last_at, through=stage in through) if read else now
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
        if end is not None:
            end(db, came)
        return _counted(came)

    return ledger.write(unit)


def _take(
    db: Connection,
    row: Any,
    process: Process,
    told: Sequence[Told],
    is_new: Sequence[bool],
    now: datetime,
) -> tuple[tuple[str | None, str | None], int, list[Came]]:
    """What was heard of this process after these, how many changes that makes, and what came of each."""
    state, count = (row.heard_stage, row.heard_number), row.heard
    came: list[Came] = []
    for one, new in zip(told, is_new, strict=True):
        if not new:
            came.append(Came("repeated"))
        elif isinstance(one, Remark):
            came.append(replace(_accept(db, one.asked, now), heard=count))
        elif isinstance(one, Refusal):
            came.append(Came("refused", refused_id=refuse_in(db, one, now)))
        else:
            after = next_state(state, one)
            if after == state and not _is_asked_first(db, process, one):
                came.append(_once_more(db, row, process, one, count, now))
            elif _is_superseded(row, one):
                came.append(_past(db, row, process, one))
            else:
                state, count = after, count + 1
                came.append(_take_change(db, row, process, one, count, now))
    return state, count, came


def _is_asked_first(db: Connection, process: Process, one: Stand) -> bool:
    """Whether it names no stage and asks for what no update of this order asked: it was heard before, with a
    stage that asked for nothing, but what is said without a stage goes by itself.
    """
    if one.stage is not None or one.asked is None or one.again is not None:
        return False
    asked = asked_in(db, process.connection, process.order_id)
    return any(value not in asked.get(name, ()) for name, value in one.asked.parts.items())


def _take_change(
    db: Connection, row: Any, process: Process, one: Stand, count: int, now: datetime
) -> Came:
    """A change of the process, the `count`th, with the update that it asks for."""
    refused = None if one.refused is None else refuse_in(db, one.refused, now)
    if one.asked is None:
        return Came("refused" if refused else "nothing", refused_id=refused, heard=count)
    known = unknown.made(db, process, one, one.asked) if count == 1 else None
    if known is not None:
        return Came("known", known.id, refused, count)
    made = _accept(db, replace(one.asked, key=_key(row, process, count)), now)
    return replace(made, refused_id=refused, heard=count)


def _once_more(
    db: Connection, row: Any, process: Process, one: Stand, count: int, now: datetime
) -> Came:
    """What was known. Told again, it asks for the update of the change that it was, if there is none: what
    the tables say of that stage may have been completed since. What a later change has asked for by then,
    such as a number that was said with the same stage, is not asked for twice.
    """
    if one.again is None or one.asked is None:
        return Came("same", heard=count)
    of = one.again.heard or count
    key = _key(row, process, of)
    known = unknown.under(db, [key, *one.keys] if of == 1 else [key])
    if known is not None:
        return Came("known", known.id, heard=of)
    since = [_key(row, process, n) for n in range(max(of, count - MOST_CHANGES) + 1, count + 1)]
    made = db.execute(_MADE, {"keys": since}).all()
    left = {
        name: value
        for name, value in one.asked.parts.items()
        if all(parts.get(name, {}).get("value") != value for _, parts in made)
    }
    if not left:
        return Came("known", made[-1].id, heard=of)
    return replace(_accept(db, replace(one.asked, parts=left, key=key), now), heard=of)


def _past(db: Connection, row: Any, process: Process, one: Stand) -> Came:
    """What is told again and past by now: the update that it was, if it was one."""
    of = None if one.again is None else one.again.heard
    known = None if of is None else unknown.under(db, [_key(row, process, of)])
    return Came("superseded", heard=of) if known is None else Came("known", known.id, heard=of)


def _is_superseded(row: Any, one: Stand) -> bool:
    """Whether what is told again is past: something else was heard of the process since it was said."""
    again = one.again
    if again is None or again.confirmed:
        return False
    if again.heard is not None:
        return bool(row.heard != again.heard)
    return row.heard_at is not None and row.heard_at > again.said_at


def _take_unknown(db: Connection, process: Process, one: Told, now: datetime) -> Came:
    """Of a process that the ledger lacks nothing is remembered but the updates that were made of it."""
    if isinstance(one, Remark):
        return _accept(db, one.asked, now)
    if isinstance(one, Refusal):
        return Came("refused", refused_id=refuse_in(db, one, now))
    refused = None if one.refused is None else refuse_in(db, one.refused, now)
    if one.asked is None:
        return Came("refused" if refused else "nothing", refused_id=refused)
    known = unknown.made(db, process, one, one.asked)
    key = unknown.new_key(db, process, one, one.asked) if known is None else known.key
    made = _accept(db, replace(one.asked, key=key), now)
    if known is not None and made.what == "made":
        return Came("known", known.id, refused)
    return replace(made, refused_id=refused)


def _key(row: Any, process: Process, count: int) -> str:
    return f"{row.target}:{process.external_id}:heard:{count}"


def _news(db: Connection, told: Sequence[Told]) -> list[bool]:
    """Of each thing whether it is new. Not a comment that another call brought a moment before: a box may
    send along with each stage what was last written.
    """
    said_at: dict[str, datetime] = {}
    return [not isinstance(one, Remark) or _is_new(db, one, said_at) for one in told]


def _is_new(db: Connection, one: Remark, said_at: dict[str, datetime]) -> bool:
    before = said_at.get(one.asked.digest)
    said_at[one.asked.digest] = one.said_at
    if before is not None:
        return one.said_at - before > REPEATED_WITHIN
    return not _is_repeated(db, one)


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


def _accept(db: Connection, asked: Asked, now: datetime) -> Came:
    """It becomes an update; not where its key stands for another one. While the gap of a ledger that went
    back is open it may have been heard before, and sent.
    """
    standing = tides.doubts(db)
    try:
        made = accept_in(db, asked, now, in_doubt=standing is not None and standing.is_behind)
    except KeyReused:
        return Came("reused")
    return Came("made", made.id)


def _counted(came: Sequence[Came]) -> Heard:
    of = [one.what for one in came]
    return Heard(of.count("made"), of.count("reused"))
