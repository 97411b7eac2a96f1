"""Faults show the client what they say, take effect as they say, and combine."""

import contextlib
import time

import httpx
import pytest
from sim_calls import process, until

from simulator.crm import Crm
from simulator.faults import Fault, Faults, everything, fault_from
from simulator.samples import reference_order
from simulator.shop import Shop

BODY = {"0": process()}
OUTCOMES = {
    "status": 500,
    "refuse": 200,
    "garbled": "not json",
    "html": "not json",
    "empty": "not json",
    "cut": httpx.RemoteProtocolError,
    "drop": (httpx.RemoteProtocolError, httpx.ReadError),
    "hang": httpx.ReadTimeout,
}


def outcome(client, timeout=5.0):
    """What an order/set call comes to: a status, "not json", or the error's class."""
    try:
        answer = client.post(Crm.ORDER_SET, json=BODY, timeout=timeout)
        answer.json()
    except httpx.HTTPError as error:
        return type(error)
    except ValueError:
        return "not json"
    return answer.status_code


@pytest.mark.parametrize("effect", ["none", "applied", "late"])
@pytest.mark.parametrize("kind", list(OUTCOMES))
def test_every_outcome_combines_with_every_effect(running, kind, effect):
    server, client = running(Crm(race=0))
    server.app.faults.add(Fault(kind, path="*/order/set/", effect=effect, seconds=0.2, times=1))
    seen = outcome(client, timeout=0.3 if kind == "hang" else 5)
    expected = OUTCOMES[kind]
    if isinstance(expected, tuple):
        assert seen in expected
    else:
        assert seen == expected
    if effect == "none":
        assert server.app.processes == {}
    else:
        assert until(lambda: len(server.app.find("okl-1")) == 1)
    assert outcome(client) == 200


def test_a_late_effect_comes_after_the_client_has_gone(running):
    server, client = running(Crm(race=0))
    server.app.faults.add(Fault("hang", effect="late", seconds=0.5, times=1))
    assert outcome(client, timeout=0.1) is httpx.ReadTimeout
    assert server.app.find("okl-1") == []
    assert until(lambda: len(server.app.find("okl-1")) == 1)


def test_latency_delays_and_the_effect_outlives_the_client(running):
    server, client = running(Crm(race=0))
    server.app.faults.add(Fault("latency", seconds=0.3))
    started = time.monotonic()
    assert outcome(client) == 200
    assert time.monotonic() - started >= 0.3
    with pytest.raises(httpx.ReadTimeout):
        client.post(Crm.ORDER_SET, json={"0": process("okl-2")}, timeout=0.1)
    assert until(lambda: len(server.app.find("okl-2")) == 1)


def test_a_drip_is_the_real_answer_slowly(running):
    server, client = running(Crm(race=0))
    server.app.faults.add(Fault("drip", seconds=0.4))
    started = time.monotonic()
    assert outcome(client) == 200
    assert time.monotonic() - started >= 0.3
    assert len(server.app.find("okl-1")) == 1


def test_a_429_carries_retry_after_and_a_text_body_is_html(running):
    server, client = running(Crm())
    server.app.faults.add(
        Fault("status", status=429, retry_after=3, times=1),
        Fault("status", status=502, body="<html>Bad Gateway</html>", times=1),
    )
    limited, broken = (client.post(Crm.ORDER_SET, json=BODY) for _ in range(2))
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "3")
    assert (broken.status_code, broken.headers["Content-Type"]) == (502, "text/html")


def test_killed_tokens_are_dead_for_all(running):
    server, client = running(Crm())
    server.app.faults.add(Fault("kill_tokens", times=1))
    for _ in range(2):
        assert client.post(Crm.ORDER_SET, json=BODY).status_code == 400


def test_only_the_named_orders_are_refused_with_the_text(running):
    server, client = running(Crm())
    server.app.faults.add(Fault("refuse", ids=("okl-2",), body="Заборонено"))
    answers = [
        client.post(Crm.ORDER_SET, json={"0": process(key)}).json() for key in ("okl-1", "okl-2")
    ]
    assert [answer["status"] for answer in answers] == [1, 0]
    assert answers[1]["errorArray"] == ["Заборонено"]


def test_the_shop_refuses_a_named_order_too(running):
    server, client = running(Shop())
    server.app.add(reference_order(id="1"))
    client.post("/_sim/faults", json={"kind": "refuse", "ids": ["1"], "body": "Ні"})
    body = {"args": {"order": {"id": "1", "note": "x"}}}
    answer = client.post(Shop.UPDATE_ORDER, json=body)
    assert (answer.status_code, answer.json()["errors"][0]["detail"]) == (400, "Ні")
    assert server.app.updates == []


def test_down_refuses_connections_and_up_is_on_the_same_port(running):
    server, client = running(Crm())
    server.down()
    with pytest.raises(httpx.HTTPError):
        outcome_or_raise(client)
    with pytest.raises(httpx.ConnectError):
        outcome_or_raise(client)
    server.up()
    assert outcome(client) == 200


def outcome_or_raise(client):
    return client.post(Crm.ORDER_SET, json=BODY)


def test_down_by_the_control_door_comes_up_again_by_itself(running):
    _, client = running(Crm())
    answer = client.post("/_sim/faults", json=[{"kind": "down", "seconds": 0.5}])
    assert answer.status_code == 200
    assert until(lambda: outcome(client) is httpx.ConnectError)
    assert until(lambda: outcome(client) == 200)


def test_faults_come_and_go_by_the_control_door_and_spare_it(running):
    server, client = running(Crm())
    rules = {"faults": [{"kind": "status", "status": 503}, {"kind": "latency"}], "seed": 1}
    assert client.post("/_sim/faults", json=rules).json() == {"added": 2}
    assert outcome(client) == 503
    assert client.post("/_sim/reset-faults").status_code == 200
    assert outcome(client) == 200
    assert [entry["fault"] for entry in client.get("/_sim/requests?last=2").json()] == [
        "status/none",
        "",
    ]
    assert server.app.requests[-2].status == 503


@pytest.mark.parametrize(
    "raw",
    [
        5,
        {},
        {"kind": "flood"},
        {"kind": "drop", "colour": "red"},
        {"kind": "drop", "effect": "maybe"},
        {"kind": "drop", "probability": 2},
        {"kind": "mix"},
        {"kind": "down"},
        {"kind": "everything", "colour": "red"},
        None,
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(running, raw):
    server, client = running(Crm())
    assert client.post("/_sim/faults", json=raw).status_code == 400
    assert server.app.faults.rules == []


def test_times_counts_down_and_paths_and_ids_choose():
    faults = Faults()
    faults.add(Fault("drop", path="/a*", times=2, ids=("1",)))
    hits = [
        faults.plan(path, lambda key=key: {key}).outcome is not None
        for path, key in [("/b", "1"), ("/a", "2"), ("/a", "1"), ("/ab", "1"), ("/a", "1")]
    ]
    assert hits == [False, False, True, True, False]


def test_latencies_add_up_and_the_first_outcome_decides():
    faults = Faults()
    faults.add(
        Fault("latency", seconds=1),
        Fault("drop"),
        Fault("html", times=1),
        Fault("latency", seconds=2),
    )
    plan = faults.plan("/", set)
    assert (plan.latency, plan.outcome.kind) == (3, "drop")
    assert faults.rules[2].times == 1


def test_the_same_seed_throws_the_same_dice():
    def thrown(seed):
        faults = Faults()
        faults.seed(seed)
        faults.add(everything(probability=0.5))
        plans = [faults.plan("/", set) for _ in range(200)]
        return [
            (plan.outcome and (plan.outcome.kind, plan.outcome.effect, plan.outcome.status))
            for plan in plans
        ]

    assert thrown(3) == thrown(3)
    assert thrown(3) != thrown(4)
    assert len(set(thrown(3))) > 8


def test_a_mix_from_json_is_a_mix():
    fault = fault_from({"kind": "mix", "choices": [[1, {"kind": "drop"}], [2, {"kind": "html"}]]})
    assert [(weight, one.kind) for weight, one in fault.choices] == [(1, "drop"), (2, "html")]


def test_a_client_that_tries_until_it_finds_its_order_survives_everything(running):
    server, client = running(Crm(race=0))
    server.app.faults.seed(11)
    server.app.faults.add(everything(Crm.ORDER_SET, probability=0.6, late=0.05, down=0.1))
    for number in range(30):
        key = f"okl-{number}"
        while not server.app.find(key):
            with contextlib.suppress(httpx.HTTPError):
                client.post(Crm.ORDER_SET, json={"0": process(key)}, timeout=0.2)
            if not until(lambda key=key: bool(server.app.find(key)), 0.1):
                with contextlib.suppress(httpx.HTTPError):
                    log_in(client, server.app.password)
    assert len(server.app.processes) == 30
    assert server.app.doubled() == []


def log_in(client, password):
    answer = client.post(Crm.TOKEN, json={"login": "bridge", "restapipassword": password}).json()
    client.headers["token"] = answer["dataArray"]["token"]
