"""The one way to call a remote: who may, who waits, what is told, and what each error means."""

from __future__ import annotations

import pytest

from clients import errors
from ledger import connections
from tasks import calling, threads
from tasks.calling import Calls, NoTimeLeft, NoTurn, Verdict, place, verdict


@pytest.fixture
def share(monkeypatch):
    """Threads of a worker of its own."""

    def build(number, *queues):
        made = threads.Threads()
        made.serve(number, queues)
        monkeypatch.setattr(calling, "THREADS", made)
        return made

    return build


def leaves(kind):
    below = kind.__subclasses__()
    return {kind} if not below else set().union(*map(leaves, below))


def test_every_error_has_one_verdict():
    meant = {kind: verdict(kind("x")) for kind in leaves(errors.ClientError)}
    assert meant[errors.StoreUnavailable] is Verdict.OURS
    assert meant[errors.TokenLost] is Verdict.AGAIN
    assert meant[errors.Garbled] is Verdict.LOOK_UP
    assert meant[errors.PhoneTaken] is Verdict.PERSON
    assert meant[errors.Forbidden] is Verdict.PAUSE


def test_a_read_has_a_place_among_all_calls_too(make, clock):
    target = make(box={"concurrency": 1}).targets["onebox"]
    with place(target, "read", "r1", list) as first:
        assert (first, target.slots.in_use(), target.read_slots.in_use()) == (True, 1, 1)
        with place(target, "read", "r2", list) as second:
            assert second is False
    assert (target.slots.in_use(), target.read_slots.in_use()) == (0, 0)


def test_an_order_that_waits_for_a_place_is_rung_for_by_the_read_that_leaves(
    make, clock, monkeypatch
):
    rung = []
    monkeypatch.setattr(calling, "ring_waiting", rung.extend)
    target = make(box={"concurrency": 1}).targets["onebox"]
    with (
        place(target, "read", "r1", list),
        place(target, "write", "w1", list, waiting="okliving:7") as has_place,
    ):
        assert has_place is False
    assert rung == ["okliving:7"]


def test_no_call_is_begun_that_could_outlive_its_lease(r, clock):
    target = r.targets["onebox"]
    calls = Calls(target, target.gate, patience=1.0)
    until = clock.now
    clock.go(-target.settings.timeout)
    calls.begin(until)
    assert calls.made
    clock.go(0.1)
    with pytest.raises(NoTimeLeft):
        calls.begin(until)


def test_no_call_is_made_without_a_turn(make, clock):
    target = make(box={"rate": 0.1}).targets["onebox"]
    calls = Calls(target, target.gate, patience=1.0)
    assert calls.make(lambda: "done") == "done"
    with pytest.raises(NoTurn):
        calls.make(lambda: pytest.fail("called"))


def test_what_binds_one_alone_is_not_told_of_all(r, clock):
    gate = r.targets["onebox"].gate
    limited = errors.RateLimited("slow down", retry_after=60)
    calling.tell(gate, limited, "1", binds=False)
    assert connections.gate(r.ledger, "onebox").closed_by is None
    calling.tell(gate, limited, "2")
    assert connections.gate(r.ledger, "onebox").closed_by == "remote"


def test_upkeep_finds_threads_whatever_hangs(share):
    made = share(8, "fetch", "upkeep")
    entered = [made.entered(f"shop{n}") for n in range(7)]
    assert [one.__enter__() for one in entered] == [True] * 6 + [False]


def test_remotes_that_hang_hold_half_of_the_threads_together(share, r, clock):
    made = share(8, "create")
    for name in ("a", "b"):
        made.ended(name, 30.0, failed=True)
    hanging = [made.entered(name) for name in ("a", "b", "a", "b", "a")]
    assert [one.__enter__() for one in hanging] == [True] * 4 + [False]
    others = [made.entered("well") for _ in range(5)]
    assert [one.__enter__() for one in others] == [True] * 4 + [False]
    made.ended("a", 0.1, failed=False)
    hanging[0].__exit__(None, None, None)
    with made.entered("a") as has_thread:
        assert has_thread


def test_who_fails_at_once_does_not_hang(share):
    made = share(2, "create")
    made.ended("a", 0.1, failed=True)
    assert [made.entered("a").__enter__() for _ in range(2)] == [True, True]


@pytest.mark.parametrize("limit", [0, 4])
def test_who_finds_no_thread_waits_in_line(share, make, clock, limit):
    share(1, "create")
    target = make(box={"concurrency": limit}).targets["onebox"]
    rung = []
    with (
        place(target, "write", "w1", rung.extend, waiting="okliving:1") as first,
        place(target, "write", "w2", list, waiting="okliving:2") as second,
    ):
        assert (first, second, target.slots.in_line()) == (True, False, 1)
    assert rung == ["okliving:2"]


@pytest.mark.parametrize("limit", [0, 4])
def test_who_comes_into_line_as_the_last_one_leaves_is_rung_for(
    share, make, clock, limit, monkeypatch
):
    """No one is left who could do it later."""
    made = share(1, "create")
    target = make(box={"concurrency": limit}).targets["onebox"]
    rung = []
    last = place(target, "write", "w1", rung.extend, waiting="okliving:1")
    assert last.__enter__()
    join = target.slots.join_line

    def slowly(waiting):
        last.__exit__(None, None, None)
        join(waiting)

    monkeypatch.setattr(target.slots, "join_line", slowly)
    with place(target, "write", "w2", rung.extend, waiting="okliving:2") as has_place:
        assert (has_place, rung) == (False, [])
    assert (rung, target.slots.in_line()) == (["okliving:2"], 0)
    assert made.has_room("onebox")


def test_who_is_rung_for_finds_the_thread_free(share, make, clock):
    made = share(1, "create")
    target = make(box={"concurrency": 4}).targets["onebox"]
    target.slots.join_line("okliving:2")
    found = []
    with place(
        target, "write", "w1", lambda _: found.append(made.has_room("onebox")), waiting="x:1"
    ):
        pass
    assert found == [True]
