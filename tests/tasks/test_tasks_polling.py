"""Reading the shop: windows, pages, what is stored, and what moves the cursor."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import fakeredis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mapped_as import mapped_as
from sqlalchemy import event, select

from clients.errors import Garbled, RateLimited, ServerError, StoreUnavailable, Unreachable
from clients.limits import Turn
from connection import EVERYTHING
from ledger import connections, orders
from ledger.connections import Poll
from ledger.faults import LedgerUnavailable
from ledger.orders import Arrived, Outcome
from ledger.tables import INTAKE, ORDERS
from ledger.tides import Bounds
from simulator.samples import reference_order, shop_time
from tasks import backfilling, paging, polling, storing, windows
from tasks.memory import RedisMemory
from tasks.polling import PollFailed, PollRunning
from tasks.storing import Polled
from tasks.windows import CLOCK_CHANGE_OVERLAP

KYIV = ZoneInfo("Europe/Kyiv")
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
USUAL = timedelta(minutes=10)
# By the tz database, clocks go forward and back at 01:00 UTC.
FORWARD = datetime(2026, 3, 29, 1, tzinfo=UTC)
BACK = datetime(2026, 10, 25, 1, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001  hypothesis wants naive bounds


def order(number, updated=NOW, created=NOW, **more):
    made = reference_order(id=str(number), updated_at=shop_time(updated), **more)
    made["created_at"] = None if created is None else shop_time(created)
    return made


def shop(r):
    return r.sources["okliving"].connector.client


def poll(r, now=NOW, **more):
    """One poll at that moment; what it did, and the keys it rang for."""
    rung = []
    polled = polling.poll(
        r, "okliving", lambda due: rung.extend(d.pk for d in due), clock=lambda: now, **more
    )
    return polled, rung


def known(r):
    return {row.order_id for row in orders.listing(r.ledger, NOW)}


def watermark(r):
    return connections.cursors(r.ledger)[0].watermark


def asked(r):
    filters = [body["args"]["filter"]["updated_at"] for body in shop(r).bodies]
    return [(f["from"], f["to"]) for f in filters]


# --- windows ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [FORWARD, BACK])
def test_overlap_covers_the_hour_around_a_clock_change(change):
    for minutes in range(-170, 170, 10):
        watermark = change + timedelta(minutes=minutes)
        wide = windows.overlap(watermark, watermark + timedelta(minutes=1), KYIV, USUAL)
        assert wide == CLOCK_CHANGE_OVERLAP
    for hours in (-5, 5):
        calm = change + timedelta(hours=hours)
        assert windows.overlap(calm, calm + timedelta(minutes=1), KYIV, USUAL) == USUAL


def test_overlap_that_is_set_wider_stays_so():
    wide = timedelta(hours=2)
    assert windows.overlap(BACK, BACK, KYIV, wide) == wide


@pytest.mark.parametrize("change", [FORWARD, BACK])
@pytest.mark.parametrize(
    ("every", "away"), [(7, ()), (7, (-35, 40)), (7, (-90, -5)), (7, (5, 55)), (25, ())]
)
def test_no_order_is_missed_around_a_clock_change(r, change, every, away):
    """The shop compares its own stamps as text and lists an order minutes after its stamp; `away` are
    the minutes when it did not answer.
    """
    start, end = change - timedelta(hours=3), change + timedelta(hours=5)
    born = [start + timedelta(minutes=minute) for minute in range(0, 400, 5)]
    clock = [start]

    def answer(body):
        window = body["args"]["filter"]["updated_at"]
        listed = [
            order(n, moment)
            for n, moment in enumerate(born)
            if moment + timedelta(minutes=8) <= clock[0]
            and window["from"] <= shop_time(moment) <= window["to"]
        ]
        return {"orders": listed, "page": 1, "pages": 1}

    shop(r).answer = answer
    while clock[0] <= end:
        minute = (clock[0] - change).total_seconds() / 60
        if not (away and away[0] <= minute <= away[1]):
            poll(r, clock[0])
        clock[0] += timedelta(minutes=every)
    assert known(r) == {str(n) for n in range(len(born))}


def test_first_poll_reads_everything_and_the_next_from_the_watermark_less_the_overlap(r):
    shop(r).answer = lambda _: {"orders": [order(1, NOW - timedelta(hours=1))]}
    poll(r)
    poll(r, NOW + timedelta(minutes=1))
    assert asked(r) == [
        ("2000-01-01 02:00:00", "2026-11-21 14:00:00"),
        ("2026-11-21 12:50:00", "2026-11-21 14:01:00"),
    ]


def test_lag_ends_the_window_earlier(make):
    r = make(poll_lag=90, start_from=NOW - timedelta(days=1))
    poll(r)
    assert asked(r) == [("2026-11-20 14:00:00", "2026-11-21 13:58:30")]


def test_start_from_now_begins_at_the_clock_and_remembers_it(make):
    r = make(start_from=None)
    poll(r)
    poll(r, NOW + timedelta(minutes=1))
    assert asked(r) == [
        ("2026-11-21 14:00:00", "2026-11-21 14:00:00"),
        ("2026-11-21 14:00:00", "2026-11-21 14:01:00"),
    ]


def test_a_shop_whose_clock_is_behind_loses_no_order_while_it_has_none_to_list(make):
    """Its first order comes an hour after the start, by a clock that is half an hour behind."""
    r, behind = make(start_from=None), timedelta(minutes=30)
    shop(r).answer = filtering([])
    for minutes in range(0, 60, 5):
        poll(r, NOW + timedelta(minutes=minutes))
    shop(r).answer = filtering(
        [
            order(
                1,
                NOW + timedelta(minutes=60) - behind,
                created=NOW + timedelta(minutes=60) - behind,
            )
        ]
    )
    poll(r, NOW + timedelta(minutes=60))
    assert states(r) == {"1": ("received", "")}


# --- from when orders count ---------------------------------------------------------------------------


def filtering(listed):
    """A shop that heeds the window."""

    def answer(body):
        window = body["args"]["filter"]["updated_at"]
        return {"orders": [o for o in listed if window["from"] <= o["updated_at"] <= window["to"]]}

    return answer


def states(r):
    return {row.order_id: (row.state, row.reason) for row in orders.listing(r.ledger, NOW)}


EARLY = ("ignored", "before_start")
BEFORE, AFTER = NOW - timedelta(days=3), NOW + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("created", "updated", "stands"),
    [
        (BEFORE, BEFORE, EARLY),
        (BEFORE, AFTER, EARLY),
        (NOW - timedelta(seconds=1), AFTER, EARLY),
        (NOW, AFTER, ("received", "")),
        (AFTER, AFTER, ("received", "")),
        (None, BEFORE, EARLY),
        (None, AFTER, ("received", "")),
        (None, None, ("received", "")),
    ],
)
def test_what_was_placed_before_the_start_is_stored_and_ignored_whatever_the_shop_lists(
    make, created, updated, stands
):
    """This one heeds no window at all. What says no time of its own cannot be known to be old."""
    r = make(start_from=None)
    listed = order(1, updated or NOW, created=created)
    if updated is None:
        del listed["updated_at"]
    shop(r).answer = lambda _: {"orders": [listed]}
    polled, rung = poll(r, NOW + timedelta(microseconds=700_000))
    assert states(r) == {"1": stands}
    assert bool(rung) is (stands != EARLY)
    assert polled.orders == 1


def test_an_old_order_stays_ignored_when_it_is_changed_and_when_the_setting_is(make):
    r = make(start_from=None)
    listed = [order(1, BEFORE, created=BEFORE)]
    shop(r).answer = lambda _: {"orders": listed}
    poll(r)
    listed[0] = order(1, AFTER, created=BEFORE, note="changed")
    poll(r, AFTER)
    assert states(r) == {"1": EARLY}
    r = make(start_from=EVERYTHING)
    shop(r).answer = lambda _: {"orders": [*listed, order(2, AFTER, created=BEFORE)]}
    poll(r, AFTER + timedelta(minutes=1))
    assert states(r) == {"1": EARLY, "2": EARLY}, "it was fixed at the first attempt"


def test_a_date_means_orders_that_were_placed_since(make):
    r = make(start_from=NOW - timedelta(days=2))
    shop(r).answer = lambda _: {
        "orders": [
            order(1, created=NOW - timedelta(days=2, seconds=1)),
            order(2, created=NOW - timedelta(days=2)),
        ]
    }
    poll(r)
    assert states(r) == {"1": EARLY, "2": ("received", "")}


def test_a_back_fill_makes_count_what_was_placed_on_its_days_and_no_more(make):
    """Also what is known as too old; what was changed on one of its days and placed on an earlier one of
    them, too.
    """
    r = make(start_from=None)
    days = {name: NOW - timedelta(days=n) for name, n in [("older", 9), ("first", 4), ("last", 3)]}
    listed = [
        order("older", days["last"], created=days["older"]),
        order("known", AFTER, created=days["first"]),
        order("both", days["last"], created=days["first"]),
    ]
    shop(r).answer = filtering(listed)
    poll(r, AFTER)
    assert states(r) == {"known": EARLY}
    listed[1] = {**listed[1], "updated_at": shop_time(days["first"])}
    rung = []
    backfilling.backfill(
        r, "okliving", rung.extend, days["first"].date(), days["last"].date(), on_day=lambda: None
    )
    assert states(r) == {"older": EARLY, "known": EARLY, "both": ("received", "")}
    listed[1] = order("known", AFTER, created=days["first"])
    shop(r).answer = lambda _: {"orders": listed}
    backfilling.backfill(
        r, "okliving", rung.extend, days["first"].date(), days["last"].date(), on_day=lambda: None
    )
    assert states(r) == {"older": EARLY, "known": ("waiting", ""), "both": ("received", "")}
    assert len(rung) == 2


def test_an_old_order_goes_when_a_person_says_so(make):
    r = make(start_from=None)
    listed = [order(1, BEFORE, created=BEFORE)]
    shop(r).answer = lambda _: {"orders": listed}
    poll(r)
    (row,) = orders.listing(r.ledger, NOW)
    orders.retry(r.ledger, row.pk, NOW, who="anna")
    listed[0] = order(1, AFTER, created=BEFORE, note="changed")
    _, rung = poll(r, AFTER)
    assert states(r) == {"1": ("waiting", "released")}
    assert rung == [row.pk]


def test_start_from_now_means_the_first_attempt_although_it_fails(make):
    r = make(start_from=None)
    shop(r).answer = lambda _: Unreachable("not yet")
    for minutes in (0, 1):
        with pytest.raises(PollFailed):
            poll(r, NOW + timedelta(minutes=minutes))
    shop(r).answer = lambda _: {"orders": [order(1, NOW + timedelta(minutes=2))]}
    poll(r, NOW + timedelta(minutes=30))
    assert asked(r)[-1] == ("2026-11-21 14:00:00", "2026-11-21 14:30:00")
    assert known(r) == {"1"}


@pytest.fixture(scope="module")
def laws():
    """A function of plain values: next_watermark with nothing built."""

    def law(before, newest, now, lag):
        held = Poll("okliving", "token", before, now)
        certain_to = now - timedelta(seconds=lag)
        return windows.next_watermark(held, Polled(newest=newest), certain_to)

    return law


@given(
    before=st.none() | MOMENTS, newest=st.none() | MOMENTS, now=MOMENTS, lag=st.integers(0, 7200)
)
def test_watermark_is_never_later_than_the_clock_less_the_lag_and_never_goes_back(
    laws, before, newest, now, lag
):
    limit = now - timedelta(seconds=lag)
    moved = laws(before, newest, now, lag)
    assert (moved is None) is (before is None and newest is None)
    if moved is not None:
        assert moved <= limit
        assert before is None or moved >= min(before, limit)
        assert moved in {before, newest, limit}


def test_watermark_moves_to_the_newest_stamp_and_not_to_the_clock(r):
    newest = NOW - timedelta(minutes=5)
    shop(r).answer = lambda _: {
        "orders": [order(1, newest), order(2, NOW - timedelta(days=2)), {"id": "3"}]
    }
    poll(r)
    assert watermark(r) == newest
    shop(r).answer = lambda _: {"orders": []}
    poll(r, NOW + timedelta(minutes=1))
    assert watermark(r) == newest


def test_stamp_of_the_future_does_not_carry_the_cursor_away(r):
    shop(r).answer = lambda _: {"orders": [order(1, NOW + timedelta(days=300))]}
    poll(r)
    assert watermark(r) is None
    assert known(r) == {"1"}


def test_one_stamp_of_the_future_hides_no_order_of_a_shop_whose_clock_is_behind(r):
    """An hour behind, and it lists whatever is stamped later than asked for: the watermark follows its own
    stamps, not our clock.
    """
    behind, listed = timedelta(hours=1), [order("future", NOW + timedelta(days=300))]

    def answer(body):
        begin = body["args"]["filter"]["updated_at"]["from"]
        return {"orders": [o for o in listed if o["updated_at"] >= begin]}

    shop(r).answer = answer
    for minute in range(5):
        now = NOW + timedelta(minutes=minute)
        listed.append(order(minute, now - behind))
        poll(r, now)
    assert known(r) == {"future", *"01234"}


# --- pages ------------------------------------------------------------------------------------------


def paged(count, form, limit=100):
    """A shop with so many orders, in one of the forms that answers have."""
    everything = [order(n) for n in range(count)]

    def answer(body):
        page = body["args"]["page"]
        part = everything[(page - 1) * limit : page * limit]
        if form == "pages":
            return {"orders": part, "page": page, "pages": -(-count // limit), "total": count}
        if form == "total":
            return {"orders": part, "total": count}
        if form == "capped total":
            return {"orders": everything[(page - 1) * 50 : page * 50], "total": count}
        if form == "short page":
            return {"data": part, "page": page}
        if form == "ignores the page":
            return everything[:limit]
        return everything

    return answer


@pytest.mark.parametrize(
    ("form", "count", "calls", "stored"),
    [
        ("pages", 250, 3, 250),
        ("pages", 200, 2, 200),
        ("pages", 0, 1, 0),
        ("total", 250, 3, 250),
        ("capped total", 250, 5, 250),
        ("short page", 250, 3, 250),
        ("short page", 200, 3, 200),
        ("no paging", 251, 1, 251),
        ("ignores the page", 100, 2, 100),
    ],
)
def test_pages_are_read_to_their_end(r, form, count, calls, stored):
    """More than one page is read twice; that they are the same shows that nothing was skipped."""
    shop(r).answer = paged(count, form)
    polled, rung = poll(r)
    pages = [body["args"]["page"] for body in shop(r).bodies]
    assert pages[:calls] == list(range(1, calls + 1))
    assert pages[calls:] == pages[:calls] * (len(pages) // calls - 1)
    assert (polled.stored, len(rung), len(known(r))) == (stored, stored, stored)


def test_list_that_never_ends_is_a_failure_and_moves_nothing(r, monkeypatch):
    monkeypatch.setattr(paging, "MOST_PAGES", 5)
    shop(r).answer = lambda body: {"orders": [order(body["args"]["page"])], "page": 1, "pages": 999}
    with pytest.raises(PollFailed, match="more than 5 pages"):
        poll(r)
    assert watermark(r) is None
    assert len(known(r)) == 5


def test_order_that_moves_to_the_next_page_is_stored_once(r):
    pages = {1: [order(1), order(2)], 2: [order(2), order(3)]}
    shop(r).answer = lambda body: {"orders": pages[body["args"]["page"]], "pages": 2, "page": 1}
    polled, rung = poll(r)
    assert (polled.orders, len(rung)) == (3, 3)


@pytest.mark.parametrize("turned", [False, True])
def test_of_two_copies_on_one_page_the_newer_is_kept(r, turned):
    copies = [order(1, NOW - timedelta(hours=1), note="old"), order(1, NOW, note="new")]
    shop(r).answer = lambda _: {"orders": copies[::-1] if turned else copies}
    _, (pk,) = poll(r)
    assert json.loads(orders.source(r.ledger, pk))["note"] == "new"


def test_orders_are_rung_for_only_once_they_are_stored(r):
    seen = []
    shop(r).answer = paged(150, "pages")

    def ring(due):
        seen.append((len(due), len(known(r))))

    polling.poll(r, "okliving", ring, clock=lambda: NOW)
    assert seen == [(100, 100), (50, 150)]


def test_what_is_no_order_is_kept_aside_and_stops_nothing(r):
    scraps = [None, 17, "text", [], {"name": "no id"}, {"id": ""}]
    shop(r).answer = lambda _: {"orders": [*scraps, order(1), *scraps]}
    polled, rung = poll(r)
    assert (polled.aside, len(rung), known(r)) == (12, 1, {"1"})
    with r.ledger.read() as db:
        kept = db.execute(select(INTAKE.c.raw)).scalars().all()
    assert sorted(kept) == sorted(json.dumps(s, separators=(",", ":")) for s in scraps)


# --- what is known already --------------------------------------------------------------------------


def test_page_of_known_orders_costs_one_read_of_redis_and_no_statement_on_orders(r, store):
    shop(r).answer = paged(99, "no paging")
    poll(r)
    statements, commands = [], []
    event.listen(r.ledger.engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    execute = store.execute_command
    store.execute_command = lambda *given, **more: (
        commands.append(given[0]) or execute(*given, **more)
    )
    polled, rung = poll(r, NOW + timedelta(minutes=1))
    assert (polled.known, polled.stored, rung) == (99, 0, [])
    # Beside it the poll gives its place back, by a script.
    assert [one for one in commands if one != "EVALSHA"] == ["MGET"]
    assert [s for s in statements if " orders" in s or " intake" in s] == []


def test_changed_order_is_not_taken_for_known(r):
    shop(r).answer = lambda _: {"orders": [order(1, note="a")]}
    _, first = poll(r)
    shop(r).answer = lambda _: {"orders": [order(1, note="b")]}
    polled, again = poll(r)
    assert (polled.known, again) == (0, first)


@pytest.mark.parametrize(
    ("now", "marked"),
    [
        ({"status": "in_progress", "delivery_status": "shipped"}, False),
        ({"updated_at": shop_time(NOW + timedelta(minutes=3))}, False),
        ({"note": "leave it at the door"}, True),
        ({"id": "1", "items": None, "lines": None, "products": None, "total": "1.00"}, True),
    ],
)
def test_only_what_concerns_the_crm_marks_a_created_order_as_changed(r, now, marked):
    shop(r).answer = lambda _: {"orders": [order(1)]}
    _, (pk,) = poll(r)
    claim = orders.claim(r.ledger, pk, NOW, 60, "task")
    orders.record(r.ledger, claim, Outcome("created", target_id="9"), None, NOW)
    shop(r).answer = lambda _: {"orders": [order(1) | now]}
    polled, rung = poll(r)
    assert (polled.known, rung) == (0, [])
    (found,) = orders.listing(r.ledger, NOW)
    assert (found.state, found.changed) == ("created", marked)


class GoneRedis(fakeredis.FakeRedis):
    def execute_command(self, *args, **options):
        raise storing.RedisError("gone")

    def pipeline(self, *args, **options):
        raise storing.RedisError("gone")


def test_orders_are_stored_and_rung_for_while_redis_is_away(make):
    r = make(redis=GoneRedis(server=fakeredis.FakeServer()))
    shop(r).answer = paged(150, "pages")
    polled, rung = poll(r)
    assert (polled.stored, len(rung)) == (150, 150)
    again, rung = poll(r)
    assert (again.known, again.stored, rung) == (0, 0, [])


def test_flushed_redis_doubles_nothing(r, store):
    shop(r).answer = paged(20, "no paging")
    poll(r)
    store.flushall()
    polled, rung = poll(r)
    assert (polled.known, polled.stored, rung) == (0, 0, [])


def test_keys_of_another_ledger_are_not_trusted(r):
    shop(r).answer = paged(20, "no paging")
    poll(r)
    polled, _ = poll(replace(r, ledger_id="another"))
    assert polled.known == 0


def test_keys_are_not_trusted_before_the_ledger_was_compared_with_redis(make, store):
    """Redis is still loading when the poll of a ledger that was put back begins, and answers a moment later:
    its keys may speak of what the ledger has lost.
    """
    r = make()
    memory = RedisMemory(store, r.ledger_id)
    heights = memory.heights
    r.ledger.watch(memory, Bounds(("okliving",)))
    shop(r).answer = paged(20, "no paging")
    poll(r)
    r.ledger.write(lambda db: db.execute(ORDERS.delete()))
    memory.heights = lambda _: None
    polled, rung = poll(r)
    assert (polled.known, polled.stored, len(rung)) == (0, 20, 20)
    memory.heights = heights
    polled, rung = poll(r)
    assert (polled.known, rung) == (20, [])


def test_change_stamped_in_the_hour_that_clocks_repeat_is_taken(r):
    """Ordered at 03:50, changed 20 minutes later, when the clocks show 03:10 for the second time."""
    first = BACK - timedelta(minutes=10)
    shop(r).answer = lambda _: {"orders": [order(1, first, note="first")]}
    _, (pk,) = poll(r, first + timedelta(minutes=1))
    changed = order(1, BACK + timedelta(minutes=10), note="second")
    assert changed["updated_at"] < order(1, first)["updated_at"]
    shop(r).answer = lambda _: {"orders": [changed]}
    _, rung = poll(r, BACK + timedelta(minutes=11))
    assert (rung, json.loads(orders.source(r.ledger, pk))["note"]) == ([pk], "second")
    shop(r).answer = lambda _: {"orders": [order(1, BACK - timedelta(hours=2), note="old")]}
    assert poll(r, BACK + timedelta(minutes=12))[1] == []


def test_change_is_taken_after_a_stamp_of_the_future(r):
    """The shop's clock was an hour ahead, and was set right before the buyer gave another address."""
    shop(r).answer = lambda _: {"orders": [order(1, NOW + timedelta(hours=1), note="first")]}
    _, (pk,) = poll(r)
    later = NOW + timedelta(minutes=10)
    shop(r).answer = lambda _: {"orders": [order(1, later, note="second")]}
    _, rung = poll(r, later + timedelta(minutes=1))
    assert (rung, json.loads(orders.source(r.ledger, pk))["note"]) == ([pk], "second")
    shop(r).answer = lambda _: {"orders": [order(1, NOW, note="older")]}
    assert poll(r, later + timedelta(minutes=2))[1] == []


def test_order_that_cannot_be_mapped_fails_no_poll_and_counts_as_changed(r, monkeypatch):
    shop(r).answer = paged(5, "no paging")
    poll(r)
    for row in orders.listing(r.ledger, NOW):
        claim = orders.claim(r.ledger, row.pk, NOW, 60, "task")
        orders.record(r.ledger, claim, Outcome("created", target_id=row.order_id), None, NOW)
    shop(r).answer = lambda _: {"orders": [order(n, status=f"of {n}") for n in range(5)]}
    composed = type(r.profiles["okliving"].target).compose

    def breaks(self, read, prefix):
        if read.order is not None and read.order.status == "of 3":
            raise RecursionError
        return composed(self, read, prefix)

    monkeypatch.setattr(type(r.profiles["okliving"].target), "compose", breaks)
    poll(r)
    found = orders.listing(r.ledger, NOW)
    assert {row.order_id for row in found if row.changed} == {"3"}
    assert all('"of ' in orders.source(r.ledger, row.pk) for row in found)


def test_order_that_cannot_be_stored_is_kept_aside_and_the_rest_goes_on(r):
    """Its external id is another source's order in the same target."""
    taken = Arrived("x3", "okl-3", "{}", "f" * 32, NOW)
    orders.store(r.ledger, "another shop", "onebox", [taken], NOW, mapped_as(str))
    shop(r).answer = paged(5, "no paging")
    _, rung = poll(r)
    assert len(rung) == 4
    assert {row.order_id for row in orders.listing(r.ledger, NOW)} == {*"0124", "x3"}
    with r.ledger.read() as db:
        (kept,) = db.execute(select(INTAKE.c.raw)).scalars()
    assert json.loads(kept)["id"] == "3"


def test_shop_that_gives_each_order_once_loses_none(r):
    unread = [order(n) for n in range(250)]

    def answer(_):
        given, unread[:100] = unread[:100], []
        return {"orders": given, "page": 1}

    shop(r).answer = answer
    poll(r)
    assert len(known(r)) == 250
    unread += [order(n) for n in range(250, 260)]
    poll(r)
    assert len(known(r)) == 260


# --- failures ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failure",
    [
        Unreachable("no answer"),
        ServerError("500"),
        StoreUnavailable("gone"),
        {"what": "is this"},
        "text",
        None,
    ],
)
def test_failed_poll_moves_nothing_and_the_next_reads_the_same_window(r, failure):
    shop(r).answer = lambda _: {"orders": [order(1, NOW - timedelta(hours=1))]}
    poll(r)
    before = watermark(r)
    shop(r).answer = lambda _: failure
    with pytest.raises(PollFailed, match="could not be read"):
        poll(r, NOW + timedelta(minutes=1))
    (cursor,) = connections.cursors(r.ledger)
    assert (cursor.watermark, cursor.failed_at) == (before, NOW + timedelta(minutes=1))
    assert cursor.error
    shop(r).answer = lambda _: {"orders": [order(2)]}
    poll(r, NOW + timedelta(minutes=1))
    assert asked(r)[-1] == asked(r)[-2]
    assert connections.cursors(r.ledger)[0].error == ""


@pytest.fixture
def pauses(monkeypatch):
    """How long a poll would have slept."""
    slept = []
    clock = SimpleNamespace(sleep=slept.append, monotonic=time.monotonic)
    monkeypatch.setattr(polling, "time", clock)  # others go on sleeping
    return slept


def test_failed_page_is_read_again_by_itself(r, pauses):
    pages, failures = paged(250, "pages"), [Unreachable("gone"), ServerError("500"), {"odd": 1}]

    def answer(body):
        return failures.pop() if failures and body["args"]["page"] == 2 else pages(body)

    shop(r).answer = answer
    polled, _ = poll(r)
    assert (polled.stored, len(pauses)) == (250, 3)
    assert [body["args"]["page"] for body in shop(r).bodies] == [1, 2, 2, 2, 2, 3, 1, 2, 3]


def test_shop_that_does_not_answer_at_all_is_left_to_the_next_tick(r, pauses):
    shop(r).answer = lambda _: Unreachable("gone")
    with pytest.raises(PollFailed):
        poll(r)
    assert (len(shop(r).bodies), pauses) == (1, [])


@pytest.mark.parametrize("failure", [ServerError("500"), Garbled("empty"), {"what": "is this"}])
def test_order_that_the_shop_cannot_write_stops_no_other(r, pauses, failure):
    """Such as text cut in half, which PHP writes as an empty answer. The cursor waits before it."""
    listed = [order(n, NOW - timedelta(minutes=2 * n)) for n in range(20)]

    def answer(body):
        window = body["args"]["filter"]["updated_at"]
        within = [o for o in listed if window["from"] <= o["updated_at"] <= window["to"]]
        return failure if listed[11] in within else {"orders": within, "page": 1, "pages": 1}

    shop(r).answer = answer
    for minute in range(2):
        with pytest.raises(PollFailed, match="could not be read"):
            poll(r, NOW + timedelta(minutes=minute))
    assert known(r) == {str(n) for n in range(20)} - {"11"}
    assert watermark(r) <= NOW - timedelta(minutes=22)
    assert connections.cursors(r.ledger)[0].error
    listed[11]["note"] = "mended"
    shop(r).answer = lambda _: {"orders": listed}
    poll(r, NOW + timedelta(minutes=2))
    assert "11" in known(r)


def test_shop_that_asks_us_to_wait_ends_the_poll_and_its_reads_know(r, pauses):
    pages = paged(250, "pages")
    limited = RateLimited("slow down", status=429, retry_after=60)
    shop(r).answer = lambda body: pages(body) if body["args"]["page"] < 2 else limited
    with pytest.raises(PollFailed, match="slow down"):
        poll(r)
    assert pauses == []
    assert connections.gate(r.ledger, "okliving", "read").closed_by == "remote"


def test_closed_gate_of_reads_asks_the_shop_nothing(r):
    r.sources["okliving"].read_gate.fault("asked us to wait")
    with pytest.raises(PollFailed, match="asked us to wait"):
        poll(r)
    assert shop(r).bodies == []


def test_each_page_takes_its_turn_under_the_rate_of_the_shop(r):
    class Counted:
        taken = 0

        def reserve(self, _):
            self.taken += 1
            return None if self.taken == 2 else Turn(0.0, lambda _: None)

    rate = Counted()
    source = replace(r.sources["okliving"], rate=rate)
    shop(r).answer = paged(250, "pages")
    poll(replace(r, sources={"okliving": source}))
    assert rate.taken == len(shop(r).bodies) + 1


def test_long_reading_that_is_cut_off_goes_on_where_it_was_certain(r, pauses):
    """20 pages over 20 days, which are read in slices; the shop goes away after 15 pages."""
    days = [order(n, NOW - timedelta(days=20) + timedelta(minutes=14 * n)) for n in range(2000)]

    def answer(body):
        window, page = body["args"]["filter"]["updated_at"], body["args"]["page"]
        within = [o for o in days if window["from"] <= o["updated_at"] <= window["to"]]
        part = within[(page - 1) * 100 : page * 100]
        return {"orders": part, "page": page, "pages": -(-len(within) // 100), "total": len(within)}

    shop(r).answer = lambda body: answer(body) if len(shop(r).bodies) < 25 else Unreachable("gone")
    with pytest.raises(PollFailed):
        poll(r)
    reached = watermark(r)
    assert NOW - timedelta(days=21) < reached < NOW
    assert {o["id"] for o in days if o["updated_at"] <= shop_time(reached)} <= known(r)
    shop(r).answer = answer
    begun = len(shop(r).bodies)
    poll(r)
    assert asked(r)[begun][0] == shop_time(reached - USUAL)
    assert len(known(r)) == 2000


def test_list_that_never_stands_still_moves_nothing_and_says_so(r):
    """Of one second, so that it cannot be sliced; each page read makes another order leave."""
    rest = [order(n) for n in range(300)]

    def answer(body):
        page = body["args"]["page"]
        part = rest[(page - 1) * 100 : page * 100]
        rest.pop(0)
        rest.append(order(1_000 + len(shop(r).bodies)))
        return {"orders": part, "page": page, "pages": 3, "total": 300}

    shop(r).answer = answer
    with pytest.raises(PollFailed, match="changed all the time"):
        poll(r)
    (cursor,) = connections.cursors(r.ledger)
    assert "changed all the time" in cursor.error
    assert cursor.watermark is None or cursor.watermark < NOW
    assert {str(n) for n in range(100)} <= known(r)


def test_failure_on_a_later_page_keeps_what_was_stored_and_moves_nothing(r, pauses):
    pages = paged(250, "pages")
    shop(r).answer = lambda body: pages(body) if body["args"]["page"] < 3 else Unreachable("gone")
    with pytest.raises(PollFailed):
        poll(r)
    assert (len(known(r)), watermark(r)) == (200, None)


def test_ledger_that_goes_away_under_way_fails_the_poll(r, monkeypatch):
    def away(*_):
        raise LedgerUnavailable("away")

    monkeypatch.setattr(storing.orders, "store", away)
    shop(r).answer = paged(1, "pages")
    with pytest.raises(PollFailed, match="was not read"):
        poll(r)


def test_unforeseen_error_gives_the_shop_back(r):
    def breaks(_):
        raise KeyboardInterrupt

    shop(r).answer = paged(1, "pages")
    with pytest.raises(KeyboardInterrupt):
        polling.poll(r, "okliving", breaks, clock=lambda: NOW)
    poll(r)


def test_second_poll_is_refused_while_the_first_runs(r):
    def answer(_):
        with pytest.raises(PollRunning):
            poll(r)
        return {"orders": []}

    shop(r).answer = answer
    poll(r)
    assert len(shop(r).bodies) == 1


def test_poll_that_lost_its_turn_does_not_move_the_cursor(r):
    """What it has read is stored all the same: an order more in the ledger is never wrong."""

    def answer(_):
        connections.begin_poll(r.ledger, "okliving", NOW + timedelta(hours=1), 60)
        return {"orders": [order(1)]}

    shop(r).answer = answer
    with pytest.raises(PollFailed, match="lost its turn"):
        poll(r)
    assert watermark(r) is None


# --- past days --------------------------------------------------------------------------------------


def test_backfill_reads_whole_shop_days_trusts_no_key_and_moves_no_cursor(r, store):
    shop(r).answer = lambda _: {"orders": [order(1, NOW - timedelta(days=27))]}
    poll(r)
    before, days = watermark(r), []
    r.ledger.write(lambda db: db.execute(ORDERS.delete()))
    total = backfilling.backfill(
        r,
        "okliving",
        lambda _: None,
        date(2026, 10, 24),
        date(2026, 10, 26),
        on_day=lambda: days.append(1),
    )
    assert asked(r)[1:] == [
        ("2026-10-24 00:00:00", "2026-10-25 00:00:00"),
        ("2026-10-25 00:00:00", "2026-10-26 00:00:00"),
        ("2026-10-26 00:00:00", "2026-10-27 00:00:00"),
    ]
    assert (total.pages, total.orders, total.stored, len(days)) == (3, 3, 1, 3)
    assert (known(r), watermark(r)) == ({"1"}, before)


def test_poll_after_waits_for_the_running_one(r, monkeypatch):
    held = connections.begin_poll(r.ledger, "okliving", datetime.now(UTC), 60)
    monkeypatch.setattr(
        polling.time, "sleep", lambda _: connections.fail_poll(r.ledger, held, NOW, "ended")
    )
    assert backfilling.poll_after(r, "okliving", lambda _: None, patience=30.0).pages == 1


def test_patience_ends(r):
    connections.begin_poll(r.ledger, "okliving", datetime.now(UTC), 60)
    with pytest.raises(PollRunning):
        backfilling.poll_after(r, "okliving", lambda _: None, patience=0.0)
