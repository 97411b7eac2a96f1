"""What a remote or a caller wrote is text to whoever asks a route: JSON, and nothing a browser would run."""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC, datetime

import pytest
from gateway_calls import UPDATES
from mapped_as import mapped_as

from ledger import enqueueing, orders
from ledger.enqueueing import Asked
from ledger.orders import Arrived
from ledger.tables import ORDERS
from simulator.hostile import SHOWN

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ROUTES = ("/api/v1/orders/1", f"{UPDATES}/1", "/healthz", "/readyz", "/metrics")


def spoil(ledger, text):
    arrived = Arrived("1", "okl-1", json.dumps({"id": "1", "note": text}), "a" * 32, NOW)
    orders.store(ledger, "okliving", "onebox", [arrived], NOW, mapped_as(lambda _: ""))
    enqueueing.accept(
        ledger, Asked("okliving", "1", digest="d", origin="t", parts={"note": text}), NOW
    )
    found = {"code": text, "level": "held", "field": text, "detail": text}
    changed = ORDERS.update().values(target_id=text[:64], reason=text, problems=[found])
    ledger.write(lambda db: db.execute(changed) and None)


@pytest.mark.parametrize("trick", SHOWN)
def test_no_route_answers_with_more_than_text(keyed, trick):
    spoil(keyed.ledger, SHOWN[trick])
    for route in ROUTES:
        answer = keyed.client.get(route)
        assert answer.status_code in {200, 503}
        assert answer.mimetype in {"application/json", "text/plain"}
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        seen = {unicodedata.category(c) for c in answer.text if c != "\n"}
        assert not seen & {"Cc", "Cf", "Cs", "Zl", "Zp"}, route


@pytest.mark.parametrize("trick", SHOWN)
@pytest.mark.parametrize("field", ["order_id", "tracking_number", "note", "connection"])
def test_no_update_carries_more_than_text_on(keyed, field, trick):
    body = {"order_id": "1", "note": "x"} | {field: SHOWN[trick]}
    answer = keyed.client.post(UPDATES, json=body)
    assert answer.status_code in {202, 409, 422}
    kept = keyed.client.get("/api/v1/orders/1").text if answer.status_code == 202 else ""
    assert not {c for c in SHOWN[trick] if not c.isprintable() and c not in "\r\n\t"} & set(kept)
