"""What waits for people lies in piles: by connection and first reason, the newest named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from mapped_as import mapped_as

from ledger import orders, piles
from ledger.orders import Arrived, Outcome

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


def hold(ledger, ids, reason, connection="shop", at=NOW):
    arrived = [Arrived(one, f"{connection}-{one}", "{}", "a" * 32, at) for one in ids]
    for number, pk in enumerate(orders.store(ledger, connection, "box", arrived, at, mapped_as())):
        moment = at + timedelta(seconds=number)
        claim = orders.claim(ledger, pk, moment, 70)
        orders.record(ledger, claim, Outcome("held", reason), None, moment)


def test_orders_of_one_reason_are_one_pile_and_the_newest_are_named(ledger):
    hold(ledger, [str(n) for n in range(40)], "recipient_phone_missing")
    hold(ledger, ["x"], "recipient_phone_missing, total_mismatch", at=NOW + timedelta(hours=1))
    hold(ledger, ["1"], "recipient_phone_missing", "other")
    hold(ledger, ["y"], "total_mismatch")
    found = piles.held(ledger, LATER)
    assert found.is_whole
    by_name = {(one.connection, one.code): one for one in found.piles}
    assert {name: one.rows for name, one in by_name.items()} == {
        ("shop", "recipient_phone_missing"): 41,
        ("other", "recipient_phone_missing"): 1,
        ("shop", "total_mismatch"): 1,
    }
    pile = by_name["shop", "recipient_phone_missing"]
    assert pile.ids == ("x", "39", "38", "37", "36")
    assert (pile.since, pile.newest, pile.order_id) == (NOW, NOW + timedelta(hours=1), "x")


def test_of_what_is_too_much_the_newest_are_looked_at_and_that_is_said(ledger, monkeypatch):
    monkeypatch.setattr(piles, "_HELD", piles._HELD.limit(3))
    monkeypatch.setattr(piles, "MOST", 3)
    hold(ledger, [str(n) for n in range(4)], "total_mismatch")
    found = piles.held(ledger, LATER)
    assert not found.is_whole
    assert [one.rows for one in found.piles] == [3]


def test_an_order_that_only_changed_is_none_that_came(ledger):
    hold(ledger, ["1"], "total_mismatch", at=NOW)
    assert piles.brought_any(ledger, "shop", NOW)
    assert not piles.brought_any(ledger, "other", NOW)
    (row,) = orders.listing(ledger, NOW)
    orders.retry(ledger, row.pk, NOW + timedelta(hours=2), who="olena")
    assert not piles.brought_any(ledger, "shop", NOW + timedelta(hours=1))


@pytest.mark.parametrize("look", [piles.held, piles.parked])
def test_nothing_waits_in_an_empty_ledger(ledger, look):
    assert look(ledger, LATER).piles == []
