"""Looks out for a ledger that went back in time: compares it with what this process and the memory remember.

In: how the ledger stands, and each commit that it confirmed. Out: `Remembered`, where that is more than the
ledger knows. Fails with `LedgerUnavailable` where another ledger is in its place, and with `WentBack` in the
middle of a commit. What is compared and when is changed here; what follows, in ledger/tides. Called by
ledger/database.py. Source: docs/decisions/a-ledger-that-went-back.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ledger import tides
from ledger.clock import elapsed
from ledger.faults import LedgerUnavailable
from ledger.tides import FORGOTTEN, Bounds, Memory, Remembered, Standing

# Writers of earlier connections of this process whose tides it knows.
MOST_WRITERS = 16
# A memory that could not say is asked again after so many times the time that it took: writers wait for it.
ASK_AGAIN = 10.0


class WentBack(Exception):  # noqa: N818  it says what is, as the errors of clients do
    """The ledger does not know the last commit that it confirmed to this process, or is in another epoch."""


class Lookout:
    """What one process knows of its ledger. `standing` is how that was last seen to stand, `writer` whose
    tide the connection that writes raises.
    """

    def __init__(self, stand: Callable[[], Standing | None]) -> None:
        self.memory: Memory | None = None
        self.bounds = Bounds()
        self.standing: Standing | None = None
        self.writer = ""
        self._stand = stand
        self._confirmed: dict[str, int] = {}
        self._confirmed_at: dict[str, float] = {}
        self._look_at = float("-inf")

    def begin_writer(self) -> None:
        """A tide of its own for a new connection: the last one's may be locked as long as the server holds on
        to it.
        """
        self.writer = tides.new_writer()
        while len(self._confirmed) >= MOST_WRITERS:
            self._confirmed.pop(next(iter(self._confirmed)))
        # Another server may have taken over meanwhile.
        self._look_at = float("-inf")

    def demand(self, height: int, epoch: str | None) -> None:
        """The tide has risen in the epoch that is known. Raises WentBack."""
        known = self.standing
        if height <= self._confirmed.get(self.writer, 0) or (
            known is not None and epoch != known.epoch
        ):
            raise WentBack

    def confirm(self, height: int, epoch: str | None) -> None:
        """So high the tide is, and committed."""
        self._confirmed[self.writer] = height
        self._confirmed_at[self.writer] = elapsed()
        if self.memory is not None and epoch is not None:
            self.memory.keep(epoch, self.writer, height)

    def own(self) -> Remembered:
        """What this process alone remembers."""
        return Remembered(
            "" if self.standing is None else self.standing.epoch, dict(self._confirmed)
        )

    def look(self) -> Remembered | None:
        """Compare if it is time to, before a commit."""
        began = time.monotonic()
        if began <= self._look_at:
            return None
        lost, is_compared = self.compare()
        took = time.monotonic() - began
        self._look_at = float("inf") if is_compared else began + (1 + ASK_AGAIN) * took
        return lost

    def compare(self) -> tuple[Remembered | None, bool]:
        """What is remembered, if that is more than the ledger knows, and whether the memory could say.
        Memories are asked first: what they were told was committed by then.
        """
        self.let_go_of_old_tides()
        known = self.standing or self._stand()
        if known is None:
            return None, True
        heights, newest = dict(self._confirmed), known.epoch
        told: dict[str, int] | None = {}
        if self.memory is not None:
            told, later = self.memory.heights(known.epoch), self.memory.newest_epoch()
            newest = max(newest, later or "")
            told = None if later is None else told
        for writer, height in (told or {}).items():
            heights[writer] = max(height, heights.get(writer, 0))
        seen = self._stand()
        if seen is None or seen.id != known.id:
            raise LedgerUnavailable("Another ledger is in its place. Start this process again.")
        if seen.epoch > known.epoch:
            # Another process noticed and put it into a new epoch.
            self._confirmed, self.standing = {}, seen
            return self.compare()
        lost = Remembered(newest, heights if newest == known.epoch else {})
        if lost.is_ahead_of(seen):
            return lost, told is not None
        self.standing = seen
        return None, told is not None

    def take(self, seen: Standing | None) -> None:
        """So the ledger stands, after a beginning that may have been another one's."""
        known, self.standing = self.standing, seen
        if known is None or seen is None or seen.epoch != known.epoch:
            # What was confirmed in another epoch may be gone; what this one has is still to be compared.
            self._confirmed, self._look_at = {}, float("-inf")

    def let_go_of_old_tides(self) -> None:
        """Let go of what was confirmed so long ago that the ledger may let go of it, too."""
        long_ago = elapsed() - FORGOTTEN.total_seconds()
        for writer, at in list(self._confirmed_at.items()):
            if at < long_ago:
                self._confirmed.pop(writer, None)
            if writer not in self._confirmed:
                self._confirmed_at.pop(writer, None)
                if writer == self.writer:
                    self._look_at = float("-inf")
