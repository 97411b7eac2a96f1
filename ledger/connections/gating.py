"""How gates close and open by themselves: the breaker, a connection's fault, a remote that asks us to wait.

In and out: aware UTC times. A gate that a person closed stays as it is. Raises `LedgerUnavailable` when the
database cannot be reached. Called, by its package, by tasks/gate and tasks/upkeep.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, or_, select, update

from ledger.connections.gate_rows import (
    COLUMNS,
    PERSON,
    SUSPECT,
    Direction,
    GateRow,
    change,
    ensure,
    locked,
    opened,
    this,
)
from ledger.database import Ledger
from ledger.tables import GATES

# A reason that turned out to be single orders' own does so for this long.
CLEARED_FOR = timedelta(hours=1)


def take_probe(
    ledger: Ledger, connection: str, now: datetime, every: float, direction: Direction = "write"
) -> bool:
    """Whether the caller may send the one call that this closed gate lets through every so often."""
    statement = (
        update(GATES)
        .where(
            *this(connection, direction),
            GATES.c.closed_by.is_not(None),
            GATES.c.probe_at <= now,
        )
        .values(probe_at=now + timedelta(seconds=every))
    )
    return ledger.write(lambda db: bool(db.execute(statement).rowcount))


def give_probe_back(
    ledger: Ledger, connection: str, now: datetime, direction: Direction = "write"
) -> None:
    """The call that a closed gate let through was not made: another one may be, at once."""
    statement = (
        update(GATES)
        .where(
            *this(connection, direction),
            GATES.c.closed_by.is_not(None),
            GATES.c.probe_at > now,
        )
        .values(probe_at=now)
    )
    ledger.write(lambda db: db.execute(statement))


def count_failure(
    ledger: Ledger,
    connection: str,
    now: datetime,
    limit: int,
    probe_after: float,
    reason: str,
    direction: Direction = "write",
    who: str | None = None,
) -> GateRow:
    """One more failure in a row; at `limit` the breaker closes the gate. Of one caller that is named, calls
    count once: an order that fails alone says nothing about the connection.
    """

    def unit(db: Connection) -> GateRow:
        row = locked(db, connection, direction)
        if who is not None and who in row.failed.split():
            return row
        row = change(
            db,
            connection,
            direction,
            failures=row.failures + 1,
            failed=row.failed if who is None else f"{row.failed} {who}".strip(),
        )
        if row.closed_by is not None or row.failures < limit:
            return row
        return _close(db, connection, "breaker", now, probe_after, reason, direction)

    return ledger.write(unit)


def suspect(
    ledger: Ledger,
    connection: str,
    now: datetime,
    who: str,
    reason: str,
    limits: tuple[int, int],
    direction: Direction = "write",
) -> GateRow:
    """Somebody met what looks like the connection's fault. So many different ones with nothing that went
    through between, `limits`, close the gate; the second of these where the reason was cleared lately. The
    first probe may go at once.
    """

    def unit(db: Connection) -> GateRow:
        row = locked(db, connection, direction)
        name = SUSPECT + who
        if name not in row.failed.split():
            row = change(db, connection, direction, failed=f"{row.failed} {name}".strip())
        if row.closed_by is not None or row.suspects < limits[is_cleared(row, reason, now)]:
            return row
        return _close(db, connection, "fault", now, 0.0, reason, direction)

    return ledger.write(unit)


def is_cleared(row: GateRow, reason: str, now: datetime) -> bool:
    """Whether this reason turned out, a while ago, to be single orders' own."""
    return (
        row.cleared == reason and row.cleared_at is not None and now < row.cleared_at + CLEARED_FOR
    )


def ask_to_wait(
    ledger: Ledger, connection: str, until: datetime, now: datetime, reason: str
) -> None:
    """The remote asked for no calls until then, of any kind: both gates are closed, or stay so for longer."""

    def unit(db: Connection) -> None:
        for direction in ("write", "read"):
            row = locked(db, connection, direction)
            if row.closed_by is None:
                change(
                    db,
                    connection,
                    direction,
                    closed_by="remote",
                    closed_at=now,
                    reason=reason,
                    probe_at=until,
                )
            elif row.probe_at is not None and row.probe_at < until:
                change(db, connection, direction, probe_at=until)

    ledger.write(unit)


def close(
    ledger: Ledger,
    connection: str,
    by: str,
    now: datetime,
    probe_after: float,
    reason: str,
    direction: Direction = "write",
) -> GateRow:
    """Close the gate for a fault of the connection; a person's closing is never weakened."""

    def unit(db: Connection) -> GateRow:
        ensure(db, connection, direction)
        return _close(db, connection, by, now, probe_after, reason, direction)

    return ledger.write(unit)


def _close(
    db: Connection,
    connection: str,
    by: str,
    now: datetime,
    probe_after: float,
    reason: str,
    direction: Direction,
) -> GateRow:
    db.execute(
        update(GATES)
        .where(
            *this(connection, direction),
            or_(GATES.c.closed_by.is_(None), GATES.c.closed_by.not_in((by, PERSON))),
        )
        .values(
            closed_by=by,
            closed_at=now,
            reason=reason,
            probe_at=now + timedelta(seconds=probe_after),
        )
    )
    return GateRow(*db.execute(select(*COLUMNS).where(*this(connection, direction))).one())


def open_gate(
    ledger: Ledger, connection: str, direction: Direction = "write", *, clears: bool = True
) -> bool:
    """A call went through: no failures any more, and the gate is open unless a person closed it. True when
    it had been closed. When the call `clears` it, what had closed it as the connection's fault is known to
    be single orders' own, should they meet it again. What waited for it is noted as to be made due, with
    the opening itself: see ledger/waking.
    """

    def unit(db: Connection) -> bool:
        row = locked(db, connection, direction)
        if row.is_paused:
            return False
        values: dict[str, Any] = {}
        if row.closed_by == "fault" and clears:
            values = {"cleared": row.reason, "cleared_at": ledger.now()}
        change(db, connection, direction, **opened(row, ledger.now()), **values)
        return row.closed_by is not None

    return ledger.write(unit)
