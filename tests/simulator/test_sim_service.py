"""The stand-in of a CreateOrder service: samples of the text, accounts, keys, faults, callbacks, journal."""

import hashlib
import hmac
import json
import re
import threading

import httpx
import pytest
from sim_calls import get, post

from simulator.faults import Fault
from simulator.server import start
from simulator.service import Service

NOW = 1_593_757_591.0  # 2020-07-03 09:26:31 in Minsk
ITEM = {"product_name": "Чайник", "price": 200.5}
CATALOG = {
    1: {
        "product_name": "position #552",
        "price": 23.1,
        "default_quantity": 3,
        "position_type": "Goods",
    },
    2: {
        "product_name": "position #340",
        "price": 23.1,
        "default_quantity": 3,
        "position_type": "Goods",
    },
    3: {
        "product_name": "position #296",
        "price": 50,
        "default_quantity": 2,
        "position_type": "Goods",
    },
}
NEW = {"tenant": "acme", "customer_name": "Іван", "external_customer_id": "2"}


@pytest.fixture
def service():
    made = Service(tenant="Acme", zone="Europe/Minsk", clock=lambda: NOW, catalog=dict(CATALOG))
    with start(made) as running:
        made.url = running.url
        yield made


def create(service, body, **headers):
    return post(service.url + Service.CREATE, json=body, headers=headers)


def refused(answer, status, code, text):
    result = answer.json()["processing_result"]
    assert (answer.status_code, result["status"], result["code"]) == (status, "error", code)
    assert text in result["text"]


def test_a_new_customers_order_is_answered_as_the_text_answers_it(service):
    asked = {
        "tenant": "acme",
        "external_customer_id": "2",
        "customer_name": "NewClient_2",
        "start_date": "2020-07-03 09:26:53",
        "end_date": "2020-07-06 09:26:53",
        "tel_num": "1112223334",
        "email": "newCusmoter2@email.com",
        "address_text": "a big white building",
        "order_description": "order Description",
        "order_status": "Draft",
        "order_type": "OnSite",
        "order_positions": [{"catalog_position_id": number} for number in (1, 2, 3)],
    }
    service.add_account("NewClient_1")
    answer = create(service, asked)
    said = answer.json()
    assert answer.status_code == 200
    assert re.fullmatch(r"[A-Za-z0-9]{8}:0-[A-Za-z0-9]{2}", said["processing_result"].pop("ctx_id"))
    assert said["processing_result"] == {"text": "Order is created.", "status": "ok", "code": 0}
    assert said["processing_date"] == "2020-07-03 09:26:31"
    made = said["CreateOrder"]
    assert (made["request"], made["extra_logic"]) == (asked, "")
    assert made["enriched_request"] == asked | {"tenant": "Acme", "create_account": True}
    assert (made["response"]["tenant"], made["response"]["TZ"]) == ("acme", "Europe/Minsk")
    assert made["response"]["create_account"] is True
    order = made["response"]["order"]
    positions = order.pop("order_positions")
    assert order == {
        "start_date": "2020-07-03 09:26:53",
        "order_type": "OnSite",
        "order_total": 238.6,
        "order_status": "Draft",
        "order_num": 1,
        "order_id": 1,
        "order_description": "order Description",
        "end_date": "2020-07-06 09:26:53",
        "customer_name": "NewClient_2",
        "address_text": "a big white building",
        "account_id": 2,
        "account_address_id": 1,
    }
    assert positions[2] == {
        "unit": "шт",
        "quantity": 2,
        "product_name": "position #296",
        "price": 50,
        "position_type": "Goods",
        "position_id": 3,
        "order_id": 1,
        "catalog_position_id": 3,
    }


def test_the_least_of_an_order_has_the_defaults_of_the_text(service):
    number = service.add_account("NewClient_1")
    said = create(service, {"tenant": "ACME", "account_id": number}).json()["CreateOrder"]
    order = said["response"]["order"]
    assert (order["order_total"], order["order_positions"], order["end_date"]) == (0, [], "")
    assert (order["start_date"], order["order_status"]) == ("2020-07-03 09:26:31", "Draft")
    assert said["request"] == {"tenant": "ACME", "account_id": 1}
    assert said["enriched_request"]["email"] == ""


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"account_id": 2}, "Two"),
        ({"account_id": 2, "external_customer_id": "x1"}, "Two"),
        ({"external_customer_id": "x1", "customer_name": "Two"}, "One"),
        ({"customer_name": "Two"}, "Two"),
        ({"external_customer_id": "new", "customer_name": "Two"}, "Two"),
    ],
)
def test_an_account_is_found_by_the_first_key_that_is_given(service, asked, named):
    service.add_account("One", "x1")
    service.add_account("Two", "x2")
    answer = create(service, {"tenant": "acme", **asked})
    assert answer.json()["CreateOrder"]["response"]["order"]["customer_name"] == named


# Of a service with the accounts One, twice Same, and one of several addresses.
REFUSED = [
    ({}, 1, "tenant"),
    ({"tenant": "other", "account_id": 1}, 5, "other"),
    ({"tenant": "acme"}, 2, "account_id"),
    ({"tenant": "acme", "account_id": 9, "customer_name": "One"}, 2, "account_id 9"),
    ({"tenant": "acme", "account_id": "1"}, 1, "account_id"),
    ({"tenant": "acme", "customer_name": "New"}, 2, "external_customer_id"),
    ({"tenant": "acme", "external_customer_id": "New"}, 2, "customer_name"),
    (NEW | {"create_account": False}, 2, "external_customer_id 2"),
    (NEW | {"create_account": "no"}, 1, "create_account"),
    ({"tenant": "acme", "customer_name": "Same"}, 2, "several"),
    ({"tenant": "acme", "customer_name": "Many"}, 3, "account_address_id"),
    ({"tenant": "acme", "customer_name": "One", "account_address_id": 2}, 3, "account_address_id"),
    (NEW | {"email": 5}, 1, "email"),
    (NEW | {"start_date": "2020-02-30 10:00:00"}, 1, "start_date"),
    (NEW | {"end_date": "2020-01-01 10:00:00"}, 1, "end_date"),
    (NEW | {"order_positions": {}}, 1, "order_positions"),
    (NEW | {"order_positions": [1]}, 1, "order_positions.0"),
    (NEW | {"order_positions": [ITEM, {"price": 1}]}, 1, "order_positions.1.product_name"),
    (NEW | {"order_positions": [{"product_name": "x"}]}, 1, "order_positions.0.price"),
    (NEW | {"order_positions": [ITEM | {"price": -1}]}, 1, "order_positions.0.price"),
    (NEW | {"order_positions": [ITEM | {"price": "200.5"}]}, 1, "order_positions.0.price"),
    (NEW | {"order_positions": [ITEM | {"quantity": 0}]}, 1, "order_positions.0.quantity"),
    (NEW | {"order_positions": [ITEM | {"unit": 5}]}, 1, "order_positions.0.unit"),
    (NEW | {"order_positions": [{"catalog_position_id": 99}]}, 4, "order_positions.0.catalog"),
]
HTTP = {1: 422, 2: 404, 3: 422, 4: 422, 5: 404}


@pytest.mark.parametrize("form", ["http", "ok"])
@pytest.mark.parametrize(("asked", "code", "text"), REFUSED)
def test_what_is_wrong_is_named_and_nothing_is_kept(service, asked, code, text, form):
    service.error_status = form
    for name in ("One", "Same", "Same"):
        service.add_account(name)
    service.add_account("Many", addresses=("here", "there"))
    refused(create(service, asked), HTTP[code] if form == "http" else 200, code, text)
    assert (service.orders, len(service.accounts)) == ({}, 4)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"tenant": NaN}', b"\xff", b"[" * 5000])
def test_what_is_no_object_is_refused_in_the_envelope(service, body):
    answer = post(
        service.url + Service.CREATE, content=body, headers={"Content-Type": "application/json"}
    )
    refused(answer, 400, 1, "JSON")


def test_a_total_is_exact(service):
    lines = [{"product_name": "x", "price": 0.1, "quantity": 3}, ITEM]
    said = create(service, NEW | {"order_positions": lines}).json()
    assert said["CreateOrder"]["response"]["order"]["order_total"] == 200.8


def test_an_account_of_several_addresses_may_go_without_one(service):
    service.address_policy = "optional"
    service.add_account("Many", addresses=("here", "there"))
    said = create(service, {"tenant": "acme", "customer_name": "Many"}).json()
    assert said["CreateOrder"]["response"]["order"]["account_address_id"] is None


def test_a_token_is_asked_for_where_it_has_one(service):
    service.token = "tkn"
    assert create(service, NEW).status_code == 401
    assert create(service, NEW, Authorization="Bearer tkn").status_code == 200


def test_orders_have_numbers_of_their_own(service):
    service.first_number = 500
    said = create(service, NEW).json()["CreateOrder"]["response"]["order"]
    assert (said["order_id"], said["order_num"]) == (1, 500)


# Keys


def test_without_the_option_a_repeat_makes_a_second_order(service):
    for _ in range(2):
        create(service, NEW | {"order_description": "a, okl-1"}, **{"Idempotency-Key": "okl-1"})
    assert len(service.find("okl-1")) == 2
    assert service.doubled() == ["a, okl-1"]


def test_with_it_a_repeat_is_answered_as_before_and_another_body_is_refused(service):
    service.honours_keys = True
    first = create(service, NEW, **{"Idempotency-Key": "okl-1"})
    assert create(service, NEW, **{"Idempotency-Key": "okl-1"}).json() == first.json()
    other = create(service, NEW | {"email": "a@b.c"}, **{"Idempotency-Key": "okl-1"})
    refused(other, 409, 1, "Idempotency-Key")
    assert len(service.orders) == 1
    create(service, NEW, **{"Idempotency-Key": "okl-2"})
    assert len(service.orders) == 2


def test_a_refusal_takes_no_key(service):
    service.honours_keys = True
    refused(create(service, {"tenant": "acme"}, **{"Idempotency-Key": "k"}), 404, 2, "account_id")
    assert create(service, NEW, **{"Idempotency-Key": "k"}).status_code == 200


def test_one_key_at_once_makes_one_order(service):
    service.honours_keys = True
    threads = [
        threading.Thread(target=create, args=(service, NEW), kwargs={"Idempotency-Key": "k"})
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(service.orders) == 1


# Faults


def test_an_answer_is_lost_after_the_order_is_made(service):
    service.faults.add(Fault("drop", effect="applied", times=1))
    with pytest.raises(httpx.RemoteProtocolError):
        create(service, NEW)
    assert len(service.orders) == 1


def test_it_says_ok_with_any_status(service):
    service.faults.add(Fault("restatus", status=500, times=1))
    answer = create(service, NEW)
    assert (answer.status_code, answer.json()["processing_result"]["status"]) == (500, "ok")
    assert len(service.orders) == 1


def test_it_fails_with_and_without_its_envelope(service):
    failed = {"processing_result": {"status": "error", "code": 9, "text": "later"}}
    service.faults.add(Fault("status", body=failed, times=1), Fault("status", body="<p>", times=1))
    assert create(service, NEW).json() == failed
    assert create(service, NEW).text == "<p>"
    assert service.orders == {}


# Callbacks


def signed(body, secret, at=NOW):
    mac = hmac.new(secret.encode(), f"{at:.0f}.".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Orderbridge-Signature": f"t={at:.0f},v1={mac}", "Content-Type": "application/json"}


def tell(service, body, headers):
    return post(service.url + Service.CALLBACK, content=body, headers=headers).status_code


def test_callbacks_are_kept_if_they_are_signed(service):
    service.callback_secret = "secret"
    body = json.dumps({"order": "5", "note": "ї"}).encode()
    assert tell(service, body, signed(body, "secret")) == 204
    for headers in (
        {},
        {"X-Orderbridge-Signature": "t=,v1="},
        signed(body, "other"),
        signed(b"{}", "secret"),
        signed(body, "secret", NOW - 600),
    ):
        assert tell(service, body, {"Content-Type": "application/json", **headers}) == 401
    assert [one["body"] for one in service.callbacks] == [{"order": "5", "note": "ї"}]


def test_it_can_be_told_to_fail_when_it_is_told(service):
    post(service.url + "/_sim/faults", json={"kind": "status", "status": 503, "path": "/callback"})
    assert tell(service, b"{}", {}) == 503
    assert create(service, NEW).status_code == 200


# State


def test_its_state_is_told_to_tests_of_other_processes(service):
    create(service, NEW)
    tell(service, b"{}", {"Content-Type": "application/json"})
    post(service.url + "/_sim/account", json={"customer_name": "One", "addresses": ["a", "b"]})
    state = get(service.url + "/_sim/state").json()
    assert [order["order_id"] for order in state["orders"]] == [1]
    assert [one["customer_name"] for one in state["accounts"]] == ["Іван", "One"]
    assert (len(state["callbacks"]), state["doubled"]) == (1, [])


def test_it_goes_on_where_it_stopped(tmp_path):
    kept = []
    for _ in range(2):
        made = Service(tenant="acme", data=tmp_path, honours_keys=True)
        with start(made) as running:
            made.url = running.url
            create(made, NEW | {"order_positions": [ITEM]}, **{"Idempotency-Key": "k"})
            tell(made, b"{}", {"Content-Type": "application/json"})
            kept.append((dict(made.orders), dict(made.accounts), made.find("2")))
    assert kept[0] == kept[1]
    assert (len(made.callbacks), made._positions) == (2, 1)
