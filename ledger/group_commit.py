"""Lets the units of many threads share one transaction, each with its own result or its own error.

In: units, and `commit`, which runs a batch of them in one transaction or fails as a whole. Out: a unit's
result, once it is committed. Fails with what the unit raised, or with `LedgerUnavailable`. How many units
share, and what becomes of a batch of which one failed, is changed here. Called by ledger/database.py. Source:
docs/decisions/group-commit.md.
"""

from __future__ import annotations

import operator
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection

from ledger.faults import LedgerUnavailable, is_deadlock, is_outage, translated

T = TypeVar("T")

# Units in one transaction: enough to share a disk flush, few enough to be quick.
BATCH = 200
# How often a transaction is tried again that PostgreSQL ended so that another one can go on.
DEADLOCKS = 5
# When one unit has failed the others, each gets a transaction of its own, for so many seconds in all: where
# each must wait for a lock, nobody is to wait for two hundred of them.
APART_SECONDS = 4.0


class Entry(Generic[T]):
    """A unit in line, and what came of it once it is `done`. `locks` names the row for which it waits."""

    __slots__ = ("done", "error", "locks", "result", "unit")

    def __init__(self, unit: Callable[[Connection], T], locks: str = "") -> None:
        self.unit, self.locks = unit, locks
        self.done = False
        self.result: T | None = None
        self.error: Exception | None = None


class GroupCommit:
    """The line of units that wait to be committed. Whoever holds `turn` commits, and nobody else writes."""

    def __init__(self, commit: Callable[[list[Entry[Any]]], None]) -> None:
        self.turn = threading.Lock()
        self._commit = commit
        self._waiting: deque[Entry[Any]] = deque()

    def write(self, unit: Callable[[Connection], T], locks: str = "") -> T:
        """As Ledger.write."""
        entry = Entry(unit, locks)
        self._waiting.append(entry)
        with self.turn:
            if not entry.done:
                self._commit_waiting(entry)
        if entry.error is not None:
            raise entry.error
        return entry.result  # type: ignore[return-value]  # done without error has its result

    def _commit_waiting(self, entry: Entry[Any]) -> None:
        while not entry.done:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            # Every process takes them in the same order: two that hold some each wait for one another.
            batch.sort(key=_LOCKS)
            try:
                self._commit(batch)
            except Exception as exc:  # noqa: BLE001  whatever it is, its owner must get it
                self._commit_apart(batch, exc)
            except BaseException:
                for other in batch:
                    other.error = LedgerUnavailable("The process is being ended.")
                raise
            finally:
                for other in batch:
                    other.done = True

    def _commit_apart(self, batch: list[Entry[Any]], error: Exception) -> None:
        """One unit of the batch failed and took the others with it: each on its own now."""
        until = time.monotonic() + APART_SECONDS
        for entry in batch:
            entry.error = translated(error)
            if _is_hopeless(error) or (len(batch) == 1 and not is_deadlock(error)):
                continue
            for _ in range(DEADLOCKS):
                if time.monotonic() > until:
                    entry.error = LedgerUnavailable("The ledger was busy for too long.")
                    break
                entry.error = self._commit_alone(entry)
                if entry.error is None or not is_deadlock(entry.error.__cause__):
                    break

    def _commit_alone(self, entry: Entry[Any]) -> Exception | None:
        try:
            self._commit([entry])
        except Exception as exc:  # noqa: BLE001  as above
            return translated(exc)
        return None


_LOCKS = operator.attrgetter("locks")


def _is_hopeless(error: Exception) -> bool:
    """Whether the next unit would fail alike."""
    return isinstance(error, LedgerUnavailable) or is_outage(error)
