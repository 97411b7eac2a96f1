"""Accounts that orders brought are blanked once their newest order is old; the merchant's own stay whole."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update
from tenant_calls import NOW, add_account, add_tenant, asked, everything, line, place

from ledger import orders, purging
from ledger.purging import CHUNK
from ledger.tables import ACCOUNTS
from ledger.tenants import Refused, forgetting

WISH = asked(
    external_customer_id="7",
    customer_name="Pelaheia",
    address_text="street 7",
    order_type="OnSite",
    order_status="Draft",
    positions=(line(product_name="for Pelaheia"),),
)


def at(days):
    return NOW + timedelta(days=days)


@pytest.fixture
def tenant(ledger):
    pk = add_tenant(ledger, last_account=1, last_address=1)
    add_account(ledger, pk, 1, "Own", "1", addresses=[1])
    return pk


def people(ledger):
    rows = everything(ledger)
    names = {row["account_id"]: row["customer_name"] for row in rows["accounts"]}
    texts = {row["account_id"]: row["text"] for row in rows["account_addresses"]}
    return {number: (name, texts[number]) for number, name in names.items()}


OWN = ("Own", "street 1")


def test_account_is_blanked_once_its_newest_order_is_old(ledger, tenant):
    place(ledger, WISH)
    place(ledger, asked(external_customer_id="7"), now=at(5))
    assert forgetting.accounts(ledger, at(5)) == 0
    assert people(ledger) == {1: OWN, 2: ("Pelaheia", "street 7")}
    assert forgetting.accounts(ledger, at(6)) == 1
    assert people(ledger) == {1: OWN, 2: ("", "")}
    assert forgetting.accounts(ledger, at(6)) == 0


def test_loaded_account_stays_whatever_orders_it_has(ledger, tenant):
    place(ledger, asked(account_id=1))
    assert forgetting.accounts(ledger, at(999)) == 0
    assert people(ledger) == {1: OWN}


def test_many_are_blanked_in_chunks(ledger, tenant):
    for number in range(10, 11 + CHUNK):
        add_account(ledger, tenant, number, "N", addresses=[number], loaded=False)
    ledger.write(lambda db: db.execute(update(ACCOUNTS).values(last_order_at=NOW)))
    assert forgetting.accounts(ledger, at(1)) == CHUNK + 1
    assert set(people(ledger).values()) == {OWN, ("", "")}


@pytest.mark.parametrize("key", [{"external_customer_id": "7"}, {"account_id": 2}])
def test_blanked_account_takes_the_name_of_its_next_order(ledger, tenant, key):
    place(ledger, WISH)
    forgetting.accounts(ledger, at(1))
    placed = place(ledger, asked(**key, customer_name="Pelaheia T"), now=at(2))
    assert (placed.account_id, placed.customer_name) == (2, "Pelaheia T")
    assert people(ledger)[2] == ("Pelaheia T", "")
    assert forgetting.accounts(ledger, at(3)) == 1


def test_blanked_account_is_no_namesake_of_another(ledger, tenant):
    place(ledger, WISH)
    forgetting.accounts(ledger, at(1))
    assert place(ledger, asked(customer_name="")).reason == "account_unsaid"
    found = place(ledger, asked(customer_name="Pelaheia", creates_account=False))
    assert found == Refused("account_not_found", {"customer_name": "Pelaheia"})
    nameless = place(ledger, asked(external_customer_id="7"))
    assert (nameless.account_id, nameless.customer_name) == (2, "")


def test_texts_of_a_placed_order_go_with_its_source(ledger, tenant):
    place(ledger, WISH)
    place(ledger, WISH)
    orders.ignore(ledger, 1, NOW, who="olena")
    assert purging.orders(ledger, at(1)) == 1
    rows = everything(ledger)
    names = {row["order_id"]: row["product_name"] for row in rows["placed_positions"]}
    assert names == {1: "", 2: "for Pelaheia"}
    types = {row["order_id"]: row["order_type"] for row in rows["placed_orders"]}
    assert types == {1: "", 2: "OnSite"}
    assert {row["price"] for row in rows["placed_positions"]} == {line().price}
