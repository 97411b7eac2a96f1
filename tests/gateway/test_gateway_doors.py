"""A door has its own limit, form of errors, way of letting in and rate; every address belongs to one."""

from __future__ import annotations

from io import BytesIO

import pytest
from flask import Blueprint, jsonify, request
from gateway_calls import GOOD, KEY, UPDATES, bearer

from gateway.app import DOORS
from gateway.body import read_json
from gateway.doors import Door
from gateway.errors import Refusal
from ledger.faults import LedgerUnavailable

LARGEST = 2 * 1024 * 1024
TOY = "/toy/open-sesame"
CONTENT = "application/json"


def in_the_toys_form(refusal):
    """An envelope of its own, with a status of its own: always 200."""
    said = {"code": refusal.status, "text": refusal.sentence, "errors": refusal.errors}
    return jsonify(processing_result=said)


def in_path_or_bearer():
    given = request.authorization
    token = given.token if given is not None else (request.view_args or {})["secret"]
    if token != "open-sesame":
        raise Refusal(403, "The toy is locked.", headers={"X-Locked": "yes"})
    return "ali"


def toy_door(_):
    blueprint = Blueprint("toy", __name__)

    @blueprint.post("/toy/<secret>")
    def take_in(secret):
        body = read_json()
        if body == "nobody":
            raise Refusal(422, "This is nothing.", errors={"_schema": ["nothing"]})
        if body == "ledger":
            raise LedgerUnavailable("x")
        if body == "broken":
            raise RuntimeError("Шевченко")
        return jsonify(length=request.content_length)

    @blueprint.post("/toy/<secret>/pieces")
    def take_pieces(secret):
        length = 0
        while piece := request.stream.read(64 * 1024):
            length += len(piece)
        return jsonify(length=length)

    return Door(
        blueprint=blueprint,
        below=("/toy",),
        largest=LARGEST,
        authenticate=in_path_or_bearer,
        form=in_the_toys_form,
        rate="toy",
    )


@pytest.fixture
def toy(gateway, monkeypatch):
    monkeypatch.setattr("gateway.app.DOORS", (*DOORS, toy_door))
    return gateway(ORDERBRIDGE_API_KEYS=f"erp:{KEY}", GATEWAY_RATE="1000000")


def result(answer):
    """The toy's envelope; every answer of the gateway has its headers whatever the form."""
    assert answer.headers["X-Request-Id"]
    return answer.json["processing_result"]


def test_a_door_takes_bodies_up_to_its_own_limit_and_not_a_byte_more(toy):
    fits = b'{"a": 1}'.ljust(LARGEST)

    taken = toy.client.post(TOY, data=fits, content_type=CONTENT)
    over = toy.client.post(TOY, data=fits + b" ", content_type=CONTENT)

    assert (taken.status_code, taken.json) == (200, {"length": LARGEST})
    assert (over.status_code, result(over)["code"]) == (200, 413)


def test_the_limit_of_one_door_is_not_that_of_another(toy):
    body = b'{"order_id": "1", "note": "n"}'.ljust(LARGEST)
    answer = toy.client.post(UPDATES, data=body, content_type=CONTENT, headers=bearer(KEY))

    assert (answer.status_code, set(answer.json)) == (413, {"error", "request_id"})


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize(("length", "taken"), [(LARGEST - 1, True), (LARGEST + 1, False)])
def test_a_body_read_in_pieces_keeps_the_limit_too(toy, told, length, taken):
    length_told = {"CONTENT_LENGTH": str(length)} if told else {}
    answer = toy.client.post(
        f"{TOY}/pieces",
        input_stream=BytesIO(b"x" * length),
        environ_overrides={"wsgi.input_terminated": True} | length_told,
    )

    assert answer.json == {"length": length} if taken else result(answer)["code"] == 413


@pytest.mark.parametrize(
    ("method", "path", "sent", "code"),
    [
        ("GET", "/toy/nothing/here", {}, 404),
        ("GET", "/toy", {}, 404),
        ("DELETE", TOY, {}, 405),
        ("POST", TOY, {"data": b"x", "content_type": "text/plain"}, 415),
        ("POST", TOY, {"data": b"{", "content_type": CONTENT}, 400),
        ("POST", TOY, {"json": "nobody"}, 422),
        ("POST", TOY, {"json": "broken"}, 500),
        ("POST", TOY, {"json": "ledger"}, 503),
        ("POST", "/toy/wrong", {"json": 1}, 403),
    ],
)
def test_whatever_goes_wrong_at_a_door_is_said_in_its_own_form(toy, method, path, sent, code):
    answer = toy.client.open(path, method=method, **sent)

    assert (answer.status_code, result(answer)["code"]) == (200, code)
    assert "Шевченко" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [("DELETE", TOY, "Allow"), ("POST", "/toy/wrong", "X-Locked"), ("POST", TOY, "Retry-After")],
)
def test_headers_of_a_refusal_are_there_whatever_the_form(toy, method, path, name):
    assert name in toy.client.open(path, method=method, json="ledger").headers


@pytest.mark.parametrize("path", ["/toys", "/toyshop/1", "/toys//toy", "/TOY"])
def test_what_is_below_no_door_is_answered_in_the_common_form(toy, path):
    answer = toy.client.get(path)

    assert (answer.status_code, set(answer.json)) == (404, {"error", "request_id"})


@pytest.mark.parametrize(
    ("path", "headers", "opens"),
    [
        (TOY, {}, True),
        ("/toy/wrong", bearer("open-sesame"), True),
        ("/toy/wrong", {}, False),
        (TOY, bearer(KEY), False),
    ],
)
def test_a_door_lets_in_whom_it_knows_and_nobody_elses_keys_open_it(toy, path, headers, opens):
    answer = toy.client.post(path, json=1, headers=headers)

    assert ("length" in answer.json) is opens


def test_the_toys_secret_opens_no_other_door(toy):
    answer = toy.client.post(UPDATES, json=GOOD, headers=bearer("open-sesame"))

    assert answer.status_code == 401


def test_a_door_counts_its_callers_under_its_own_rate_and_refuses_in_its_form(gateway, monkeypatch):
    monkeypatch.setattr("gateway.app.DOORS", (*DOORS, toy_door))
    made = gateway(ORDERBRIDGE_API_KEYS=f"ali:{KEY}", GATEWAY_RATE="1")
    hits = {}

    def hit(_, item, name):
        hits[name] = hits.get(name, 0) + 1
        return hits[name] <= item.amount

    monkeypatch.setattr("limits.strategies.FixedWindowRateLimiter.hit", hit)
    first, second = (made.client.post(TOY, json=1) for _ in range(2))
    other = made.client.post(UPDATES, json=GOOD, headers=bearer(KEY))

    assert (first.json, result(second)["code"]) == ({"length": 1}, 429)
    assert second.headers["Retry-After"] == "1"
    assert other.status_code == 202


def unguarded(_):
    blueprint = Blueprint("unguarded", __name__)
    blueprint.add_url_rule("/elsewhere", view_func=lambda: "")
    return Door(blueprint=blueprint, below=("/here",), authenticate=lambda: None)


def test_an_address_below_no_door_is_refused_at_start(gateway, monkeypatch):
    monkeypatch.setattr("gateway.app.DOORS", (*DOORS, unguarded))

    with pytest.raises(LookupError, match="/elsewhere"):
        gateway()
