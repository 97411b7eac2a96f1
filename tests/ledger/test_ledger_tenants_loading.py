"""What a file lists is kept on both databases: found by its key, numbered on, and never by guess."""

from __future__ import annotations

from decimal import Decimal

import pytest
from sqlalchemy import update
from tenant_calls import NAME, asked, everything, place

from ledger.database import open_ledger
from ledger.tables import IDENTITY
from ledger.tenants import Placed, loading
from ledger.tenants.comparing import Difference, Listed

ZONE = {"zone": "Europe/Minsk"}


def account(path, number=None, name="Anna", external=None, addresses=()):
    values = {"customer_name": name, "is_loaded": True}
    values |= {} if external is None else {"external_customer_id": external}
    listed = [
        Listed(f"{path}.{place}", given, {"text": text})
        for place, (given, text) in enumerate(addresses)
    ]
    return Listed(path, number, values, listed)


def position(path, number=None, name="p", code="", price="1"):
    values = {"product_name": name, "product_code": code, "price": Decimal(price)}
    more = {"position_type": "Goods", "unit": "шт", "default_quantity": Decimal(2)}
    return Listed(path, number, values | more)


def keep_tenant(ledger, highest=None, **values):
    return loading.keep_tenant(ledger, NAME, ZONE | values, highest or {})


def difference(ledger, pk, accounts=(), catalog=()):
    found = Difference()
    loading.compare(ledger, pk, accounts, catalog, found)
    return found


def keep(ledger, pk, accounts=(), catalog=()):
    found = difference(ledger, pk, accounts, catalog)
    assert found.mistakes == {}
    return loading.keep(ledger, pk, accounts, catalog, found.seal())


PEOPLE = [
    account("a", None, "Anna", "1", [(None, "x"), (9, "y")]),
    account("b", 7, "Boris", None, [(None, "z")]),
    account("c", None, "Clara"),
]
GOODS = [position("p", 4), position("q", None, "q", "c1", "23.10")]
HIGHEST = {"account": 7, "address": 9, "position": 4}


@pytest.fixture
def loaded(ledger):
    pk = keep_tenant(ledger, HIGHEST)
    assert keep(ledger, pk, PEOPLE, GOODS)
    return pk


def people(ledger):
    return {r["account_id"]: (r["customer_name"], r["external_customer_id"])
            for r in everything(ledger)["accounts"]}  # fmt: skip


def test_numbers_that_are_given_are_kept_and_new_ones_go_on_behind_them(ledger, loaded):
    assert people(ledger) == {7: ("Boris", None), 8: ("Anna", "1"), 9: ("Clara", None)}
    rows = everything(ledger)
    places = {r["account_address_id"]: (r["account_id"], r["text"])
              for r in rows["account_addresses"]}  # fmt: skip
    assert places == {9: (8, "y"), 10: (8, "x"), 11: (7, "z")}
    prices = {r["catalog_position_id"]: str(r["price"]) for r in rows["catalog_positions"]}
    assert prices == {4: "1", 5: "23.10"}
    placed = place(ledger, asked(external_customer_id="n", customer_name="New"))
    assert (placed.account_id, placed.account_address_id) == (10, 12)


def test_what_is_there_is_the_same(ledger, loaded):
    before = everything(ledger)
    found = difference(ledger, loaded, PEOPLE, GOODS)
    assert found.changes == []
    assert dict(found.same) == {"account": 3, "address": 3, "position": 2}
    assert keep_tenant(ledger, HIGHEST) == loaded
    assert keep(ledger, loaded, PEOPLE, GOODS)
    assert everything(ledger) == before


def test_only_what_differs_is_changed(ledger, loaded):
    changed = [account("a", None, "Anna B", "1", [(9, "other")]), account("c", None, "Clara", None)]
    found = difference(ledger, loaded, changed, [position("q", None, "q", "c1", "23.1")])
    assert [(c.number, c.before) for c in found.changes] == [
        (8, {"customer_name": "Anna"}), (9, {"text": "y"}),
    ]  # fmt: skip
    assert keep(ledger, loaded, changed)
    assert people(ledger)[8] == ("Anna B", "1")


def test_tenant_keeps_its_spelling_and_what_is_not_said(ledger, loaded):
    again = loading.keep_tenant(ledger, NAME.upper(), {"address_policy": "optional"}, {})
    assert again == loaded
    row = loading.stored(ledger, NAME.lower())
    assert (row.name, row.zone, row.address_policy) == (NAME, "Europe/Minsk", "optional")


def test_what_came_between_stops_it_before_anything_is_written(ledger, loaded):
    new = [account("n", None, "New", "n")]
    checked = difference(ledger, loaded, new).seal()
    place(ledger, asked(external_customer_id="n", customer_name="New"))
    before = everything(ledger)
    assert not loading.keep(ledger, loaded, new, [], checked)
    annas = [account("x", 7, "X", "1")]
    found = difference(ledger, loaded, annas)
    assert not loading.keep(ledger, loaded, annas, [], found.seal()), "Anna's id"
    assert everything(ledger) == before
    assert keep(ledger, loaded, new), "repeated it goes: the account is the merchant's now"
    assert people(ledger)[10] == ("New", "n")


def test_what_came_between_is_not_taken_for_what_was_to_come(ledger, loaded):
    """As many changes as were checked, and others: the number that a new account should get is a buyer's."""
    new = [account("n", 10, "Merchant's", "m")]
    checked = difference(ledger, loaded, new).seal()
    placed = place(ledger, asked(external_customer_id="b", customer_name="Buyer"))
    assert placed.account_id == 10
    assert not loading.keep(ledger, loaded, new, [], checked)
    assert people(ledger)[10] == ("Buyer", "b")


def test_loads_and_orders_at_once_give_no_number_twice(ledger, ledger_url, loaded, together):
    other = open_ledger(ledger_url)

    def one(number):
        mine = (ledger, other)[number % 2]
        for turn in range(6):
            name = f"{number}-{turn}"
            if number % 3:
                wish = asked(external_customer_id=name, customer_name=name)
                assert isinstance(place(mine, wish), Placed)
            else:
                new = [account("n", None, name, name, [(None, "x")])]
                assert keep(mine, loaded, new)

    assert together(one, 6) == [None] * 6
    other.close()
    rows = everything(ledger)
    assert sorted(people(ledger)) == list(range(7, 7 + 3 + 36))
    addresses = sorted(r["account_address_id"] for r in rows["account_addresses"])
    assert addresses == list(range(9, 9 + 3 + 36))


def test_two_first_loads_at_once_make_one_tenant(ledger, ledger_url, together):
    other = open_ledger(ledger_url)
    made = together(lambda n: keep_tenant((ledger, other)[n % 2]), 8)
    other.close()
    assert len(set(made)) == 1
    assert len(everything(ledger)["tenants"]) == 1


def test_tenant_that_is_loaded_into_a_ledger_that_went_back_may_have_been_there(ledger):
    ledger.write(lambda db: db.execute(update(IDENTITY).values(epoch="000001-a")))
    pk = keep_tenant(ledger)
    assert keep(ledger, pk, [account("a", None, "Anna", "1", [(None, "x")])])
    placed = place(ledger, asked(customer_name="Anna"))
    assert (placed.account_id, placed.order_id) == (10_001, 10_001)


def test_statistics_are_renewed_on_either_database(ledger, loaded):
    loading.settle(ledger)
