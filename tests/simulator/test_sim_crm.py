"""The CRM's stand-in keeps docs/contracts/onebox.md: tokens, body shapes, upsert with its race, checks."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from sim_calls import line, post, process

from simulator.crm import Crm
from simulator.server import start


def create(client, *processes, shape="object"):
    sent = list(processes)
    body = {str(number): one for number, one in enumerate(sent)} if shape == "object" else sent
    return client.post(Crm.ORDER_SET, json=body).json()


def fetch(client, **body):
    return client.post(Crm.ORDER_GET, json=body).json()["dataArray"]


def md5(text):
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@pytest.mark.parametrize(("form", "raw", "digest"), [("any", 1, 1), ("raw", 1, 0), ("md5", 0, 1)])
def test_the_password_is_taken_in_the_form_the_box_wants(form, raw, digest):
    with start(Crm(password_form=form, password="secret")) as running:
        statuses = [
            post(
                running.url + Crm.TOKEN, json={"login": "bridge", "restapipassword": password}
            ).json()["status"]
            for password in ("secret", md5("secret"), "wrong")
        ]
    assert statuses == [raw, digest, 0]


def test_the_token_may_stand_on_top():
    with start(Crm(token_on_top=True)) as running:
        body = {"login": "bridge", "restapipassword": running.app.password}
        assert "token" in post(running.url + Crm.TOKEN, json=body).json()


@pytest.mark.parametrize(("form", "status"), [("400", 400), ("200", 200), ("401", 401)])
def test_a_dead_token_shows_as_the_box_is_set(running, form, status):
    server, client = running(Crm(dead_token=form))
    server.app.kill_tokens()
    answer = client.post(Crm.WORKFLOW_GET, json={})
    assert answer.status_code == status
    assert answer.json() == {"status": 0, "errorArray": ["token in header not found"]}


@pytest.mark.parametrize("shape", ["object", "array"])
def test_both_body_shapes_answer_ids_in_input_order(running, shape):
    server, client = running(Crm())
    answer = create(client, process("okl-1"), process("okl-2"), shape=shape)
    assert answer["status"] == 1
    assert [server.app.processes[one]["externalid"] for one in answer["dataArray"]] == [
        "okl-1",
        "okl-2",
    ]


@pytest.mark.parametrize(("taken", "sent"), [("object", "array"), ("array", "object")])
def test_a_box_of_one_shape_refuses_the_other_with_the_text_of_the_contract(running, taken, sent):
    _, client = running(Crm(shape=taken))
    answer = create(client, process(), shape=sent)
    assert answer == {"status": 0, "errorArray": ["Відсутня перший елемент масиву процесів"]}
    assert create(client, process(), shape=taken)["status"] == 1


def test_one_externalid_after_another_is_an_upsert(running):
    server, client = running(Crm())
    first = create(client, process(name="one"))
    second = create(client, process(name="two"))
    assert first["dataArray"] == second["dataArray"]
    assert [one["name"] for one in server.app.find("okl-1")] == ["two"]
    assert server.app.doubled() == []


def test_two_parallel_creates_of_one_externalid_make_two_processes(running):
    server, client = running(Crm(race=0.3))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: create(client, process()), range(2)))
    assert len(server.app.find("okl-1")) == 2
    assert server.app.doubled() == ["okl-1"]


def test_an_update_by_orderid_changes_that_process_and_keeps_the_rest(running):
    server, client = running(Crm())
    (number,) = create(client, process())["dataArray"]
    assert create(client, {"orderid": number, "statusid": "73"})["status"] == 1
    (one,) = server.app.find("okl-1")
    assert (one["statusid"], one["name"]) == ("73", "Замовлення №1 (OK Living)")
    assert create(client, {"orderid": 5, "statusid": "73"})["status"] == 0


@pytest.mark.parametrize(("flag", "lines"), [(True, 1), (False, 2)])
def test_a_repeated_set_adds_lines_unless_told_to_delete_them(running, flag, lines):
    server, client = running(Crm())
    for _ in range(2):
        create(client, process(deletenotupdatedproducts=flag))
    assert len(server.app.find("okl-1")[0]["products"]) == lines


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"externalid": ""}, "externalid"),
        ({"workflowid": "999"}, "workflow"),
        ({"workflowid": None}, "workflow"),
        ({"statusid": "999"}, "stage"),
        ({"statusid": "91"}, "stage"),
        ({"name": ""}, "name"),
        ({"clientphone": "0501234567"}, "clientphone"),
        ({"clientphone": "+38050123456"}, "clientphone"),
        ({"clientphone": ""}, "clientphone"),
        ({"sum": "1 249,00"}, "sum"),
        ({"sum": "NaN"}, "sum"),
        ({"products": []}, "products"),
        ({"products": {"0": {}}}, "products"),
        ({"products": [line(name="")]}, "products.name"),
        ({"products": [line(count=0)]}, "products.count"),
        ({"products": [line(count=True)]}, "products.count"),
        ({"products": [line(price="1179,00")]}, "products.price"),
        ({"products": [line(price=None)]}, "products.price"),
        ({"client": {"userid": "1"}}, "client.userid"),
        ({"client": {"name": "x"}}, "client"),
    ],
)
def test_what_is_wrong_is_refused_with_its_name_and_nothing_is_stored(running, changes, text):
    server, client = running(Crm())
    answer = create(client, process(**changes))
    assert answer["status"] == 0
    assert text in answer["errorArray"][0]
    assert server.app.processes == {}


def test_a_known_product_without_findbyarray_is_refused(running):
    _, client = running(Crm())
    bare = line(productinfo={"name": "Чайник", "externalid": "SKU-1"})
    assert create(client, process("okl-1", products=[bare]))["status"] == 1
    answer = create(client, process("okl-2", products=[bare]))
    assert answer["errorArray"] == ["Продукт із таким зовнішнім id вже існує"]
    assert create(client, process("okl-2"))["status"] == 1


def test_a_buyer_is_found_by_phone_or_made(running):
    server, client = running(Crm())
    buyer = {"name": "Олена", "phones": ["+380671234567"], "findbyArray": ["phones"]}
    for key in ("okl-1", "okl-2"):
        create(client, process(key, client=buyer))
    (card,) = server.app.contacts.values()
    assert {one["clientid"] for one in server.app.processes.values()} == {card["id"]}


def test_a_phone_on_a_card_that_cannot_be_found_is_12903_until_the_card_is_linked(running):
    server, client = running(Crm())
    card = server.app.add_contact("Олена", ["067 123-45-67", "380671234567"], findable=False)
    buyer = {"name": "Олена", "phones": ["+380671234567"], "findbyArray": ["phones"]}
    refused = create(client, process(client=buyer))
    assert "#12903" in refused["errorArray"][0]
    found = client.post(Crm.CONTACT_GET, json={"filter": {"phones": ["+380671234567"]}}).json()
    assert [one["id"] for one in found["dataArray"]] == [card]
    assert create(client, process(client={"userid": card}))["status"] == 1


def test_contact_set_makes_a_card_once(running):
    _, client = running(Crm())
    body = {"0": {"name": "Олена", "phones": ["+380671234567"]}}
    assert client.post(Crm.CONTACT_SET, json=body).json()["status"] == 1
    assert "#12903" in client.post(Crm.CONTACT_SET, json=body).json()["errorArray"][0]


def test_order_get_gives_the_asked_fields_of_the_asked_processes(running):
    _, client = running(Crm())
    numbers = create(client, process("okl-1"), process("okl-2"))["dataArray"]
    found = fetch(client, filter={"externalid": ["okl-2"]}, fields=["id", "externalid"])
    assert found == [{"id": numbers[1], "externalid": "okl-2"}]
    assert fetch(client, filter={"externalid": ["okl-3"]}) == []


def test_a_loose_order_get_gives_other_processes_too(running):
    _, client = running(Crm(loose=True))
    create(client, process("okl-1"), process("okl-2"))
    found = fetch(client, filter={"externalid": ["okl-2"]}, fields=["externalid"])
    assert [one["externalid"] for one in found] == ["okl-1", "okl-2"]


def test_workflow_get_lists_the_set_stage(running):
    _, client = running(Crm(workflow_id="12", status_id="abc"))
    flows = client.post(Crm.WORKFLOW_GET, json={}).json()["dataArray"]
    (flow,) = [one for one in flows if one["id"] == "12"]
    assert "abc" in [stage["id"] for stage in flow["statuses"]]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("list", ["name: обов'язкове поле"]),
        ("fields", {"field0": "name: обов'язкове поле"}),
        ("items", [{"code": 1, "message": "name: обов'язкове поле"}]),
    ],
)
def test_a_refusal_comes_in_the_form_the_box_uses(running, form, expected):
    _, client = running(Crm(error_form=form))
    assert create(client, process(name=""))["errorArray"] == expected


@pytest.mark.parametrize("content", [b"{", b"{'0': {}}", b"", b"5"])
def test_a_body_that_is_no_json_object_or_array_is_400(running, content):
    _, client = running(Crm())
    headers = {"Content-Type": "application/json"}
    assert client.post(Crm.ORDER_SET, content=content, headers=headers).status_code == 400


def test_a_path_without_its_slash_and_another_method_are_refused(running):
    _, client = running(Crm())
    assert client.post("/api/v2/order/set", json={}).status_code == 404
    assert client.get(Crm.WORKFLOW_GET).status_code == 405


def test_counters_tell_calls_per_path_most_in_flight_and_the_last_seconds(running):
    server, client = running(Crm(race=0.3))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: create(client, process(f"okl-{number}")), range(4)))
    app = server.app
    assert app.counts[Crm.ORDER_SET] == 4
    assert app.max_in_flight == 4
    assert (app.calls_within(60), app.calls_within(60, Crm.ORDER_SET)) == (5, 4)
    assert app.calls_within(0) == 0
    state = client.get("/_sim/state").json()
    assert state["requests"][Crm.ORDER_SET] == 4
    assert len(state["processes"]) == 4


def test_orders_are_not_taken_by_the_crm(running):
    _, client = running(Crm())
    assert client.post("/_sim/orders", json={}).status_code == 404
