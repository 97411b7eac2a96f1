"""Over HTTP it is the API key's name that stands in the history."""

from __future__ import annotations

import pytest
from gateway_calls import GOOD, OTHER_KEY, UPDATES

from ledger import history


def acts(gateway):
    return history.of_order(gateway.ledger, "okliving", GOOD["order_id"])


def test_an_update_is_kept_as_the_act_of_its_key(keyed):
    headers = {"Idempotency-Key": "k"}
    first, _ = (keyed.client.post(UPDATES, json=GOOD, headers=headers) for _ in range(2))
    other = {"Authorization": f"Bearer {OTHER_KEY}"}
    second = keyed.client.post(UPDATES, json=GOOD, headers=other)
    assert [(act.who, act.what, act.update_id) for act in acts(keyed)] == [
        ("erp", "update_accepted", int(first.json["id"])),
        ("desk", "update_accepted", int(second.json["id"])),
    ]


@pytest.mark.parametrize("body", [GOOD | {"connection": "nobody"}, GOOD | {"note": ""}, {}])
def test_what_is_refused_is_no_act(keyed, body):
    assert keyed.client.post(UPDATES, json=body).status_code == 422
    assert acts(keyed) == []


def test_without_keys_it_is_the_local_caller(gateway):
    made = gateway()
    assert made.client.post(UPDATES, json=GOOD).status_code == 202
    assert [act.who for act in acts(made)] == ["local"]
