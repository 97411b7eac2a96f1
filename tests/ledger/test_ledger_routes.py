"""A changed target: refused while orders for the old one are open, and only then."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from mapped_as import mapped_as
from sqlalchemy import update

from ledger import orders
from ledger.orders import Arrived
from ledger.routes import RouteChanged, check_routes, demand_same_routes
from ledger.tables import ORDERS

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def give(ledger, *order_ids, connection="north", state="received"):
    arrived = [Arrived(i, f"{connection}-{i}", "{}", "hash", None) for i in order_ids]
    pks = orders.store(ledger, connection, "old", arrived, NOW, mapped_as(str))
    moved = update(ORDERS).where(ORDERS.c.id.in_(pks)).values(state=state)
    ledger.write(lambda db: db.execute(moved))


@pytest.mark.parametrize("state", ["received", "waiting", "held"])
def test_open_orders_of_another_target_are_refused_by_name_with_what_to_do(ledger, state):
    give(ledger, *map(str, range(1, 8)), state=state)
    demand_same_routes(ledger, {"north": "old"})
    with pytest.raises(RouteChanged) as refused:
        demand_same_routes(ledger, {"north": "new"})
    said = str(refused.value)
    assert said.startswith(
        "The target of north is new now, but 7 orders of it are still open for old"
    )
    assert "(7, 6, 5, 4, 3, …)" in said
    assert "Name north with the target old again" in said
    assert "orderbridge orders ignore ID --connection north" in said


@pytest.mark.parametrize("state", ["created", "ignored"])
def test_what_is_at_its_end_stays_where_it_is(ledger, state):
    give(ledger, "1", state=state)
    demand_same_routes(ledger, {"north": "new"})


def test_connection_that_is_configured_no_more_is_refused_too(ledger):
    give(ledger, "1")
    with pytest.raises(RouteChanged, match="north is configured no more, but 1 order of it is"):
        demand_same_routes(ledger, {"south": "old"})


def test_nothing_is_asked_where_nothing_is_configured_or_the_ledger_is_away(ledger, tmp_path):
    give(ledger, "1")
    demand_same_routes(ledger, {})
    check_routes(f"sqlite:///{tmp_path / 'no such folder' / 'x.db'}", {"north": "new"})
