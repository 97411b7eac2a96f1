"""One reading of a slice of a shop's paged list: what was listed, and what that proves.

In: the window, and its pages one after the other (`take`). Out: whether one answer was the whole list,
whether it adds up, what of it lies within, where to cut it. Pure; nothing fails. What a reading tells of the
shop is added here, what follows from it in tasks/paging, which calls this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

# The shop counts in seconds, so nothing shorter than two can be cut.
SECOND = timedelta(seconds=1)
# How many pages a slice should have that is cut by what one page shows: a little less than the most.
AIM = 8
# Slices that are cut at once: where the list is not as thick all along, each is a call for nothing.
MOST_SLICES = 32
# A shop that lists mostly what is older than asked for by this lists everything each time, the next, too.
LISTS_ALL = timedelta(days=1)

# An order's id, or the hash of what is no order, and its stamp.
Mark = tuple[str, datetime | None]


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


@dataclass(slots=True)
class Reading:
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
