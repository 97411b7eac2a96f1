"""The shop's stand-in keeps docs/contracts/okliving.md: logins, windows, envelopes, state machines."""

from datetime import UTC, datetime

import pytest
from sim_calls import get, post

from simulator.faults import Fault
from simulator.samples import many, reference_order
from simulator.server import start
from simulator.shop import DELIVERY_MACHINE, ORDER_MACHINE, Shop

WIDE = {"from": "2000-01-01 00:00:00", "to": "2099-01-01 00:00:00"}


class Clock:
    def __init__(self):
        self.now = 1_800_000_000.0

    def __call__(self):
        return self.now


def grant(shop, **changes):
    return {
        "grant_type": "client_credentials",
        "client_id": shop.client_id,
        "client_secret": shop.client_secret,
    } | changes


def ask(client, page=1, limit=100, **window):
    updated_at = {name.rstrip("_"): value for name, value in window.items()} or WIDE
    args = {"filter": {"updated_at": updated_at}, "page": page, "limit": limit}
    return client.post(Shop.GET_ORDERS, json={"args": args})


def update(client, order_id="300167757", **parts):
    return client.post(Shop.UPDATE_ORDER, json={"args": {"order": {"id": order_id} | parts}})


def ids(orders):
    return [order["id"] for order in orders]


@pytest.mark.parametrize("form", ["data", "json"])
def test_a_token_is_granted_to_form_and_json_and_lives_600_seconds(form):
    with start(Shop()) as running:
        answer = post(running.url + Shop.TOKEN, **{form: grant(running.app)})
    assert answer.status_code == 200
    assert (answer.json()["token_type"], answer.json()["expires_in"]) == ("Bearer", 600)


@pytest.mark.parametrize(("accepted", "sent"), [("form", "json"), ("json", "data")])
def test_a_shop_that_takes_one_form_refuses_the_other(accepted, sent):
    with start(Shop(grant=accepted)) as running:
        answer = post(running.url + Shop.TOKEN, **{sent: grant(running.app)})
    assert answer.status_code == 400


def test_a_wrong_client_is_401_with_code_4():
    with start(Shop()) as running:
        body = grant(running.app, client_secret="wrong")
        answer = post(running.url + Shop.TOKEN, data=body)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (401, "4")


def test_ten_failed_logins_lock_even_the_right_client_out_for_ten_seconds():
    clock = Clock()
    with start(Shop(clock=clock)) as running:
        url = running.url + Shop.TOKEN
        wrong = grant(running.app, client_id="wrong")
        assert [post(url, data=wrong).status_code for _ in range(10)] == [401] * 10
        locked = post(url, data=grant(running.app))
        assert locked.status_code == 429
        assert locked.json()["errors"][0]["code"] == "FRAMEWORK__AUTH_THROTTLED"
        clock.now += 10
        assert post(url, data=grant(running.app)).status_code == 200


def test_secrets_do_not_stand_in_the_request_log():
    with start(Shop()) as running:
        post(running.url + Shop.TOKEN, data=grant(running.app))
        log = get(running.url + "/_sim/requests").text
    assert running.app.client_secret not in log
    assert running.app.client_id in log


def test_an_expired_bearer_is_401_with_code_9(running):
    clock = Clock()
    _, client = running(Shop(clock=clock))
    assert ask(client).status_code == 200
    clock.now += 600
    answer = ask(client)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (401, "9")


def test_a_window_gives_what_changed_in_it_ends_included_oldest_first(running):
    server, client = running(Shop())
    for day in (4, 1, 3, 2):
        server.app.add(reference_order(id=str(day), updated_at=f"2026-11-0{day} 10:00:00"))
    answer = ask(client, from_="2026-11-02 10:00:00", to="2026-11-03 10:00:00").json()
    assert ids(answer["orders"]) == ["2", "3"]
    assert (answer["page"], answer["pages"], answer["total"]) == (1, 1, 2)


def test_pages_give_every_order_once(running):
    server, client = running(Shop())
    server.app.orders_in(many(250))
    pages = [ask(client, page).json() for page in (1, 2, 3, 4)]
    assert [len(page["orders"]) for page in pages] == [100, 100, 50, 0]
    assert {page["pages"] for page in pages} == {3}
    assert len({order for page in pages for order in ids(page["orders"])}) == 250


def test_mode_all_gives_everything_whatever_the_window(running):
    server, client = running(Shop(mode="all"))
    server.app.orders_in(many(3))
    narrow = ask(client, from_="1999-01-01 00:00:00", to="1999-01-01 00:00:01")
    assert len(narrow.json()["orders"]) == 3


def test_mode_new_gives_every_order_only_once_and_pages_lead_to_the_end(running):
    server, client = running(Shop(mode="new"))
    server.app.orders_in(many(5))
    answers = [ask(client, page, 2).json() for page in (1, 2, 3)]
    assert [len(answer["orders"]) for answer in answers] == [2, 2, 1]
    assert {answer["pages"] for answer in answers} == {3}
    assert ask(client).json()["orders"] == []


@pytest.mark.parametrize(
    ("envelope", "way"),
    [
        ("orders", ["orders"]),
        ("data", ["data"]),
        ("result.orders", ["result", "orders"]),
        ("response.orders", ["response", "orders"]),
        ("list", []),
    ],
)
@pytest.mark.parametrize("paging", ["fields", "plain", "none"])
def test_every_envelope_of_the_contract_carries_the_same_orders(running, envelope, way, paging):
    server, client = running(Shop(envelope=envelope, paging=paging))
    server.app.orders_in(many(3, start=1))
    found = ask(client, limit=2).json()
    box = None
    for step in way:
        box, found = found, found[step]
    assert ids(found) == (["1", "2", "3"] if paging == "none" else ["1", "2"])
    assert (box is not None and "pages" in box) == (paging == "fields" and bool(way))


def test_an_edit_after_each_page_moves_later_orders_forward(running):
    server, client = running(Shop(edits=1))
    for n in range(1, 7):
        server.app.add(reference_order(id=f"{n}", updated_at="2026-11-01 10:00:00"))
    window = {"from_": "2026-11-01 00:00:00", "to": "2026-11-02 00:00:00"}
    pages = [ask(client, page, 2, **window).json() for page in (1, 2, 3)]
    assert [ids(page["orders"]) for page in pages] == [["1", "2"], ["4", "5"], []]
    assert [page["total"] for page in pages] == [6, 5, 4]


def test_a_capped_page_names_the_total_alone(running):
    server, client = running(Shop(paging="total", max_limit=2))
    server.app.orders_in(many(3, start=1))
    found = ask(client, limit=100).json()
    assert (ids(found["orders"]), found["total"], "pages" in found) == (["1", "2"], 3, False)


def test_a_fault_can_choose_the_page(running):
    server, client = running(Shop())
    server.app.orders_in(many(3, start=1))
    server.app.faults.add(Fault("status", Shop.GET_ORDERS, ids=("page 2",), status=500, times=1))
    assert [ask(client, page, 2).status_code for page in (1, 2, 2)] == [200, 500, 200]


def test_the_list_may_be_an_object_keyed_by_id(running):
    server, client = running(Shop(envelope="by_id"))
    server.app.orders_in(many(2, start=1))
    found = ask(client).json()
    assert list(found) == ["1", "2"]
    assert found["2"]["id"] == "2"


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"args": 1},
        {"args": {"page": 0}},
        {"args": {"limit": "100"}},
        {"args": {"filter": {"updated_at": {"from": "2026-11-21T10:00:00+02:00"}}}},
        {"args": {"filter": {"updated_at": {"from": None}}}},
        {"args": {"filter": {"updated_at": 5}}},
    ],
)
def test_a_request_that_makes_no_sense_is_400(running, body):
    _, client = running(Shop())
    assert client.post(Shop.GET_ORDERS, json=body).status_code == 400


def test_json_is_read_only_when_the_header_says_so(running):
    _, client = running(Shop())
    assert client.post(Shop.GET_ORDERS, content=b'{"args":{}}').status_code == 400


@pytest.mark.parametrize("odd", [None, 5, "text", [], {"no": "id"}, {"id": None, "total": "x"}])
def test_however_odd_an_order_is_it_goes_out_as_it_came_in(running, odd):
    _, client = running(Shop(mode="all"))
    client.post("/_sim/orders", json=[odd])
    assert ask(client).json()["orders"] == [odd]


def test_adding_a_known_order_again_replaces_it_and_moves_it_in_the_window(running):
    server, client = running(Shop())
    server.app.add(reference_order(id="1", updated_at="2026-11-01 10:00:00"))
    server.app.add(reference_order(id="1", updated_at="2026-11-02 10:00:00", total="5.00"))
    (order,) = ask(client).json()["orders"]
    assert order["total"] == "5.00"


def test_every_part_of_an_update_is_settable_alone_and_is_recorded_in_order(running):
    server, client = running(Shop())
    server.app.add(reference_order())
    parts = [
        {"tracking_number": "12345678901234"},
        {"note": "перша"},
        {"statuses": {"order": "process"}},
        {"statuses": {"delivery": "ship"}},
        {"note": "друга"},
    ]
    assert [update(client, **part).status_code for part in parts] == [200] * 5
    order = server.app.orders["300167757"]
    assert (order["status"], order["delivery_status"]) == ("in_progress", "shipped")
    assert order["shipping"]["tracking_number"] == "12345678901234"
    assert server.app.notes["300167757"] == ["перша", "друга"]
    recorded = [
        {name: value for name, value in effect.items() if name in part and value}
        for effect, part in zip(server.app.updates, parts, strict=True)
    ]
    assert recorded == parts


def test_an_update_moves_updated_at_so_that_the_next_window_shows_the_order(running):
    clock = Clock()
    server, client = running(Shop(clock=clock))
    server.app.add(reference_order(updated_at="2020-01-01 00:00:00"))
    update(client, note="так")
    moved = server.app.orders["300167757"]["updated_at"]
    assert moved == server.app.now().strftime("%Y-%m-%d %H:%M:%S")


@pytest.mark.parametrize(
    "parts",
    [
        {"tracking_number": None},
        {"tracking_number": ""},
        {"note": ""},
        {"note": None},
        {"statuses": {}},
        {"statuses": None},
        {"statuses": {"order": ""}},
        {"statuses": {"order": None}},
        {"statuses": {"payment": "paid"}},
        {"ttn": "1"},
        {"id": 300167757},
        {"id": ""},
    ],
)
def test_parts_that_say_nothing_or_are_unknown_are_refused_without_effect(running, parts):
    server, client = running(Shop())
    server.app.add(reference_order())
    assert update(client, **parts).status_code == 400
    assert server.app.updates == []


def test_an_unknown_order_is_404(running):
    _, client = running(Shop())
    assert update(client, "1", note="x").status_code == 404


ACTIONS = {
    "order": ("process", "complete", "cancel", "reopen"),
    "delivery": ("ship", "ship_partially", "cancel", "retour", "retour_partially", "reopen"),
}
# docs/contracts/okliving.md, "Statuses are actions on two state machines": illegal pairs, per machine.
ILLEGAL = {
    "order": {
        ("open", "complete"),
        ("in_progress", "reopen"),
        ("completed", "process"),
        ("completed", "cancel"),
        ("cancelled", "process"),
        ("cancelled", "complete"),
    },
    "delivery": {
        ("open", "retour"),
        ("open", "retour_partially"),
        ("shipped", "ship_partially"),
        ("returned", "ship"),
        ("returned", "ship_partially"),
        ("returned", "cancel"),
        ("returned", "retour_partially"),
        ("returned_partially", "ship"),
        ("returned_partially", "ship_partially"),
        ("returned_partially", "cancel"),
        ("cancelled", "ship"),
        ("cancelled", "ship_partially"),
        ("cancelled", "retour"),
        ("cancelled", "retour_partially"),
    },
}


@pytest.mark.parametrize(
    ("part", "machine"), [("order", ORDER_MACHINE), ("delivery", DELIVERY_MACHINE)]
)
def test_exactly_the_illegal_pairs_of_the_contract_are_refused(running, part, machine):
    server, client = running(Shop())
    refused = set()
    for state in machine:
        for action in ACTIONS[part]:
            server.app.add(reference_order(**{server_field(part): state}))
            answer = update(client, statuses={part: action})
            if answer.status_code == 400:
                (one,) = answer.json()["errors"]
                assert one["code"] == "SYSTEM__ILLEGAL_STATE_TRANSITION"
                assert action not in one["meta"]["parameters"]["possibleTransitions"]
                refused.add((state, action))
    assert refused == ILLEGAL[part]


def server_field(part):
    return {"order": "status", "delivery": "delivery_status"}[part]


@pytest.mark.parametrize(("atomic", "tracking"), [(True, None), (False, "12345678901234")])
def test_an_update_with_one_illegal_part_is_whole_or_half_as_the_shop_is_set(
    running, atomic, tracking
):
    server, client = running(Shop(atomic=atomic))
    server.app.add(reference_order())
    parts = {"tracking_number": "12345678901234", "statuses": {"order": "complete"}}
    assert update(client, **parts).status_code == 400
    assert server.app.orders["300167757"]["shipping"]["tracking_number"] == tracking
    assert len(server.app.updates) == (tracking is not None)


def test_an_action_that_leads_where_the_order_stands_is_a_success_without_a_move(running):
    server, client = running(Shop())
    server.app.add(reference_order(status="in_progress"))
    assert update(client, statuses={"order": "process"}).status_code == 200
    assert server.app.updates[0]["moves"] == {}


def test_many_gives_distinct_orders_up_to_the_given_moment_in_shop_time():
    orders = many(3, start=7, newest=datetime(2026, 1, 1, 22, 0, 1, tzinfo=UTC))
    assert [(order["id"], order["updated_at"]) for order in orders] == [
        ("7", "2026-01-01 23:59:59"),
        ("8", "2026-01-02 00:00:00"),
        ("9", "2026-01-02 00:00:01"),
    ]


def test_a_reference_order_merges_objects_and_never_shares_them():
    order = reference_order(id="5", customer={"phone": "1"})
    assert (order["customer"]["phone"], order["customer"]["last_name"]) == ("1", "Шевченко")
    order["items"][0]["name"] = "changed"
    assert reference_order()["items"][0]["name"] == "Чайник"
