"""What calls of a hook came to, as it is kept for people.

In: an outcome, and what there is to tell of it, as codes with what they quote. Out: the columns. Nothing
fails that the ledger does not. Called by ledger/hooks and ledger/hook_intake; tasks/endings makes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, update

from ledger.tables import HOOKS

OUTCOMES = (
    "accepted",
    "nothing_new",
    "superseded",
    "repeated",
    "nothing_said",
    "unknown_stage",
    "unfilled",
    "odd_id",
    "invalid",
    "not_ours",
    "no_order",
    "failed",
)


@dataclass(frozen=True, slots=True)
class Ending:
    """What a call came to: `outcome` is one of OUTCOMES, `told` what a person reads of it, each with its
    code; the order and the updates that it is about, where there are any. `heard`: which change of its order
    it was.
    """

    outcome: str
    told: Sequence[Mapping[str, str]] = ()
    connection: str | None = None
    order_id: str | None = None
    updates: Sequence[int] = ()
    heard: int | None = None


_TELL = (
    update(HOOKS)
    .where(HOOKS.c.id == bindparam("of_id"))
    .values(
        outcome=bindparam("new_outcome"),
        became=bindparam("new_became"),
        heard=bindparam("new_heard"),
    )
)


def tell_in(db: Connection, endings: Mapping[int, Ending]) -> None:
    """Note what each call came to."""
    rows = [
        {"of_id": hook_id} | {f"new_{name}": value for name, value in told(ending).items()}
        for hook_id, ending in endings.items()
    ]
    if rows:
        db.execute(_TELL, rows)


def told(ending: Ending) -> dict[str, Any]:
    """An ending as the columns have it."""
    became = {
        "connection": ending.connection,
        "order_id": ending.order_id,
        "updates": list(ending.updates),
        "told": [dict(one) for one in ending.told],
    }
    return {"outcome": ending.outcome, "became": became, "heard": ending.heard}
