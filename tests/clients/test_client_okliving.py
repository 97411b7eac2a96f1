"""The shop's client against a fake shop: what it sends, and what every answer means."""

from urllib.parse import parse_qs

import httpx
import orjson
import pytest

from clients.cipher import cipher_for
from clients.errors import (
    AuthFailed,
    Forbidden,
    Garbled,
    IllegalTransition,
    Misconfigured,
    NotFound,
    RateLimited,
    Rejected,
    ServerError,
    TokenLost,
    Unreachable,
)
from clients.okliving import OkLiving


def errors(status, code="X", detail="text", **more):
    error = {"code": code, "status": str(status), "title": "title", "detail": detail} | more
    return httpx.Response(status, json={"errors": [error]})


@pytest.fixture
def make(shop, store):
    def build(**changed):
        arguments = {
            "redis": store,
            "cipher": cipher_for(None, "shop-secret", "okliving", "https://shop.test"),
            "transport": httpx.MockTransport(shop),
        }
        return OkLiving("https://shop.test/", "SWIA1", "shop-secret", **(arguments | changed))

    return build


@pytest.fixture
def client(make):
    with make() as client:
        yield client


def test_get_orders_posts_the_body_as_it_is(client, shop):
    body = {"args": {"page": 1}}
    assert client.get_orders(body) == {"orders": [], "page": 1, "pages": 1, "total": 0}
    request = shop.calls[0]
    assert str(request.url) == "https://shop.test/api/get-orders"
    assert orjson.loads(request.content) == body
    assert request.headers["Authorization"] == "Bearer token-number-1"


def test_update_order_wraps_the_order(client, shop):
    client.update_order({"id": "300167757", "note": "так"})
    assert shop.calls[0].url.path == "/api/update-order"
    assert shop.bodies == [{"args": {"order": {"id": "300167757", "note": "так"}}}]


def test_the_login_is_a_form_by_default(client, shop):
    client.login()
    assert {key: value[0] for key, value in parse_qs(shop.logins[0].content.decode()).items()} == {
        "grant_type": "client_credentials",
        "client_id": "SWIA1",
        "client_secret": "shop-secret",
    }


def test_the_login_can_be_json(make, shop):
    with make(login_style="json") as client:
        client.login()
    assert orjson.loads(shop.logins[0].content)["client_id"] == "SWIA1"


def test_fifty_threads_make_one_login(client, shop, in_threads):
    results = in_threads(lambda: client.get_orders({}))
    assert all(isinstance(result, dict) for result in results)
    assert len(shop.logins) == 1


def test_a_dead_token_costs_one_login_and_one_repeat(client, shop):
    client.get_orders({})
    shop.live.clear()
    client.get_orders({})
    assert (len(shop.logins), len(shop.calls)) == (2, 3)


def test_a_token_dead_again_is_lost_not_looped_on(client, shop):
    shop.revoke_new = True
    with pytest.raises(TokenLost):
        client.get_orders({})
    assert (len(shop.logins), len(shop.calls)) == (2, 2)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (errors(401, "4", "Client authentication failed"), AuthFailed),
        (errors(400, "0", "unsupported grant"), AuthFailed),
        (httpx.Response(429, headers={"Retry-After": "30"}), RateLimited),
        (httpx.Response(500), Unreachable),
        (httpx.Response(200, text="<html>"), Unreachable),
        (httpx.Response(200, json={"other": 1}), Misconfigured),
        (httpx.Response(200, json=[]), Misconfigured),
        (httpx.Response(404), Misconfigured),
        (httpx.Response(301, headers={"Location": "https://other.test"}), Misconfigured),
    ],
)
def test_a_failed_login_is_certain_and_never_the_orders_fault(client, shop, answer, kind):
    shop.login_script = [answer]
    with pytest.raises(kind):
        client.update_order({"id": "1"})
    assert shop.calls == []


@pytest.mark.parametrize("life", ["300", 300, 300.0])
def test_the_life_of_a_token_is_what_the_shop_says(make, shop, clock, life):
    shop.login_script = [
        lambda: httpx.Response(200, json={"access_token": shop.new_token(), "expires_in": life})
    ]
    client = make(clock=clock)
    client.get_orders({})
    clock.now += 250
    client.get_orders({})
    assert len(shop.logins) == 2


@pytest.mark.parametrize("life", [None, "soon", 0, -1])
def test_a_life_that_makes_no_sense_is_taken_as_the_fixed_one(make, shop, clock, life):
    shop.login_script = [
        lambda: httpx.Response(200, json={"access_token": shop.new_token(), "expires_in": life})
    ]
    client = make(clock=clock)
    client.get_orders({})
    clock.now += 530
    client.get_orders({})
    assert len(shop.logins) == 1


@pytest.mark.parametrize("content", [b"<html>maintenance</html>", b'{"orders":[{"id":"1"', b""])
@pytest.mark.parametrize("call", ["get_orders", "update_order"])
def test_an_answer_that_is_no_json_is_garbled(client, shop, call, content):
    shop.script = [httpx.Response(200, content=content)]
    with pytest.raises(Garbled):
        getattr(client, call)({"id": "1"})


@pytest.mark.parametrize(
    "answer", [httpx.Response(204), httpx.Response(200, json=[]), httpx.Response(200, json={})]
)
def test_an_update_is_done_by_any_clean_answer(client, shop, answer):
    shop.script = [answer]
    assert client.update_order({"id": "1"}) is None


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (errors(404, "ORDER_NOT_FOUND", "Order 1 not found"), NotFound),
        (errors(404, "0", 'No route found for "POST /api/update-order"'), Misconfigured),
        (httpx.Response(404, text="<h1>Not Found</h1>"), Misconfigured),
        (httpx.Response(404, json={"message": "no Route matched"}), Misconfigured),
        (errors(400, "VIOLATION", "tracking number too long"), Rejected),
        (httpx.Response(200, json={"errors": [{"detail": "not applied"}]}), Rejected),
        (errors(403, "FRAMEWORK__MISSING_PRIVILEGE"), Forbidden),
        (errors(500), ServerError),
        (errors(503), ServerError),
        (httpx.Response(503, headers={"Retry-After": "5"}), RateLimited),
        (errors(429, "FRAMEWORK__RATE"), RateLimited),
    ],
)
def test_what_an_answer_to_an_update_means(client, shop, answer, kind):
    shop.script = [answer]
    with pytest.raises(kind) as caught:
        client.update_order({"id": "1"})
    assert type(caught.value) is kind


def test_an_illegal_transition_says_what_is_possible(client, shop):
    meta = {"parameters": {"possibleTransitions": ["process", "cancel"]}}
    shop.script = [errors(400, "SYSTEM__ILLEGAL_STATE_TRANSITION", "Illegal", meta=meta)]
    with pytest.raises(IllegalTransition, match="Illegal") as caught:
        client.update_order({"id": "1"})
    assert caught.value.possible == ("process", "cancel")


@pytest.mark.parametrize("meta", [None, [], {"parameters": []}, {"parameters": {}}])
def test_an_illegal_transition_without_its_list_is_still_one(client, shop, meta):
    shop.script = [errors(400, "SYSTEM__ILLEGAL_STATE_TRANSITION", meta=meta)]
    with pytest.raises(IllegalTransition) as caught:
        client.update_order({"id": "1"})
    assert caught.value.possible == ()


def test_no_error_shows_a_secret(client, shop):
    shop.login_script = [errors(401, "4", "bad shop-secret for SWIA1")]
    with pytest.raises(AuthFailed) as caught:
        client.login()
    assert "shop-secret" not in str(caught.value) + caught.value.excerpt


@pytest.mark.parametrize(
    "said",
    [
        {"detail": [[[[]]]], "title": "так не можна"},
        {"detail": "x" * 10_000, "code": "так не можна"},
        {"detail": "\x1b]0;owned\x07[link=https://evil.example]\u202e так не можна"},
    ],
)
def test_whatever_shape_a_refusal_has_its_text_is_short_and_text_alone(client, shop, said):
    deep = "[" * 900 + "]" * 900
    body = orjson.dumps({"errors": [said] * 1000}).replace(b"[[[[]]]]", deep.encode())
    shop.script.append(httpx.Response(400, content=body))
    with pytest.raises(Rejected) as refused:
        client.update_order({"id": "1"})
    assert len(str(refused.value)) < 300
    assert str(refused.value).isprintable()


def test_the_actions_that_the_shop_names_are_names_and_few(client, shop):
    named = ["reopen", "[/nope]", "\x1b[31m", 5, None, "x" * 65, *(f"a{n}" for n in range(100))]
    meta = {"parameters": {"possibleTransitions": named}}
    error = {"code": "SYSTEM__ILLEGAL_STATE_TRANSITION", "detail": "no", "meta": meta}
    shop.script.append(httpx.Response(400, json={"errors": [error]}))
    with pytest.raises(IllegalTransition) as refused:
        client.update_order({"id": "1"})
    assert refused.value.possible[:2] == ("reopen", "a0")
    assert len(refused.value.possible) < 50
