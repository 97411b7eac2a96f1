"""Rate and slots: never more than allowed over all workers, nothing leaks, nobody is forgotten."""

import time

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.errors import StoreUnavailable
from clients.limits import APART, Rate, Slots, _gap


def test_turns_of_fifty_threads_lie_apart(store, in_threads):
    rate = Rate(store, "box", 50, sleep=lambda _: None)
    waits = sorted(in_threads(lambda: rate._next(10)))
    assert len(waits) == 50
    assert waits[-1] >= 49 / 50 * 0.9
    assert rate.acquire(0) > 0


def test_workers_share_the_rate(store):
    assert Rate(store, "box", 3).acquire(0) == 0.0
    assert Rate(store, "box", 3).acquire(0) > 0
    assert Rate(store, "other", 3).acquire(0) == 0.0


def test_waiting_ends_when_the_turn_comes(store):
    rate = Rate(store, "box", 5)
    assert rate.acquire(0) == 0.0
    begun = time.monotonic()
    assert rate.acquire(5) == 0.0
    assert 0.15 < time.monotonic() - begun < 3


def test_a_wait_that_is_too_long_is_not_begun(store):
    rate = Rate(store, "box", 1, sleep=pytest.fail)
    rate.acquire(0)
    assert 0.1 < rate.acquire(0.1) <= 1.1
    assert 0 < rate.wait_time() <= 1.1
    assert rate.reserve(0.1) is None


def test_no_rate_asks_nothing(broken_store):
    rate = Rate(broken_store, "box", 0)
    assert (rate.acquire(0), rate.wait_time()) == (0.0, 0.0)


@pytest.mark.parametrize(("per_second", "seconds"), [(5, 0.2), (0.5, 2.0), (2.5, 0.4), (0, 0)])
def test_a_rate_is_seconds_between_two_calls(per_second, seconds):
    assert _gap(per_second) == pytest.approx(seconds * APART)


@pytest.mark.parametrize("wrong", [-1, 0.0001])
def test_a_rate_that_cannot_be_kept_is_refused(store, wrong):
    with pytest.raises(ValueError, match="rate"):
        Rate(store, "box", wrong)


def test_no_more_slots_than_the_limit_are_taken_by_fifty_threads(store, in_threads):
    slots = Slots(store, "box", 4, 60)
    names = iter([f"order-{number}" for number in range(50)])

    def take():
        name = next(names)
        return slots.acquire(name, name)

    taken = in_threads(take)
    assert taken.count(True) == 4
    assert (slots.in_use(), slots.in_line()) == (4, 46)


def test_a_freed_slot_rings_the_one_who_came_first(store):
    slots = Slots(store, "box", 1, 60)
    assert slots.acquire("a", "order-a")
    assert not slots.acquire("b", "order-b")
    assert not slots.acquire("c", "order-c")
    assert not slots.acquire("b", "order-b")
    assert slots.release("a") == ["order-b"]
    assert slots.acquire("b", "order-b")
    assert slots.release("b") == ["order-c"]
    assert slots.in_line() == 0


def test_a_holder_who_comes_again_keeps_its_one_slot(store):
    slots = Slots(store, "box", 1, 60)
    assert slots.acquire("a", "order-a")
    assert slots.acquire("a", "order-a")
    assert slots.in_use() == 1


def test_who_gets_a_slot_is_in_line_no_more(store):
    slots = Slots(store, "box", 1, 60)
    slots.join_line("order-a")
    assert slots.acquire("a", "order-a")
    assert slots.in_line() == 0


def test_releasing_what_one_does_not_hold_frees_nothing(store):
    slots = Slots(store, "box", 1, 60)
    slots.acquire("a", "order-a")
    slots.acquire("b", "order-b")
    assert slots.release("stranger") == []
    assert slots.in_use() == 1


def test_a_killed_worker_leaks_no_slot(store):
    """SIGKILL is a holder that never releases: its lease ends by Redis's own clock."""
    slots = Slots(store, "box", 2, 0.2)
    assert slots.acquire("killed-1", "x")
    assert slots.acquire("killed-2", "y")
    assert not slots.acquire("c", "order-c")
    until = time.monotonic() + 5
    while slots.in_use() and time.monotonic() < until:
        time.sleep(0.02)
    assert slots.call_up(10) == ["order-c"]
    assert slots.acquire("c", "order-c")


def test_one_release_rings_for_its_own_slot_and_one_that_is_free_elsewhere(store):
    slots = Slots(store, "box", 150, 60)
    slots.acquire("a", "order-a")
    for number in range(200):
        slots.join_line(f"order-{number:03}")
    assert slots.release("a") == ["order-000", "order-001"]
    assert slots.in_line() == 198


def test_calling_up_respects_the_free_slots(store):
    slots = Slots(store, "box", 2, 60)
    slots.acquire("a", "x")
    for number in range(5):
        slots.join_line(f"order-{number}")
    assert len(slots.call_up(5)) == 1
    assert len(Slots(store, "box", 0, 60).call_up(3)) == 3


def test_without_a_limit_redis_is_not_asked_for_a_slot(broken_store):
    assert Slots(broken_store, "box", 0, 60).acquire("a", "x")


def test_without_a_limit_redis_is_asked_by_no_release(broken_store):
    assert Slots(broken_store, "box", 0, 60).release("a") == []


@pytest.mark.parametrize("limit", [0, 9])
def test_who_has_a_thread_free_rings_for_those_who_found_none(store, limit):
    slots = Slots(store, "box", limit, 60)
    for name in ("x", "y", "z"):
        slots.join_line(name)
    assert [slots.call_up_here() for _ in range(3)] == [["x", "y"], ["z"], []]


def test_redis_is_not_asked_who_is_in_line_while_nobody_came_into_it_here(broken_store):
    assert Slots(broken_store, "box", 0, 60).call_up_here() == []


def test_who_comes_into_line_while_it_is_looked_through_is_found_by_the_next_look(
    store, monkeypatch
):
    slots = Slots(store, "box", 0, 60)
    slots.join_line("x")
    slots.call_up(1)
    look = slots._rung

    def slowly(n, holder):
        found = look(n, holder)
        slots.join_line("y")
        return found

    monkeypatch.setattr(slots, "_rung", slowly)
    assert slots.call_up_here() == []
    monkeypatch.undo()
    assert slots.call_up_here() == ["y"]


def test_who_had_no_turn_gives_its_slot_back_and_rings_for_nobody(store):
    slots = Slots(store, "box", 1, 60)
    assert slots.acquire("a")
    slots.join_line("x")
    assert (slots.release("a", rings=False), slots.in_use(), slots.in_line()) == ([], 0, 1)


def test_a_text_redis_gives_the_same_members(store):
    texts = redis.Redis(connection_pool=store.connection_pool, decode_responses=True)
    slots = Slots(texts, "box", 1, 60)
    slots.join_line("замовлення")
    assert slots.call_up(1) == ["замовлення"]


@pytest.mark.parametrize(
    "ask",
    [
        lambda slots: slots.acquire("a", "x"),
        lambda slots: slots.release("a"),
        lambda slots: slots.join_line("x"),
        lambda slots: slots.call_up(1),
        lambda slots: slots.in_line(),
        lambda slots: slots.in_use(),
    ],
)
def test_a_lost_redis_is_our_own_fault(broken_store, ask):
    with pytest.raises(StoreUnavailable):
        ask(Slots(broken_store, "box", 1, 60))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), max_size=30))
def test_nobody_is_both_lost_and_waiting(steps):
    """Whatever the order of takes and releases: in use is within the limit, the rest are known."""
    import fakeredis  # noqa: PLC0415  one store for each example, not for the test

    slots = Slots(fakeredis.FakeRedis(server=fakeredis.FakeServer()), "box", 2, 60)
    holding, waiting = set(), set()
    for takes, number in steps:
        who = str(number)
        if takes:
            if slots.acquire(who, who):
                holding.add(who)
                waiting.discard(who)
            else:
                waiting.add(who)
        else:
            waiting -= set(slots.release(who))
            holding.discard(who)
        assert slots.in_use() == len(holding) <= 2
        assert slots.in_line() == len(waiting)
