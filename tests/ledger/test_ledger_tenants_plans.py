"""What an order costs does not depend on how many accounts and orders there are."""

from __future__ import annotations

import pytest
from plan_listener import PLANS, Listener
from sqlalchemy import event
from tenant_calls import NOW, ROUTE, asked, line, place
from whole.filling import fill

from ledger import purging, tenants
from ledger.tenants import Placed, Refused, Repeated, forgetting, loading
from ledger.tenants.comparing import Difference, Listed

COUNT = 10_000


@pytest.fixture
def listener(ledger):
    """Hears whatever is run on a ledger of COUNT rows in each table."""
    fill(ledger, COUNT)
    ledger.engine.dispose()
    ledger._drop_connection()
    made = Listener()
    made.listen(ledger.engine)
    return made


def wish(**more):
    return asked(tenant="t1", **more)


def work(ledger):
    """Orders of each kind, some accounts loaded, and the purge."""
    lines = (line(catalog_position_id=5), line(catalog_position_id=7))
    for more in (
        {"account_id": 5, "positions": lines, "key": "new"},
        {"external_customer_id": "E6"},
        {"customer_name": "N7"},
        {"external_customer_id": "new", "customer_name": "New"},
        {"account_id": 9, "account_address_id": 9},
    ):
        assert isinstance(place(ledger, wish(**more)), Placed)
    again = wish(account_id=1, key="k5", digest="0123456789abcdef")
    assert isinstance(place(ledger, again), Repeated)
    for more in (
        {"account_id": 10**9},
        {"customer_name": "Shevchenko"},
        {"external_customer_id": "none", "creates_account": False},
        {"account_id": 5, "account_address_id": 6},
        {"account_id": 5, "positions": (line(catalog_position_id=10**9),)},
        {"account_id": 5, "key": "k5"},
    ):
        assert isinstance(place(ledger, wish(**more)), Refused)
    assert tenants.look(ledger, wish(account_id=5), lambda _: ROUTE)
    assert tenants.addressee(ledger, "t1") is None
    people = [
        Listed("a", 5, {"customer_name": "other", "is_loaded": True}, [Listed("t", None, {"text": "x"})]),
        Listed("b", None, {"customer_name": "N9", "is_loaded": True}, [Listed("u", 9, {"text": "y"})]),
    ]  # fmt: skip
    goods = {"position_type": "", "unit": "", "default_quantity": 1, "price": 1}
    catalog = [
        Listed("c", None, {"product_name": "q", "product_code": "c3"} | goods),
        Listed("d", None, {"product_name": "p4", "product_code": ""} | goods),
    ]
    loading.compare(ledger, 1, people, catalog, Difference())
    forgetting.accounts(ledger, NOW)
    purging.orders(ledger, NOW)


def test_no_statement_of_placing_reads_a_table_through(ledger, listener):
    work(ledger)
    event.remove(ledger.engine, "before_cursor_execute", listener._before)
    held_to = PLANS[ledger.engine.dialect.name]
    wrong = [
        f"{statement.sql}\n  {found}"
        for statement in listener.heard.values()
        # What is inserted as it is reads nothing, and is there by now.
        if not statement.sql.startswith("INSERT")
        for found in held_to(ledger, statement)
    ]
    assert not wrong, "\n\n".join(wrong)
    assert len(listener.heard) > 25
