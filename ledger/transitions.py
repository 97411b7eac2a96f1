"""What can be heard of a process in the target, and where it stands after that.

In: what was said, by a hook call or in a read. Out: the stage and number that count from then on. Pure;
nothing fails. What else a process can be heard to say is added here. Used by ledger/hearing and
ledger/watching; tasks/standing makes these of what a target told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ledger.enqueueing import Asked, Refusal

LONGEST_STAGE = 100
LONGEST_NUMBER = 64


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a process was said to stand. What is None was not said. `keys` are those under which this
    very update is known where the process itself was not; the first one is used for such a process.
    `refused` is what of it no shop takes, for a person to see.
    """

    stage: str | None
    number: str | None
    asked: Asked | None
    keys: tuple[str, ...]
    refused: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Remark:
    """A comment of the process, as a hook call brought it at `said_at`. Its key names that call."""

    asked: Asked
    said_at: datetime


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
