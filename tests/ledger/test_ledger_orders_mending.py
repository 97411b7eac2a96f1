"""What people see of orders, and what they decide."""

from __future__ import annotations

import pytest
from order_calls import HELD, LEASE, NOW, at, end, order, put_in, row, store, waiting

from ledger import orders
from ledger.orders import NotPossible


@pytest.mark.parametrize(
    ("mend", "after", "allowed"),
    [
        (orders.retry, "waiting", {"received", "waiting", "held", "ignored"}),
        (orders.release, "waiting", {"held"}),
        (orders.ignore, "ignored", {"received", "waiting", "held"}),
    ],
)
@pytest.mark.parametrize("state", orders.STATES)
def test_what_a_person_may_do(ledger, mend, after, allowed, state):
    (pk,) = store(ledger)
    put_in(ledger, pk, state)
    if state in allowed:
        mend(ledger, pk, at(9), who="olena")
        assert (row(ledger).state, row(ledger).next_try_at) == (after, at(9))
    else:
        with pytest.raises(NotPossible, match=f"Order 1 is {state}"):
            mend(ledger, pk, at(9), who="olena")
        assert row(ledger).state == state


@pytest.mark.parametrize("mend", [orders.retry, orders.ignore])
def test_order_that_is_being_sent_is_left_alone(ledger, mend):
    (pk,) = store(ledger)
    orders.claim(ledger, pk, NOW, LEASE)
    with pytest.raises(NotPossible, match="being worked on"):
        mend(ledger, pk, at(9), who="olena")
    mend(ledger, pk, at(LEASE + 1), who="olena")


@pytest.mark.parametrize(
    ("mend", "changed", "accepted"),
    [(orders.release, False, True), (orders.release, True, False), (orders.retry, False, False)],
)
def test_release_accepts_the_doubts_of_this_content_alone(ledger, mend, changed, accepted):
    (pk,) = store(ledger)
    end(ledger, pk, HELD)
    mend(ledger, pk, NOW, who="olena")
    if changed:
        store(ledger, order(content="b"))
    assert orders.claim(ledger, pk, NOW, LEASE).accepted is accepted


def test_retried_uncertain_order_stays_uncertain(ledger):
    (pk,) = store(ledger)
    end(ledger, pk, waiting(600, uncertain_since=NOW, lookups=1))
    orders.retry(ledger, pk, at(9), who="olena")
    claim = orders.claim(ledger, pk, at(9), LEASE)
    assert (claim.uncertain_since, claim.lookups) == (NOW, 1)


def test_listing_gives_the_newest_first(ledger):
    store(ledger, order("1"))
    store(ledger, order("2"), now=at(1))
    store(ledger, order("3"), now=at(2))
    end(ledger, row(ledger, "2").pk, HELD, now=at(3))
    listed = [r.order_id for r in orders.listing(ledger, NOW)]
    assert listed == ["3", "2", "1"]
    assert [r.order_id for r in orders.listing(ledger, NOW, limit=2)] == ["3", "2"]
    (held,) = orders.listing(ledger, NOW, state="held")
    assert (held.order_id, held.problems) == ("2", [{"code": "phone_missing"}])


def test_overview_counts_every_state_and_finds_the_oldest_due(ledger):
    empty = orders.overview(ledger, NOW)
    assert (empty.counts, empty.latest, empty.oldest_due_at) == (
        dict.fromkeys(orders.STATES, 0),
        [],
        None,
    )
    store(ledger, order("1"), order("2"))
    (late,) = store(ledger, order("3"), now=at(5))
    end(ledger, late, HELD, now=at(6))
    seen = orders.overview(ledger, at(10), latest=1)
    assert seen.counts == dict.fromkeys(orders.STATES, 0) | {"received": 2, "held": 1}
    assert [r.order_id for r in seen.latest] == ["3"]
    assert seen.oldest_due_at == NOW
