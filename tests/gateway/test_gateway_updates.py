"""POST and GET of updates and orders: what is taken in, what is refused, what is shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO

import pytest
from gateway_calls import GOOD, KEY, OTHER_KEY, UPDATES, bearer
from mapped_as import mapped_as

from ledger import enqueueing, orders, queues, updates
from ledger.attempts import Try
from ledger.enqueueing import Asked
from ledger.faults import LedgerUnavailable
from ledger.orders import Arrived
from tasks import accepting

NOW = datetime.now(UTC)


def taken_in(made):
    return updates.listing(made.ledger)


def test_update_is_in_the_ledger_and_rung_for_when_it_is_answered(keyed, rung):
    answer = keyed.client.post(UPDATES, json=GOOD)

    assert answer.status_code == 202
    (row,) = taken_in(keyed)
    assert answer.json == {"id": str(row.id), "order_id": "300167757", "state": "queued"}
    assert (row.values["tracking_number"], row.origin) == ("20450000000000", "http:erp")
    assert [(due.connection, due.order_id) for due in rung] == [("okliving", "300167757")]


def test_order_id_may_be_a_number_and_is_text_ever_after(keyed):
    answer = keyed.client.post(UPDATES, json=GOOD | {"order_id": 300167757})

    assert (answer.status_code, answer.json["order_id"]) == (202, "300167757")


def test_unusual_tracking_number_is_taken_in_with_a_warning_in_words(keyed):
    english = keyed.client.post(UPDATES, json=GOOD | {"tracking_number": "12"})
    ukrainian = keyed.client.post(
        UPDATES, json=GOOD | {"tracking_number": "12"}, headers={"Accept-Language": "uk"}
    )

    assert (english.status_code, len(english.json["warnings"])) == (202, 1)
    assert english.json["warnings"] != ukrainian.json["warnings"]
    assert ukrainian.headers["Content-Language"] == "uk"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (GOOD | {"statuses": {"order": "fly"}}, "statuses.order"),
        (GOOD | {"statuses": {"delivery": 5}}, "statuses.delivery"),
        (GOOD | {"statuses": {}}, "statuses"),
        ({"order_id": "1"}, "_schema"),
        (GOOD | {"price": 1}, "price"),
        (GOOD | {"note": "n" * 2001}, "note"),
        (GOOD | {"note": None}, "note"),
        (GOOD | {"order_id": "x" * 65}, "order_id"),
        (GOOD | {"order_id": "a\x00b"}, "order_id"),
        (GOOD | {"order_id": True}, "order_id"),
        (GOOD | {"tracking_number": "ТТН 5"}, "tracking_number"),
        (GOOD | {"connection": "nobody"}, "connection"),
        ({}, "order_id"),
        ([], "_schema"),
        ("text", "_schema"),
    ],
)
def test_invalid_update_is_refused_with_its_field_and_nothing_is_written(keyed, rung, body, field):
    answer = keyed.client.post(UPDATES, json=body)

    assert answer.status_code == 422
    assert field in answer.json["errors"]
    assert answer.json["error"]
    assert answer.json["request_id"] == answer.headers["X-Request-Id"]
    assert (taken_in(keyed), rung) == ([], [])


@pytest.mark.parametrize(
    ("data", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"", "application/json", 400),
        (b'{"order_id": NaN, "note": "n"}', "application/json", 400),
        (b'{"order_id": "\\ud800", "note": "n"}', "application/json", 400),
        (b'{"order_id": "1", "note": "\xff"}', "application/json", 400),
        (b"[" * 60_000, "application/json", 400),
        (b"order_id=1&note=n", "application/x-www-form-urlencoded", 415),
        (b'{"order_id": "1", "note": "n"}', "text/plain", 415),
        (b'{"order_id": "1", "note": "n"}', None, 415),
        (b'{"note": "' + b"n" * 10_000_000 + b'"}', "application/json", 413),
    ],
)
def test_what_is_no_json_of_a_sane_size_is_refused(keyed, data, content_type, status):
    answer = keyed.client.post(UPDATES, data=data, content_type=content_type)

    assert (answer.status_code, set(answer.json)) == (status, {"error", "request_id"})
    assert taken_in(keyed) == []


@pytest.mark.parametrize(
    "body",
    [
        '{"order_id":"1","note":"a","order_id":"2"}',
        '{"order_id":"1","statuses":{"order":"x","order":"y"}}',
    ],
)
def test_a_field_that_is_named_twice_is_refused_since_nobody_knows_which_is_meant(keyed, body):
    answer = keyed.client.post(UPDATES, data=body, content_type="application/json")
    assert (answer.status_code, answer.json["error"]) == (400, "The body names a field twice.")


@pytest.mark.parametrize("depth", [500, 1_000, 1_020, 20_000])
def test_however_deep_a_body_is_the_answer_is_the_callers_fault(keyed, depth):
    body = '{"order_id":' + "[" * depth + "]" * depth + "}"
    answer = keyed.client.post(UPDATES, data=body, content_type="application/json")
    assert answer.status_code in {400, 422}


def test_body_of_exactly_the_limit_is_read_and_one_byte_more_is_not(keyed):
    whole = b'{"order_id": "1", "note": "n"}'
    fits = whole.ljust(64 * 1024)

    assert keyed.client.post(UPDATES, data=fits, content_type="application/json").status_code == 202
    over = keyed.client.post(UPDATES, data=fits + b" ", content_type="application/json")
    assert over.status_code == 413


def test_body_without_a_length_is_read_whole_or_refused(keyed):
    def post(body):
        return keyed.client.post(
            UPDATES,
            input_stream=BytesIO(body),
            content_type="application/json",
            environ_overrides={"wsgi.input_terminated": True},
        ).status_code

    good = b'{"order_id": "1", "note": "n"}'
    assert post(good) == 202
    assert post(good.ljust(10_000_000)) == 413
    assert len(taken_in(keyed)) == 1


# --- the same key ---------------------------------------------------------------------------------------


def test_repeated_key_with_the_same_body_gets_the_same_answer_and_is_one_update(keyed):
    body = GOOD | {"tracking_number": "12"}
    first, second = (
        keyed.client.post(UPDATES, json=body, headers={"Idempotency-Key": "k 1"}) for _ in range(2)
    )

    assert (first.status_code, first.json) == (second.status_code, second.json)
    assert len(taken_in(keyed)) == 1


def test_repeat_says_the_same_also_when_the_update_has_moved_on(keyed):
    headers = {"Idempotency-Key": "k"}
    first = keyed.client.post(UPDATES, json=GOOD, headers=headers)
    updates.cancel(keyed.ledger, int(first.json["id"]), NOW, who="olena")

    assert keyed.client.post(UPDATES, json=GOOD, headers=headers).json == first.json
    shown = keyed.client.get(f"{UPDATES}/{first.json['id']}").json
    assert shown["state"] == "cancelled"


def test_key_used_for_another_body_is_a_conflict(keyed):
    headers = {"Idempotency-Key": "k"}
    keyed.client.post(UPDATES, json=GOOD, headers=headers)
    answer = keyed.client.post(UPDATES, json=GOOD | {"note": "other"}, headers=headers)

    assert answer.status_code == 409
    assert len(taken_in(keyed)) == 1


@pytest.mark.parametrize("key", ["k", "k" * 200])
def test_two_callers_never_meet_in_one_key(keyed, key):
    ids = {
        keyed.client.post(
            UPDATES, json=GOOD, headers={"Idempotency-Key": key} | bearer(owner)
        ).json["id"]
        for owner in (KEY, OTHER_KEY, KEY)
    }

    assert len(ids) == 2
    assert all(len(row.key) <= 200 for row in taken_in(keyed))


def test_a_caller_that_is_called_like_a_target_does_not_meet_its_keys(gateway):
    made = gateway(ORDERBRIDGE_API_KEYS=f"crm:{KEY}")
    made.resources.targets["crm"] = None
    theirs = Asked("okliving", "1", "d", "crm", {"note": "theirs"}, key="crm:k")
    enqueueing.accept(made.ledger, theirs, NOW)
    headers = {"Idempotency-Key": "k"} | bearer(KEY)

    assert made.client.post(UPDATES, json=GOOD, headers=headers).status_code == 202
    assert len(taken_in(made)) == 2


@pytest.mark.parametrize("key", ["", "k" * 201, "ключ".encode().decode("latin-1"), "a\tb"])
def test_unfit_key_is_refused_by_name(keyed, key):
    answer = keyed.client.post(UPDATES, json=GOOD, headers={"Idempotency-Key": key})

    assert (answer.status_code, list(answer.json["errors"])) == (422, ["Idempotency-Key"])


# --- looking --------------------------------------------------------------------------------------------


def test_update_is_shown_with_its_parts_fates_and_attempts(keyed):
    keyed.client.post(UPDATES, json=GOOD | {"note": "hello", "statuses": {"delivery": "ship"}})
    (row,) = taken_in(keyed)
    due, now = updates.Due("okliving", row.order_id), datetime.now(UTC)
    queue, _, _ = queues.claim(keyed.ledger, due, now, 60)
    told = {
        "part": "delivery",
        "fate": "parked",
        "code": "update_illegal",
        "detail": "delivery.ship",
    }
    after = replace(row, state="parked", reason="update_illegal", fates=[told])
    call = Try("update", now, 120, "refused", 422, parts="delivery")
    queues.record(keyed.ledger, queue, after, now, call=call)

    english = keyed.client.get(f"{UPDATES}/{row.id}").json
    ukrainian = keyed.client.get(f"{UPDATES}/{row.id}", headers={"Accept-Language": "uk-UA"}).json

    assert (english["state"], english["reason_codes"]) == ("parked", ["update_illegal"])
    assert english["reason"] != ukrainian["reason"]
    assert english["statuses"] == {"order": None, "delivery": "ship"}
    assert english["fates"][0]["part"] == "delivery"
    assert english["fates"][0]["text"] != ukrainian["fates"][0]["text"]
    (attempt,) = english["attempts"]
    assert (attempt["outcome"], attempt["duration_ms"], attempt["status"]) == ("refused", 120, 422)
    assert datetime.fromisoformat(english["accepted_at"]).utcoffset().total_seconds() == 0


def test_update_that_waits_says_why_with_what_to_do(keyed):
    for asked in ({"order": "complete"}, {"delivery": "ship"}):
        keyed.client.post(UPDATES, json={"order_id": "300", "statuses": asked})
    parked, waits = sorted(taken_in(keyed), key=lambda row: row.id)
    due, now = updates.Due("okliving", "300"), datetime.now(UTC)
    queue, _, _ = queues.claim(keyed.ledger, due, now, 60)
    told = {"part": "order", "fate": "parked", "code": "update_illegal"}
    told |= {"before": "order.complete", "detail": "order.process, order.cancel"}
    after = replace(
        parked,
        state="parked",
        reason="update_illegal",
        fates=[told],
        parts=updates.moved(parked.parts, ["order"], "parked"),
        blocks=True,
    )
    queues.record(keyed.ledger, queue, after, now)
    queues.rest(keyed.ledger, queue, now, ordered=frozenset({"order", "delivery"}))

    first, second = (
        keyed.client.get(f"{UPDATES}/{row.id}", headers={"Accept-Language": "en"}).json
        for row in (parked, waits)
    )

    assert "`orderbridge update --order process 300`" in first["reason"]
    assert f"`orderbridge updates cancel {parked.id}`" in first["reason"]
    assert second["reason_codes"] == ["update_waits_behind"]
    assert f"waits behind update {parked.id}" in second["reason"]
    order = keyed.client.get("/api/v1/orders/300").json
    assert {row["reason_codes"][0] for row in order["updates"]} == {
        "update_illegal",
        "update_waits_behind",
    }


@pytest.mark.parametrize("name", ["7", "0", "-1", "abc", "9223372036854775808", "1.5"])
def test_unknown_update_is_not_found(keyed, name):
    answer = keyed.client.get(f"{UPDATES}/{name}")

    assert (answer.status_code, set(answer.json)) == (404, {"error", "request_id"})


def test_order_is_shown_with_its_updates(keyed):
    arrived = Arrived("300167757", "OK-300167757", "{}", "hash", NOW)
    orders.store(keyed.ledger, "okliving", "onebox", [arrived], NOW, mapped_as())
    keyed.client.post(UPDATES, json=GOOD)

    shown = keyed.client.get("/api/v1/orders/300167757?connection=okliving").json

    assert (shown["state"], shown["target"], shown["target_id"]) == ("received", "onebox", None)
    assert [row["tracking_number"] for row in shown["updates"]] == ["20450000000000"]
    assert keyed.client.get("/api/v1/orders/300167757?connection=other").status_code == 404


def test_order_known_by_its_updates_alone_has_no_state(keyed):
    keyed.client.post(UPDATES, json=GOOD)

    answer = keyed.client.get("/api/v1/orders/300167757")

    assert (answer.status_code, answer.json["state"], len(answer.json["updates"])) == (200, None, 1)


@pytest.mark.parametrize("name", ["5", "a%00b", "x" * 65, "%D1%8F", "a%2F%2Fb", "%FF"])
def test_unknown_order_is_not_found(keyed, name):
    assert keyed.client.get(f"/api/v1/orders/{name}").status_code == 404


def test_order_id_with_a_slash_is_found(keyed):
    keyed.client.post(UPDATES, json=GOOD | {"order_id": "T-1/2"})

    assert keyed.client.get("/api/v1/orders/T-1%2F2").json["order_id"] == "T-1/2"


# --- our own faults -------------------------------------------------------------------------------------


def test_ledger_away_is_said_so_with_a_time_to_try_again(keyed, monkeypatch):
    def away(*_, **__):
        raise LedgerUnavailable("x")

    monkeypatch.setattr(accepting.enqueueing, "accept", away)
    answer = keyed.client.post(UPDATES, json=GOOD)

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


def test_fault_of_ours_shows_no_trace_and_no_text_to_the_caller(keyed, monkeypatch, capfd):
    def broken(*_, **__):
        raise RuntimeError("Шевченко")

    monkeypatch.setattr(accepting.enqueueing, "accept", broken)
    answer = keyed.client.post(UPDATES, json=GOOD)

    assert (answer.status_code, set(answer.json)) == (500, {"error", "request_id"})
    assert "Шевченко" not in answer.text + "".join(capfd.readouterr())
