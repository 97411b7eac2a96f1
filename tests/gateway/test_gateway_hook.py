"""The OneBox hook: kept raw and answered at once; a wrong secret finds nothing here."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from gateway_calls import HOOK, OTHER_SECRET, SECRET
from sqlalchemy import select

from ledger import hook_listing
from ledger.hook_intake import MOST_OPEN
from ledger.tables import HOOKS

FIELDS = {"externalid": "okl-300167757", "statusname": "x", "ttn": "20450000000000"}
HMAC_KEY = "signing-key"


@pytest.fixture
def hooked(gateway):
    return gateway(ONEBOX_HOOK_SECRETS=f"{SECRET},{OTHER_SECRET}")


def kept(ledger, hook_id):
    """The connection and the fields of a call as it was kept."""
    with ledger.read() as db:
        query = select(HOOKS.c.connection, HOOKS.c.fields).where(HOOKS.c.id == hook_id)
        return tuple(db.execute(query).one())


@pytest.mark.parametrize("secret", [SECRET, OTHER_SECRET])
@pytest.mark.parametrize("kind", ["data", "json"])
def test_call_is_kept_as_it_came_and_rung_for(hooked, rung, secret, kind):
    answer = hooked.client.post(f"/hooks/onebox/{secret}", **{kind: FIELDS})

    assert (answer.status_code, answer.json["accepted"]) == (200, True)
    (hook_id,) = rung
    assert kept(hooked.ledger, hook_id) == ("onebox", FIELDS)


def test_multipart_form_is_taken_too(hooked, rung):
    answer = hooked.client.post(HOOK, data=FIELDS, content_type="multipart/form-data")

    assert answer.status_code == 200
    assert kept(hooked.ledger, rung[0]) == ("onebox", FIELDS)


def test_values_of_json_become_text_and_null_is_left_out(hooked, rung):
    hooked.client.post(HOOK, json={"id": 5, "a": None, "b": {"c": [1]}, "d": True})

    assert kept(hooked.ledger, rung[0])[1] == {
        "id": "5",
        "b": '{"c":[1]}',
        "d": "true",
    }


@pytest.mark.parametrize(
    ("fields", "nothing"),
    [
        ({"externalid": "okl-1", "statusid": "a stage nobody knows"}, True),
        ({"colour": "red"}, True),
        ({"order_id": "1", "ttn": "20450000000000"}, False),
        ({"orderid": "100002: a worker looks it up"}, False),
    ],
)
def test_call_that_asks_for_nothing_is_told_so_and_still_kept_to_be_counted(
    hooked, rung, fields, nothing
):
    answer = hooked.client.post(HOOK, data=fields)

    assert answer.json == {"accepted": True} | ({"result": "nothing to do"} if nothing else {})
    assert len(rung) == 1


@pytest.mark.parametrize(
    ("fields", "mistaken", "nothing"),
    [
        ({"externalid": "okl-1", "ttn": "{ttn}"}, {"ttn"}, True),
        ({"externalid": "okl-1", "TTN": "{ttn}", "statusname": "Done"}, {"TTN"}, False),
        (
            {"externalid": "okl-1", "comment": "№ {ttn}", "status": "{status}"},
            {"comment", "status"},
            True,
        ),
        ({"externalid": "abc-1", "ttn": "20450000000000"}, {"externalid"}, True),
        ({"externalid": "{externalid}", "orderid": "100001"}, {"externalid"}, False),
    ],
)
def test_a_mistake_that_is_certain_is_named_and_the_call_is_kept(
    hooked, rung, fields, mistaken, nothing
):
    answer = hooked.client.post(HOOK, data=fields)

    assert (answer.status_code, answer.json["accepted"]) == (200, True)
    assert (set(answer.json["mistakes"]), "result" in answer.json) == (mistaken, nothing)
    assert kept(hooked.ledger, rung[0]) == ("onebox", fields)


def test_an_answer_does_not_say_which_orders_and_shops_there_are(hooked):
    answers = [
        hooked.client.post(HOOK, data={"externalid": external_id, "ttn": "20450000000000"})
        for external_id in ("abc-1", "other-1", "okl-1", "okl-999")
    ]
    assert [answer.json.get("mistakes") for answer in answers[:2]] == [
        {"externalid": ["No order of ours begins so."]}
    ] * 2
    assert answers[2].json == answers[3].json == {"accepted": True}


def test_a_stage_that_the_box_may_name_is_not_said_to_be_nothing(hooked):
    answer = hooked.client.post(HOOK, data={"externalid": "okl-1", "statusid": "73"})
    assert answer.json == {"accepted": True}


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"externalid": "{externalid}", "comment": "x"}, "unfilled"),
        ({"orderid": "<b>7</b>"}, "odd_id"),
    ],
)
def test_a_call_that_is_refused_for_its_id_is_kept_for_a_person_to_see(
    hooked, rung, fields, outcome
):
    answer = hooked.client.post(HOOK, data=fields)

    assert (answer.status_code, list(answer.json["errors"])) == (422, list(fields)[:1])
    (row,) = hook_listing.listing(hooked.ledger, limit=9)
    assert (row.outcome, row.fields, rung) == (outcome, fields, [])


@pytest.mark.parametrize(
    ("secrets", "path"),
    [
        (SECRET, "/hooks/onebox/wrong"),
        (SECRET, f"{HOOK}x"),
        (SECRET, "/hooks/onebox/%D1%8F"),
        (SECRET, "/hooks/onebox/"),
        ("", HOOK),
        ("", "/hooks/onebox/"),
    ],
)
def test_wrong_secret_is_answered_like_an_unknown_address(gateway, rung, secrets, path):
    made = gateway(ONEBOX_HOOK_SECRETS=secrets)
    answer, unknown = made.client.post(path, data=FIELDS), made.client.post("/nowhere")

    assert (answer.status_code, answer.json["error"]) == (404, unknown.json["error"])
    assert rung == []


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"data": {}}, 400),
        ({"json": []}, 400),
        ({"data": b"{", "content_type": "application/json"}, 400),
        ({"data": b"x", "content_type": "text/plain"}, 415),
        ({"data": {"comment": "x" * 70_000}}, 413),
        ({"json": {"comment": "x" * 70_000}}, 413),
    ],
)
def test_what_has_no_fields_is_refused(hooked, rung, sent, status):
    if sent == {"data": {}}:
        sent = {"data": b"", "content_type": "application/x-www-form-urlencoded"}
    assert hooked.client.post(HOOK, **sent).status_code == status
    assert rung == []


@pytest.mark.parametrize("kind", ["form", "json"])
def test_signature_is_over_the_body_as_it_came(gateway, rung, kind):
    made = gateway(ONEBOX_HOOK_SECRETS=SECRET, ONEBOX_HOOK_HMAC_KEY=HMAC_KEY)
    body, content_type = {
        "form": (b"order_id=1&ttn=2045", "application/x-www-form-urlencoded"),
        "json": (b'{"order_id":"1","ttn":"2045"}', "application/json"),
    }[kind]
    right = "sha256=" + hmac.new(HMAC_KEY.encode(), body, hashlib.sha256).hexdigest()

    def post(signature):
        headers = {} if signature is None else {"X-Signature": signature}
        return made.client.post(HOOK, data=body, content_type=content_type, headers=headers)

    assert [post(s).status_code for s in (None, "", "sha256=00", right[7:], right)] == [403] * 4 + [
        200
    ]
    assert kept(made.ledger, rung[0])[1] == {"order_id": "1", "ttn": "2045"}


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("203.0.113.7", 200),
        ("::ffff:203.0.113.7", 200),
        ("2001:db8::1", 200),
        ("203.0.114.7", 403),
        ("127.0.0.1", 403),
    ],
)
def test_only_listed_addresses_may_call(gateway, address, status):
    made = gateway(ONEBOX_HOOK_SECRETS=SECRET, ONEBOX_HOOK_ADDRESSES="203.0.113.0/24, 2001:db8::1")
    answer = made.client.post(HOOK, data=FIELDS, environ_overrides={"REMOTE_ADDR": address})

    assert answer.status_code == status


def test_hook_has_a_rate_of_its_own(gateway):
    made = gateway(ONEBOX_HOOK_SECRETS=SECRET, GATEWAY_RATE="1")

    assert 429 in {made.client.post(HOOK, data=FIELDS).status_code for _ in range(20)}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("orderid", "4711\0"),
        ("externalid", "okl-1\0"),
        ("externalid\0", "okl-1"),
        ("comment", "a\0b"),
    ],
)
def test_what_no_database_takes_is_left_out_at_the_door(hooked, rung, name, value):
    for call in ({"json": {name: value}}, {"data": {name: value}}):
        assert hooked.client.post(HOOK, **call).status_code == 200
    with hooked.ledger.read() as db:
        rows = db.execute(select(HOOKS.c.fields)).scalars().all()
    kept_as = {name.replace("\0", ""): value.replace("\0", "")}
    # Said again before anyone worked on it, it is one call; one of nobody is not compared.
    assert rows == [kept_as] * (2 if name == "comment" else 1)
    assert len(rung) == len(rows)


def test_calls_of_one_process_are_rung_for_once_however_they_name_it(hooked, rung):
    for number in ("1", "2"):
        hooked.client.post(HOOK, data={"externalid": f"okl-{number}", "statusname": "Done"})
        hooked.client.post(HOOK, data={"order_id": number, "comment": "x"})
    assert len(rung) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("externalid", "okl-" + "1" * 65),
        ("externalid", "okl-[/nope]"),
        ("order_id", "9" * 65),
        ("orderid", "1" * 65),
        ("orderid", "<b>7</b>"),
    ],
)
def test_an_id_that_is_none_is_refused_with_a_word(hooked, rung, name, value):
    answer = hooked.client.post(HOOK, data={name: value, "statusname": "Done"})
    assert (answer.status_code, len(answer.json["errors"])) == (422, 1)
    assert rung == []


def test_the_longest_id_is_taken(hooked, rung):
    assert hooked.client.post(HOOK, data={"externalid": "okl-" + "1" * 64}).status_code == 200
    assert len(rung) == 1


def test_of_one_process_only_so_many_calls_are_taken_until_they_are_worked_off(hooked, rung):
    def call(number, process="okl-1"):
        return hooked.client.post(HOOK, data={"externalid": process, "ttn": f"20{number:012}"})

    assert {call(number).status_code for number in range(MOST_OPEN)} == {200}
    refused = call(MOST_OPEN)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
    assert call(0, "okl-2").status_code == 200
    # Called in a loop with the same words, it is one call.
    assert {call(MOST_OPEN - 1).status_code for _ in range(20)} == {200}
    assert len(rung) == 2


@pytest.mark.parametrize("body", ['{"orderid":"1","orderid":"2"}', '{"a":{"b":1,"b":2}}'])
def test_a_field_that_is_named_twice_is_refused(hooked, rung, body):
    answer = hooked.client.post(HOOK, data=body, content_type="application/json")
    assert (answer.status_code, rung) == (400, [])
    assert "twice" in answer.json["error"]
