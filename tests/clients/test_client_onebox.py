"""The CRM's client against a fake box: what it sends, logging in, dead tokens, what every status means."""

import hashlib

import httpx
import orjson
import pytest
from fake_remotes import PASSWORD, accepted

from clients.errors import (
    AuthFailed,
    Forbidden,
    Misconfigured,
    RateLimited,
    Rejected,
    ServerError,
    TimedOut,
    TokenLost,
    Unreachable,
)


def test_set_order_posts_an_object_with_a_numeric_key(onebox, box):
    assert onebox.set_order({"externalid": "okl-1"}) == "101"
    request = box.calls[0]
    assert str(request.url) == "https://box.test/api/v2/order/set/"
    assert request.headers["token"] == "token-number-1"
    assert orjson.loads(request.content) == {"0": {"externalid": "okl-1"}}


@pytest.mark.parametrize(("shape", "refused"), [("object", dict), ("array", list)])
def test_a_refused_body_shape_is_switched_once_and_remembered(make_onebox, box, shape, refused):
    box.refused_shape = refused
    onebox = make_onebox(body_shape=shape)
    assert [onebox.set_order({}), onebox.set_order({})] == ["101", "101"]
    assert [type(body) for body in box.bodies].count(refused) == 1
    assert len(box.bodies) == 3


def test_two_refused_body_shapes_are_the_connections_fault(onebox, box):
    box.refused_shape = (dict, list)
    with pytest.raises(Misconfigured):
        onebox.set_order({})
    assert len(box.calls) == 2


DEAD = [
    httpx.Response(400, json={"status": 0, "errorArray": ["token in header not found"]}),
    httpx.Response(200, json={"status": 0, "errorArray": ["token in header not found"]}),
    httpx.Response(200, json={"status": 0, "errorArray": {"token": "Токен не знайдено"}}),
    httpx.Response(401),
    httpx.Response(403),
]


@pytest.mark.parametrize("dead", DEAD)
def test_a_dead_token_costs_one_login_and_one_repeat(onebox, box, dead):
    box.dead = dead
    onebox.set_order({})
    box.live.clear()
    assert onebox.set_order({}) == "101"
    assert (len(box.logins), len(box.calls)) == (2, 3)


@pytest.mark.parametrize("dead", DEAD)
def test_a_token_dead_again_is_lost_not_looped_on(onebox, box, dead):
    box.dead = dead
    box.revoke_new = True
    with pytest.raises(TokenLost):
        onebox.set_order({})
    assert (len(box.logins), len(box.calls)) == (2, 2)


def test_fifty_threads_with_a_dead_token_make_one_login(onebox, box, in_threads):
    onebox.set_order({})
    box.live.clear()
    box.login_seconds = 0.05
    assert set(in_threads(lambda: onebox.set_order({}))) == {"101"}
    assert len(box.logins) == 2


def test_a_refused_login_after_a_dead_token_is_the_connections_fault(onebox, box):
    onebox.set_order({})
    box.live.clear()
    box.passwords = ()
    with pytest.raises(AuthFailed):
        onebox.set_order({})


@pytest.mark.parametrize("answer", [httpx.Response(403, text="<html>blocked</html>")])
def test_a_refusal_with_a_good_token_is_forbidden(onebox, box, answer, refuses):
    box.script = [answer, answer]
    with pytest.raises(Forbidden):
        onebox.set_order({})
    box.script = [refuses("Недостатньо прав", 403)] * 2
    with pytest.raises(Forbidden):
        onebox.set_order({})


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("form", "password", "sent"),
    [
        ("raw", PASSWORD, [PASSWORD]),
        ("md5", PASSWORD, [md5(PASSWORD)]),
        ("auto", PASSWORD, [PASSWORD, md5(PASSWORD)]),
        ("auto", md5("x"), [md5("x")]),
        ("md5", md5("x"), [md5("x")]),
        ("auto", md5("x").upper(), [md5("x").upper()]),
    ],
)
def test_the_password_forms_that_are_tried(make_onebox, box, form, password, sent):
    box.passwords = ()
    onebox = make_onebox(password, password_form=form)
    with pytest.raises(AuthFailed):
        onebox.login()
    assert [orjson.loads(r.content)["restapipassword"] for r in box.logins] == sent


def test_the_password_form_that_was_taken_is_remembered(make_onebox, box):
    box.passwords = (md5(PASSWORD),)
    onebox = make_onebox()
    onebox.login()
    onebox.login()
    assert len(box.logins) == 3


def test_a_login_that_got_no_answer_is_not_tried_in_the_other_form(onebox, box):
    box.login_script = [httpx.Response(502)]
    with pytest.raises(Unreachable):
        onebox.login()
    assert len(box.logins) == 1


@pytest.mark.parametrize(
    "body", [{"status": 1, "dataArray": {"token": "t"}}, {"status": 1, "token": "t"}]
)
def test_both_places_of_the_token_are_read(onebox, box, body):
    box.login_script = [httpx.Response(200, json=body)]
    box.live.add("t")
    assert onebox.set_order({}) == "101"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.Response(200, json={"status": 0, "errorArray": ["x"]}), AuthFailed),
        (httpx.Response(400, json={"status": 0, "errorArray": ["x"]}), AuthFailed),
        (httpx.Response(401), AuthFailed),
        (httpx.Response(404), Misconfigured),
        (httpx.Response(302), Misconfigured),
        (httpx.Response(200, json={"status": 1}), Misconfigured),
        (httpx.Response(200, text="<html>"), Unreachable),
        (httpx.Response(429), RateLimited),
    ],
)
def test_a_failed_login_is_certain_and_never_the_orders_fault(make_onebox, box, answer, kind):
    box.login_script = [answer]
    with pytest.raises(kind):
        make_onebox(password_form="raw").set_order({})
    assert box.calls == []


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.Response(500, json={"status": 0, "errorArray": ["Недостатньо прав"]}), ServerError),
        (httpx.Response(502, text="bad gateway"), ServerError),
        (httpx.Response(503), ServerError),
        (httpx.Response(503, headers={"Retry-After": "7"}), RateLimited),
        (httpx.Response(429, json={"status": 0}, headers={"Retry-After": "7"}), RateLimited),
        (httpx.Response(404, text="<html>"), Misconfigured),
        (httpx.Response(405, text=""), Misconfigured),
        (httpx.Response(301), Misconfigured),
        (httpx.Response(408), TimedOut),
        (httpx.Response(404, json={"status": 0, "errorArray": ["немає такого"]}), Rejected),
        (httpx.Response(422, text="?"), Rejected),
    ],
)
def test_what_a_status_means(onebox, box, answer, kind):
    box.script = [answer]
    with pytest.raises(kind) as caught:
        onebox.set_order({})
    assert type(caught.value) is kind
    assert caught.value.status == answer.status_code


def test_only_exact_matches_of_an_external_id_count(onebox, box):
    box.script = [
        accepted(
            [
                {"id": 12, "externalid": "okl-1"},
                {"id": "9", "externalid": "okl-1"},
                {"id": 5, "externalid": "okl-12"},
                {"id": 6, "externalid": "OKL-1"},
                {"id": 7, "externalid": 1},
                {"id": 8},
                "rubbish",
            ]
        )
    ]
    assert onebox.find_orders(["okl-1", "okl-2", "1"]) == {
        "okl-1": ["9", "12"],
        "okl-2": [],
        "1": ["7"],
    }
    assert box.bodies == [
        {
            "filter": {"externalid": ["okl-1", "okl-2", "1"]},
            "fields": ["id", "externalid", "statusid"],
        }
    ]


def test_nothing_asked_is_no_call(onebox, box):
    assert onebox.find_orders([]) == {}
    assert box.calls == []


def test_get_orders_asks_for_both_ids_beside_the_fields(onebox, box):
    row = {"id": 1, "externalid": "a", "sum": 5}
    box.script = [accepted({"0": row, "1": {"id": 2, "externalid": "b"}})]
    assert onebox.get_orders(["a"], ["sum"]) == [row]
    assert box.bodies[0]["fields"] == ["id", "externalid", "sum"]


def test_workflows_are_listed(onebox, box):
    box.script = [accepted([{"id": 1, "name": "Продажі"}])]
    assert onebox.workflows() == [{"id": 1, "name": "Продажі"}]
    assert box.calls[0].url.path == "/api/v2/workflow/get/"


def test_no_error_shows_a_secret_or_a_person(onebox, box, refuses):
    box.script = [refuses("клієнт o@ukr.net +380671234567 secret-password token-number-1")]
    with pytest.raises(Rejected) as caught:
        onebox.set_order({})
    shown = str(caught.value) + caught.value.excerpt
    assert not any(part in shown for part in ("ukr.net", "1234567", PASSWORD, "number-1"))
