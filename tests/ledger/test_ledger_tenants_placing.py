"""Placing an order: all of it or nothing, numbers without gaps, and the same request once."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import StatementError
from tenant_calls import (
    NAME,
    NOW,
    ROUTE,
    add_account,
    add_catalog,
    add_tenant,
    asked,
    count,
    everything,
    line,
    place,
    text_of,
)

from ledger import orders, purging, tenants
from ledger.database import open_ledger
from ledger.group_commit import GroupCommit
from ledger.orders import NO_KEYS, Due, Keys
from ledger.tables import ACCOUNTS, IDENTITY, ORDERS, PLACED_ORDERS, TENANTS
from ledger.tenants import Entered, Refused, Repeated
from ledger.tides import Standing


@pytest.fixture
def tenant(ledger):
    pk = add_tenant(ledger, last_account=1, last_address=1)
    add_account(ledger, pk, 1, "NewClient_1", addresses=[1])
    add_catalog(ledger, pk, 4)
    return pk


@pytest.fixture
def two_processes(ledger_url, ledger):
    """The ledger as two processes have it open."""
    other = open_ledger(ledger_url)
    yield ledger, other
    other.close()


def numbers(ledger):
    with ledger.read() as db:
        found = select(PLACED_ORDERS.c.order_id).order_by(PLACED_ORDERS.c.order_id)
        return list(db.execute(found).scalars())


WISH = asked(account_id=1, positions=(line(), line(catalog_position_id=4)))


def test_placed_order_is_one_of_the_ledgers(ledger, tenant):
    keys = Keys(number="0", phone="321")
    found = tenants.place(ledger, WISH, text_of, keys, lambda _: ROUTE, NOW)
    assert isinstance(found, Entered)
    (row,) = orders.listing(ledger, NOW)
    assert (row.connection, row.order_id, row.external_id) == (
        "inbox", f"{NAME}-1", f"co-{NAME}-1",
    )  # fmt: skip
    assert (row.state, row.target, row.reason) == ("received", "crm", "")
    assert found.due == Due(row.pk, "inbox", "crm")
    assert orders.source(ledger, row.pk) == text_of(found.placed)
    assert orders.due(ledger, "crm", NOW, 5) == [Due(row.pk, "inbox", "crm")]
    with ledger.read() as db:
        kept = db.execute(select(ORDERS.c.number, ORDERS.c.phone, ORDERS.c.wanted_hash)).one()
    assert tuple(kept) == ("1", "321", None)


def test_order_of_a_tenant_that_is_not_delivered_waits_for_a_person(ledger, tenant):
    ledger.write(lambda db: db.execute(update(TENANTS).values(is_delivered=False)))
    found = tenants.place(ledger, WISH, text_of, NO_KEYS, lambda _: ROUTE, NOW)
    assert found.due is None
    (row,) = orders.listing(ledger, NOW)
    assert (row.state, row.reason) == ("ignored", "tenant_not_delivered")
    orders.retry(ledger, row.pk, NOW, who="olena")
    assert orders.due(ledger, "crm", NOW, 5) == [Due(row.pk, "inbox", "crm")]


def test_order_of_a_ledger_that_went_back_is_looked_up_before_it_is_sent(
    ledger, tenant, monkeypatch
):
    behind = Standing("id", "000001-a", NOW - timedelta(minutes=5), None)
    monkeypatch.setattr("ledger.tides.doubts", lambda _: behind)
    place(ledger, WISH)
    claim = orders.claim(ledger, 1, NOW, 60)
    assert claim.uncertain_since is not None


def test_tenant_without_a_route_is_refused(ledger, tenant):
    before = everything(ledger)
    assert place(ledger, WISH, route=None) == Refused("tenant_not_routed", {"tenant": NAME})
    assert everything(ledger) == before


def test_orders_and_positions_are_counted_by_their_tenant(ledger, tenant):
    other = add_tenant(ledger, "other")
    add_account(ledger, other, 1, "Else", addresses=[1])
    first = place(ledger, WISH)
    second = place(ledger, replace(WISH, tenant="other", positions=(line(),)))
    third = place(ledger, WISH)
    assert [one.order_id for one in (first, second, third)] == [1, 1, 2]
    ids = [[p.position_id for p in one.positions] for one in (first, second, third)]
    assert ids == [[1, 2], [1], [3, 4]]
    assert {row["tenant"] for row in everything(ledger)["placed_positions"]} == {tenant, other}


# --- the same request again ---------------------------------------------------------------------------


def test_same_request_again_is_told_what_it_was_told(ledger, tenant):
    wish = replace(WISH, key="k", digest="d1")
    placed = place(ledger, wish)
    assert place(ledger, wish) == Repeated(text_of(placed))
    assert numbers(ledger) == [1]


def test_key_of_another_request_is_refused(ledger, tenant):
    place(ledger, replace(WISH, key="k", digest="d1"))
    assert place(ledger, replace(WISH, key="k", digest="d2")) == Refused("key_reused")


def test_key_counts_before_all_else(ledger, tenant):
    """Whatever became of the tenant's accounts since: the request was answered."""
    wish = replace(WISH, key="k")
    place(ledger, wish)
    ledger.write(lambda db: db.execute(update(ACCOUNTS).values(account_id=99)))
    assert isinstance(place(ledger, wish, route=None), Repeated)


def test_key_belongs_to_its_tenant(ledger, tenant):
    add_account(ledger, add_tenant(ledger, "other"), 1, "Else", addresses=[1])
    place(ledger, asked(account_id=1, key="k"))
    placed = place(ledger, asked(account_id=1, key="k", tenant="other"))
    assert placed.name == "other-1"


def test_request_whose_answer_is_erased_is_refused(ledger, tenant):
    wish = replace(WISH, key="k")
    place(ledger, wish)
    orders.ignore(ledger, 1, NOW, who="olena")
    purging.orders(ledger, NOW + timedelta(days=1))
    assert place(ledger, wish) == Refused("key_erased")
    assert place(ledger, replace(wish, digest="other")) == Refused("key_reused")


def test_simultaneous_repeats_make_one_order(two_processes, tenant, together):
    wish = replace(WISH, key="k")
    results = together(lambda n: place(two_processes[n % 2], wish), 12)
    placed = [one for one in results if not isinstance(one, Repeated)]
    assert len(placed) == 1
    assert {one.source for one in results if isinstance(one, Repeated)} == {text_of(placed[0])}
    assert numbers(two_processes[0]) == [1]


# --- simultaneous requests ----------------------------------------------------------------------------


def test_simultaneous_requests_for_a_new_account_make_one(two_processes, tenant, together):
    wish = asked(external_customer_id="2", customer_name="NewClient_2", address_text="a")
    results = together(lambda n: place(two_processes[n % 2], wish), 16)
    assert {(one.account_id, one.account_address_id) for one in results} == {(2, 2)}
    ledger = two_processes[0]
    assert numbers(ledger) == list(range(1, 17))
    assert count(ledger, ACCOUNTS) == 2
    assert len(everything(ledger)["account_addresses"]) == 2


def test_numbers_have_no_gaps_and_no_doubles_whatever_fails_meanwhile(
    two_processes, tenant, together
):
    """Of each five requests one is placed, one refused, one breaks after it had its number, one names an
    amount that no column takes, and one makes an account.
    """
    turns = itertools.count()

    def broken(_placed):
        raise RuntimeError

    def one(number):
        ledger = two_processes[number % 2]
        outcomes = []
        for _ in range(10):
            turn = next(turns)
            wish, text = WISH, text_of
            match turn % 5:
                case 1:
                    wish = asked(account_id=77)
                case 2:
                    text = broken
                case 3:
                    wish = asked(account_id=1, positions=(line(quantity=Decimal("NaN")),))
                case 4:
                    wish = asked(external_customer_id=f"e{turn}", customer_name="N")
            try:
                outcomes.append(place(ledger, wish, text=text))
            except (RuntimeError, StatementError) as exc:
                outcomes.append(exc)
        return outcomes

    results = list(itertools.chain(*together(one, 8)))
    ledger = two_processes[0]
    placed = sorted(r.order_id for r in results if isinstance(r, tenants.Placed))
    assert placed == numbers(ledger) == list(range(1, 33))
    rows = everything(ledger)
    positions = sorted(row["position_id"] for row in rows["placed_positions"])
    assert positions == list(range(1, 33))
    assert sorted(row["account_id"] for row in rows["accounts"]) == list(range(1, 18))
    assert [row["last_order"] for row in rows["tenants"]] == [32]
    assert len(rows["orders"]) == 32
    assert sum(isinstance(r, Refused) for r in results) == 16


def test_unit_that_fails_takes_no_other_with_it(ledger, tenant, together, monkeypatch):
    """All in one transaction, which is made apart."""
    commits = []
    real = GroupCommit._commit_apart
    monkeypatch.setattr(
        GroupCommit, "_commit_apart", lambda *a: commits.append(len(a[1])) or real(*a)
    )

    def broken(_placed):
        raise RuntimeError

    def one(number):
        return place(ledger, WISH, text=broken if number % 4 == 0 else text_of)

    results = together(one, 24)
    assert sum(isinstance(r, RuntimeError) for r in results) == 6
    assert commits
    assert numbers(ledger) == list(range(1, 19))


def test_gateways_that_place_with_many_tenants_at_once_end_no_transaction_of_each_other(
    two_processes, together, monkeypatch
):
    """Each locks the tenants of a whole batch, and all in one order: else PostgreSQL waits a second for each
    two that wait for one another, and ends one.
    """
    apart = []
    real = GroupCommit._commit_apart
    monkeypatch.setattr(GroupCommit, "_commit_apart", lambda *a: apart.append(a[2]) or real(*a))
    for number in range(6):
        add_tenant(two_processes[0], f"T{number}")

    def one(number):
        ledger = two_processes[number % 2]
        turn = random.Random(number)
        for _ in range(25):
            name = f"t{turn.randrange(6)}"
            wish = asked(tenant=name, external_customer_id="e", customer_name="N")
            assert isinstance(place(ledger, wish), tenants.Placed)

    assert together(one, 16) == [None] * 16
    assert apart == []


# --- a ledger that went back in time ------------------------------------------------------------------


def went_back(ledger, epoch):
    ledger.write(lambda db: db.execute(update(IDENTITY).values(epoch=epoch)))


def test_ledger_that_went_back_passes_by_the_numbers_that_it_may_have_given(ledger, tenant):
    new = {"customer_name": "N"}
    place(ledger, asked(external_customer_id="a", **new, positions=(line(),)))
    went_back(ledger, "000001-abc")
    placed = place(ledger, asked(external_customer_id="b", **new, positions=(line(), line())))
    assert placed.order_id == 10_002
    assert (placed.account_id, placed.account_address_id) == (10_003, 10_003)
    assert [one.position_id for one in placed.positions] == [10_002, 10_003]
    assert place(ledger, WISH).order_id == 10_003, "once"


def test_each_time_that_it_goes_back_passes_by_others(ledger, tenant):
    """The same backup twice: what was given between them is not given again."""
    place(ledger, WISH)
    went_back(ledger, "000001-abc")
    assert place(ledger, WISH).order_id == 10_002
    ledger.write(lambda db: db.execute(update(TENANTS).values(last_order=1, epoch="")))
    went_back(ledger, "000002-def")
    assert place(ledger, asked(external_customer_id="c", customer_name="N")).order_id == 20_002
