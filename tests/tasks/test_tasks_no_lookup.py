"""A target that cannot be asked what it has is never sent the same order twice without a person."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from mapped_as import mapped_as

from clients import errors
from connectors.ports import Connector
from ledger import attempts, connections, orders
from ledger.orders import Arrived
from simulator.samples import reference_order
from tasks import creating, knocking, resources
from tasks.gate import Gate
from tasks.knocking import FEW, Knocking

UNANSWERED = [errors.TimedOut, errors.Dropped, errors.ServerError, errors.Garbled]


@pytest.fixture
def r(make, clock):
    built = make()
    target = built.targets["onebox"]
    deaf = replace(target, connector=replace(target.connector, finder=None))
    return replace(built, targets={"onebox": deaf})


def give(r, **changes):
    raw = reference_order(id="1", **changes)
    arrived = Arrived("1", "okl-1", json.dumps(raw), f"{hash(str(raw)):x}"[:32], r.ledger.now())
    return orders.store(r.ledger, "okliving", "onebox", [arrived], r.ledger.now(), mapped_as(str))[
        0
    ]


def carry(r, pk):
    return creating.create(r, pk, "okliving", "task-1")


def row(r):
    (found,) = orders.listing(r.ledger, r.ledger.now(), order_id="1")
    return found


def box(r):
    return r.targets["onebox"].connector.client


def lose(r, pk, error=errors.TimedOut):
    box(r).script["set_order"] = [error("no answer")]
    assert carry(r, pk).wait is None


def is_held(r):
    return (row(r).state, row(r).reason) == ("held", "uncertain_no_lookup")


@pytest.mark.parametrize("error", UNANSWERED)
def test_unanswered_create_is_held_at_once(r, clock, error):
    pk = give(r)
    lose(r, pk, error)
    assert is_held(r)
    assert row(r).uncertain_since == clock.now
    assert [(t.kind, t.outcome) for t in attempts.of_order(r.ledger, pk)] == [
        ("create", "uncertain")
    ]
    clock.go(86400)
    carry(r, pk)
    assert (len(box(r).sent()), box(r).looked_up()) == (1, [])


def test_lost_lease_is_held_without_a_call(r, clock):
    pk = give(r)
    assert orders.claim(r.ledger, pk, clock.now, 60)
    clock.go(61)
    carry(r, pk)
    assert is_held(r)
    assert box(r).calls == []


def test_retry_alone_sends_nothing(r, clock):
    pk = give(r)
    lose(r, pk)
    orders.retry(r.ledger, pk, clock.now, who="olena")
    carry(r, pk)
    assert is_held(r)
    assert len(box(r).sent()) == 1


def test_who_releases_it_sends_it_once_more_and_no_further(r, clock):
    pk = give(r)
    lose(r, pk)
    orders.release(r.ledger, pk, clock.now, who="olena")
    lose(r, pk)
    assert is_held(r)
    assert len(box(r).sent()) == 2
    orders.release(r.ledger, pk, clock.now, who="olena")
    carry(r, pk)
    assert (row(r).state, len(box(r).sent())) == ("created", 3)


def test_a_doubt_that_was_accepted_before_is_no_leave_to_send_twice(r, clock):
    pk = give(r, total="1.00")
    carry(r, pk)
    assert row(r).reason == "total_mismatch"
    orders.release(r.ledger, pk, clock.now, who="olena")
    lose(r, pk)
    clock.go(100)
    carry(r, pk)
    assert is_held(r)
    assert len(box(r).sent()) == 1


def test_another_content_is_no_leave_to_send_twice(r, clock):
    pk = give(r)
    lose(r, pk)
    clock.go(10)
    give(r, note="changed")
    assert row(r).state == "waiting"
    carry(r, pk)
    assert is_held(r)
    assert len(box(r).sent()) == 1


@pytest.mark.parametrize("error", [errors.Unreachable, errors.RateLimited, errors.TokenLost])
def test_what_certainly_did_not_arrive_is_sent_again_by_itself(r, clock, error):
    pk = give(r)
    box(r).script["set_order"] = [error("later")]
    wait = carry(r, pk).wait
    clock.go(wait)
    carry(r, pk)
    assert (row(r).state, len(box(r).sent())) == ("created", 2)


# A target that is down, in an outage that loses answers


class Door:
    """What a call without effect meets: each entry once, the last for good."""

    def __init__(self):
        self.meets = [errors.Dropped("the connection broke")]
        self.calls = 0

    def __call__(self):
        self.calls += 1
        met = self.meets.pop(0) if len(self.meets) > 1 else self.meets[0]
        if isinstance(met, Exception):
            raise met


@pytest.fixture
def door():
    return Door()


@pytest.fixture
def down(r, clock, door):
    """It lost the answers to a few orders, each of which waits for a person, and is taken for down."""
    gate = Gate(r.ledger, "onebox", limit=FEW)
    target = replace(r.targets["onebox"], gate=gate, knocking=Knocking(door))
    r = replace(r, targets={"onebox": target})
    for number in range(FEW):
        assert is_open(r)
        try_another(r, f"lost-{number}", errors.Dropped("x"))
    assert not is_open(r)
    return r


def try_another(r, order_id, *meets):
    """A new order is tried; what calls for it meet."""
    raw = reference_order(id=order_id)
    arrived = Arrived(order_id, f"okl-{order_id}", json.dumps(raw), order_id, r.ledger.now())
    (pk,) = orders.store(r.ledger, "okliving", "onebox", [arrived], r.ledger.now(), mapped_as(str))
    box(r).script["set_order"] = list(meets)
    carry(r, pk)
    (found,) = orders.listing(r.ledger, r.ledger.now(), order_id=order_id)
    return found.state


def is_open(r):
    return connections.gate(r.ledger, "onebox").closed_by is None


def probe(r, clock, order_id, *meets):
    clock.go(5)
    return try_another(r, order_id, *meets)


def test_while_it_is_down_no_order_is_spent_to_find_that_out(down, clock, door):
    """Each would wait for a person, all through the outage."""
    states = {probe(down, clock, f"later-{number}") for number in range(50)}
    assert states == {"waiting"}
    assert (door.calls, len(box(down).sent())) == (50, FEW)
    door.meets = [None]
    assert probe(down, clock, "first") == "created"
    assert is_open(down)


def test_what_it_answers_to_a_call_without_effect_may_be_anything(down, clock, door):
    """One that takes nothing but orders refuses it, in whatever way."""
    door.meets = [errors.Forbidden("HTTP 403")]
    assert probe(down, clock, "first") == "created"


def test_one_that_answers_nothing_but_orders_is_tried_with_one_after_a_while(
    down, clock, door, monkeypatch
):
    assert probe(down, clock, "spared") == "waiting"
    monkeypatch.setattr(knocking, "LONGEST_SPARED", 0.0)
    assert probe(down, clock, "spent", errors.Dropped("x")) == "held"
    monkeypatch.setattr(knocking, "LONGEST_SPARED", 600.0)
    assert probe(down, clock, "spared again") == "waiting"
    monkeypatch.setattr(knocking, "LONGEST_SPARED", 0.0)
    assert probe(down, clock, "first") == "created"


def test_while_it_is_well_nothing_is_knocked_at(r, clock, door):
    target = replace(r.targets["onebox"], knocking=Knocking(door))
    assert try_another(replace(r, targets={"onebox": target}), "1") == "created"
    assert door.calls == 0


@pytest.mark.parametrize(
    ("finder", "takes_repeats", "is_guarded"),
    [(None, False, True), (None, True, False), (object(), False, False)],
)
def test_only_what_cannot_be_asked_and_knows_no_repeat_is_knocked_at(
    finder, takes_repeats, is_guarded
):
    target = SimpleNamespace(takes_repeats=takes_repeats)
    made = Connector(client=None, target=target, finder=finder, knock=lambda: 405)
    assert (resources.knocking_of(made) is not None) is is_guarded
