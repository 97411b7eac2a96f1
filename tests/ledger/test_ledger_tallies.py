"""Counts by state: exact while there are few, else as of when they were last counted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from mapped_as import mapped_as
from sqlalchemy import update

from ledger import orders, tallies
from ledger.orders import Arrived
from ledger.tables import ORDERS

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def at(seconds):
    return NOW + timedelta(seconds=seconds)


def store(ledger, first, last):
    arrived = [Arrived(str(n), f"okl-{n}", "{}", "a" * 32, NOW) for n in range(first, last)]
    orders.store(ledger, "okliving", "onebox", arrived, NOW, mapped_as())


def count(ledger, now):
    counted = tallies.counts(ledger, tallies.ORDERS, now)
    return {state: rows for state, rows in counted.rows.items() if rows}, counted.at


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Many are three."""
    monkeypatch.setattr(tallies, "MOST_EXACT", 3)
    monkeypatch.setattr(tallies, "SLICE", 2)
    monkeypatch.setattr(tallies, "ROWS_A_SECOND", 0.05)


def test_few_are_counted_exactly_each_time(ledger):
    assert count(ledger, NOW) == ({}, NOW)
    store(ledger, 0, 2)
    tallies.refresh(ledger, NOW)
    assert count(ledger, at(1)) == ({"received": 2}, at(1))


def test_many_are_told_as_of_when_they_were_counted_and_others_exactly(ledger):
    store(ledger, 0, 8)
    assert count(ledger, NOW) == ({"received": 8}, NOW)  # the first to ask counts
    store(ledger, 8, 10)
    assert count(ledger, at(1)) == ({"received": 8}, NOW)
    tallies.refresh(ledger, at(2))
    assert count(ledger, at(3)) == ({"received": 8}, NOW)  # still fresh
    hold = update(ORDERS).where(ORDERS.c.order_id == "9").values(state="held")
    ledger.write(lambda db: db.execute(hold))
    assert count(ledger, at(4)) == ({"received": 8, "held": 1}, NOW)
    tallies.refresh(ledger, at(161))
    assert count(ledger, at(162)) == ({"received": 9, "held": 1}, at(161))


def test_a_tally_of_many_is_forgotten_when_there_are_few_again(ledger):
    store(ledger, 0, 5)
    count(ledger, NOW)
    hold = update(ORDERS).where(ORDERS.c.order_id != "0").values(state="held")
    ledger.write(lambda db: db.execute(hold))
    assert count(ledger, at(1)) == ({"received": 1, "held": 4}, at(1))


def test_a_total_is_exact_while_there_are_few_and_else_says_that_it_is_not(ledger):
    store(ledger, 0, 2)
    assert str(tallies.total(ledger, tallies.ORDERS, NOW)) == "2"
    store(ledger, 2, 1500)
    tallies.refresh(ledger, NOW)
    assert str(tallies.total(ledger, tallies.ORDERS, NOW)) == "1,500"
    assert str(tallies.total(ledger, tallies.ORDERS, at(1), state="received")) == "about 1,500"
    assert str(tallies.total(ledger, tallies.ORDERS, at(1), state="held")) == "0"


def test_a_total_of_one_connection_looks_at_so_many_rows_and_says_when_there_may_be_more(
    ledger, monkeypatch
):
    store(ledger, 0, 5)

    def total(**of):
        return str(tallies.total(ledger, tallies.ORDERS, NOW, **of))

    assert total(connection="okliving") == "5"
    assert total(connection="okliving", state="received") == "5"
    assert total(connection="okliving", state="held") == "0"
    assert total(connection="other") == "0"
    assert total(order_id="3") == total(order_id="3", connection="okliving") == "1"
    monkeypatch.setattr(tallies, "MOST_LOOKED_AT", 4)
    assert total(connection="okliving") == "at least 4"
    assert total(connection="other") == "at least 0"
