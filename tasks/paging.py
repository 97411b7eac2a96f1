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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

# A slice of more pages than this is cut: the shorter it takes to read, the sooner it stands still.
MOST_SLICE_PAGES = 10
# Readings of one slice before it is cut, or given up for this time.
MOST_READINGS = 4
# Slices in a row that the shop cannot answer: enough to find one second in all years, by halves.
MOST_FAILURES = 40
# A shop that never ends its list is a fault, not a long list.
MOST_PAGES = 200_000
# The shop counts in seconds, so nothing shorter than two can be cut.
SECOND = timedelta(seconds=1)
# How many pages a slice should have that is cut by what one page shows: a little less than the most.
AIM = 8
# Slices that are cut at once: where the list is not as thick all along, each is a call for nothing.
MOST_SLICES = 32
# Pages that a shop caps without a word are as long as a round number, from this on.
SHORTEST_CAP = 10
# A shop that lists mostly what is older than asked for by this lists everything each time, the next, too.
LISTS_ALL = timedelta(days=1)

# An order's id, or the hash of what is no order, and its stamp.
Mark = tuple[str, datetime | None]


class EndlessList(Exception):  # noqa: N818  it says what is, as the errors of clients do
    """The list goes on and on."""


class Unreadable(Exception):  # noqa: N818  as above
    """A page cannot be had, though it was tried again; another may be. The cause is what the shop did."""


@dataclass(frozen=True, slots=True)
class Window:
    """What is asked for: orders changed from `start` to `end`, both aware."""

    start: datetime
    end: datetime

    def cut(self, at: Sequence[datetime]) -> list[Window]:
        """Windows side by side, cut at those moments that lie well inside, else in the middle. Two neighbours
        both hold the second between them, since the shop takes both ends in.
        """
        moments = [self.start]
        for moment in at:
            if moments[-1] + SECOND <= moment.replace(microsecond=0) <= self.end - SECOND:
                moments.append(moment.replace(microsecond=0))
        if len(moments) == 1:
            middle = self.start + (self.end - self.start) / 2
            moments.append(middle.replace(microsecond=0))
        return [Window(start, end) for start, end in pairwise([*moments, self.end])]


@dataclass(frozen=True, slots=True)
class Listed:
    """What one page listed, in its order, and the paging fields that it named."""

    marks: list[Mark]
    page: int | None = None
    pages: int | None = None
    total: int | None = None


Ask = Callable[[Window, int], Listed]


class _Verdict(enum.Enum):
    """What came of a slice."""

    CERTAIN = "certain"
    UNSURE = "too long, or never still"
    UNHEEDED = "as unsure, and cutting is of no use: the shop does not heed the window"


@dataclass(slots=True)
class _Reading:
    """One walk over all pages of a slice."""

    marks: set[Mark] = field(default_factory=set)
    totals: set[int | None] = field(default_factory=set)
    entries: int = 0
    pages: int = 0
    longest: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None
    too_long: bool = False
    repeats: bool = False
    doubles: bool = False

    def take(self, listed: Listed) -> None:
        self.pages += 1
        self.entries += len(listed.marks)
        self.longest = max(self.longest, len(listed.marks))
        here = set(listed.marks)
        self.doubles |= any(stamp is not None for _, stamp in here & self.marks)
        self.marks |= here
        self.totals.add(listed.total)
        stamps = [stamp for _, stamp in listed.marks if stamp is not None]
        if stamps:
            self.oldest = min(stamps) if self.oldest is None else min(self.oldest, *stamps)
            self.newest = max(stamps) if self.newest is None else max(self.newest, *stamps)

    @property
    def is_one_answer(self) -> bool:
        """Whether one answer held the whole list: nothing can have moved meanwhile."""
        (total, *_) = self.totals
        whole = total is None or self.entries >= total
        return self.pages == 1 and whole and not (self.too_long or self.repeats)

    def within(self, end: datetime) -> set[Mark]:
        """What was listed of the window itself, whatever a shop adds behind its end."""
        return {mark for mark in self.marks if mark[1] is None or mark[1] <= end}

    def adds_up(self) -> bool:
        """Whether the shop named one total throughout, and so many orders were seen, each once."""
        (total, *others) = self.totals
        seen = len({order for order, _ in self.marks})
        return not others and total == seen == self.entries

    def falls_short(self) -> bool:
        """Whether an order came twice, and the shop has more than were seen. In a list that stands still the
        one proves the other: it sorts by what several orders share, each page in its own way.
        """
        seen = len({order for order, _ in self.marks})
        return self.doubles and any(total is not None and total > seen for total in self.totals)

    def places_to_cut(self, part: Window) -> list[datetime]:
        """Where slices of `AIM` pages would end, or begin, if the list is sorted by stamp and goes on as
        thickly as it begins: as many as the total makes. A guess: no more than time is lost when it is
        none.
        """
        if self.oldest is None or self.newest is None:
            return []
        wide = (self.newest - self.oldest) / self.pages * AIM
        if self.oldest + wide >= part.end - SECOND:
            return [max(self.newest - wide, part.start)]
        slices = max((one or 0 for one in self.totals), default=0) // (AIM * max(self.longest, 1))
        most = min(max(slices, 1), MOST_SLICES, (part.end - self.oldest) // max(wide, SECOND) + 1)
        return [self.oldest + wide * number for number in range(1, most + 1)]

    def lists_all(self, part: Window) -> bool:
        """Whether the shop lists everything each time, so that the next poll reads it again. One order with
        an odd stamp does not say so.
        """
        stamps = [stamp for _, stamp in self.marks if stamp is not None]
        return sum(stamp < part.start - LISTS_ALL for stamp in stamps) * 2 > len(stamps)


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
        one = _Reading()
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

    def _unsure(self, one: _Reading, part: Window) -> _Verdict:
        slack = self.slack(part)
        oldest, newest = one.oldest or part.start, one.newest or part.end
        if oldest < part.start - slack or newest > part.end + slack:
            return _Verdict.UNHEEDED
        return _Verdict.UNSURE

    def _reading(self, part: Window, most: int | None) -> _Reading:
        """Walk over all pages once, or as soon as more than `most` are to be expected, no further."""
        one = _Reading()
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

    def _expected(self, listed: Listed, one: _Reading) -> int:
        """How many pages the shop says there are. A short first page and a great number: that may count
        all that the shop has, so the second page is asked for before it is believed.
        """
        if one.pages == 1 and len(listed.marks) < self.limit:
            return 1
        by_total = -(-(listed.total or 0) // max(len(listed.marks), 1))
        return max(listed.pages or 0, by_total)

    def _is_last(self, listed: Listed, one: _Reading) -> bool:
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

    def _looks_full(self, listed: Listed, one: _Reading) -> bool:
        """Whether a page is as long as pages of this shop may be at most, which may be less than was asked
        for: then there may be another, though nothing says so.
        """
        size = len(listed.marks)
        if one.pages > 1:
            return size >= one.longest
        if size == self.limit or (size > self.limit and listed.page is not None):
            return True
        return size >= SHORTEST_CAP and (size % 5 == 0 or size % 8 == 0)
