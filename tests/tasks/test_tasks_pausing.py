"""A connection that a person has paused: no call begins, in whatever flow; then all goes on by itself."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import partial

import pytest

from clients.errors import Unreachable
from ledger import connections, orders, waking
from ledger.orders import Arrived
from mapping.hook import Said
from simulator.samples import reference_order, shop_time
from tasks import checking, closings, creating, gate, polling, reading, storing
from tasks.calling import Calls, Paused
from tasks.polling import PollPaused

BOX, SHOP = "onebox", "okliving"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    """Each look at a gate is a new one; a running worker looks once a second."""
    monkeypatch.setattr(gate, "FRESH", -1.0)


def pause(r, connection, *directions):
    connections.pause(
        r.ledger, connection, directions, r.ledger.now(), reason="moving day", who="anna"
    )


def resume(r, connection, *directions):
    connections.resume(r.ledger, connection, directions, r.ledger.now(), who="anna")


def give(r, order_id="1"):
    raw = json.dumps(reference_order(id=order_id))
    arrived = Arrived(order_id, f"okl-{order_id}", raw, "a" * 32, r.ledger.now())
    wanted = partial(storing._wanted, r, SHOP, BOX)
    (pk,) = orders.store(r.ledger, SHOP, BOX, [arrived], r.ledger.now(), wanted)
    return pk


def box(r):
    return r.targets[BOX].connector.client


def state(r, order_id="1"):
    (row,) = orders.listing(r.ledger, r.ledger.now(), order_id=order_id)
    return row.state


def test_an_order_waits_out_the_pause_and_goes_after_it(r, clock):
    pk = give(r)
    pause(r, BOX, "write")
    for _ in range(50):
        clock.go(60)
        creating.create(r, pk, SHOP)
    assert box(r).calls == []
    resume(r, BOX, "write")
    creating.create(r, pk, SHOP)
    assert state(r) == "created"


def test_a_pause_between_the_look_at_the_gate_and_the_call_stops_the_call(r, clock, monkeypatch):
    pk = give(r)
    claim = orders.claim

    def claim_and_pause(*given):
        pause(r, BOX, "write")
        return claim(*given)

    monkeypatch.setattr(orders, "claim", claim_and_pause)
    creating.create(r, pk, SHOP)
    assert box(r).calls == []
    assert state(r) == "received"


def test_a_pause_between_two_calls_of_one_try_stops_the_second(r):
    calls = Calls(r.targets[BOX], r.targets[BOX].gate, patience=0.0)
    calls.make(lambda: pause(r, BOX, "write"))
    with pytest.raises(Paused):
        calls.make(pytest.fail)


def test_what_waited_for_an_outage_when_it_was_paused_is_woken_by_the_resume(r, clock):
    pk = give(r)
    box(r).script["set_order"] = [Unreachable("no route")]
    creating.create(r, pk, SHOP)
    pause(r, BOX, "write")
    clock.go(1)
    resume(r, BOX, "write")
    (gate_row,) = waking.gates_waking(r.ledger)
    assert waking.wake(r.ledger, gate_row, 10)
    assert [due.pk for due in orders.due(r.ledger, BOX, clock.now, 10)] == [pk]


def test_writes_that_are_paused_leave_the_reads_open_and_the_other_way_round(r):
    target = r.targets[BOX]
    pause(r, BOX, "write")
    assert reading.may_read(target)
    resume(r, BOX, "write")
    pause(r, BOX, "read")
    assert not reading.may_read(target)
    creating.create(r, give(r), SHOP)
    assert state(r) == "created"


def test_a_read_that_was_let_in_before_the_pause_is_not_made(r):
    class Listener:
        def read(self, *_):
            pytest.fail("it was read")

    pause(r, BOX, "read")
    with pytest.raises(reading.NotRead) as told:
        reading.read(r.targets[BOX], Listener(), ["okl-1"], told=[Said()])
    assert not told.value.counts


def test_a_call_that_ends_well_during_the_pause_shows_the_gate_open_to_nobody(r):
    one = r.targets[BOX].gate
    pause(r, BOX, "write")
    assert one.is_paused()
    one.succeeded()
    with one._reading:  # another thread is about to read it anew
        assert one.is_paused()


# --- the poll ---------------------------------------------------------------------------------------


def shop(r):
    return r.sources[SHOP].connector.client


def poll(r):
    return polling.poll(r, SHOP, lambda _: None)


def test_paused_shop_is_not_asked_and_nothing_counts_as_failed(r, clock):
    poll(r)
    before, asked = connections.cursors(r.ledger), len(shop(r).bodies)
    pause(r, SHOP, "read")
    clock.go(60)
    with pytest.raises(
        PollPaused, match=r"paused by anna: moving day\. To go on: `orderbridge resu"
    ):
        poll(r)
    assert len(shop(r).bodies) == asked
    assert connections.cursors(r.ledger) == before
    resume(r, SHOP, "read")
    poll(r)
    assert len(shop(r).bodies) > asked


def test_a_pause_in_the_middle_of_a_poll_stops_it_before_its_next_page(r, clock):
    page = [
        reference_order(id=str(n), updated_at=shop_time(clock.now - timedelta(minutes=1)))
        for n in range(100)
    ]

    def answer(_):
        if len(shop(r).bodies) == 1:
            pause(r, SHOP, "read")
        return {"orders": page}

    shop(r).answer = answer
    with pytest.raises(PollPaused):
        poll(r)
    assert len(shop(r).bodies) == 1
    (cursor,) = connections.cursors(r.ledger)
    assert (cursor.watermark, cursor.error) == (None, "")
    # The lease is free again: nobody waits for it to run out.
    with pytest.raises(PollPaused):
        poll(r)


def test_the_task_of_a_paused_poll_is_no_failure(r, monkeypatch):
    from tasks import orders as tasks_of_orders  # noqa: PLC0415  after the settings of conftest

    monkeypatch.setattr(tasks_of_orders, "resources", lambda: r)
    pause(r, SHOP, "read")
    tasks_of_orders.fetch.run(SHOP)


# --- what a person is told --------------------------------------------------------------------------


def test_check_names_what_is_paused_and_how_it_goes_on(r, monkeypatch):
    monkeypatch.setattr(checking, "_test", lambda *_: checking.Line("x", "x", "good", ""))
    pause(r, BOX, "write")
    bad = [line for line in checking.check(r) if not line.good]
    assert [(line.connection, line.what, line.result, line.mend) for line in bad] == [
        (
            "onebox",
            "writes",
            "Writes to onebox are paused by anna: moving day.",
            "To go on: `orderbridge resume onebox --write`.",
        )
    ]
    assert all(line.good for line in checking.check(r, [SHOP]))


@pytest.mark.parametrize("by", ["breaker", "fault", "remote", "person", "somebody new"])
@pytest.mark.parametrize("direction", ["read", "write"])
def test_every_closed_gate_is_told_in_words(by, direction):
    row = connections.GateRow("box", direction, closed_by=by, reason="said <b>", who="anna")
    told = closings.told(row)
    assert "box" in told
    assert told.endswith(".") or f"--{direction}" in told or "check" in told
    # What a remote said is not for everyone; a person's words are the reason.
    assert ("said" in told) == (by == "person")


def test_a_pause_whose_words_were_purged_is_still_told(r):
    row = connections.GateRow("box", closed_by="person")
    assert closings.why(row) == "Writes to box are paused: the reason was purged."
