"""The client of a CreateOrder service: what it sends, and what every answer means."""

import socket
from decimal import Decimal

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from one_call import raw_server, self_signed

from clients import errors
from clients.createorder import LONGEST_NUMBER, CreateOrder
from clients.errors import RemoteError
from simulator.faults import Fault
from simulator.hostile import SHOWN, long_texts
from simulator.server import start
from simulator.service import Service

URL = "https://service.test/api"
TOKEN = "tkn-of-the-service"
BODY = {"tenant": "acme", "customer_name": "Іван", "external_customer_id": "1"}


def envelope(status="ok", code=0, text="said", **order):
    made = {"CreateOrder": {"response": {"order": order}}} if order else {}
    return {"processing_result": {"status": status, "code": code, "text": text}, **made}


def client_of(handler, **changed):
    given = {"token": TOKEN, "transport": httpx.MockTransport(handler)} | changed
    return CreateOrder(given.pop("url", URL), **given)


def answered(status=200, json=None, key=None, **more):
    """What the client makes of this answer."""
    response = httpx.Response(status, **({"json": json} if json is not None else {}), **more)
    with client_of(lambda _: response) as client:
        return client.create(BODY, key)


def error_of(status=200, json=None, **more):
    with pytest.raises(RemoteError) as raised:
        answered(status, json, **more)
    return raised.value


# What is sent


@pytest.mark.parametrize(
    ("url", "called"),
    [
        (URL, f"{URL}/CreateOrder"),
        (f"{URL}/", f"{URL}/CreateOrder"),
        (f"{URL}/CreateOrder", f"{URL}/CreateOrder"),
        (f" {URL}/CreateOrder/ ", f"{URL}/CreateOrder"),
        ("https://service.test", "https://service.test/CreateOrder"),
    ],
)
def test_the_command_is_posted_to_its_address(url, called):
    sent = []

    def handler(request):
        sent.append(request)
        return httpx.Response(200, json=envelope(order_id=5))

    with client_of(handler, url=url) as client:
        assert client.create(BODY | {"price": Decimal("200.50")}, "okl-1") == "5"
    (request,) = sent
    assert (request.method, str(request.url)) == ("POST", called)
    assert orjson.loads(request.content) == BODY | {"price": 200.5}
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    assert request.headers["Idempotency-Key"] == "okl-1"
    # No warm connection that may be closed there just as an order is sent on it.
    assert request.headers["Connection"] == "close"


def test_what_it_is_not_given_is_not_sent():
    def handler(request):
        assert not {"authorization", "idempotency-key"} & set(request.headers)
        return httpx.Response(200, json=envelope(order_id=5))

    with client_of(handler, token=None) as client:
        assert client.create(BODY, None) == "5"


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, max_value=10**14))
def test_a_decimal_travels_with_each_of_its_digits(amount):
    sent = []

    def handler(request):
        sent.append(request.content.decode())
        return httpx.Response(200, json=envelope(order_id=5))

    with client_of(handler) as client:
        client.create({"price": amount}, None)
    (text,) = sent
    assert Decimal(text.removeprefix('{"price":').removesuffix("}")) == amount


# It is made: whatever the HTTP status


@pytest.mark.parametrize("status", [200, 201, 400, 401, 403, 404, 409, 429, 500, 503])
def test_ok_with_a_number_is_created_whatever_the_status(status):
    assert answered(status, envelope(order_id=5)) == "5"


@pytest.mark.parametrize(
    ("order", "number"),
    [
        ({"order_id": 5, "order_num": 7}, "5"),
        ({"order_id": "A-5"}, "A-5"),
        ({"order_id": 5.0}, "5"),
        ({"order_num": 7}, "7"),
        ({"order_id": None, "order_num": " 7 "}, "7"),
        ({"order_id": "", "order_num": 7}, "7"),
        ({"order_id": True, "order_num": 7}, "7"),
        ({"order_id": 0}, "0"),
        ({"order_id": 5, "position_total": 9, "tel_num": "1"}, "5"),
    ],
)
def test_the_number_is_the_orders_id_else_what_it_is_called_by(order, number):
    assert answered(200, envelope(**order)) == number


@pytest.mark.parametrize("code", [0, "0", None])
def test_a_success_has_no_code_but_nothing(code):
    assert answered(200, envelope(code=code, order_id=5)) == "5"


@pytest.mark.parametrize(
    "order",
    [
        {"other": 1},
        {"order_id": ""},
        {"order_id": []},
        {"order_id": 1.5},
        {"order_id": "x" * (LONGEST_NUMBER + 1)},
        {"order_id": "a\x00b"},
        {"order_id": True},
    ],
)
@pytest.mark.parametrize("status", [200, 500])
def test_made_without_a_number_is_uncertain(order, status):
    exc = error_of(status, envelope(**order))
    assert isinstance(exc, errors.Garbled)
    assert "without the order's number" in str(exc)


@pytest.mark.parametrize("inner", [None, [], 5, "text", {"response": None}, {"response": []}])
def test_a_shape_that_nobody_knows_is_uncertain(inner):
    assert isinstance(error_of(200, envelope() | {"CreateOrder": inner}), errors.Garbled)


# It is not made, or nobody knows


@pytest.mark.parametrize("status", [200, 400, 403, 404, 405, 409, 422])
@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, "1", 0, None, 99])
def test_an_error_of_the_command_is_the_orders_own_whatever_the_status(status, code):
    exc = error_of(status, envelope("error", code, "order_positions.0.product_name is required"))
    assert type(exc) is errors.Rejected
    assert exc.excerpt == "order_positions.0.product_name is required"
    assert exc.excerpt in str(exc)


NO_ENVELOPE = [
    (200, errors.Garbled),
    (201, errors.Garbled),
    (204, errors.Garbled),
    (302, errors.Misconfigured),
    (400, errors.Rejected),
    (401, errors.AuthFailed),
    (403, errors.Forbidden),
    (404, errors.Misconfigured),
    (405, errors.Misconfigured),
    (408, errors.TimedOut),
    (413, errors.Rejected),
    (425, errors.RateLimited),
    (429, errors.RateLimited),
    (500, errors.ServerError),
    (502, errors.ServerError),
    (503, errors.ServerError),
]


@pytest.mark.parametrize(("status", "kind"), NO_ENVELOPE)
@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"5", b"null", b'{"error": "x"}', b'{"processing_result": 5}']
)
def test_an_answer_that_is_none_of_the_commands(status, kind, body):
    assert type(error_of(status, content=body)) is kind


OF_OTHERS = [
    (500, envelope("error", 1), errors.ServerError),
    (503, envelope("error", 2), errors.ServerError),
    (200, envelope("error", 9), errors.ServerError),
    (422, envelope("error", "9"), errors.ServerError),
    (200, envelope("ok", 1, order_id=5), errors.Garbled),
    (200, envelope("strange", 0, order_id=5), errors.Garbled),
    (200, envelope(None, 0, order_id=5), errors.Garbled),
    (200, envelope({"a": 1}, [1], {"b": 2}), errors.Garbled),
    (401, envelope("error", 5), errors.AuthFailed),
    (429, envelope("error", 1), errors.RateLimited),
]


@pytest.mark.parametrize(("status", "said", "kind"), OF_OTHERS)
def test_what_is_no_word_of_the_order_itself(status, said, kind):
    assert type(error_of(status, said)) is kind


@pytest.mark.parametrize("json", [None, envelope("error", 1)])
def test_too_many_calls_name_the_pause(json):
    exc = error_of(429, json, headers={"Retry-After": "30"})
    assert (type(exc), exc.retry_after) == (errors.RateLimited, 30.0)


def test_even_a_proxy_that_asks_to_wait_may_have_let_it_through():
    exc = error_of(503, headers={"Retry-After": "30"})
    assert (isinstance(exc, errors.Uncertain), exc.retry_after) == (True, 30.0)


# The wire


def over_the_wire(service, seconds=5.0, fault=None):
    if fault is not None:
        service.faults.add(fault)
    with start(service) as running, CreateOrder(running.url, token=None, timeout=seconds) as client:
        return client.create(BODY, None)


UNCERTAIN = [
    Fault("drop"),
    Fault("drop", effect="applied"),
    Fault("hang", effect="applied"),
    Fault("cut"),
    Fault("garbled"),
    Fault("html", effect="applied"),
    Fault("empty", effect="applied"),
    Fault("drip", seconds=30),
    Fault("status", status=500, effect="applied"),
]


@pytest.mark.parametrize("fault", UNCERTAIN, ids=lambda fault: f"{fault.kind}-{fault.effect}")
def test_a_lost_answer_is_uncertain(fault):
    with pytest.raises(errors.Uncertain):
        over_the_wire(Service(tenant="acme"), 0.4, fault)


def test_an_honest_service_gives_its_number():
    assert over_the_wire(Service(tenant="acme")) == "1"


def test_a_refusal_with_status_200_is_one():
    with pytest.raises(errors.Rejected, match="tenant acme is not known"):
        over_the_wire(Service(tenant="other", error_status="ok"))


def test_what_never_got_there_is_certain():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with (
        CreateOrder(f"http://127.0.0.1:{port}", token=None) as client,
        pytest.raises(errors.Unreachable),
    ):
        client.create(BODY, None)


def test_a_name_that_nobody_has_is_certain():
    with (
        CreateOrder("http://nowhere.invalid", token=None, timeout=2) as client,
        pytest.raises(errors.Unreachable),
    ):
        client.create(BODY, None)


def test_a_certificate_that_is_not_accepted_is_the_connections_fault(tmp_path):
    with (
        raw_server(context=self_signed(tmp_path)) as port,
        CreateOrder(f"https://127.0.0.1:{port}", token=None, timeout=2) as client,
        pytest.raises(errors.Misconfigured),
    ):
        client.create(BODY, None)


def test_a_body_that_is_no_json_is_not_sent():
    with client_of(pytest.fail) as client, pytest.raises(errors.Rejected):
        client.create({"a": object()}, None)
    with client_of(pytest.fail) as client, pytest.raises(errors.Rejected):
        client.create({"a": Decimal("NaN")}, None)


# Hostile answers


@pytest.mark.parametrize("name", SHOWN)
def test_what_it_says_is_only_text(name):
    said = str(error_of(200, envelope("error", 1, f"x {SHOWN[name]} y")))
    assert said.isprintable()


def test_what_it_says_is_cut_and_masked():
    text = f"call 0501234567 or a@b.ua with {TOKEN} " + "x" * 100_000
    exc = error_of(200, envelope("error", 1, text))
    assert exc.excerpt.startswith("call *** or *** with *** xxx")
    assert (len(exc.excerpt), len(str(exc)) < 300) == (200, True)


def test_a_long_text_costs_little():
    for text in list(long_texts(50_000))[::20]:
        assert isinstance(error_of(200, envelope("error", text, text)), errors.Rejected)


@pytest.mark.parametrize(
    "body",
    [
        b'{"processing_result":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001,
        b'{"processing_result":{"status":"ok","code":0},"CreateOrder":' + b"[" * 50_000,
        b"[" + b"1," * 3_000_000 + b"1]",
        b'{"processing_result":{"status":"ok","code":0},"CreateOrder":{"response":{"order":{"order_id":'
        + b"9" * 5_000
        + b"}}}}",
    ],
)
def test_a_huge_or_deep_answer_is_uncertain(body):
    assert isinstance(error_of(200, content=body), errors.Uncertain)


# What can be tested without an order


@pytest.mark.parametrize("status", [200, 204, 400, 404, 405])
def test_an_address_that_answers_a_read_is_there(status):
    def handler(request):
        assert (request.method, request.content) == ("GET", b"")
        return httpx.Response(status)

    with client_of(handler) as client:
        assert client.touch() == status


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, errors.Misconfigured),
        (401, errors.AuthFailed),
        (403, errors.Forbidden),
        (500, errors.ServerError),
    ],
)
def test_an_address_that_does_not_let_us_in_is_not(status, kind):
    with client_of(lambda _: httpx.Response(status)) as client, pytest.raises(kind):
        client.touch()
