"""Every call for an order or an update: when, how long, what came back; and what these say together.

In: plain values, excerpts masked, aware UTC times. Out: `Try`s, and answers to what a verdict asks: did
others go through, were the last ones refused alike. Raises `LedgerUnavailable`. Called by ledger/orders and
ledger/queues (`note`), tasks and desk.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Any, cast

from sqlalchemy import bindparam, func, insert, select, text

from ledger.conditions import OF_AN_ORDER, OF_AN_UPDATE
from ledger.database import Ledger
from ledger.tables import ATTEMPTS, ORDERS, UPDATES

# How far back refusals with one text are looked at: more than all workers have in flight.
MOST_ALIKE = 500


@dataclass(frozen=True, slots=True)
class Try:
    """What one attempt was: `kind` is create, look-up, map or update; `parts` are those of an update that
    it carried, comma separated.
    """

    kind: str
    started_at: datetime
    duration_ms: int
    outcome: str
    status: int | None = None
    excerpt: str = ""
    task_id: str | None = None
    parts: str = ""


_INSERT = insert(ATTEMPTS)


def note(
    ledger: Ledger,
    connection: str,
    tried: Try,
    *,
    order_pk: int | None = None,
    update_id: int | None = None,
) -> None:
    """Keep a try at this order or update, at the end of the transaction that is under way."""
    ledger.insert_later(
        _INSERT,
        {
            "order_pk": order_pk,
            "update_id": update_id,
            "connection": connection,
            "kind": tried.kind,
            "parts": tried.parts,
            "task_id": tried.task_id,
            "started_at": tried.started_at,
            "duration_ms": tried.duration_ms,
            "status": tried.status,
            "outcome": tried.outcome,
            # PostgreSQL takes no NUL, which a garbled answer may have.
            "excerpt": tried.excerpt.replace("\0", ""),
        },
    )


def of_order(ledger: Ledger, pk: int) -> list[Try]:
    """Every try at one order, the oldest first."""
    return _tries(ledger, ATTEMPTS.c.order_pk == pk)


def of_update(ledger: Ledger, update_id: int) -> list[Try]:
    """Every call made for one update, the oldest first."""
    return _tries(ledger, ATTEMPTS.c.update_id == update_id)


def _tries(ledger: Ledger, of: Any) -> list[Try]:
    with ledger.read() as db:
        return [
            Try(
                row.kind,
                row.started_at,
                row.duration_ms,
                row.outcome,
                row.status,
                row.excerpt,
                row.task_id,
                row.parts,
            )
            for row in db.execute(select(ATTEMPTS).where(of).order_by(ATTEMPTS.c.id))
        ]


# --- what verdicts ask ------------------------------------------------------------------------------

_SINCE = (
    ATTEMPTS.c.connection == bindparam("of_connection"),
    ATTEMPTS.c.started_at > bindparam("since"),
    ATTEMPTS.c.outcome == bindparam("of_outcome"),
)
# The conditions as the partial indexes say them, which serve no other words.
_ANOTHER_ORDER = (
    select(ATTEMPTS.c.id)
    .where(text(OF_AN_ORDER), *_SINCE, ATTEMPTS.c.order_pk != bindparam("pk"))
    .limit(1)
)
_ANOTHER_QUEUE = (
    select(ATTEMPTS.c.id)
    .join(UPDATES, UPDATES.c.id == ATTEMPTS.c.update_id)
    .where(text(OF_AN_UPDATE), *_SINCE, UPDATES.c.order_id != bindparam("of_order"))
    .limit(1)
)


def another_order_went_through(
    ledger: Ledger, target: str, pk: int, since: datetime | None
) -> bool:
    """Whether this target took another order by a call that began after that moment."""
    values = {"of_connection": target, "since": since, "of_outcome": "created", "pk": pk}
    return since is not None and _any(ledger, _ANOTHER_ORDER, values)


def another_queue_went_through(
    ledger: Ledger, connection: str, order_id: str, since: datetime | None
) -> bool:
    """Whether this source took an update of another order by a call that began after that moment."""
    of = {"of_connection": connection, "of_order": order_id}
    values = {**of, "since": since, "of_outcome": "sent"}
    return since is not None and _any(ledger, _ANOTHER_QUEUE, values)


def _any(ledger: Ledger, query: Any, values: dict[str, Any]) -> bool:
    with ledger.read() as db:
        return db.execute(query, values).first() is not None


def last_sent_at(ledger: Ledger, pk: int) -> datetime | None:
    """When the last call that carried this order began, as far as its outcome is recorded."""
    query = select(func.max(ATTEMPTS.c.started_at)).where(
        ATTEMPTS.c.order_pk == pk, ATTEMPTS.c.kind == "create"
    )
    with ledger.read() as db:
        return cast("datetime | None", db.execute(query).scalar_one())


def first_unanswered_at(ledger: Ledger, pk: int) -> datetime | None:
    """When the first call that carried this order and got no answer began, as far as that is recorded."""
    query = select(func.min(ATTEMPTS.c.started_at)).where(
        ATTEMPTS.c.order_pk == pk, ATTEMPTS.c.outcome == "uncertain"
    )
    with ledger.read() as db:
        return cast("datetime | None", db.execute(query).scalar_one())


_JUDGED = (
    select(ATTEMPTS.c.order_pk, ATTEMPTS.c.outcome, ATTEMPTS.c.excerpt)
    .join(ORDERS, ORDERS.c.id == ATTEMPTS.c.order_pk)
    .where(
        text(OF_AN_ORDER),
        ATTEMPTS.c.connection == bindparam("of_connection"),
        ATTEMPTS.c.kind == "create",
        ATTEMPTS.c.started_at >= bindparam("since"),
        ATTEMPTS.c.outcome.in_(("created", "refused")),
        ORDERS.c.strikes == 0,
    )
    .order_by(ATTEMPTS.c.started_at.desc())
    .limit(MOST_ALIKE)
)


def refused_alike(
    ledger: Ledger, target: str, excerpt: str, count: int, since: datetime
) -> list[int]:
    """The orders of the latest answers of this target since then, as far back as all were refusals with this
    same text, if these are `count` different orders or more; else an empty list. More, since threads that
    refuse side by side see each other's. What was refused before while others went through does not
    count, nor what got no answer or was not judged: a poison order between them hides no wave.
    """
    with ledger.read() as db:
        rows = db.execute(_JUDGED, {"of_connection": target, "since": since}).all()
    alike = takewhile(lambda row: row.outcome == "refused" and row.excerpt == excerpt, rows)
    orders = {row.order_pk for row in alike}
    return sorted(orders) if len(orders) >= count else []
