"""How a try went: recorded, also when the lease was lost or the order changed meanwhile."""

from __future__ import annotations

from dataclasses import replace

import pytest
from order_calls import CREATED, HELD, LEASE, NOW, at, end, order, row, store, tried, waiting
from sqlalchemy import event

from ledger import attempts, orders
from mapping.digest import body_hash


def test_outcome_is_recorded_and_the_order_given_back(ledger):
    (pk,) = store(ledger)
    end(ledger, pk, waiting(60, uncertain_since=NOW, lookups=1), tried("uncertain", "hm"), at(3))
    found = row(ledger)
    assert (found.state, found.reason, found.tries) == ("waiting", "crm_unavailable", 1)
    assert (found.uncertain_since, found.next_try_at, found.state_at) == (NOW, at(60), at(3))
    assert not found.being_worked_on
    assert attempts.of_order(ledger, pk) == [tried("uncertain", "hm")]
    assert orders.claim(ledger, pk, at(60), LEASE).lookups == 1


def test_tries_that_do_not_count_are_not_counted(ledger):
    (pk,) = store(ledger)
    end(ledger, pk, waiting(0, counts=False))
    assert row(ledger).tries == 0


def test_lost_lease_records_nothing_but_the_try(ledger):
    (pk,) = store(ledger)
    lost = orders.claim(ledger, pk, NOW, LEASE)
    taken = orders.claim(ledger, pk, at(100), LEASE)
    assert not orders.record(ledger, lost, HELD, tried(), at(101))
    orders.give_back(ledger, lost, at(500))
    found = row(ledger, now=at(101))
    assert (found.state, found.being_worked_on) == ("received", True)
    assert [t.outcome for t in attempts.of_order(ledger, pk)] == ["lost", "failed"]
    assert orders.record(ledger, taken, CREATED, None, at(102))


def test_id_that_came_after_the_lease_was_lost_is_adopted(ledger):
    (pk,) = store(ledger)
    lost = orders.claim(ledger, pk, NOW, LEASE)
    taken = orders.claim(ledger, pk, at(100), LEASE)
    assert orders.record(ledger, lost, CREATED, tried("created"), at(101))
    found = row(ledger, now=at(101))
    assert (found.state, found.target_id, found.being_worked_on) == ("created", "77", False)
    assert found.uncertain_since is None
    assert not orders.record(ledger, taken, waiting(), None, at(102))
    assert row(ledger).state == "created"


def test_id_that_is_known_is_not_replaced_by_a_late_one(ledger):
    (pk,) = store(ledger)
    lost = orders.claim(ledger, pk, NOW, LEASE)
    taken = orders.claim(ledger, pk, at(100), LEASE)
    assert orders.record(ledger, taken, CREATED, None, at(101))
    assert not orders.record(ledger, lost, replace(CREATED, target_id="78"), None, at(102))
    assert row(ledger).target_id == "77"


@pytest.mark.parametrize(
    ("outcome", "state", "changed"),
    [(HELD, "waiting", False), (CREATED, "created", True), (waiting(), "waiting", False)],
)
def test_order_that_changed_while_it_was_worked_on(ledger, outcome, state, changed):
    """Held for its old content it is mapped anew; created with it, it is marked."""
    (pk,) = store(ledger)
    claim = orders.claim(ledger, pk, NOW, LEASE)
    assert store(ledger, order(content="b")) == [pk]
    assert orders.record(ledger, claim, outcome, None, NOW)
    assert (row(ledger).state, row(ledger).changed) == (state, changed)


def test_given_back_order_is_as_before(ledger):
    (pk,) = store(ledger)
    claim = orders.claim(ledger, pk, NOW, LEASE)
    orders.give_back(ledger, claim, at(5))
    found = row(ledger)
    assert (found.state, found.tries, found.next_try_at) == ("received", 0, at(5))
    assert not found.being_worked_on
    assert orders.claim(ledger, pk, at(5), LEASE).uncertain_since is None


def test_order_that_goes_through_costs_three_statements(ledger):
    (pk,) = store(ledger)
    statements = []
    event.listen(ledger.engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    end(ledger, pk, CREATED, tried("created"))
    # The tide is one for all that share the commit.
    of_orders = [s for s in statements if "BEGIN" not in s and "tides" not in s]
    assert [s.split()[0] for s in of_orders] == [
        "UPDATE",
        "UPDATE",
        "INSERT",
    ]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("sent", "edited", "changed"),
    [("one", False, False), ("one", True, True), ("two", True, False)],
)
def test_created_order_is_changed_where_what_was_sent_is_not_what_is_wanted(
    ledger, late, sent, edited, changed
):
    """The profile may be another one by the time of the call; the source's edit may come during it."""
    (pk,) = store(ledger, order(text="one"))
    claim = orders.claim(ledger, pk, NOW, LEASE)
    if late:
        orders.claim(ledger, pk, at(100), LEASE)
    if edited:
        store(ledger, order(content="b", text="two"))
    outcome = replace(CREATED, sent_hash=body_hash(sent), wanted_hash=body_hash(sent))
    assert orders.record(ledger, claim, outcome, None, at(101))
    assert (row(ledger).state, row(ledger).changed) == ("created", changed)


def test_profile_edited_between_leaves_no_order_changed(ledger):
    (pk,) = store(ledger, order(text="one"))
    claim = orders.claim(ledger, pk, NOW, LEASE)
    outcome = replace(CREATED, sent_hash="of new profile", wanted_hash="of new profile")
    assert orders.record(ledger, claim, outcome, None, NOW)
    assert row(ledger).changed is False


def test_adoption_of_something_unknown_leaves_the_order_changed(ledger):
    (pk,) = store(ledger)
    end(ledger, pk, replace(CREATED, sent_hash=orders.UNKNOWN, wanted_hash=body_hash("a")))
    assert row(ledger).changed is True
