"""How much memory the bodies of requests may take, all together: many callers with a large one each are more
than there is.

In: how much each connection holds. Out: who must go for it, if anyone. Nothing fails. What every connection
may hold besides is not counted: gateway/places.py limits how many there are. Called by
gateway/connection.py, from the one thread of the event loop.
"""

from __future__ import annotations

from collections import Counter
from typing import Protocol

# Bytes of a connection that are not counted: what most requests have at most.
FREE = 64 * 1024
# Bytes beyond that, of all connections. A body of 2 MB takes some 50 MB more while a thread works on it.
MOST = 64 * 1024 * 1024


class Holder(Protocol):
    """A connection, as far as its bodies are concerned."""

    address: str  # under which its caller is counted

    @property
    def waits(self) -> bool:
        """Whether it is we who wait for the caller."""

    def crowd_out(self) -> None:
        """Give up what it holds."""


class LargeBodies:
    """Who holds how much."""

    def __init__(self) -> None:
        self._held: dict[Holder, int] = {}
        self._all = 0

    def hold(self, one: Holder, size: int) -> Holder | None:
        """It holds so much now. Who must go, where all together hold too much: of the address that holds the
        most the one that does, if it waits and that is enough; else this one.
        """
        before = self._held.pop(one, 0)
        counted = max(0, size - FREE)
        if counted:
            self._held[one] = counted
        self._all += counted - before
        if self._all <= MOST or counted <= before:
            return None
        by_address: Counter[str] = Counter()
        for holder, held in self._held.items():
            by_address[holder.address] += held
        ((most, _),) = by_address.most_common(1)
        waiting = [holder for holder in self._held if holder.address == most and holder.waits]
        found = max(waiting, key=self._held.__getitem__, default=one)
        return found if self._held[found] >= counted - before else one
