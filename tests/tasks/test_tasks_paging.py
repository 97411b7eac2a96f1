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
from tasks.paging import EndlessList, Unreadable, Walk
from tasks.slices import Listed, Window

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


class Naming(ModelShop):
    """A shop whose paging fields mean something else: `says` gives them, from the page and the whole list."""

    says = None

    def ask(self, window, number):
        listed = super().ask(window, number)
        return Listed(listed.marks, **self.says(listed.marks, number))


@pytest.mark.parametrize(
    "says",
    [
        lambda marks, _: {"total": len(marks)},
        lambda marks, number: {"total": len(marks), "page": number},
        lambda _, number: {"total": 0, "page": number},
        lambda _, number: {"total": 0, "pages": 0, "page": number},
    ],
    ids=["of the page", "of the page, numbered", "nothing", "nothing, no pages"],
)
def test_total_that_tells_of_the_page_alone_ends_no_list(says):
    """Shopware counts what it gives, unless it is asked to count more."""
    shop = Naming(many_orders(100))
    shop.says = says
    assert walk(shop, Window(NOW - timedelta(days=31), NOW)) == (True, NOW)
    assert shop.seen == set(shop.stamps)


@pytest.mark.parametrize("cap", [10, 16, 20, 25, 50])
@pytest.mark.parametrize("says", ["nothing", "page", "total of the page"])
def test_shop_that_caps_its_pages_and_says_nothing_is_read_to_its_end(cap, says):
    shop = Naming(many_orders(3 * cap + 1, timedelta(minutes=9)), size=cap)
    shop.says = lambda marks, number: {
        "nothing": {},
        "page": {"page": number},
        "total of the page": {"total": len(marks)},
    }[says]
    window = Window(NOW - timedelta(minutes=10), NOW)
    assert Walk(shop.ask, 100, NOW - LATE, lambda _: timedelta(seconds=5)).read(window, nothing)
    assert shop.seen == set(shop.stamps)


@pytest.mark.parametrize("names", [{"total"}, {"total", "pages"}])
def test_total_of_the_whole_shop_does_not_cut_a_short_list_for_ever(names):
    shop = Naming(many_orders(2))
    shop.says = lambda *_: dict.fromkeys(names, 500000)
    assert walk(shop, Window(NOW - timedelta(days=9000), NOW)) == (True, NOW)
    assert (shop.seen, shop.calls) == (set(shop.stamps), 4)


@dataclass
class Tied(ModelShop):
    """One that sorts by the second alone: of equal stamps, the second page begins with one that the first
    had, and another is on neither, each time the same. So does MySQL with ORDER BY and LIMIT.
    """

    def ask(self, window, number):
        everything = self.listed(window)
        listed = super().ask(window, number)
        if number == 2 and everything[self.size - 1][1] == everything[self.size][1]:
            marks = [everything[self.size - 1], *listed.marks[1:]]
            self.seen.discard(everything[self.size][0])
            return Listed(marks, listed.page, listed.pages, listed.total)
        return listed


def test_list_that_gives_an_order_on_two_pages_is_cut_although_it_stands_still():
    """Two are of one second; seen alone, both are on one page."""
    stamps = {f"{n}": NOW - timedelta(minutes=8 - n) for n in range(5)}
    stamps["3"] = stamps["2"]
    shop = Tied(stamps)
    assert walk(shop, Window(NOW - timedelta(minutes=9), NOW)) == (True, NOW)
    assert shop.seen == set(stamps)


def test_second_of_which_one_order_is_on_no_page_is_not_passed():
    stamps = {f"{n}": NOW - timedelta(minutes=3) for n in range(5)}
    shop = Tied(stamps)
    certain, reached = walk(shop, Window(NOW - timedelta(minutes=9), NOW))
    assert "3" not in shop.seen
    assert not certain
    assert reached is None or reached < NOW - timedelta(minutes=3)


def test_one_order_with_an_old_stamp_does_not_make_one_reading_certain():
    """The shop heeds the window by a field of its own: one order in it says that it is of last year."""
    stamps = {f"{n}": NOW - timedelta(minutes=8 - n) for n in range(7)}

    class Elsewhere(ModelShop):
        def ask(self, window, number):
            listed = super().ask(window, number)
            old = [(n, NOW - timedelta(days=365) if n == "0" else at) for n, at in listed.marks]
            return Listed(old, listed.page, listed.pages, listed.total)

    shop = Elsewhere(dict(stamps), [nothing, lambda shop: shop.edit(1)])
    walk(shop, Window(NOW - timedelta(minutes=9), NOW))
    assert shop.seen == set(stamps)


@dataclass
class Choking(ModelShop):
    """It has no answer for any page on which `bad` would stand, or for more than `most` orders at once."""

    bad: str = ""
    most: int = 10_000
    away: bool = False

    def ask(self, window, number):
        self.calls += 1
        within = self.listed(window)
        part = within[(number - 1) * self.size : number * self.size]
        if self.away or len(within) > self.most or self.bad in dict(part):
            raise Unreadable("HTTP 500")
        return super().ask(window, number)


@pytest.mark.parametrize("bad", ["00000", "00017", "00039"])
def test_order_that_the_shop_cannot_write_hides_no_other(bad):
    shop = Choking(many_orders(40, timedelta(hours=2)), bad=bad)
    reached = []
    with pytest.raises(Unreadable):
        Walk(shop.ask, LIMIT, NOW - LATE, lambda _: timedelta(seconds=5)).read(
            Window(NOW - timedelta(hours=3), NOW), reached.append
        )
    assert shop.seen == set(shop.stamps) - {bad}
    assert max(reached) <= shop.stamps[bad]


def test_window_with_more_than_the_shop_can_answer_at_once_is_cut():
    shop = Choking(many_orders(40), most=7)
    assert walk(shop, Window(NOW - timedelta(days=31), NOW)) == (True, NOW)
    assert shop.seen == set(shop.stamps)


def test_shop_that_does_not_answer_is_not_asked_for_every_slice():
    shop = Choking(many_orders(40), away=True)
    with pytest.raises(Unreadable):
        walk(shop, Window(NOW - timedelta(days=31), NOW))
    assert shop.calls <= 2
