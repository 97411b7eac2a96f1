"""The CRM's client against a fake box: what it sends, and what every answer means."""

import hashlib

import httpx
import orjson
import pytest

from clients.errors import (
    AuthFailed,
    Forbidden,
    Garbled,
    Misconfigured,
    PhoneTaken,
    RateLimited,
    Rejected,
    ServerError,
    TimedOut,
    TokenLost,
    Unreachable,
)
from clients.onebox import OneBox, _meaning
from clients.tokens import cipher_for

PASSWORD = "secret-password"


@pytest.fixture
def make(box, store):
    def build(password=PASSWORD, **changed):
        arguments = {
            "redis": store,
            "cipher": cipher_for(None, "secret-password"),
            "transport": httpx.MockTransport(box),
        }
        return OneBox("https://box.test", "robot", password, **(arguments | changed))

    return build


@pytest.fixture
def client(make):
    with make() as client:
        yield client


def accepted(data):
    return httpx.Response(200, json={"status": 1, "dataArray": data})


def test_set_order_posts_an_object_with_a_numeric_key(client, box):
    assert client.set_order({"externalid": "okl-1"}) == "101"
    request = box.calls[0]
    assert str(request.url) == "https://box.test/api/v2/order/set/"
    assert request.headers["token"] == "token-number-1"
    assert orjson.loads(request.content) == {"0": {"externalid": "okl-1"}}


@pytest.mark.parametrize(
    "data", [[7], ["7"], [{"id": 7}], [{"orderid": "7"}], {"0": 7}, {"id": 7}, 7]
)
def test_the_id_is_read_in_whatever_shape_it_comes(client, box, data):
    box.script = [accepted(data)]
    assert client.set_order({}) == "7"


@pytest.mark.parametrize("status", [1, "1", True, 1.0])
def test_success_is_a_status_of_one_in_any_spelling(client, box, status):
    box.script = [httpx.Response(200, json={"status": status, "dataArray": [7]})]
    assert client.set_order({}) == "7"


NO_ID = [None, [], {}, [None], [0], ["0"], [""], [True], [-1], ["7\0"], [{"name": "x"}]]
NO_ID += ["Помилка", ["Процес не створено"], {"error": "Процес не створено"}, [{"id": "error"}]]


@pytest.mark.parametrize("data", NO_ID)
def test_a_success_without_an_id_is_garbled(client, box, data):
    box.script = [accepted(data)]
    with pytest.raises(Garbled):
        client.set_order({})


@pytest.mark.parametrize("content", [b"", b"<html>", b'{"status":1,"dataArr', b"[]", b'{"a":1}'])
def test_an_answer_that_cannot_be_read_is_uncertain(client, box, content):
    box.script = [httpx.Response(200, content=content)]
    with pytest.raises(Garbled):
        client.set_order({})


@pytest.mark.parametrize(("shape", "refused"), [("object", dict), ("array", list)])
def test_a_refused_body_shape_is_switched_once_and_remembered(make, box, shape, refused):
    box.refused_shape = refused
    client = make(body_shape=shape)
    assert [client.set_order({}), client.set_order({})] == ["101", "101"]
    assert [type(body) for body in box.bodies].count(refused) == 1
    assert len(box.bodies) == 3


def test_two_refused_body_shapes_are_the_connections_fault(client, box):
    box.refused_shape = (dict, list)
    with pytest.raises(Misconfigured):
        client.set_order({})
    assert len(box.calls) == 2


DEAD = [
    httpx.Response(400, json={"status": 0, "errorArray": ["token in header not found"]}),
    httpx.Response(200, json={"status": 0, "errorArray": ["token in header not found"]}),
    httpx.Response(200, json={"status": 0, "errorArray": {"token": "Токен не знайдено"}}),
    httpx.Response(401),
    httpx.Response(403),
]


@pytest.mark.parametrize("dead", DEAD)
def test_a_dead_token_costs_one_login_and_one_repeat(client, box, dead):
    box.dead = dead
    client.set_order({})
    box.live.clear()
    assert client.set_order({}) == "101"
    assert (len(box.logins), len(box.calls)) == (2, 3)


@pytest.mark.parametrize("dead", DEAD)
def test_a_token_dead_again_is_lost_not_looped_on(client, box, dead):
    box.dead = dead
    box.revoke_new = True
    with pytest.raises(TokenLost):
        client.set_order({})
    assert (len(box.logins), len(box.calls)) == (2, 2)


def test_fifty_threads_with_a_dead_token_make_one_login(client, box, in_threads):
    client.set_order({})
    box.live.clear()
    box.login_seconds = 0.05
    assert set(in_threads(lambda: client.set_order({}))) == {"101"}
    assert len(box.logins) == 2


def test_a_refused_login_after_a_dead_token_is_the_connections_fault(client, box):
    client.set_order({})
    box.live.clear()
    box.passwords = ()
    with pytest.raises(AuthFailed):
        client.set_order({})


@pytest.mark.parametrize("answer", [httpx.Response(403, text="<html>blocked</html>")])
def test_a_refusal_with_a_good_token_is_forbidden(client, box, answer, refuses):
    box.script = [answer, answer]
    with pytest.raises(Forbidden):
        client.set_order({})
    box.script = [refuses("Недостатньо прав", 403)] * 2
    with pytest.raises(Forbidden):
        client.set_order({})


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
def test_the_password_forms_that_are_tried(make, box, form, password, sent):
    box.passwords = ()
    client = make(password, password_form=form)
    with pytest.raises(AuthFailed):
        client.login()
    assert [orjson.loads(r.content)["restapipassword"] for r in box.logins] == sent


def test_the_password_form_that_was_taken_is_remembered(make, box):
    box.passwords = (md5(PASSWORD),)
    client = make()
    client.login()
    client.login()
    assert len(box.logins) == 3


def test_a_login_that_got_no_answer_is_not_tried_in_the_other_form(client, box):
    box.login_script = [httpx.Response(502)]
    with pytest.raises(Unreachable):
        client.login()
    assert len(box.logins) == 1


@pytest.mark.parametrize(
    "body", [{"status": 1, "dataArray": {"token": "t"}}, {"status": 1, "token": "t"}]
)
def test_both_places_of_the_token_are_read(client, box, body):
    box.login_script = [httpx.Response(200, json=body)]
    box.live.add("t")
    assert client.set_order({}) == "101"


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
def test_a_failed_login_is_certain_and_never_the_orders_fault(make, box, answer, kind):
    box.login_script = [answer]
    with pytest.raises(kind):
        make(password_form="raw").set_order({})
    assert box.calls == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Такий номер телефону вже зареєстровано #12903", PhoneTaken),
        ("Ошибка #4765", PhoneTaken),
        ("Номер телефона уже зарегистрирован", PhoneTaken),
        ("token in header not found", TokenLost),
        ("Invalid token", TokenLost),
        ("Токен недійсний", TokenLost),
        ("Срок действия: токен истёк", TokenLost),
        ("Невірний логін або пароль", AuthFailed),
        ("Неверный пароль", AuthFailed),
        ("Wrong login or password", AuthFailed),
        ("Недостатньо прав для створення", Forbidden),
        ("Нет доступа к процессу", Forbidden),
        ("Permission denied", Forbidden),
        ("Бізнес-процес не знайдено", Misconfigured),
        ("Бизнес-процесс 12 не существует", Misconfigured),
        ("Workflow not found", Misconfigured),
        ("Етап 55 не належить бізнес-процесу", Misconfigured),
        ("Невірний statusid", Misconfigured),
        ("Статус не найден", Misconfigured),
        ("Продукт із таким зовнішнім id вже існує", None),
        ("Невірний формат телефону", None),
        ("Сума замовлення невірна", None),
        ("Не вказано назву процесу", None),
        ("Поле email некоректне", None),
        ("Статус оплати прийнято; телефон невірний", None),
        ("statusid: етап '71' не знайдено в бізнес-процесі (stage not found)", Misconfigured),
        ("workflowid: бізнес-процес '7' не знайдено (workflow not found)", Misconfigured),
        ("403 Forbidden", Forbidden),
        ("Набір Forbidden Garden", None),
        ("Немає в наявності: Набір Forbidden Garden", None),
        ("products.name: Access denied, роман", None),
        ("Stage light not found", None),
        ("Товар Stage light not found", None),
        ("Поетапний крій не знайдено", None),
        ("Товар «Етап не знайдено» відсутній", None),
        ('Product "workflow not found" is missing', None),
        ("Товар 'Permission denied' закінчився", None),
        ("Товар «Пазл; Access denied; 100 шт» відсутній", None),
        ('Product "Set; 403 Forbidden; blue" is missing', None),
        ("Товар «Пазл» відсутній; Недостатньо прав", Forbidden),
        ("comment: Немає прав на відео", None),
        ("Книга Invalid token роман", None),
        ("Статус " + "х" * 600 + " не знайдено", None),
    ],
)
def test_what_a_text_means(client, box, refuses, text, kind):
    assert _meaning(text) is kind
    for status in (200, 400):
        box.script = [refuses(text, status)] * 2
        with pytest.raises(kind or Rejected) as caught:
            client.set_order({})
        assert type(caught.value) is (kind or Rejected)
        assert text[:100] in str(caught.value)


@pytest.mark.parametrize(
    "failure",
    [
        {"errorArray": ["Недостатньо прав"]},
        {"errorArray": {"order": "Недостатньо прав"}},
        {"errorArray": {"order": ["Недостатньо прав"]}},
        {"errorArray": [{"message": "Недостатньо прав"}]},
        {"errorArray": [{"error": "Недостатньо прав"}, {"text": "x"}]},
        {"errorArray": "Недостатньо прав"},
        {"errors": ["Недостатньо прав"]},
        {"error": "Недостатньо прав"},
        {"error": {"text": "Недостатньо прав"}},
        {"message": "Недостатньо прав"},
        {"errorText": "Недостатньо прав"},
    ],
)
def test_the_text_is_found_wherever_it_stands(client, box, failure):
    box.script = [httpx.Response(200, json={"status": 0} | failure)]
    with pytest.raises(Forbidden):
        client.set_order({})


def test_equal_refusals_read_equal_whatever_else_the_answers_hold(client, box):
    """A wave of them is known by its text, not by the time or the number of the request beside it."""
    said = []
    for number in range(2):
        more = {"time": 0.01 * number, "requestid": f"r{number}"}
        box.script = [
            httpx.Response(200, json={"status": 0, "errorArray": ["Склад закрито"]} | more)
        ]
        with pytest.raises(Rejected) as caught:
            client.set_order({})
        said.append(caught.value.excerpt)
    assert said[0] == said[1]
    assert "Склад закрито" in said[0]


@pytest.mark.parametrize("failure", [{}, {"errorArray": None}, {"errorArray": [[[[[[["x"]]]]]]]}])
def test_a_failure_without_a_text_is_rejected(client, box, failure):
    box.script = [httpx.Response(200, json={"status": 0} | failure)]
    with pytest.raises(Rejected):
        client.set_order({})


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
def test_what_a_status_means(client, box, answer, kind):
    box.script = [answer]
    with pytest.raises(kind) as caught:
        client.set_order({})
    assert type(caught.value) is kind
    assert caught.value.status == answer.status_code


def test_only_exact_matches_of_an_external_id_count(client, box):
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
    assert client.find_orders(["okl-1", "okl-2", "1"]) == {
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


@pytest.mark.parametrize("found", [7.0, None, 0, "", True, [7], "error"])
def test_a_process_whose_id_cannot_be_read_is_not_taken_for_none(client, box, found):
    box.script = [accepted([{"id": found, "externalid": "okl-1"}])]
    with pytest.raises(Garbled):
        client.find_orders(["okl-1"])


@pytest.mark.parametrize("data", [None, [], {}, "", 0])
def test_nothing_found_is_nothing(client, box, data):
    box.script = [accepted(data)]
    assert client.find_orders(["okl-1"]) == {"okl-1": []}


def test_nothing_asked_is_no_call(client, box):
    assert client.find_orders([]) == {}
    assert box.calls == []


def test_get_orders_asks_for_both_ids_beside_the_fields(client, box):
    row = {"id": 1, "externalid": "a", "sum": 5}
    box.script = [accepted({"0": row, "1": {"id": 2, "externalid": "b"}})]
    assert client.get_orders(["a"], ["sum"]) == [row]
    assert box.bodies[0]["fields"] == ["id", "externalid", "sum"]


def test_workflows_are_listed(client, box):
    box.script = [accepted([{"id": 1, "name": "Продажі"}])]
    assert client.workflows() == [{"id": 1, "name": "Продажі"}]
    assert box.calls[0].url.path == "/api/v2/workflow/get/"


@pytest.mark.parametrize("asked", ["+380671234567", "0671234567", "8 (067) 123-45-67", "671234567"])
@pytest.mark.parametrize(
    "card",
    [
        {"phones": ["+38 067 123 45 67"]},
        {"phones": [{"phone": "0671234567"}]},
        {"phones": {"0": "380671234567"}},
        {"phone": "067-123-45-67, 0501112233"},
        {"phones": [380671234567]},
    ],
)
def test_a_contact_is_found_by_the_same_number_in_any_spelling(client, box, asked, card):
    box.script = [
        accepted([{"id": 3, "phones": ["0501112233"]}, {"id": 20} | card, {"id": 8} | card])
    ]
    assert client.find_contact(asked) == "8"


@pytest.mark.parametrize("phone", ["+380671234567", ""])
def test_no_contact_is_none(client, box, phone):
    box.script = [accepted([{"id": 3, "phones": ["0501112233"]}, {"id": 4}])]
    assert client.find_contact(phone) is None


def test_no_error_shows_a_secret_or_a_person(client, box, refuses):
    box.script = [refuses("клієнт o@ukr.net +380671234567 secret-password token-number-1")]
    with pytest.raises(Rejected) as caught:
        client.set_order({})
    shown = str(caught.value) + caught.value.excerpt
    assert not any(part in shown for part in ("ukr.net", "1234567", PASSWORD, "number-1"))
