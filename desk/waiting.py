"""Why an update that waits has not gone yet, for a person.

In: updates as the ledger has them, and the configured connections. Out: for each that is queued what a person
is told, as a code with its values. Raises `LedgerUnavailable`. Called by cli and gateway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from connection import Connection
from ledger import connections, waits
from ledger.database import Ledger
from ledger.updates import Told, Update
from ledger.waits import Standing

# A worker that runs has taken up by then what is due; the sweeper rings for it each minute.
TAKEN_UP = timedelta(minutes=3)


def reasons(
    ledger: Ledger, rows: Sequence[Update], configured: Mapping[str, Connection]
) -> dict[int, Told]:
    """Why each of these updates waits, by its number; those that do not wait have no reason. A system whose
    connections are not known here, a sandbox that does not run, has none that could be missing.
    """
    waiting = [row for row in rows if row.state == "queued"]
    if not waiting:
        return {}
    closed = {
        gate.connection: gate.reason
        for gate in connections.gates(ledger)
        if gate.closed_by is not None and gate.direction == "write"
    }
    standing = waits.standing(ledger, [row.id for row in waiting])
    now = ledger.now()

    def told(row: Update) -> Told:
        stands = standing[row.id]
        if configured and row.connection not in configured:
            return _told("update_not_configured", before=row.connection)
        if stands.behind is not None:
            return _told("update_waits_behind", after=str(stands.behind))
        if configured and configured[row.connection].mode == "shadow":
            return _told("update_shadow")
        if row.connection in closed:
            detail = closed[row.connection]
            return _told("update_connection_paused", before=row.connection, detail=detail)
        return _in_turn(row, stands, now)

    return {row.id: told(row) for row in waiting if row.id in standing}


def _in_turn(row: Update, stands: Standing, now: datetime) -> Told:
    """Why an update waits that nothing is in the way of."""
    if stands.lease_until is not None and stands.lease_until > now:
        return _told("update_due")
    if stands.next_try_at > now:
        if not stands.failed:
            return _told("update_due")
        return _told("update_shop_silent", after=_moment(stands.next_try_at))
    # A queue keeps the time of what was in it before.
    since = max(stands.next_try_at, row.state_at)
    if now - since > TAKEN_UP:
        return _told("update_not_taken", after=_moment(since))
    return _told("update_due")


def _told(
    code: str, *, before: str | None = None, after: str | None = None, detail: str = ""
) -> Told:
    return Told(code=code, level="warning", field="", before=before, after=after, detail=detail)


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
