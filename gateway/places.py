"""Who may hold a connection: so many in all, so many from one address, and who goes when there is no place.

In: connections as they come and go. Out: whether one may stay. Nothing fails. A newcomer is let in wherever
somebody merely waits: the longest waiting of the address that holds the most gives up its place, first one
that never asked for anything. So whoever opens connections and is silent crowds out himself, and a health
check gets in whatever others do. Called by gateway/connection.py, from the one thread of the event loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

# Connections at the same time, in all and from one address. A proxy in front is one address, and needs one
# for each request under way.
MOST = 3000
MOST_OF_ONE = 256


class Holder(Protocol):
    """A connection, as far as its place is concerned."""

    address: str  # under which its caller is counted
    served: bool  # whether it was ever answered

    @property
    def waits(self) -> bool:
        """Whether it is we who wait for the caller: for a request, or until an answer is taken."""

    def drop(self) -> None:
        """Give up the place."""

    def expire(self, now: float) -> None:
        """Go, if its time is over."""

    def wind_up(self, *, patient: bool) -> None:
        """Go, since we stop, unless something is under way."""


class Places:
    """The connections that there are, by address; in each the oldest first."""

    def __init__(self, most: int = MOST, most_of_one: int = MOST_OF_ONE) -> None:
        self._most, self._most_of_one = most, most_of_one
        self._by_address: dict[str, dict[Holder, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Holder]:
        """All of them as they are now; they may go meanwhile."""
        return iter([one for mine in self._by_address.values() for one in mine])

    def enter(self, newcomer: Holder) -> bool:
        """Whether there is a place for it, made by closing another where need be."""
        mine = self._by_address.get(newcomer.address, {})
        if len(mine) >= self._most_of_one:
            free = self._give_up(mine)
        elif self._count >= self._most:
            free = self._give_up(max(self._by_address.values(), key=len))
        else:
            free = True
        if free:
            self._by_address.setdefault(newcomer.address, {})[newcomer] = None
            self._count += 1
        return free

    def leave(self, one: Holder) -> None:
        """It is closed; said twice, it is heard once."""
        mine = self._by_address.get(one.address, {})
        if one in mine:
            del mine[one]
            self._count -= 1
            if not mine:
                del self._by_address[one.address]

    def _give_up(self, among: dict[Holder, None]) -> bool:
        waiting = [one for one in among if one.waits]
        found = next((one for one in waiting if not one.served), None) or next(iter(waiting), None)
        if found is None:
            return False
        self.leave(found)
        found.drop()
        return True
