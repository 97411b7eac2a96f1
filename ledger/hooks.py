"""Calls of a target's hook in the ledger: claimed by process, worked off in order.

In: plain values and aware UTC times. Out: small frozen rows. All open calls of one process are claimed
together, under one lease, so that nobody overtakes: what a process said is heard in the order in which it
was said. Raises `LedgerUnavailable`. Called by tasks/listening and tasks/upkeep.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Connection, Select, bindparam, case, select

from ledger.conditions import IS_UNDONE
from ledger.database import Ledger
from ledger.hook_endings import Ending, tell_in
from ledger.hook_intake import LONGEST_PROCESS, REPEATED_WITHIN, rename_in
from ledger.leases import EARLY, Leases
from ledger.tables import HOOKS

# Calls of one process that are worked off in one go.
MOST_TOGETHER = 100


__all__ = [
    "Call",
    "Claim",
    "Waiting",
    "are_open",
    "came_later",
    "claim",
    "due",
    "end_in",
    "find",
    "finish",
    "give_back",
    "next_of",
    "rename",
    "tell_in",
]

LEASES = Leases(
    table=HOOKS,
    key={"of_ids": HOOKS.c.id},
    open=IS_UNDONE,
    is_open=HOOKS.c.done_at.is_(None),
    remote=HOOKS.c.connection,
    tie=HOOKS.c.id,
    shown=(HOOKS.c.id,),
    # A worker that vanished with them: that was a try too.
    on_claim={"tries": HOOKS.c.tries + case((HOOKS.c.lease_until.is_not(None), 1), else_=0)},
    on_return={"tries": HOOKS.c.tries + bindparam("counted")},
    together=True,
)


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `repeats` is the call before it, where it is that one once more. `again`: it was ended and
    is acted on once more; `heard` is which change of its order it was then.
    """

    id: int
    fields: dict[str, Any]
    received_at: datetime
    repeats: int | None = None
    again: datetime | None = None
    heard: int | None = None

    @property
    def since(self) -> datetime:
        """Since when it waits."""
        return self.again or self.received_at


@dataclass(frozen=True, slots=True)
class Waiting:
    """A call that nobody has acted on yet."""

    id: int
    connection: str
    process: str
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on these calls of one process, held by `token`; `tries` is how often that failed."""

    connection: str
    process: str
    token: str
    tries: int
    calls: tuple[Call, ...]

    @property
    def ids(self) -> list[int]:
        return [call.id for call in self.calls]


def rename(
    ledger: Ledger, claim: Claim, process: str, now: datetime, ids: Sequence[int] | None = None
) -> int | None:
    """Give these calls back at once, those with `ids` (None: all, and the open ones beside them) under the
    name that their process has by now, so that all calls of it are worked off in order. Out: one to ring for.
    """

    def unit(db: Connection) -> int | None:
        name = process[:LONGEST_PROCESS]
        of = {"of_ids": claim.ids if ids is None else list(ids)}
        if LEASES.change(db, of, claim.token, process=name):
            all_of_them = {"of_ids": claim.ids, "counted": 0}
            LEASES.give_back(db, all_of_them, claim.token, now)
        if ids is None:
            rename_in(db, claim.connection, claim.process, name, now)
        return cast("int | None", db.scalar(_open_of(claim.connection, name)))

    return ledger.write(unit)


def find(ledger: Ledger, hook_id: int) -> Waiting | None:
    """Whose call this is, if nobody has acted on it yet."""
    query = select(HOOKS.c.id, HOOKS.c.connection, HOOKS.c.process, HOOKS.c.received_at).where(
        HOOKS.c.id == hook_id, HOOKS.c.done_at.is_(None)
    )
    with ledger.read() as db:
        row = db.execute(query).first()
    return None if row is None else Waiting(*row)


def claim(ledger: Ledger, of: Waiting, now: datetime, lease: float) -> Claim | None:
    """Take the open calls of a process for `lease` seconds, the oldest first; of nobody, that call alone.
    None: there are none, or their time has not come, or someone is at work on them.
    """

    def unit(db: Connection) -> Claim | None:
        open_calls = (
            select(HOOKS)
            .where(
                HOOKS.c.done_at.is_(None),
                HOOKS.c.process == of.process,
                HOOKS.c.connection == of.connection,
            )
            .order_by(HOOKS.c.id)
        )
        if not of.process:
            # Calls that name nobody have nothing in common: each may turn out to be of another order.
            open_calls = open_calls.where(HOOKS.c.id == of.id)
        # Two claims meet at the oldest call: the second one goes on only when the first has committed,
        # and looks only then who holds what.
        db.execute(open_calls.with_only_columns(HOOKS.c.id).limit(1).with_for_update()).first()
        rows = db.execute(open_calls.limit(MOST_TOGETHER)).all()
        if not rows or (rows[0].next_try_at or now) > now + EARLY:
            return None
        if any(row.lease_until is not None and row.lease_until >= now for row in rows):
            return None
        tries = max(row.tries + (row.lease_until is not None) for row in rows)
        taken = LEASES.claim(db, {"of_ids": [row.id for row in rows]}, now, lease)
        if taken is None:
            return None
        calls = _calls(rows, _before(db, rows[0]))
        return Claim(of.connection, of.process, taken.token, tries, calls)

    return ledger.write(unit)


def _before(db: Connection, first: Any) -> Any:
    """The call of the same process before this one, done long since or not."""
    return db.execute(
        select(HOOKS.c.id, HOOKS.c.digest, HOOKS.c.received_at)
        .where(
            HOOKS.c.process == first.process,
            HOOKS.c.connection == first.connection,
            HOOKS.c.id < first.id,
        )
        .order_by(HOOKS.c.id.desc())
        .limit(1)
    ).first()


def _calls(rows: Any, before: Any) -> tuple[Call, ...]:
    """The calls, each with the one before it that it repeats; those of nobody, and what a person asked for
    again, repeat nothing.
    """
    calls = []
    for row in rows:
        repeats = bool(
            row.process
            and row.digest
            and row.replayed_at is None
            and before is not None
            and before.digest == row.digest
            and row.received_at - before.received_at <= REPEATED_WITHIN
        )
        of = before.id if repeats else None
        call = Call(row.id, row.fields, row.received_at, of, row.replayed_at, row.heard)
        calls.append(call)
        before = row
    return tuple(calls)


def give_back(
    ledger: Ledger, claim: Claim, next_try_at: datetime, *, counted: bool = False
) -> None:
    """Let go of calls that are not worked off yet; `counted`: that was a try that failed."""
    of = {"of_ids": claim.ids, "counted": int(counted)}
    ledger.write(lambda db: LEASES.give_back(db, of, claim.token, next_try_at))


def finish(ledger: Ledger, claim: Claim, endings: Mapping[int, Ending], now: datetime) -> bool:
    """End the calls with what each came to; False when the lease was lost."""

    def unit(db: Connection) -> bool:
        if not end_in(db, claim, now):
            return False
        tell_in(db, endings)
        return True

    return ledger.write(unit)


def end_in(db: Connection, claim: Claim, now: datetime) -> bool:
    """End these calls, in the transaction that hears them and tells of them. False when the lease was lost:
    then another worker has gone on with them, and nothing may be done for them here.
    """
    done = {"done_at": now, "lease_until": None, "lease_token": None}
    return LEASES.change(db, {"of_ids": claim.ids}, claim.token, **done)


def next_of(ledger: Ledger, claim: Claim) -> int | None:
    """An open call of the same process: what came in while the others were worked off."""
    with ledger.read() as db:
        return cast("int | None", db.scalar(_open_of(claim.connection, claim.process)))


def came_later(ledger: Ledger, claim: Claim) -> bool:
    """Whether calls of this process came in since these were claimed."""
    query = _open_of(claim.connection, claim.process).where(HOOKS.c.id > max(claim.ids))
    with ledger.read() as db:
        return db.execute(query).first() is not None


def are_open(db: Connection, connection: str, process: str) -> bool:
    """Whether calls of this process wait to be worked off."""
    return db.execute(_open_of(connection, process)).first() is not None


def _open_of(connection: str, process: str) -> Select[tuple[int]]:
    return (
        select(HOOKS.c.id)
        .where(
            HOOKS.c.done_at.is_(None),
            HOOKS.c.process == process,
            HOOKS.c.connection == connection,
        )
        .order_by(HOOKS.c.id)
        .limit(1)
    )


def due(ledger: Ledger, now: datetime, most: int, grace: float = 0.0) -> list[int]:
    """Calls nobody works on that have been due for `grace` seconds or more, the longest due first: of
    each process the oldest one, so that a flood of one keeps nobody waiting.
    """
    before = now - timedelta(seconds=grace)
    with ledger.read() as db:
        return list(db.execute(_DUE, {"before": before, "now": now, "most": most}).scalars())


_EARLIER = HOOKS.alias("earlier")
_DUE = LEASES.due_query.where(
    ~select(_EARLIER.c.id)
    .where(
        _EARLIER.c.done_at.is_(None),
        _EARLIER.c.process == HOOKS.c.process,
        _EARLIER.c.connection == HOOKS.c.connection,
        _EARLIER.c.process != "",
        _EARLIER.c.id < HOOKS.c.id,
    )
    .exists()
)
