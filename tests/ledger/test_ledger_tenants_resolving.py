"""What an asked order means to its tenant: accounts, addresses and positions, by the contract's table."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tenant_calls import (
    NAME,
    add_account,
    add_catalog,
    add_tenant,
    asked,
    everything,
    line,
    place,
)

from ledger.tenants import Refused

# Accounts of the tenant: 1 and 5 have one name, 2 is another customer's external id, 3 has no address, 4 has
# two.
PEOPLE = (
    (1, "NewClient_1", "1", [1]),
    (2, "Anna", "A-2", [2]),
    (3, "No address", "3", []),
    (4, "Two addresses", "4", [41, 42]),
    (5, "NewClient_1", None, [5]),
)


@pytest.fixture
def tenant(ledger):
    pk = add_tenant(ledger, last_account=5, last_address=42)
    for number, name, external, addresses in PEOPLE:
        add_account(ledger, pk, number, name, external, addresses=addresses)
    other = add_tenant(ledger, "other")
    add_account(ledger, other, 9, "Elsewhere", "E-9", addresses=[9])
    return pk


FOUND = {
    "by its id": ({"account_id": 2}, 2),
    "the id wins, other keys are ignored": (
        {"account_id": 2, "external_customer_id": "1", "customer_name": "Nobody"},
        2,
    ),
    "by the external id": ({"external_customer_id": "A-2"}, 2),
    "the external id wins over the name": (
        {"external_customer_id": "A-2", "customer_name": "NewClient_1"},
        2,
    ),
    "an empty key is none": (
        {"external_customer_id": "", "customer_name": "Anna", "creates_account": False},
        2,
    ),
    "by the name": ({"customer_name": "Anna"}, 2),
    "one that creates_account forbids to make, but is there": (
        {"customer_name": "Anna", "creates_account": False},
        2,
    ),
}


@pytest.mark.parametrize(("keys", "account"), FOUND.values(), ids=FOUND)
def test_account_is_found_by_the_first_key_that_is_given(ledger, tenant, keys, account):
    assert place(ledger, asked(**keys)).account_id == account


REFUSED = {
    "unknown id": ({"account_id": 77}, "account_not_found", {"account_id": "77"}),
    "unknown id, though all is there to make one": (
        {"account_id": 77, "external_customer_id": "A-2", "customer_name": "Anna"},
        "account_not_found",
        {"account_id": "77"},
    ),
    "id of another tenant": ({"account_id": 9}, "account_not_found", {"account_id": "9"}),
    "id zero": ({"account_id": 0}, "account_not_found", {"account_id": "0"}),
    "negative id": ({"account_id": -1}, "account_not_found", {"account_id": "-1"}),
    "id beyond any column": (
        {"account_id": 2**63},
        "account_not_found",
        {"account_id": str(2**63)},
    ),
    "no key": (
        {},
        "account_unsaid",
        {"account_id": "", "external_customer_id": "", "customer_name": ""},
    ),
    "empty keys": (
        {"external_customer_id": "", "customer_name": ""},
        "account_unsaid",
        {"account_id": "", "external_customer_id": "", "customer_name": ""},
    ),
    "unknown external id does not fall back to the name": (
        {"external_customer_id": "X", "customer_name": "Anna", "creates_account": False},
        "account_not_found",
        {"external_customer_id": "X"},
    ),
    "external id in another case": (
        {"external_customer_id": "a-2", "creates_account": False},
        "account_not_found",
        {"external_customer_id": "a-2"},
    ),
    "name in another case": (
        {"customer_name": "anna", "creates_account": False},
        "account_not_found",
        {"customer_name": "anna"},
    ),
    "name with a blank": (
        {"customer_name": "Anna ", "creates_account": False},
        "account_not_found",
        {"customer_name": "Anna "},
    ),
    "several of one name": (
        {"customer_name": "NewClient_1"},
        "account_ambiguous",
        {"customer_name": "NewClient_1"},
    ),
    "a new one without its external id": (
        {"customer_name": "New"},
        "account_incomplete",
        {"external_customer_id": ""},
    ),
    "a new one without its name": (
        {"external_customer_id": "new"},
        "account_incomplete",
        {"customer_name": ""},
    ),
    "a new one with an empty name": (
        {"external_customer_id": "new", "customer_name": ""},
        "account_incomplete",
        {"customer_name": ""},
    ),
    "a new one whose name is too long to be found by": (
        {"external_customer_id": "new", "customer_name": "n" * 256},
        "account_incomplete",
        {"customer_name": "n" * 256},
    ),
    "address of another account": (
        {"account_id": 1, "account_address_id": 2},
        "address_not_found",
        {"account_address_id": "2"},
    ),
    "address of nobody": (
        {"account_id": 1, "account_address_id": 2**70},
        "address_not_found",
        {"account_address_id": str(2**70)},
    ),
    "address of another tenant": (
        {"account_id": 1, "account_address_id": 9},
        "address_not_found",
        {"account_address_id": "9"},
    ),
    "address for an account that is not there yet": (
        {"external_customer_id": "n", "customer_name": "New", "account_address_id": 1},
        "address_not_found",
        {"account_address_id": "1"},
    ),
    "several addresses, none said": (
        {"account_id": 4},
        "address_needed",
        {"account_address_id": ""},
    ),
    "no address": ({"account_id": 3}, "address_needed", {"account_address_id": ""}),
}


@pytest.mark.parametrize(("keys", "reason", "fields"), REFUSED.values(), ids=REFUSED)
def test_order_is_refused_with_the_fields_to_blame_and_nothing_is_stored(
    ledger, tenant, keys, reason, fields
):
    before = everything(ledger)
    assert place(ledger, asked(**keys)) == Refused(reason, fields)
    assert everything(ledger) == before


ADDRESSES = {
    "the only one": ({"account_id": 1}, "one", 1),
    "the one said": ({"account_id": 4, "account_address_id": 42}, "one", 42),
    "none where it is optional and there are several": ({"account_id": 4}, "optional", None),
    "none where it is optional and there is none": ({"account_id": 3}, "optional", None),
    "the only one where it is optional": ({"account_id": 1}, "optional", 1),
}


@pytest.mark.parametrize(("keys", "policy", "address"), ADDRESSES.values(), ids=ADDRESSES)
def test_address_is_as_the_tenants_policy_says(ledger, keys, policy, address):
    pk = add_tenant(ledger, address_policy=policy)
    for number, name, external, addresses in PEOPLE:
        add_account(ledger, pk, number, name, external, addresses=addresses)
    assert place(ledger, asked(**keys)).account_address_id == address


@pytest.mark.parametrize("spelling", ["zegoal885", "ZEGOAL885", NAME])
def test_tenant_is_found_whatever_the_case_and_told_as_it_is_stored(ledger, tenant, spelling):
    assert place(ledger, asked(tenant=spelling, account_id=1)).tenant.name == NAME


@pytest.mark.parametrize("name", ["", "nobody", "Zegoal885 ", "Ｚegoal885", "other2"])
def test_unknown_tenant_is_refused(ledger, tenant, name):
    found = place(ledger, asked(tenant=name, account_id=1))
    assert found == Refused("tenant_unknown", {"tenant": name})


@pytest.mark.parametrize(
    ("of_tenant", "of_order", "is_made"),
    [(True, None, True), (True, False, False), (False, None, False), (False, True, True)],
)
def test_account_is_made_as_the_order_says_else_as_its_tenant_does(
    ledger, of_tenant, of_order, is_made
):
    add_tenant(ledger, creates_accounts=of_tenant)
    keys = {"external_customer_id": "2", "customer_name": "NewClient_2"}
    placed = place(ledger, asked(**keys, creates_account=of_order))
    if is_made:
        assert (placed.account_id, placed.account_address_id) == (1, 1)
        assert placed.creates_account
    else:
        assert placed == Refused("account_not_found", {"external_customer_id": "2"})


@pytest.mark.parametrize("text", ["a big white building", ""])
def test_new_account_gets_its_first_address_from_the_order(ledger, tenant, text):
    keys = {"external_customer_id": "2", "customer_name": "NewClient_2", "address_text": text}
    placed = place(ledger, asked(**keys))
    assert (placed.account_id, placed.account_address_id) == (6, 43)
    (address,) = [row for row in everything(ledger)["account_addresses"] if row["account_id"] == 6]
    assert address["text"] == text
    again = place(ledger, asked(external_customer_id="2"))
    assert (again.account_id, again.account_address_id) == (6, 43)


def test_new_account_of_a_name_that_is_there_is_another_one(ledger, tenant):
    placed = place(ledger, asked(external_customer_id="new", customer_name="Anna"))
    assert placed.account_id == 6


POSITIONS = {
    "the catalog's own": (
        {"catalog_position_id": 4},
        (4, "Goods", "position #4", "", Decimal(2), "кг", Decimal("30.0")),
    ),
    "what the order says counts": (
        {
            "catalog_position_id": 4,
            "product_name": "other",
            "price": Decimal(0),
            "quantity": Decimal("0.5"),
            "unit": "",
            "position_type": "Service",
            "product_code": "c",
        },
        (4, "Service", "other", "c", Decimal("0.5"), "", Decimal(0)),
    ),
    "none of the catalog's": (
        {"product_name": "p", "price": Decimal("200.50")},
        (None, "", "p", "", Decimal(1), "шт", Decimal("200.50")),
    ),
}


@pytest.mark.parametrize(("said", "position"), POSITIONS.values(), ids=POSITIONS)
def test_position_is_what_the_order_says_else_what_the_catalog_does(ledger, tenant, said, position):
    add_catalog(ledger, tenant, 4, unit="кг", price=Decimal("30.0"))
    placed = place(ledger, asked(account_id=1, positions=(line(**{"product_name": None,
                                                                 "price": None} | said),)))  # fmt: skip
    (one,) = placed.positions
    fields = ("catalog_position_id", "position_type", "product_name", "product_code",
              "quantity", "unit", "price")  # fmt: skip
    assert tuple(getattr(one, name) for name in fields) == position
    (kept,) = everything(ledger)["placed_positions"]
    assert tuple(kept[name] for name in fields) == position
    assert str(kept["price"]) == str(one.price)


def test_positions_that_are_not_in_the_catalog_are_each_named(ledger, tenant):
    add_catalog(ledger, tenant, 4)
    ids = (4, 7, None, 2**64)
    positions = tuple(line(catalog_position_id=number) for number in ids)
    found = place(ledger, asked(account_id=1, positions=positions))
    assert found == Refused(
        "catalog_not_found",
        {
            "order_positions.1.catalog_position_id": "7",
            "order_positions.3.catalog_position_id": str(2**64),
        },
    )


def test_a_great_many_positions_of_the_catalog_are_found(ledger, tenant):
    """SQLite takes 32,766 values in one statement."""
    add_catalog(ledger, tenant, 40_000)
    positions = tuple(line(catalog_position_id=number) for number in range(1, 40_001))
    found = place(ledger, asked(account_id=1, positions=positions))
    assert len(found.fields) == 39_999


def test_total_is_exact(ledger, tenant):
    prices = [("30", "2"), ("200.50", "1"), ("0.1", "3")]
    positions = tuple(line(price=Decimal(p), quantity=Decimal(q)) for p, q in prices)
    placed = place(ledger, asked(account_id=1, positions=positions))
    assert placed.total == Decimal("260.8")
    assert [row["total"] for row in everything(ledger)["placed_orders"]] == [Decimal("260.8")]
