"""What was heard of a process before the ledger knew its order, or remembered what it heard of it.

In: a process and where it was said to stand. Out: the update that this made already, and the key for a new
one. Only the newest update of this kind says where the process stood: the same stage after another one is a
transition like any other. Raises `LedgerUnavailable`. Called by ledger/hearing.
Source: docs/decisions/hearing-a-transition.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, select

from ledger.enqueueing import Asked
from ledger.tables import UPDATES
from ledger.transitions import Process, Stand

_MADE = (
    select(UPDATES.c.id, UPDATES.c.key, UPDATES.c.digest)
    .where(
        UPDATES.c.connection == bindparam("of_connection"),
        UPDATES.c.order_id == bindparam("of_order"),
        UPDATES.c.origin == bindparam("of_origin"),
        UPDATES.c.key.is_not(None),
    )
    .order_by(UPDATES.c.id.desc())
)
_UNDER = (
    select(UPDATES.c.id, UPDATES.c.key)
    .where(UPDATES.c.key.in_(bindparam("keys", expanding=True)))
    .order_by(UPDATES.c.id)
    .limit(1)
)


def made(db: Connection, process: Process, one: Stand, asked: Asked) -> Any:
    """The update that it made before, with id and key, if the process was not heard to stand elsewhere since.
    Told again by a person it may be past, so that one from before that stands for it, too.
    """
    if one.again is not None and (before := under(db, one.keys)) is not None:
        return before
    newest = _newest(db, process, asked)
    is_same = newest is not None and (newest.key in one.keys or newest.digest == asked.digest)
    return newest if is_same else None


def new_key(db: Connection, process: Process, one: Stand, asked: Asked) -> str:
    """The key of a new one: the state itself; where the process stood there and went on, after what came
    between.
    """
    newest = _newest(db, process, asked)
    if newest is None or under(db, one.keys[:1]) is None:
        return one.keys[0]
    return f"{_of(process, asked)}after:{newest.id}"


def under(db: Connection, keys: Sequence[str]) -> Any:
    """The first update under one of these keys, with id and key."""
    return db.execute(_UNDER, {"keys": list(keys)}).first()


def _newest(db: Connection, process: Process, asked: Asked) -> Any:
    begin = _of(process, asked)
    values = {
        "of_connection": process.connection,
        "of_order": process.order_id,
        "of_origin": asked.origin,
    }
    of_others = (f"{begin}heard:", f"{begin}call:")
    return next(
        (
            row
            for row in db.execute(_MADE, values)
            if row.key.startswith(begin) and not row.key.startswith(of_others)
        ),
        None,
    )


def _of(process: Process, asked: Asked) -> str:
    return f"{asked.origin}:{process.external_id}:"
