"""`reason` says why in the words of whoever refused, once, in letters as they are, without personal data."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from gateway_calls import GOOD, UPDATES
from mapped_as import mapped_as

from clients.base import Answer
from ledger import orders, queues, updates
from ledger.orders import Arrived
from ledger.tables import ORDERS
from mapping.problems import QUOTING, codes

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SAID = "Етап 17 не знайдено"


def hold(made, reason, *problems):
    arrived = Arrived("1", "okl-1", "{}", "a" * 32, NOW)
    orders.store(made.ledger, "okliving", "onebox", [arrived], NOW, mapped_as())
    held = ORDERS.update().values(state="held", reason=reason, problems=list(problems))
    made.ledger.write(lambda db: db.execute(held) and None)


def park(made, reason, *fates):
    made.client.post(UPDATES, json=GOOD | {"note": "n"})
    (row,) = updates.listing(made.ledger)
    now = datetime.now(UTC)
    queue, _, _ = queues.claim(made.ledger, updates.Due("okliving", row.order_id), now, 60)
    after = replace(row, state="parked", reason=reason, fates=list(fates))
    queues.record(made.ledger, queue, after, now)
    return f"{UPDATES}/{row.id}"


def finding(code, detail=SAID, **more):
    return {"code": code, "level": "held", "field": "", "detail": detail} | more


@pytest.mark.parametrize("code", sorted(code for code in QUOTING if code != "update_refused"))
@pytest.mark.parametrize("language", ["en", "uk"])
def test_an_order_says_once_what_the_crm_said(keyed, code, language):
    hold(keyed, code, finding(code))
    answer = keyed.client.get("/api/v1/orders/1", headers={"Accept-Language": language})
    assert answer.json["reason"].count(SAID) == 1
    assert answer.json["reason_codes"] == [code]


def test_an_update_says_what_the_shop_said_of_each_field(keyed):
    fates = [
        finding("update_refused", field="note", part="note", fate="parked"),
        finding("update_refused", "зайнято", field="tracking_number", part="tracking_number"),
    ]
    shown = keyed.client.get(park(keyed, "update_refused", *fates)).json
    assert shown["reason"].count(SAID) == shown["reason"].count("зайнято") == 1
    assert "comment" in shown["reason"]
    assert "tracking number" in shown["reason"]


def test_what_was_found_in_the_order_itself_is_not_told(keyed):
    found = finding("recipient_name_filler", "Тест", before="Шевченко", after="Франко")
    hold(keyed, "recipient_name_filler", found | {"field": "recipient.name"})
    answer = keyed.client.get("/api/v1/orders/1")
    assert not [word for word in ("Тест", "Шевченко", "Франко") if word in answer.text]


def test_what_the_crm_said_is_told_as_it_was_masked_where_it_came_in(keyed):
    told = {"errors": [{"detail": "Телефон +380501234567 зайнято"}]}
    body = json.dumps(told).encode()
    hold(keyed, "crm_refused", finding("crm_refused", Answer(400, {}, body, told).excerpt))
    reason = keyed.client.get("/api/v1/orders/1").json["reason"]
    assert "Телефон *** зайнято" in reason
    assert "{" not in reason


@pytest.mark.parametrize("end", ["", ".", "!"])
def test_a_sentence_ends_once(keyed, end):
    hold(keyed, "crm_refused", finding("crm_refused", SAID + end))
    reason = keyed.client.get("/api/v1/orders/1").json["reason"]
    assert f"{SAID}{end or '.'} If" in reason


def test_letters_leave_as_they_are_and_what_is_no_letter_escaped(keyed):
    hold(keyed, "crm_refused", finding("crm_refused", SAID + "\u202e\u2028\ud800"))
    answer = keyed.client.get("/api/v1/orders/1")
    assert SAID in answer.text
    assert answer.text.rstrip().isprintable()
    assert "\\u202e" in answer.text
    assert answer.json["reason"].count("\u202e") == 1


@pytest.mark.parametrize("route", ["/api/v1/orders/немає", "/немає"])
def test_refusals_have_letters_too(keyed, route):
    answer = keyed.client.get(route, headers={"Accept-Language": "uk"})
    assert answer.status_code == 404
    assert "\\u0" not in answer.text


def test_every_code_that_quotes_a_remote_has_a_place_for_its_words():
    assert codes("en") >= QUOTING
