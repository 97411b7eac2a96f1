"""What `GET /api/v1/orders/{id}` shows of an order that the CRM told of."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from mapped_as import mapped_as

from ledger import hearing, orders
from ledger.orders import Arrived
from ledger.transitions import Process, Stand

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("stage", "number"),
    [(None, None), ("in work", None), (None, "20450000000000"), ("В роботі", "20450000000000")],
)
def test_an_order_shows_stage_and_number_as_last_heard(keyed, stage, number):
    arrived = [Arrived("1", "okl-1", "{}", "h", NOW)]
    orders.store(keyed.ledger, "okliving", "onebox", arrived, NOW, mapped_as())
    if stage or number:
        told = [Stand("before", None, None, ("k0",)), Stand(stage, number, None, ("k1",))]
        hearing.hear(
            keyed.ledger,
            Process("okliving", "1", "okl-1"),
            told,
            NOW,
            through=frozenset(),
            read=True,
        )
    shown = keyed.client.get("/api/v1/orders/1").json

    assert shown["tracking_number"] == number
    assert shown["stage"] == (stage or ("before" if number else None))


def test_an_order_that_is_not_in_the_ledger_shows_neither(keyed):
    keyed.client.post("/api/v1/updates", json={"order_id": "7", "note": "n"})
    shown = keyed.client.get("/api/v1/orders/7").json
    assert (shown["state"], shown["stage"], shown["tracking_number"]) == (None, None, None)
