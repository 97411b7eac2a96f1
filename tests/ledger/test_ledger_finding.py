"""An order is found by its ids, its tracking number, a phone or a name; by its ids alone once purged."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from mapped_as import mapped_as
from order_calls import CREATED, NOW, end, order
from sqlalchemy import select, update

from ledger import orders, purging
from ledger.columns import FOUND_BY
from ledger.orders import Keys, Typed
from ledger.tables import ORDERS

KEYS = Keys("N-1", "2045", "765432105083", "shevchenko olena", "111111105083", "homenko ivan")


def give(ledger, order_id="1", keys=KEYS, **more):
    arrived = order(order_id, **more)
    orders.store(ledger, "okliving", "onebox", [arrived], NOW, mapped_as(keys=keys))
    with ledger.read() as db:
        return db.execute(select(ORDERS.c.id).where(ORDERS.c.order_id == order_id)).scalar_one()


def found(ledger, text="", phone=None, names=(), most=50):
    matches = orders.search(ledger, Typed(text, phone, names), NOW, most)
    return [(one.order.order_id, one.by, one.is_whole) for one in matches]


def test_an_order_is_found_by_each_of_its_ids_and_keys(ledger):
    pk = give(ledger)
    end(ledger, pk, replace(CREATED, target_id="77"))
    ledger.write(
        lambda db: db.execute(update(ORDERS).where(ORDERS.c.id == pk).values(heard_number="5900"))
    )
    give(ledger, "2", Keys())
    assert found(ledger, "1") == [("1", "order id", True)]
    assert found(ledger, "N-1") == [("1", "number", True)]
    assert found(ledger, "okl-1") == [("1", "external id", True)]
    assert found(ledger, "77") == [("1", "CRM id", True)]
    assert found(ledger, "2045") == [("1", "tracking number", True)]
    assert found(ledger, "5900") == [("1", "tracking number", True)]
    assert found(ledger, phone="765432105") == [("1", "recipient's phone", True)]
    assert found(ledger, phone="1111") == [("1", "buyer's phone", False)]
    assert found(ledger, names=["shevchenko"]) == [("1", "recipient", True)]
    assert found(ledger, names=["homenko iv"]) == [("1", "buyer", False)]
    assert found(ledger, names=["olena", "shevchenko olena"]) == [("1", "recipient", True)]


@pytest.mark.parametrize("text", ["", "%", "_", "shevchenko%", "3", "'; --", "\U0010ffff"])
def test_what_no_order_has_finds_none(ledger, text):
    give(ledger)
    assert found(ledger, text, text or None, [text] if text else []) == []


def test_the_newest_that_fit_are_shown_each_once(ledger):
    for number in range(1, 6):
        give(ledger, str(number))
    assert [one[0] for one in found(ledger, "N-1", "7654", ["shev"], most=3)] == ["5", "4", "3"]
    assert found(ledger, "3", "7654")[2] == ("3", "order id", True)


def test_every_target_is_looked_through_for_an_external_id(ledger):
    for target in ("a", "b", "c"):
        arrived = order("1", prefix=f"{target}-")
        orders.store(ledger, target, target, [arrived], NOW, mapped_as())
    assert found(ledger, "b-1") == [("1", "external id", True)]


def test_an_order_that_changed_is_found_by_what_it_says_now(ledger):
    give(ledger)
    give(ledger, keys=Keys(phone="999"), content="b")
    assert found(ledger, names=["shevchenko"]) == []
    assert found(ledger, phone="999") == [("1", "recipient's phone", False)]


def test_nothing_of_a_person_finds_an_order_that_was_purged(ledger):
    pk = give(ledger)
    end(ledger, pk, CREATED)
    assert purging.orders(ledger, NOW + timedelta(days=1)) == 1
    with ledger.read() as db:
        row = db.execute(select(ORDERS).where(ORDERS.c.id == pk)).mappings().one()
    assert {name: row[name] for name in FOUND_BY if name != "number"} == dict.fromkeys(FOUND_BY[1:])
    assert found(ledger, "N-1") == [("1", "number", True)]
    assert found(ledger, "2045", KEYS.phone, [KEYS.name]) == []


def test_changed_orders_are_listed_alone(ledger):
    for number in ("1", "2", "3"):
        end(ledger, give(ledger, number), CREATED)
    give(ledger, "2", content="b")
    (row,) = orders.listing(ledger, NOW, changed=True, limit=5)
    assert (row.order_id, row.changed) == ("2", True)
    orders.acknowledge(ledger, row.pk, NOW, who="olena", fields=["sum"])
    assert orders.listing(ledger, NOW, changed=True) == []


def test_noting_a_change_touches_neither_its_state_nor_when_it_is_purged(ledger):
    end(ledger, give(ledger), CREATED)
    give(ledger, content="b")
    (before,) = orders.listing(ledger, NOW)
    orders.acknowledge(ledger, before.pk, NOW + timedelta(days=9), who="olena")
    (after,) = orders.listing(ledger, NOW)
    assert after == replace(before, changed=False)
