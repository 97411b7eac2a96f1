"""What can be heard of a process in the target, and where it stands after that.

In: what was said, by a hook call or in a read. Out: the stage and number that count from then on. Pure;
nothing fails. What else a process can be heard to say is added here. Used by ledger/hearing and
ledger/watching; tasks/standing makes these of what a target told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ledger.enqueueing import Asked, Refusal

LONGEST_STAGE = 100
LONGEST_NUMBER = 64


@dataclass(frozen=True, slots=True)
class Again:
    """That something is told once more, because a person asked for it: it came in at `said_at` and was then
    heard as change `heard`, if at all. `confirmed`: a read says the same now.
    """

    said_at: datetime
    heard: int | None
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a process was said to stand. What is None was not said. `keys` are those under which this
    very update is known where the process itself was not; the first one is used for such a process.
    `refused` is what of it no shop takes, for a person to see; `again` that it is told once more.
    """

    stage: str | None
    number: str | None
    asked: Asked | None
    keys: tuple[str, ...]
    refused: Refusal | None = None
    again: Again | None = None


@dataclass(frozen=True, slots=True)
class Remark:
    """A comment of the process, as a hook call brought it at `said_at`. Its key names that call."""

    asked: Asked
    said_at: datetime


@dataclass(frozen=True, slots=True)
class Came:
    """What came of one thing that was told: `made` an update, or nothing, because its update was `known`
    already, it said the `same` as before or asked for `nothing`, something newer was heard (`superseded`), a
    comment was told a moment before (`repeated`), its key is `reused`, or it was `refused` and kept so.
    `heard` is how many changes of the order there are with it, None for an order that the ledger lacks.
    """

    what: Literal["made", "known", "same", "nothing", "superseded", "repeated", "reused", "refused"]
    update_id: int | None = None
    refused_id: int | None = None
    heard: int | None = None


@dataclass(frozen=True, slots=True)
class Process:
    """Whom something was heard of."""

    connection: str
    order_id: str
    external_id: str


def next_state(state: tuple[str | None, str | None], stand: Stand) -> tuple[str | None, str | None]:
    """What was not said stays as it was heard before."""
    stage, number = state
    return (
        stand.stage[:LONGEST_STAGE] if stand.stage else stage,
        stand.number[:LONGEST_NUMBER] if stand.number else number,
    )
