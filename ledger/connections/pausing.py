"""A person's pause of a connection: its gate stays closed until a person opens it.

In: a connection and directions, the reason and who, for the gates and for the history; an aware UTC time.
Out: the gates as they stand now. Fails with `AsItIs`, which has how one stands, and with
`LedgerUnavailable`. What closes by itself neither opens such a gate nor puts its own reason in its place:
gating.py. Called, by its package, by desk/gates.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from ledger import history
from ledger.connections.gate_rows import PERSON, Direction, GateRow, change, locked, opened
from ledger.database import Ledger
from ledger.history import Act


class AsItIs(Exception):  # noqa: N818  it says what is, as the errors of clients do
    """The gate stands so already; `row` says how."""

    def __init__(self, row: GateRow) -> None:
        super().__init__(
            f"The {row.direction} gate of {row.connection} is closed by {row.closed_by}."
        )
        self.row = row


def pause(
    ledger: Ledger,
    connection: str,
    directions: Sequence[Direction],
    now: datetime,
    *,
    reason: str,
    who: str,
) -> list[GateRow]:
    """Close these gates, whatever else has closed them. Raises AsItIs where a person did: then none is."""
    values = {"closed_by": PERSON, "closed_at": now, "reason": reason, "probe_at": None}
    values["who"] = history.storable(who)

    def unit(db: Connection) -> list[GateRow]:
        rows = [locked(db, connection, direction) for direction in directions]
        _demand(rows, are_paused=False)
        paused = [change(db, connection, row.direction, **values) for row in rows]
        _note(db, "connection_paused", rows, paused, now, who)
        return paused

    return ledger.write(unit)


def resume(
    ledger: Ledger, connection: str, directions: Sequence[Direction], now: datetime, *, who: str
) -> None:
    """Open these gates; what waited for them is made due. Raises AsItIs where no person closed one: then none
    is opened.
    """

    def unit(db: Connection) -> None:
        rows = [locked(db, connection, direction) for direction in directions]
        _demand(rows, are_paused=True)
        resumed = [change(db, connection, row.direction, **opened(row, now)) for row in rows]
        _note(db, "connection_resumed", rows, resumed, now, who)

    ledger.write(unit)


def _demand(rows: Sequence[GateRow], *, are_paused: bool) -> None:
    for row in rows:
        if row.is_paused != are_paused:
            raise AsItIs(row)


def _note(
    db: Connection,
    what: history.What,
    rows: Sequence[GateRow],
    changed: Sequence[GateRow],
    now: datetime,
    who: str,
) -> None:
    """An act for each gate."""
    for was, is_now in zip(rows, changed, strict=True):
        before, after = _standing(was), _standing(is_now)
        act = Act(now, who, what, "connection", was.connection, before=before, after=after)
        history.write_in(db, act)


def _standing(row: GateRow) -> dict[str, str]:
    """How a gate stood, without what a remote said of it."""
    state = "open" if row.closed_by is None else f"closed by {row.closed_by}"
    told = {"gate": row.direction, "state": state}
    return told | {"reason": row.reason} if row.is_paused else told
