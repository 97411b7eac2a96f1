"""A CreateOrder service as a target: each order by its key, what its profile composes, its tests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.createorder import CreateOrder
from clients.errors import AuthFailed, Rejected, TimedOut
from connection import PROFILES
from connectors.createorder_target import inspector_of, key_of, target_of
from connectors.ports import NotTold
from mapping.profile import load_source, load_target
from simulator.faults import Fault
from simulator.server import start
from simulator.service import Service

GOLDEN = Path(__file__).parents[1] / "mapping" / "golden"


@dataclass(frozen=True)
class Own:
    """The settings that part of the connector reads."""

    tenant: str = "acme"
    token: str | None = None
    honours_idempotency: bool = False


PROFILE = load_target(PROFILES / "createorder-service.yaml", {"tenant": "acme"})
SHOP = load_source(PROFILES / "okliving.yaml")


@pytest.fixture
def service():
    made = Service(tenant="Acme", honours_keys=True)
    with start(made) as running:
        made.url = running.url
        yield made


def target(service, own=None):
    own = own or Own()
    return target_of(CreateOrder(service.url, token=own.token, timeout=0.5), PROFILE, own)


def reference(**changes):
    return json.loads((GOLDEN / "reference-order.json").read_text()) | changes


def body(raw=None):
    mapped = PROFILE.compose(SHOP.read(raw or reference()), "okl-")
    assert not mapped.held
    return mapped.target


def put(service, external_id="okl-1", sent=None, own=None):
    return target(service, own).put(external_id, sent or body(), pytest.fail)


@pytest.mark.parametrize("honours", [True, False])
def test_it_takes_repeats_as_it_is_set(service, honours):
    assert target(service, Own(honours_idempotency=honours)).takes_repeats is honours


def test_an_order_is_made_once_for_its_key_whatever_is_lost(service):
    service.faults.add(Fault("hang", effect="applied", times=1))
    with pytest.raises(TimedOut):
        put(service)
    assert put(service) == "1"
    assert put(service, "okl-2") == "2"
    assert len(service.orders) == 2


def test_another_body_under_the_same_key_is_refused(service):
    put(service)
    with pytest.raises(Rejected, match="Idempotency-Key was used before"):
        put(service, sent=body() | {"email": "a@b.ua"})


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_key_is_what_a_header_carries_and_each_orders_own(one, other):
    assert key_of(one).isascii()
    assert key_of(one).isprintable()
    assert len(key_of(one)) <= max(len(one), 32)
    assert key_of(one) == key_of(one).strip()
    assert (key_of(one) == key_of(other)) is (one == other)


@pytest.mark.parametrize("external_id", ["okl-300167757", "okl-A 5/7#(x)"])
def test_a_key_that_people_can_read_stays_as_it_is(external_id):
    assert key_of(external_id) == external_id


def test_an_order_of_any_id_goes_through(service):
    assert put(service, "okl-замовлення №5") == "1"
    assert put(service, "okl-замовлення №5") == "1"


# What becomes of the orders of one person


def placed(service, external_id, **changes):
    raw = reference(**changes)
    put(service, external_id, body(raw))
    return list(service.orders.values())[-1]


def person(first, phone="0501234567"):
    return {"first_name": first, "last_name": "Дяченко", "phone": phone, "is_other": True}


def to(city):
    return reference()["shipping"] | {"city": city}


def test_a_second_order_to_another_address_is_of_the_same_account(service):
    """Of a service that refuses an account of several addresses too: there it has its first one."""
    assert service.address_policy == "one"
    first = placed(service, "okl-1", recipient=person("Іван"), shipping=to("Київ"))
    second = placed(service, "okl-2", recipient=person("Іван"), shipping=to("Львів"))
    assert first["account_id"] == second["account_id"]
    assert "Київ" in first["address_text"]
    assert "Львів" in second["address_text"]


def test_two_people_with_one_phone_are_never_one_account(service):
    first = placed(service, "okl-1", recipient=person("Іван"))
    second = placed(service, "okl-2", recipient=person("Олена"))
    assert first["account_id"] != second["account_id"]
    names = [one["customer_name"] for one in (first, second)]
    assert names == ["Дяченко Іван", "Дяченко Олена"]


def test_two_people_of_one_name_are_never_one_account(service):
    first = placed(service, "okl-1", recipient=person("Іван"))
    second = placed(service, "okl-2", recipient=person("Іван", "0671112233"))
    assert first["account_id"] != second["account_id"]


def test_the_customer_is_who_gets_the_parcel_and_not_who_buys(service):
    order = placed(service, "okl-1", recipient=person("Іван"))
    assert order["customer_name"] == "Дяченко Іван"
    assert "Покупець: Шевченко Олена +380671234567" in order["order_description"]


def test_lines_and_total_agree_to_the_last_digit(service):
    line = {
        "id": 1,
        "sku": "S",
        "name": "Чай",
        "quantity": "0.3",
        "price": "33.33",
        "total": "10.00",
    }
    order = placed(service, "okl-1", items=[line], total="80.00")
    assert Decimal(str(order["order_total"])).quantize(Decimal("0.01")) == Decimal("80.00")


@pytest.mark.parametrize(
    ("said", "unit", "position_type"),
    [
        ({"unit": "кг", "position_type": "Service"}, "кг", "Service"),
        ({"unit": "", "position_type": ""}, "шт", "Goods"),
    ],
)
def test_an_order_that_was_placed_with_us_goes_on_in_its_own_units(
    service, said, unit, position_type
):
    """Three kilograms are not three pieces."""
    raw = json.loads((GOLDEN / "createorder-order.json").read_text())
    raw["order"]["order_positions"][0] |= said
    read = load_source(PROFILES / "createorder.yaml").read(raw)
    put(service, "co-1", PROFILE.compose(read, "co-").target)
    (order,) = service.orders.values()
    first = order["order_positions"][0]
    assert (first["unit"], first["position_type"]) == (unit, position_type)


# Its test


def results(service, own=None):
    own = own or Own()
    inspector = inspector_of(CreateOrder(service.url, token=own.token, timeout=1), own)
    return dict(inspector.tests(read_orders=True))


def test_the_address_can_be_tested_and_nothing_is_made_there(service):
    assert results(service)["address"]().result == f"{service.url}/CreateOrder answers"
    assert service.orders == {}


@pytest.mark.parametrize(
    ("token", "said"), [(None, "is taken:"), ("t", "is taken with this token:")]
)
def test_what_only_an_order_would_show_is_not_told(service, token, said):
    with pytest.raises(NotTold, match=f"tenant acme {said}"):
        results(service, Own(token=token))["order"]()


def test_an_address_that_is_not_found_may_be_right(service):
    service.faults.add(Fault("status", status=404))
    with pytest.raises(NotTold, match="HTTP 404"):
        results(service)["address"]()


def test_an_address_that_does_not_let_us_in_says_so(service):
    service.faults.add(Fault("status", status=401))
    with pytest.raises(AuthFailed):
        results(service)["address"]()
