"""`/CreateOrder/docs`: every field, limit, code and status as the door has them, readable without a key."""

from __future__ import annotations

import json
import re
from html import unescape

import pytest
from gateway_calls import KEY, bearer
from placing_stand_in import of_the_seed, taking

from gateway import createorder, createorder_docs
from gateway.createorder_docs import PATH, REQUEST, STATUSES, rows
from gateway.createorder_refusals import CODES, denied
from ledger.tenants import Refused, Tenant
from ledger.tenants.words import Reason
from mapping.createorder import OrderSchema, PositionSchema
from mapping.exact_json import write


@pytest.fixture
def page(gateway):
    answer = gateway(ORDERBRIDGE_API_KEYS=f"erp:{KEY}").client.get(PATH)
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    return unescape(answer.text)


def test_it_needs_no_key_loads_nothing_and_has_no_script(page):
    assert not re.search(r"https?://|<script|<link|<img", page)


@pytest.mark.parametrize("schema", [OrderSchema, PositionSchema])
def test_it_names_every_field_with_what_it_must_be(page, schema):
    told = rows(schema)
    assert [row["name"] for row in told] == [*schema().fields]
    for row in told:
        assert row["meaning"]
        assert f"<code>{row['name']}</code>" in page
        assert f"{row['meaning']} <i>{row['form'][0].upper()}{row['form'][1:]}.</i>" in page


def test_what_the_page_calls_a_default_is_one(gateway):
    defaults = {row["name"]: row["default"] for row in rows(OrderSchema)}
    asked, _ = createorder.createorder.read({"tenant": "demo"})
    for name in ("end_date", "order_type", "tel_num", "email", "address_text", "order_status"):
        assert defaults[name] == f'"{getattr(asked, name)}"'
    assert (defaults["order_positions"], asked.order_positions) == ("[]", ())


def test_it_has_an_example_of_every_code(page):
    envelopes = [
        json.loads(found) for found in re.findall(r"<pre>(\{.*?\})</pre>", page, re.DOTALL)
    ]
    assert [one["processing_result"]["code"] for one in envelopes] == [0, *CODES]
    assert all(one.keys() == envelopes[0].keys() for one in envelopes)
    for code, meaning in CODES.items():
        assert f'<th scope="row">{code}</th><td>{meaning}' in page


def test_it_has_every_status_that_the_ledgers_refusals_have(page):
    for reason in Reason.__args__:
        refusal = denied(Refused(reason))
        codes, *_ = STATUSES[refusal.status]
        assert str(refusal.code) in codes or codes == "1 to 4"
    for status in STATUSES:
        assert f'<th scope="row">{status}</th>' in page


def test_its_example_is_an_order_that_the_door_takes(gateway, monkeypatch):
    made = gateway(ORDERBRIDGE_API_KEYS=f"erp:{KEY}")
    taking(made.resources)
    stand_in = of_the_seed()
    stand_in.tenants = [Tenant(1, "demo", "Europe/Kyiv")]
    monkeypatch.setattr("desk.placing.place", stand_in.place)
    answer = made.client.post(
        createorder.PATH, data=write(REQUEST), content_type="application/json", headers=bearer(KEY)
    )
    assert (answer.status_code, len(stand_in.placed)) == (200, 1)


def test_the_limit_of_a_body_is_the_doors(page):
    assert f"A body has {createorder.LARGEST / 1024**2:.0f} MB at most" in page
    assert "larger than 2 MB" in STATUSES[413][1]


def test_the_page_is_made_once(gateway, monkeypatch):
    client = gateway().client
    first = client.get(PATH).text
    monkeypatch.setattr(createorder_docs, "rendered", lambda *_, **__: pytest.fail("made again"))
    assert client.get(PATH).text == first
