"""Orders as a command finds them in the ledger."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from mapped_as import mapped_as

from ledger import orders
from ledger.attempts import Try
from ledger.orders import Arrived, Outcome
from simulator.samples import reference_order

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def give(ledger, order_id="1", connection="okliving", **changes):
    raw = reference_order(id=order_id, **changes)
    arrived = Arrived(order_id, f"{connection}-{order_id}", json.dumps(raw), "a" * 32, NOW)
    (pk,) = orders.store(ledger, connection, "onebox", [arrived], NOW, mapped_as())
    return pk


def end(ledger, pk, state, excerpt="", reason=""):
    claim = orders.claim(ledger, pk, NOW, 60)
    problems = (
        [{"code": reason, "level": "held", "field": "", "detail": excerpt}] if reason else None
    )
    outcome = Outcome(state, reason, problems, "77" if state == "created" else None)
    orders.record(ledger, claim, outcome, Try("create", NOW, 5, "refused", 200, excerpt), NOW)
