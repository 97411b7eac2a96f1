"""An update comes into the ledger, behind the others of its order, or is kept as refused.

In: what was asked, an aware UTC time. Out: the update as it stands. It gets its place in its order's queue in
the transaction that accepts it, so the order of acceptance is the order of sending. Raises `KeyReused`, and
`LedgerUnavailable` when the database cannot be reached. Called by tasks/accepting and ledger/hearing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection, bindparam, exists, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ledger.database import Ledger
from ledger.tables import QUEUES, UPDATES
from ledger.updates import COLUMNS, Part, Told, Update, from_row, tell, to_json


class KeyReused(Exception):  # noqa: N818  it says what is, as the errors of clients do
    """The idempotency key was used before, for something else."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An update as it is accepted: the value of each part that is meant, in the order in which they are
    sent apart. The values of the `personal` ones are blanked in time. `who` asked, where the history is to
    tell.
    """

    connection: str
    order_id: str
    digest: str
    origin: str
    parts: Mapping[str, Any] = field(default_factory=dict)
    personal: frozenset[str] = frozenset()
    options: Mapping[str, Any] = field(default_factory=dict)
    key: str | None = None
    warnings: tuple[Told, ...] = ()
    who: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a door that cannot answer did not take, and why, for a person to see."""

    asked: Asked
    reason: str
    fates: list[Told]


def accept(ledger: Ledger, asked: Asked, now: datetime) -> Update:
    """Write an update behind the others of its order. A repeated key with the same content gives the
    update of the first time; raises KeyReused for other content.
    """
    return ledger.write(lambda db: accept_in(db, asked, now))


def accept_in(db: Connection, asked: Asked, now: datetime, *, in_doubt: bool = False) -> Update:
    """As `accept`, in a transaction that does more; after KeyReused it can go on. `in_doubt`: a call for it
    may have arrived already.
    """
    of = {"connection": asked.connection, "order_id": asked.order_id}
    seq = db.execute(_NEXT_SEQ[db.dialect.name], of | {"now": now}).scalar_one()
    parts = {n: Part(v, personal=n in asked.personal) for n, v in asked.parts.items()}
    fates = list(asked.warnings)
    values = of | {
        "seq": seq,
        "key": asked.key,
        "digest": asked.digest,
        "origin": asked.origin,
        "accepted_at": now,
        "parts": to_json(parts),
        "options": dict(asked.options),
        "state": "queued",
        "reason": "",
        "fates": fates or None,
        "retried": False,
        "apart": False,
        "in_doubt": in_doubt,
        "blocks": False,
        "personal": True,
        "state_at": now,
    }
    number = db.execute(_INSERT[db.dialect.name], values).scalar_one_or_none()
    if number is None:
        # The key is taken: its place is given back.
        db.execute(_GIVE_BACK, {f"of_{name}": value for name, value in of.items()})
        return _first_of_key(db, asked)
    accepted = Update(
        id=number,
        connection=asked.connection,
        order_id=asked.order_id,
        seq=seq,
        key=asked.key,
        origin=asked.origin,
        accepted_at=now,
        parts=parts,
        options=dict(asked.options),
        state="queued",
        state_at=now,
        fates=fates,
    )
    if asked.who is not None:
        tell(db, accepted, now, "update_accepted", asked.who)
    return accepted


def _first_of_key(db: Connection, asked: Asked) -> Update:
    found = db.execute(_BY_KEY, {"of_key": asked.key}).first()
    if found is None or found.digest != asked.digest:
        raise KeyReused("This key was used before, for another update.")
    return from_row(found)


def _next_seq(dialect: Any) -> Any:
    new = dialect.insert(QUEUES).values(
        connection=bindparam("connection"),
        order_id=bindparam("order_id"),
        last_seq=1,
        open=True,
        tries=0,
        next_try_at=bindparam("now"),
    )
    return new.on_conflict_do_update(
        index_elements=[QUEUES.c.connection, QUEUES.c.order_id],
        # A queue that waits for a remote keeps its time: a new update does not make it due sooner.
        set_={"last_seq": QUEUES.c.last_seq + 1, "open": True},
    ).returning(QUEUES.c.last_seq)


_NEXT_SEQ = {"sqlite": _next_seq(sqlite), "postgresql": _next_seq(postgresql)}
_INSERT = {
    name: dialect.insert(UPDATES).on_conflict_do_nothing().returning(UPDATES.c.id)
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}
_WAITS = exists().where(
    UPDATES.c.connection == bindparam("of_connection"),
    UPDATES.c.order_id == bindparam("of_order_id"),
    UPDATES.c.state == "queued",
)
_GIVE_BACK = (
    update(QUEUES)
    .where(
        QUEUES.c.connection == bindparam("of_connection"),
        QUEUES.c.order_id == bindparam("of_order_id"),
    )
    .values(last_seq=QUEUES.c.last_seq - 1, open=_WAITS)
)
_BY_KEY = select(*COLUMNS, UPDATES.c.digest).where(UPDATES.c.key == bindparam("of_key"))


def refuse(ledger: Ledger, refusal: Refusal, now: datetime) -> int:
    """Keep what was asked by a door that cannot answer, so that a person sees the refusal."""
    return ledger.write(lambda db: refuse_in(db, refusal, now))


def refuse_in(db: Connection, refusal: Refusal, now: datetime) -> int:
    """As `refuse`, in a transaction that does more."""
    values = {
        "connection": refusal.asked.connection,
        "order_id": refusal.asked.order_id,
        "seq": 0,
        "key": None,
        "digest": refusal.asked.digest,
        "origin": refusal.asked.origin,
        "accepted_at": now,
        "parts": {},
        "options": {},
        "state": "refused",
        "reason": refusal.reason,
        "fates": refusal.fates,
        "personal": True,
        "state_at": now,
    }
    return cast(
        "int", db.execute(insert(UPDATES).values(values).returning(UPDATES.c.id)).scalar_one()
    )
