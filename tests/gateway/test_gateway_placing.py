"""`POST /CreateOrder` over the real ledger: the text's samples, what is refused, and any request at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from gateway_calls import KEY
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_gateway_createorder import PATH, SAMPLES, told, without_ids_and_times

from desk import loading
from ledger import orders

TENANTS = Path(__file__).resolve().parents[2] / "docs" / "examples" / "tenants.yaml"
# The samples in the order of the text.
TURN = ("existing_account", "positions", "new_account")
WORDS = st.text(max_size=5)
POSITIONS = st.fixed_dictionaries(
    {},
    optional={
        "catalog_position_id": st.integers(1, 6),
        "product_name": WORDS,
        "price": st.integers(-1, 10**9) | st.floats(0, 1000, allow_nan=False),
        "quantity": st.integers(0, 10) | st.floats(0, 1000, allow_nan=False),
        "unit": WORDS,
    },
)
# Mostly good ones: those that are wrong in their form never come as far.
REQUESTS = st.fixed_dictionaries(
    {"tenant": st.sampled_from(["orderingtenant885", "DEMO", "nobody"])},
    optional={
        "account_id": st.integers(0, 3),
        "external_customer_id": WORDS | st.integers(0, 5),
        "customer_name": WORDS,
        "create_account": st.booleans(),
        "account_address_id": st.integers(1, 3),
        "start_date": st.sampled_from(["", "2011-03-27 02:30:00", "2026-11-26 10:00:00"]),
        "end_date": st.sampled_from(["", "2030-01-01 00:00:00", "2000-01-01 00:00:00"]),
        "order_description": st.text(),
        "order_positions": st.lists(POSITIONS, max_size=4),
    },
)


@pytest.fixture
def made(gateway):
    built = gateway(ORDERBRIDGE_API_KEYS=f"erp:{KEY}", GATEWAY_RATE="0")
    built.client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {KEY}"
    loading.load(built.resources.settings, built.ledger, TENANTS)
    return built


def stored(made):
    return [row.order_id for row in orders.listing(made.ledger, made.ledger.now())]


def test_the_samples_of_the_text_get_its_answers_once_their_tenant_is_loaded(made, rung):
    samples = {path.stem: json.loads(path.read_text()) for path in SAMPLES}
    for number, name in enumerate(TURN, 1):
        answer = told(made.client.post(PATH, json=samples[name]["request"]))
        assert without_ids_and_times(answer) == without_ids_and_times(samples[name]["answer"])
        assert answer["CreateOrder"]["response"]["order"]["order_num"] == number
    assert stored(made) == [f"orderingTenant885-{number}" for number in (3, 2, 1)]
    assert len(rung) == 3


def test_what_is_refused_by_the_tenants_clocks_leaves_nothing(made):
    body = {"tenant": "demo", "external_customer_id": "new", "customer_name": "n"}
    skipped = made.client.post(PATH, json=body | {"start_date": "2026-03-29 03:30:00"})
    assert skipped.status_code == 422
    assert stored(made) == []
    order = told(made.client.post(PATH, json=body))["CreateOrder"]["response"]["order"]
    assert (order["order_num"], order["account_id"], order["account_address_id"]) == (1, 2, 2)


def test_no_request_fails_or_stores_what_it_does_not_answer(made):
    @settings(
        max_examples=150,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(body=REQUESTS, key=st.sampled_from(["a", "b", None, None]))
    def probe(body, key):
        before = set(stored(made))
        headers = {"Idempotency-Key": key} if key else {}
        answer = made.client.post(
            PATH, data=json.dumps(body), content_type="application/json", headers=headers
        )
        assert answer.status_code < 500
        order = told(answer)["CreateOrder"]["response"].get("order")
        new = set(stored(made)) - before
        if order is None:
            assert new == set()
        else:
            assert new or key is not None
            assert {one.rpartition("-")[2] for one in new} <= {str(order["order_num"])}

    probe()
