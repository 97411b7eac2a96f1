"""One holder at a time: claimed by one, given back, lost."""

from __future__ import annotations

import pytest
from order_calls import LEASE, NOW, at, end, order, put_in, row, store, waiting
from sqlalchemy import select

from ledger import attempts, orders
from ledger.orders import Outcome
from ledger.tables import ORDERS
from mapping.digest import body_hash


def test_only_one_of_many_claims_an_order(ledger, together):
    (pk,) = store(ledger)
    claims = together(lambda _: orders.claim(ledger, pk, NOW, LEASE), 16)
    (claim,) = [c for c in claims if c is not None]
    assert (claim.pk, claim.order_id, claim.external_id) == (pk, "1", "okl-1")
    assert (claim.lease_until, claim.tries, claim.uncertain_since) == (at(LEASE), 0, None)
    assert row(ledger).being_worked_on
    assert attempts.of_order(ledger, pk) == []


@pytest.mark.parametrize("state", ["created", "held", "ignored"])
def test_finished_orders_are_not_claimed(ledger, state):
    (pk,) = store(ledger)
    put_in(ledger, pk, state)
    assert orders.claim(ledger, pk, at(10_000), LEASE) is None


def test_order_that_is_not_due_is_not_claimed_but_a_bell_may_ring_a_little_early(ledger):
    (pk,) = store(ledger)
    end(ledger, pk, waiting(60))
    assert orders.claim(ledger, pk, at(59.4), LEASE) is None
    assert orders.claim(ledger, pk, at(59.6), LEASE) is not None


def test_unknown_order_is_not_claimed(ledger):
    assert orders.claim(ledger, 4711, NOW, LEASE) is None


def test_expired_lease_is_an_uncertain_try_that_may_have_gone_on_until_it_was_found(ledger):
    (pk,) = store(ledger)
    orders.claim(ledger, pk, NOW, LEASE)
    assert orders.claim(ledger, pk, at(LEASE), LEASE) is None
    claim = orders.claim(ledger, pk, at(LEASE + 1), LEASE, "second")
    assert (claim.uncertain_since, claim.lookups) == (at(LEASE + 1), 0)
    (lost,) = attempts.of_order(ledger, pk)
    assert (lost.kind, lost.outcome, lost.started_at) == ("create", "lost", at(1))
    assert (lost.duration_ms, lost.task_id) == (70_000, "second")


def test_lost_try_is_told_once_when_its_successor_gave_the_order_back(ledger):
    (pk,) = store(ledger)
    orders.claim(ledger, pk, NOW, LEASE)
    claim = orders.claim(ledger, pk, at(100), LEASE)
    orders.give_back(ledger, claim, at(105))
    again = orders.claim(ledger, pk, at(105), LEASE)
    assert again.uncertain_since == at(100)
    assert [t.outcome for t in attempts.of_order(ledger, pk)] == ["lost"]


def sent_hash(ledger, pk):
    with ledger.read() as db:
        return db.execute(select(ORDERS.c.sent_hash).where(ORDERS.c.id == pk)).scalar_one()


def test_claim_itself_notes_what_is_sent_before_it_is_sent(ledger):
    (pk,) = store(ledger, order(text="one"))
    assert sent_hash(ledger, pk) is None
    claim = orders.claim(ledger, pk, NOW, LEASE)
    assert claim.sent_hash == sent_hash(ledger, pk) == body_hash("one")
    store(ledger, order(content="b", text="two"))
    assert sent_hash(ledger, pk) == body_hash("one")


def test_claim_of_what_may_have_arrived_leaves_what_that_carried(ledger):
    (pk,) = store(ledger, order(text="one"))
    end(ledger, pk, waiting(0, uncertain_since=NOW))
    store(ledger, order(content="b", text="two"))
    assert orders.claim(ledger, pk, NOW, LEASE).sent_hash == body_hash("one")
    again = orders.claim(ledger, pk, at(LEASE + 1), LEASE)
    assert again.sent_hash == body_hash("one")
    orders.begin_again(ledger, again, body_hash("two"), at(LEASE + 1))
    assert sent_hash(ledger, pk) == body_hash("two")


@pytest.mark.parametrize("uncertain_since", [None, NOW])
@pytest.mark.parametrize("state", ["waiting", "held", "given back"])
def test_after_a_call_that_certainly_failed_nothing_counts_as_sent(ledger, uncertain_since, state):
    (pk,) = store(ledger, order(text="one"))
    if uncertain_since is not None:
        end(ledger, pk, waiting(0, uncertain_since=NOW))
    claim = orders.claim(ledger, pk, NOW, LEASE)
    if state == "given back":
        orders.give_back(ledger, claim, NOW)
    else:
        outcome = Outcome(state, uncertain_since=uncertain_since)
        orders.record(ledger, claim, outcome, None, NOW)
    expected = None if uncertain_since is None else body_hash("one")
    assert sent_hash(ledger, pk) == expected


def test_flag_of_a_lost_lease_is_gone_with_the_claim_that_found_it(ledger):
    (pk,) = store(ledger)
    orders.claim(ledger, pk, NOW, LEASE)
    claim = orders.claim(ledger, pk, at(100), LEASE)
    assert (row(ledger).reason, flag(ledger, pk)) == ("lost_lease", True)
    orders.give_back(ledger, claim, at(100))
    assert (row(ledger).reason, flag(ledger, pk)) == ("uncertain", False)


def flag(ledger, pk):
    with ledger.read() as db:
        return db.execute(select(ORDERS.c.lost_lease).where(ORDERS.c.id == pk)).scalar_one()
