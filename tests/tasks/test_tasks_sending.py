"""One order is sent for real in shadow mode: that one alone, as it was shown, by the way of all orders."""

from __future__ import annotations

import json
from functools import partial

import pytest

from clients.errors import ServerError, Unreachable
from desk import orders as desk_orders
from desk import sending
from desk.errors import Impossible
from desk.ringing import Bells
from ledger import attempts, connections, orders
from ledger.orders import Arrived
from simulator.samples import reference_order
from tasks import closings, creating, storing

SHOP, BOX = "okliving", "onebox"


@pytest.fixture
def r(make):
    return make(mode="shadow")


def give(r, order_id="1", content_hash="a" * 32, **changes):
    raw = json.dumps(reference_order(id=order_id, **changes))
    arrived = Arrived(order_id, f"okl-{order_id}", raw, content_hash, r.ledger.now())
    wanted = partial(storing._wanted, r, SHOP, BOX)
    orders.store(r.ledger, SHOP, BOX, [arrived], r.ledger.now(), wanted)
    (found,) = orders.listing(r.ledger, r.ledger.now(), order_id=order_id)
    return found.pk


def row(r, order_id="1"):
    return desk_orders.find(r.ledger, order_id)


def box(r):
    return r.targets[BOX].connector.client


def worker(r):
    """Bells that a worker hears, which carries each order at once."""

    def ring(due):
        for one in due:
            creating.create(r, one.pk, one.connection, "task-1")
        return len(due)

    return Bells(ring, pytest.fail, pytest.fail)


def send(r, order_id="1", bells=None, patience=0.0):
    proposal = sending.propose(r, order_id, None)
    return sending.send(r, proposal, who="anna", bells=bells or worker(r), patience=patience)


def acts(r, order_id="1"):
    return [(act.who, act.what) for act in desk_orders.show(r.ledger, order_id).history]


def map_in_shadow(r, *pks):
    for pk in pks:
        creating.create(r, pk, SHOP)


def test_that_order_is_created_and_no_other(r, clock):
    pks = [give(r, str(n)) for n in range(3)]
    map_in_shadow(r, *pks)
    sent = send(r, "1")
    assert (sent.state, sent.target_id) == ("created", "100")
    clock.go(3600)
    for pk in pks:
        creating.create(r, pk, SHOP)
    assert list(box(r).processes) == ["okl-1"]
    assert [row(r, str(n)).reason for n in (0, 2)] == ["shadow", "shadow"]
    assert acts(r) == [("anna", "order_sent_in_shadow")]
    assert [t.kind for t in attempts.of_order(r.ledger, pks[1])] == ["create"]


def test_what_is_shown_is_what_would_be_created_where_and_nothing_is_changed(r):
    pk = give(r)
    proposal = sending.propose(r, "1", None)
    assert (proposal.order.pk, proposal.order.target) == (pk, BOX)
    assert proposal.address == "http://127.0.0.1:1"
    assert proposal.city
    assert proposal.lines
    assert proposal.total > 0
    map_in_shadow(r, pk)
    assert (box(r).calls, acts(r), row(r).reason) == ([], [], "shadow")


def test_an_order_that_changed_after_it_was_shown_is_not_sent(r, clock):
    give(r)
    proposal = sending.propose(r, "1", None)
    give(r, content_hash="b" * 32, total_price="9.00")
    with pytest.raises(Impossible, match="has changed"):
        sending.send(r, proposal, who="anna", bells=worker(r), patience=0.0)
    assert (box(r).calls, acts(r)) == ([], [])


def test_an_order_that_changes_between_the_word_and_the_claim_stays_in_shadow(r, clock):
    pk = give(r)
    content = orders.content(r.ledger, pk)
    orders.let_through(r.ledger, pk, content.content_hash, clock.now, who="anna")
    give(r, content_hash="b" * 32, note="other")
    creating.create(r, pk, SHOP)
    assert (box(r).calls, row(r).reason) == ([], "shadow")


def test_an_order_let_through_after_the_look_passes_the_guards_all_the_same(r, monkeypatch):
    """The worker saw an order in shadow, and its claim says otherwise."""
    pk = give(r)
    content = orders.content(r.ledger, pk)
    orders.let_through(r.ledger, pk, content.content_hash, r.ledger.now(), who="anna")
    monkeypatch.setattr(orders, "is_let_through", lambda *_: False)
    step = creating.create(r, pk, SHOP)
    assert (box(r).calls, [due.pk for due in step.ring]) == ([], [pk])
    monkeypatch.undo()
    creating.create(r, pk, SHOP)
    assert row(r).state == "created"


def test_an_unanswered_call_is_looked_up_and_adopted_in_shadow_mode_too(r, clock):
    pk = give(r)
    box(r).script["set_order"] = [ServerError("500", status=500)]
    assert send(r).reason == "uncertain"
    box(r).processes["okl-1"] = "777"
    clock.go(300)
    creating.create(r, pk, SHOP)
    assert (row(r).state, row(r).target_id) == ("created", "777")
    assert len(box(r).sent()) == 1


def test_a_remote_that_is_down_is_tried_again_without_another_word(r, clock):
    pk = give(r)
    box(r).script["set_order"] = [Unreachable("no route")]
    assert send(r).reason == "crm_unavailable"
    clock.go(3600)
    creating.create(r, pk, SHOP)
    assert row(r).state == "created"


def test_a_held_order_ends_the_word(r, clock):
    pk = give(r)
    content = orders.content(r.ledger, pk)
    orders.let_through(r.ledger, pk, content.content_hash, clock.now, who="anna")
    box(r).script["set_order"] = []
    orders.record(
        r.ledger,
        orders.claim(r.ledger, pk, clock.now, 70),
        orders.Outcome("held", "crm_refused"),
        None,
        clock.now,
    )
    desk_orders.retry(r.ledger, "1", who="olena", bells=worker(r))
    assert (box(r).calls, row(r).reason) == ([], "shadow")


@pytest.mark.parametrize("act", ["retry", "ignore"])
def test_another_act_of_a_person_ends_the_word(r, clock, act):
    pk = give(r)
    content = orders.content(r.ledger, pk)
    orders.let_through(r.ledger, pk, content.content_hash, clock.now, who="anna")
    getattr(orders, act)(r.ledger, pk, clock.now, who="olena")
    creating.create(r, pk, SHOP)
    assert box(r).calls == []


def test_what_no_worker_takes_is_taken_back_and_never_goes(r, clock):
    pk = give(r)
    deaf = Bells(lambda _: 0, pytest.fail, pytest.fail)
    with pytest.raises(Impossible, match="Does the system run"):
        send(r, bells=deaf)
    clock.go(7 * 86_400)
    creating.create(r, pk, SHOP)
    assert (box(r).calls, row(r).reason) == ([], "shadow")
    assert acts(r) == [("anna", "order_sent_in_shadow"), ("anna", "order_kept_in_shadow")]


def test_what_the_person_breaks_off_is_taken_back(r, clock, monkeypatch):
    pk = give(r)

    def break_off(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(sending, "_awaited", break_off)
    deaf = Bells(lambda _: 0, pytest.fail, pytest.fail)
    with pytest.raises(Impossible):
        send(r, bells=deaf, patience=60.0)
    creating.create(r, pk, SHOP)
    assert box(r).calls == []


def test_what_a_worker_has_begun_with_is_not_taken_back(r, clock):
    pk = give(r)
    content = orders.content(r.ledger, pk)
    orders.let_through(r.ledger, pk, content.content_hash, clock.now, who="anna")
    orders.claim(r.ledger, pk, clock.now, 70)
    assert not orders.take_back(r.ledger, pk, clock.now, who="anna")


def test_what_closed_while_the_person_looked_is_named_when_the_order_is_taken_back(r, clock):
    give(r)
    proposal = sending.propose(r, "1", None)
    connections.close(r.ledger, BOX, "fault", r.ledger.now(), 1000, "bad password")
    r.targets[BOX].gate._read_at = float("-inf")
    with pytest.raises(Impossible, match="stays in shadow mode") as told:
        sending.send(r, proposal, who="anna", bells=worker(r), patience=0)
    assert closings.told(connections.gate(r.ledger, BOX)) in str(told.value)
    assert box(r).calls == []


def test_a_second_send_of_what_is_there_is_refused(r):
    give(r)
    send(r)
    with pytest.raises(Impossible, match="is created"):
        send(r)
    assert len(box(r).sent()) == 1


def test_live_connections_need_no_such_word(make, clock):
    r = make(mode="live")
    give(r)
    with pytest.raises(Impossible, match="are live"):
        sending.propose(r, "1", None)


def test_a_paused_target_is_not_written_to(r):
    give(r)
    connections.pause(r.ledger, BOX, ["write"], r.ledger.now(), reason="moving", who="olena")
    with pytest.raises(Impossible, match="paused by olena: moving"):
        sending.propose(r, "1", None)


@pytest.mark.parametrize("held", [{"recipient": {"phone": "1"}}, {"items": 5}])
def test_an_order_that_would_be_held_is_not_let_through(r, held):
    give(r, **held)
    with pytest.raises(Impossible, match="orderbridge preview 1"):
        sending.propose(r, "1", None)


@pytest.mark.parametrize("state", ["held", "ignored"])
def test_an_order_that_is_not_open_is_not_let_through(r, clock, state):
    pk = give(r)
    claim = orders.claim(r.ledger, pk, clock.now, 70)
    orders.record(r.ledger, claim, orders.Outcome(state, "crm_refused"), None, clock.now)
    with pytest.raises(Impossible, match=f"is {state}"):
        sending.propose(r, "1", None)
