"""A target that cannot be asked what it has is never sent the same order twice without a person."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from mapped_as import mapped_as

from clients import errors
from ledger import attempts, orders
from ledger.orders import Arrived
from simulator.samples import reference_order
from tasks import creating

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
