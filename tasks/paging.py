"""Walks a shop's paged list so that nothing is skipped, however orders move while it is read.

In: `ask(window, page)`, which reads a page and stores what is on it, and the window. Out: True when every
order that stood in the window was certainly read; `reached` is told how far that holds, slice by slice.
Fails as `ask` does, and with `EndlessList`; where `ask` says `Unreadable` and the shop answers otherwise,
only once all the rest is read. Pure but for `ask`. Called by tasks/polling.

A page is found by counting. An order that is edited leaves the window, what stood behind it moves forward,
and the first order of the next page is never listed. So a page number proves nothing by itself. Certain is:
one answer that is the whole list; two readings in a row that list the same orders with the same stamps; or
one reading of what is so old that nothing comes in any more, as long as the shop named one total and so
many orders were seen. A window too long or too restless for that is cut, and cut again: a slice that fits
one answer is always certain.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tasks.slices import SECOND, Listed, Mark, Reading, Window

# A slice of more pages than this is cut: the shorter it takes to read, the sooner it stands still.
MOST_SLICE_PAGES = 10
# Readings of one slice before it is cut, or given up for this time.
MOST_READINGS = 4
# Slices in a row that the shop cannot answer: enough to find one second in all years, by halves.
MOST_FAILURES = 40
# A shop that never ends its list is a fault, not a long list.
MOST_PAGES = 200_000
# Pages that a shop caps without a word are as long as a round number, from this on.
SHORTEST_CAP = 10


class EndlessList(Exception):  # noqa: N818  it says what is, as the errors of clients do
    """The list goes on and on."""


class Unreadable(Exception):  # noqa: N818  as above
    """A page cannot be had, though it was tried again; another may be. The cause is what the shop did."""


Ask = Callable[[Window, int], Listed]


class _Verdict(enum.Enum):
    """What came of a slice."""

    CERTAIN = "certain"
    UNSURE = "too long, or never still"
    UNHEEDED = "as unsure, and cutting is of no use: the shop does not heed the window"


@dataclass(frozen=True, slots=True)
class Walk:
    """How one shop's list is walked. `limit` is how many orders a page is asked to have; up to `settled`
    nothing new comes into the list; `slack` is how far a stamp may lie outside of what was asked for by a
    shop that heeds the window.
    """

    ask: Ask
    limit: int
    settled: datetime
    slack: Callable[[Window], timedelta]

    def read(self, window: Window, reached: Callable[[datetime], object]) -> bool:
        """Read the window; see the module. Slices go from the oldest to the newest."""
        # Cut in UTC: between moments of one zone Python counts by the clock on the wall.
        window = Window(window.start.astimezone(UTC), window.end.astimezone(UTC))
        waiting = [window]
        heeded = certain = True
        failures, stuck = 0, None
        while waiting:
            part = waiting.pop()
            may_cut = heeded and part.end - part.start >= 2 * SECOND
            try:
                verdict, places = self._slice(part, may_cut=may_cut)
                failures = 0
            except Unreadable as exc:
                failures += 1
                if (
                    failures > MOST_FAILURES
                    or not (may_cut or waiting)
                    or not self._answers(window)
                ):
                    raise
                verdict, places = _Verdict.UNSURE, []
                stuck = stuck if may_cut else exc
            if verdict is _Verdict.UNHEEDED and may_cut:
                heeded, waiting = False, [window]
            elif verdict is not _Verdict.CERTAIN and may_cut:
                waiting += reversed(part.cut(places))
            else:
                certain = certain and verdict is _Verdict.CERTAIN
                if certain:
                    reached(part.end)
        if stuck is not None:
            raise stuck
        return certain

    def _answers(self, window: Window) -> bool:
        """Whether the shop answers where there is next to nothing to list, so that cutting may be of use.
        Fails as `ask` does: one that is away is not asked for every slice.
        """
        last = Window(window.end - SECOND, window.end)
        one = Reading()
        one.take(self.ask(last, 1))
        return self._unsure(one, last) is not _Verdict.UNHEEDED

    def _slice(self, part: Window, *, may_cut: bool) -> tuple[_Verdict, list[datetime]]:
        """Read a slice until it is certain, as often as makes sense; else also say where to cut it."""
        before: set[Mark] | None = None
        for _ in range(MOST_READINGS):
            one = self._reading(part, MOST_SLICE_PAGES if may_cut else None)
            if one.is_one_answer:
                return _Verdict.CERTAIN, []
            if may_cut and (one.too_long or one.repeats):
                return self._unsure(one, part), one.places_to_cut(part)
            if one.repeats or one.lists_all(part) or (part.end <= self.settled and one.adds_up()):
                return _Verdict.CERTAIN, []
            now = one.within(part.end)
            if now == before:
                if may_cut and one.doubles:
                    return self._unsure(one, part), one.places_to_cut(part)
                verdict = _Verdict.UNSURE if one.falls_short() else _Verdict.CERTAIN
                return verdict, []
            before = now
        return self._unsure(one, part), []

    def _unsure(self, one: Reading, part: Window) -> _Verdict:
        slack = self.slack(part)
        oldest, newest = one.oldest or part.start, one.newest or part.end
        if oldest < part.start - slack or newest > part.end + slack:
            return _Verdict.UNHEEDED
        return _Verdict.UNSURE

    def _reading(self, part: Window, most: int | None) -> Reading:
        """Walk over all pages once, or as soon as more than `most` are to be expected, no further."""
        one = Reading()
        before: list[Mark] = []
        while True:
            listed = self.ask(part, one.pages + 1)
            if listed.marks and listed.marks == before:
                # A shop that does not heed the page number lists the same for ever.
                one.repeats = True
                return one
            one.take(listed)
            if self._is_last(listed, one):
                return one
            if one.pages >= MOST_PAGES:
                raise EndlessList(f"it lists more than {MOST_PAGES} pages")
            if most is not None and max(one.pages + 1, self._expected(listed, one)) > most:
                one.too_long = True
                return one
            before = listed.marks

    def _expected(self, listed: Listed, one: Reading) -> int:
        """How many pages the shop says there are. A short first page and a great number: that may count
        all that the shop has, so the second page is asked for before it is believed.
        """
        if one.pages == 1 and len(listed.marks) < self.limit:
            return 1
        by_total = -(-(listed.total or 0) // max(len(listed.marks), 1))
        return max(listed.pages or 0, by_total)

    def _is_last(self, listed: Listed, one: Reading) -> bool:
        """Source: docs/contracts/okliving.md, "Calls": until `pages` is reached, or a short page; one page
        without paging fields. A total that is named is read to, also by a shop whose pages are shorter than
        asked for. One that the page alone makes up tells of the page, not of the list.
        """
        if not listed.marks:
            return True
        if listed.total is not None and one.entries < listed.total:
            return False
        if listed.pages:
            return one.pages >= listed.pages
        if listed.total is not None and listed.total > len(listed.marks):
            return True
        return not self._looks_full(listed, one)

    def _looks_full(self, listed: Listed, one: Reading) -> bool:
        """Whether a page is as long as pages of this shop may be at most, which may be less than was asked
        for: then there may be another, though nothing says so.
        """
        size = len(listed.marks)
        if one.pages > 1:
            return size >= one.longest
        if size == self.limit or (size > self.limit and listed.page is not None):
            return True
        return size >= SHORTEST_CAP and (size % 5 == 0 or size % 8 == 0)
