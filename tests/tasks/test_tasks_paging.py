"""Walking a paged list whose orders move: nothing that stood in the window is passed by the watermark."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import paging
from tasks.paging import EndlessList, Listed, Walk, Window

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LATE = timedelta(minutes=10)
LIMIT = 3


@dataclass
class ModelShop:
    """A shop as plain data. After each page it answers, the next of `events` happens: a function of the
    shop. `order` says how the list is sorted, `names` which paging fields it has, `heeds` whether the
    window counts, `size` how many orders it puts on a page at most.
    """

    stamps: dict[str, datetime]
    events: list = field(default_factory=list)
    order: str = "stamp"
    names: tuple[str, ...] = ("page", "pages", "total")
    heeds: str = "both"
    size: int = LIMIT
    now: datetime = NOW
    calls: int = 0
    seen: set[str] = field(default_factory=set)

    def listed(self, window):
        keys = {
            "stamp": lambda item: (item[1], item[0]),
            "newest": lambda item: (-item[1].timestamp(), item[0]),
            "id": lambda item: item[0],
        }
        within = [
            (name, stamp)
            for name, stamp in self.stamps.items()
            if (self.heeds == "none" or window.start <= stamp)
            and (self.heeds != "both" or stamp <= window.end)
        ]
        return sorted(within, key=keys[self.order])

    def ask(self, window, number):
        self.calls += 1
        everything = self.listed(window)
        part = everything[(number - 1) * self.size : number * self.size]
        self.seen |= {name for name, _ in part}
        named = {
            "page": number,
            "pages": max(-(-len(everything) // self.size), 1),
            "total": len(everything),
        }
        if self.events:
            self.now += timedelta(seconds=1)
            self.events.pop(0)(self)
        return Listed(part, **{name: named[name] for name in self.names})

    def edit(self, place):
        """The order at this place of the list gets the stamp of now: it leaves a window of the past."""
        names = [name for name, _ in self.listed(Window(NOW - timedelta(days=99), NOW))]
        if names:
            self.stamps[names[place % len(names)]] = self.now

    def insert(self, seconds_ago):
        """A new order, listed so many seconds after its stamp."""
        name = f"n{len(self.stamps):04}"
        self.stamps[name] = self.now - timedelta(seconds=seconds_ago)


def walk(shop, window):
    """Read the window; whether it was certain, and how far the watermark may go."""
    reached = []
    certain = Walk(shop.ask, LIMIT, NOW - LATE, lambda _: timedelta(seconds=5)).read(
        window, reached.append
    )
    return certain, max(reached, default=None)


def nothing(_):
    """An event that is none."""


EVENTS = st.lists(
    st.one_of(
        st.just(nothing),
        st.integers(0, 30).map(lambda place: lambda shop: shop.edit(place)),
        st.integers(0, 590).map(lambda ago: lambda shop: shop.insert(ago)),
        st.tuples(st.integers(0, 30), st.integers(0, 590)).map(
            lambda both: lambda shop: (shop.edit(both[0]), shop.insert(both[1]))
        ),
    ),
    max_size=60,
)
NAMED = st.sampled_from([("page", "pages", "total"), ("total",), ("page",), ("page", "pages")])


@settings(max_examples=300, deadline=None)
@given(
    ages=st.lists(st.integers(0, 5000), min_size=1, max_size=40),
    events=EVENTS,
    order=st.sampled_from(["stamp", "newest", "id"]),
    names=NAMED,
    heeds=st.sampled_from(["both", "from", "none"]),
)
def test_no_order_that_was_not_read_is_passed_by_the_watermark(ages, events, order, names, heeds):
    stamps = {f"{n:04}": NOW - timedelta(seconds=age) for n, age in enumerate(ages)}
    before = dict(stamps)
    shop = ModelShop(stamps, list(events), order, names, heeds)
    window = Window(NOW - timedelta(seconds=4000), NOW)
    certain, reached = walk(shop, window)
    passed = {
        name
        for name, stamp in before.items()
        if reached is not None
        and window.start <= stamp <= reached
        and shop.stamps[name] == stamp  # what was edited is listed again, with its new stamp
    }
    assert passed <= shop.seen
    if certain:
        assert reached == window.end


def many_orders(count, span=timedelta(days=30)):
    return {f"{n:05}": NOW - span + n * span / (count + 1) for n in range(count)}


def test_order_behind_a_page_is_read_although_edits_move_it_forward():
    shop = ModelShop(many_orders(350), [lambda shop: shop.edit(0) for _ in range(30)])
    untouched = set(many_orders(350))
    assert walk(shop, Window(NOW - timedelta(days=31), NOW)) == (True, NOW)
    assert {n for n in untouched if shop.stamps[n] < NOW} <= shop.seen


def test_one_order_leaving_as_another_comes_is_noticed():
    """The total stands still all the time, and so does the number of orders seen."""
    stamps = many_orders(9, timedelta(minutes=5))
    shop = ModelShop(dict(stamps), [lambda shop: (shop.edit(0), shop.insert(1))])
    assert walk(shop, Window(NOW - timedelta(minutes=9), NOW))[0]
    assert set(stamps) <= shop.seen


def test_long_list_that_stands_still_is_read_little_more_than_once():
    shop = ModelShop(many_orders(3000))
    assert walk(shop, Window(NOW - timedelta(days=31), NOW)) == (True, NOW)
    assert shop.seen == set(shop.stamps)
    assert shop.calls < 1.5 * 1000


@dataclass
class StillShop(ModelShop):
    """One in which nothing happens, so that its list is sorted once."""

    def __post_init__(self):
        self.sorted = sorted(self.stamps.items(), key=itemgetter(1))

    def listed(self, window):
        first = bisect_left(self.sorted, window.start, key=itemgetter(1))
        return self.sorted[first : bisect_right(self.sorted, window.end, key=itemgetter(1))]


def test_more_than_ten_thousand_pages_end():
    shop = StillShop(many_orders(10_001), size=1)
    assert walk(shop, Window(NOW - timedelta(days=31), NOW)) == (True, NOW)
    assert shop.seen == set(shop.stamps)


def test_day_of_25_hours_is_cut_by_what_really_passed():
    """A back-fill asks for days of the shop's zone; what is asked for covers the whole day."""
    kyiv = ZoneInfo("Europe/Kyiv")
    day = Window(datetime(2026, 10, 25, tzinfo=kyiv), datetime(2026, 10, 26, tzinfo=kyiv))
    begun = day.start.astimezone(UTC)
    shop = StillShop({f"{n:04}": begun + timedelta(minutes=n) for n in range(25 * 60)})
    assert walk(shop, day) == (True, day.end)
    assert shop.seen == set(shop.stamps)
    assert max(shop.stamps.values()) == day.end.astimezone(UTC) - timedelta(minutes=1)


@pytest.mark.parametrize("heeds", ["from", "none"])
@pytest.mark.parametrize("names", [("page", "pages", "total"), ("page",)])
def test_shop_that_does_not_heed_the_window_is_read_without_slices(heeds, names):
    shop = ModelShop(many_orders(300), heeds=heeds, names=names)
    assert walk(shop, Window(NOW - timedelta(days=20), NOW)) == (True, NOW)
    assert shop.calls < 2 * 101 + 60
    wanted = {n for n, stamp in shop.stamps.items() if stamp >= NOW - timedelta(days=20)}
    assert wanted <= shop.seen


def test_shop_with_no_page_numbers_at_all_is_read_slice_by_slice():
    """It gives the first orders of the window, whichever page is asked for."""

    class Unpaged(ModelShop):
        def ask(self, window, number):
            return super().ask(window, 1)

    shop = Unpaged(many_orders(40), names=())
    assert walk(shop, Window(NOW - timedelta(days=31), NOW)) == (True, NOW)
    assert shop.seen == set(shop.stamps)


def test_slices_that_are_certain_count_although_a_later_one_fails():
    shop = ModelShop(many_orders(300))
    reached = []

    def ask(window, number):
        if shop.calls > 60:
            raise ConnectionError
        return shop.ask(window, number)

    with pytest.raises(ConnectionError):
        Walk(ask, LIMIT, NOW - LATE, lambda _: timedelta(seconds=5)).read(
            Window(NOW - timedelta(days=31), NOW), reached.append
        )
    assert NOW - timedelta(days=31) < reached[-1] < NOW
    assert {n for n, stamp in shop.stamps.items() if stamp <= reached[-1]} <= shop.seen


def test_what_never_stands_still_is_not_certain_and_all_that_was_seen_is_given():
    """More orders of one second than a page has, one of which changes after each answer."""
    stamps = {f"{n:02}": NOW - timedelta(minutes=3) for n in range(7)}
    shop = ModelShop(stamps, [lambda shop: (shop.edit(0), again(shop)) for _ in range(900)])

    def again(shop):
        shop.stamps[f"x{shop.calls:03}"] = NOW - timedelta(minutes=3)

    certain, reached = walk(shop, Window(NOW - timedelta(minutes=9), NOW))
    assert not certain
    assert reached is None or reached < NOW - timedelta(minutes=3)


def test_list_that_never_ends_is_a_fault(monkeypatch):
    monkeypatch.setattr(paging, "MOST_PAGES", 50)

    def ask(_, number):
        return Listed([(f"{number}", NOW)], number, 10**6)

    with pytest.raises(EndlessList):
        Walk(ask, 1, NOW, lambda _: timedelta(0)).read(Window(NOW, NOW), lambda _: None)
