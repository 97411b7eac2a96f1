"""Hook calls as they come in: kept before they are answered, one that repeats the last one left out.

In: what a call said of which process. Out: its key, and whether to ring for it; a refused one is kept as
ended, for a person to see. Fails with `Crowded` where
too many calls of one process wait, and with `LedgerUnavailable`. Called by tasks/accepting; what becomes of
the calls is ledger/hooks.py. Source: docs/decisions/hearing-a-transition.md.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from ledger.database import Ledger
from ledger.hook_endings import Ending, told
from ledger.tables import HOOKS

# A call that says the same as the one before it, so soon after it, is the box calling again for want of an
# answer. Source: docs/decisions/hearing-a-transition.md.
REPEATED_WITHIN = timedelta(minutes=5)
# Calls of one process that may wait: a box that calls more often about one process calls in a loop. What it
# says in the end is read of the process.
MOST_OPEN = 200
LONGEST_PROCESS = 120


class Crowded(Exception):  # noqa: N818  it says what is, as the errors of clients do
    """So many calls of one process wait that no more are taken."""


def keep(
    ledger: Ledger,
    connection: str,
    process: str,
    fields: dict[str, Any],
    now: datetime,
    *,
    once_called: str = "",
) -> tuple[int, bool]:
    """Keep what a hook call said, before it is answered. Out: its key, and whether to ring for it: not
    while an earlier call of its process is still open, whose worker takes this one along. Open calls from
    when the process was `once_called` otherwise go before it. A call that says what the last one said, on
    which nobody works yet, is that one. Raises Crowded when too many of its process wait.
    """
    process = process[:LONGEST_PROCESS]
    waiting = select(func.count(), func.max(HOOKS.c.next_try_at)).where(
        HOOKS.c.done_at.is_(None), HOOKS.c.process == process, HOOKS.c.connection == connection
    )

    def unit(db: Connection) -> tuple[int, bool] | None:
        renamed = rename_in(db, connection, once_called, process, now)
        before, next_try_at = db.execute(waiting).one()
        digest = _digest(fields)
        if process and before:
            last = db.execute(_LAST, {"of_process": process, "of_connection": connection}).one()
            if _is_same(last, digest, now):
                return int(last.id), renamed
            if before >= MOST_OPEN:
                return None
        values = {
            "connection": connection,
            "process": process,
            "fields": fields,
            "digest": digest,
            "received_at": now,
            # It waits with those before it, which it must not overtake; those of nobody stand alone.
            "next_try_at": (next_try_at if process else None) or now,
        }
        made = db.execute(insert(HOOKS).values(values).returning(HOOKS.c.id)).scalar_one()
        return int(made), not before or renamed or not process

    kept = ledger.write(unit)
    if kept is None:
        # Not where others' calls are written with this one, in one transaction.
        raise Crowded(
            f"{MOST_OPEN} calls of this process wait; call again when they are worked off."
        )
    return kept


def keep_ended(
    ledger: Ledger, connection: str, fields: dict[str, Any], ending: Ending, now: datetime
) -> int:
    """Keep a call that the door refused, with what is wrong with it: nobody will act on it."""
    values = {
        "connection": connection,
        "process": "",
        "fields": fields,
        "digest": "",
        "received_at": now,
        "done_at": now,
        **told(ending),
    }
    statement = insert(HOOKS).values(values).returning(HOOKS.c.id)
    return ledger.write(lambda db: int(db.execute(statement).scalar_one()))


_LAST = (
    select(HOOKS.c.id, HOOKS.c.digest, HOOKS.c.received_at, HOOKS.c.lease_until)
    .where(
        HOOKS.c.done_at.is_(None),
        HOOKS.c.process == bindparam("of_process"),
        HOOKS.c.connection == bindparam("of_connection"),
    )
    .order_by(HOOKS.c.id.desc())
    .limit(1)
)


def _is_same(last: Any, digest: str, now: datetime) -> bool:
    """Whether the last open call says this already and is yet to be worked on, with a read after both."""
    return (
        last.digest == digest
        and last.lease_until is None
        and now - last.received_at <= REPEATED_WITHIN
    )


def rename_in(db: Connection, connection: str, before: str, process: str, now: datetime) -> bool:
    """Give open calls the name that their process has by now; whether there were any."""
    if not before or before == process:
        return False
    of_before = (
        HOOKS.c.done_at.is_(None),
        HOOKS.c.process == before,
        HOOKS.c.connection == connection,
    )
    values = {"process": process, "next_try_at": now}
    return bool(db.execute(update(HOOKS).where(*of_before).values(values)).rowcount)


def _digest(fields: dict[str, Any]) -> str:
    said = json.dumps(fields, sort_keys=True, default=str)
    return blake2b(said.encode(), digest_size=16).hexdigest()
