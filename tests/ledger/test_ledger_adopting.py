"""A person says that an order is in its target already: it is created, and nobody sends it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from order_calls import CREATED, HELD, LEASE, NOW, at, end, order, put_in, row, store, waiting

from ledger import history, orders
from ledger.orders import NO_LOOKUP, UNKNOWN, NotPossible, Outcome
from ledger.tables import ORDERS


def adopt(ledger, pk, number="4711", now=None):
    orders.adopt(ledger, pk, now or at(9), target_id=number, who="olena")


def unanswered(ledger, pk, sent="s" * 32):
    """Held since a call that carried this body got no answer."""
    outcome = Outcome("held", NO_LOOKUP, uncertain_since=NOW, sent_hash=sent, wanted_hash=sent)
    end(ledger, pk, outcome)


def column(ledger, pk, name):
    with ledger.read() as db:
        return db.execute(ORDERS.select().where(ORDERS.c.id == pk)).mappings().one()[name]


@pytest.mark.parametrize("state", ["received", "waiting", "held", "ignored"])
def test_what_is_not_created_may_be_adopted(ledger, state):
    (pk,) = store(ledger)
    put_in(ledger, pk, state)
    before = row(ledger)
    adopt(ledger, pk)
    found = row(ledger)
    assert (found.state, found.reason, found.target_id) == ("created", "", "4711")
    assert (found.changed, found.uncertain_since, found.state_at) == (False, None, at(9))
    assert orders.claim(ledger, pk, at(999), LEASE) is None
    assert history.of_order(ledger, "okliving", "1")[-1] == history.Act(
        at(9),
        "olena",
        "order_adopted",
        "order",
        "okliving",
        "1",
        before={"state": state, "reason": before.reason},
        after={"state": "created", "reason": "", "target_id": "4711"},
    )


def refused(ledger, pk, said, number="4711", now=None):
    with pytest.raises(NotPossible, match=said):
        adopt(ledger, pk, number, now)


def test_a_created_order_keeps_its_number(ledger):
    (pk,) = store(ledger)
    end(ledger, pk, CREATED)
    refused(ledger, pk, "Order 1 is created")
    assert row(ledger).target_id == "77"


def test_an_order_that_is_being_sent_is_left_alone_until_its_lease_ends(ledger):
    (pk,) = store(ledger)
    orders.claim(ledger, pk, NOW, LEASE)
    refused(ledger, pk, "being worked on")
    adopt(ledger, pk, now=at(LEASE + 1))
    assert row(ledger).state == "created"


def test_a_number_that_another_order_of_this_target_has_is_refused_by_its_name(ledger):
    first, second = store(ledger, order("1"), order("2"))
    end(ledger, first, replace(CREATED, target_id="4711"))
    refused(ledger, second, "onebox 4711 is order 1 of okliving already")
    assert row(ledger, "2").state == "received"
    assert history.of_order(ledger, "okliving", "2") == []


def test_a_number_of_another_target_is_free(ledger):
    from mapped_as import mapped_as  # noqa: PLC0415  only this test stores for another target

    (first,) = store(ledger)
    end(ledger, first, replace(CREATED, target_id="4711"))
    there = order("9", prefix="x-")
    (pk,) = orders.store(ledger, "second", "service", [there], NOW, mapped_as())
    adopt(ledger, pk)
    assert row(ledger, "9").target_id == "4711"


def test_what_was_sent_is_what_the_target_has(ledger):
    """Edited after the call: the target has it as it was, so that it counts as changed at once."""
    (pk,) = store(ledger)
    unanswered(ledger, pk)
    assert not row(ledger).changed
    store(ledger, order(content="b"), now=at(5))
    adopt(ledger, pk)
    assert column(ledger, pk, "sent_hash") == "s" * 32
    assert row(ledger).changed


def test_what_was_sent_and_not_edited_is_not_changed_until_it_is(ledger):
    (pk,) = store(ledger)
    unanswered(ledger, pk)
    adopt(ledger, pk)
    assert not row(ledger).changed
    store(ledger, order(content="b"), now=at(20))
    assert row(ledger).changed


def test_what_a_worker_died_with_is_what_the_target_has(ledger):
    (pk,) = store(ledger)
    orders.claim(ledger, pk, NOW, LEASE)
    carried = column(ledger, pk, "sent_hash")
    store(ledger, order(content="b"), now=at(5))
    adopt(ledger, pk, now=at(LEASE + 1))
    assert column(ledger, pk, "sent_hash") == carried is not None
    assert row(ledger).changed


@pytest.mark.parametrize("outcome", [HELD, waiting(600)])
def test_one_that_a_person_made_there_is_changed_by_what_comes_later_alone(ledger, outcome):
    (pk,) = store(ledger)
    end(ledger, pk, outcome)
    adopt(ledger, pk)
    assert column(ledger, pk, "sent_hash") == UNKNOWN
    assert not row(ledger).changed
    store(ledger, order(content="b"), now=at(20))
    assert row(ledger).changed


def test_who_sent_it_all_the_same_finds_it_doubled(ledger):
    """A worker that lost its lease comes back with another number: two, which a person is told."""
    (pk,) = store(ledger)
    claim = orders.claim(ledger, pk, NOW, LEASE)
    adopt(ledger, pk, now=at(LEASE + 1))
    assert not orders.record(ledger, claim, replace(CREATED, target_id="5"), None, at(LEASE + 2))
    assert orders.doubled(ledger, claim, "5") == "4711"
    assert row(ledger).target_id == "4711"


def test_one_that_came_back_with_the_same_number_is_not_doubled(ledger):
    (pk,) = store(ledger)
    claim = orders.claim(ledger, pk, NOW, LEASE)
    adopt(ledger, pk, now=at(LEASE + 1))
    assert orders.doubled(ledger, claim, "4711") is None
