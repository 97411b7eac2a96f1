"""What a person decides about one order: try again, accept its doubts, never send it.

In: its key and an aware UTC time. Raises `NotPossible` with a plain sentence, and `LedgerUnavailable`.
Called, by its package, by cli.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, or_, select, update

from ledger.database import Ledger
from ledger.orders.rows import NO_TROUBLE, NotPossible
from ledger.tables import ORDERS


def retry(ledger: Ledger, pk: int, now: datetime) -> None:
    """A person asks for a try now: held and ignored orders go back to work, waiting ones become due.

    An uncertain order keeps its wait: it is looked up now, and not sent before its time. Raises
    NotPossible for a created one.
    """
    _mend(
        ledger,
        pk,
        now,
        ("received", "waiting", "held", "ignored"),
        "waiting",
        "released",
        **asdict(NO_TROUBLE),
    )


def release(ledger: Ledger, pk: int, now: datetime) -> None:
    """A person accepts the doubts for which an order is held; what is missing stays missing, and holds it
    again. Raises NotPossible for any other state.
    """
    _mend(
        ledger,
        pk,
        now,
        ("held",),
        "waiting",
        "released",
        accepted_hash=ORDERS.c.content_hash,
        **asdict(NO_TROUBLE),
    )


def ignore(ledger: Ledger, pk: int, now: datetime) -> None:
    """A person decides that an order shall not be sent. Raises NotPossible when it is created or is
    being sent at this moment.
    """
    _mend(ledger, pk, now, ("received", "waiting", "held"), "ignored", "ignored")


def _mend(
    ledger: Ledger,
    pk: int,
    now: datetime,
    allowed: tuple[str, ...],
    state: str,
    reason: str,
    **more: Any,
) -> None:
    def unit(db: Connection) -> None:
        done = db.execute(
            update(ORDERS)
            .where(
                ORDERS.c.id == pk,
                ORDERS.c.state.in_(allowed),
                or_(ORDERS.c.lease_until.is_(None), ORDERS.c.lease_until < now),
            )
            .values(state=state, reason=reason, shadow=False, state_at=now, next_try_at=now, **more)
        ).rowcount
        if not done:
            found = db.execute(select(ORDERS).where(ORDERS.c.id == pk)).one()
            if found.lease_until is not None and found.lease_until >= now:
                raise NotPossible(
                    f"Order {found.order_id} is being worked on; try again in a minute."
                )
            raise NotPossible(f"Order {found.order_id} is {found.state}.")

    ledger.write(unit)
