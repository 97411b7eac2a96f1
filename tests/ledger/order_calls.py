"""Short ways to store, claim and record orders in tests of the ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mapped_as import mapped_as
from sqlalchemy import select

from ledger import orders
from ledger.attempts import Try
from ledger.orders import Arrived, Outcome
from ledger.tables import ORDERS
from mapping.digest import body_hash

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LEASE = 70.0


def at(seconds):
    return NOW + timedelta(seconds=seconds)


def order(order_id="1", content="a", updated=NOW, text=None, prefix="okl-"):
    """An order of this content; what it says is another one with each content, unless given."""
    return Arrived(order_id, f"{prefix}{order_id}", text or content, content * 32, updated)


def store(ledger, *arrived, now=NOW, connection="okliving", wanted=body_hash):
    return orders.store(ledger, connection, "onebox", arrived or [order()], now, mapped_as(wanted))


def row(ledger, order_id="1", now=NOW):
    (found,) = orders.listing(ledger, now, order_id=order_id)
    return found


def hash_of(ledger, pk):
    with ledger.read() as db:
        return db.execute(select(ORDERS.c.content_hash).where(ORDERS.c.id == pk)).scalar_one()


def tried(outcome="failed", excerpt="", kind="create"):
    return Try(kind, NOW, 12, outcome, 500, excerpt, "task")


def end(ledger, pk, outcome, attempt=None, now=NOW):
    """Claim and record."""
    claim = orders.claim(ledger, pk, now, LEASE)
    assert orders.record(ledger, claim, outcome, attempt, now)


CREATED = Outcome("created", target_id="77")
HELD = Outcome("held", "phone_missing", [{"code": "phone_missing"}])


def waiting(seconds=60, **more):
    return Outcome("waiting", "crm_unavailable", next_try_at=at(seconds), **more)


def put_in(ledger, pk, state):
    """Bring a received order into that state."""
    if state == "ignored":
        orders.ignore(ledger, pk, NOW, who="olena")
    elif state != "received":
        end(ledger, pk, {"waiting": waiting(), "created": CREATED, "held": HELD}[state])
