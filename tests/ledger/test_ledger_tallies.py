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
