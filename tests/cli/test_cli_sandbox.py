"""`orderbridge sandbox`: what people and accidents do to the two remotes happens there when it is called."""

from __future__ import annotations

import json

import httpx
import pytest
from cli_orders import end, give

import default_pair
from simulator.crm import Crm
from simulator.server import start
from simulator.shop import Shop


@pytest.fixture
def remotes(process_environment):
    """A running sandbox's simulators, and their addresses where commands look for them."""
    with start(Shop(seed=1)) as shop, start(Crm()) as crm:
        own = (
            shop.url,
            shop.app.client_id,
            shop.app.client_secret,
            crm.url,
            crm.app.login,
            crm.app.password,
            crm.app.workflow_id,
            crm.app.status_id,
        )
        process_environment.update(zip(default_pair.VARIABLES, own, strict=True))
        process_environment["ORDERBRIDGE_SANDBOX"] = "1"
        yield shop.app, crm.app, shop.url, crm.url


def test_a_new_order_is_good_but_for_what_is_said(run, remotes):
    shop, *_ = remotes
    code, out, err = run("sandbox", "order", "--phone", "123", "--name", "Мельник Ганна", "--json")
    made = shop.orders[json.loads(out)["order_id"]]

    assert (code, err) == (0, "")
    assert made["recipient"]["phone"] == "123"
    assert (made["recipient"]["last_name"], made["recipient"]["first_name"]) == ("Мельник", "Ганна")
    assert made["items"]


def test_an_order_is_edited_as_a_merchant_does(run, remotes):
    shop, *_ = remotes
    order_id = json.loads(run("sandbox", "order", "--phone", "", "--json")[1])["order_id"]
    shop.edit(order_id, updated_at="2020-01-01 00:00:00")
    code, out, _ = run(
        "sandbox", "edit", order_id, "--phone", "0501234567", "--set", "shipping.city=м. Львів"
    )

    assert (code, order_id in out) == (0, True)
    assert shop.orders[order_id]["recipient"]["phone"] == "0501234567"
    assert shop.orders[order_id]["shipping"]["city"] == "м. Львів"
    assert shop.orders[order_id]["updated_at"] > "2026"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["edit", "404", "--phone", "1"], "no order 404"),
        (["edit", "1"], "Say what to change"),
        (["edit", "1", "--set", "city"], "FIELD=VALUE"),
        (["break", "moon"], "no system 'moon'"),
        (["break", "shop", "--how", "hard"], "--how must be one of"),
        (["mend", "moon"], "no system 'moon'"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(run, remotes, arguments, said):
    code, out, err = run("sandbox", *arguments)
    assert (code, out) == (2, "")
    assert said in err


@pytest.mark.parametrize("how", ["down", "errors", "login"])
@pytest.mark.parametrize("system", ["shop", "okliving", "crm", "onebox"])
def test_a_broken_system_fails_until_it_is_mended(run, remotes, system, how):
    shop, crm, shop_url, crm_url = remotes
    app, url = (shop, shop_url) if system in {"shop", "okliving"} else (crm, crm_url)

    def fails():
        try:
            return httpx.post(url + app.TOKEN, json={}, trust_env=False).status_code in {401, 503}
        except httpx.TransportError:
            return True

    assert not fails()
    assert run("sandbox", "break", system, "--how", how)[0] == 0
    assert fails()
    assert run("sandbox", "mend", system)[0] == 0
    assert not fails()


def test_mend_alone_mends_all(run, remotes):
    shop, crm, *_ = remotes
    for system in ("shop", "crm"):
        run("sandbox", "break", system)
    assert run("sandbox", "mend")[0] == 0
    assert (shop.faults.listed(), crm.faults.listed()) == ([], [])


def test_a_process_is_moved_to_a_stage_and_the_hook_may_be_left_out(run, ledger, remotes):
    _, crm, *_ = remotes
    end(ledger, give(ledger, "111"), "created")
    crm._put_process(
        {"id": 100001, "externalid": "okliving-111", "workflowid": crm.workflow_id, "products": []}
        | {"statusid": crm.status_id}
    )
    code, out, err = run(
        *("sandbox", "stage", "111", "Shipped", "--ttn", "20450000000001", "--no-hook", "--json")
    )

    assert (code, err) == (0, "")
    process = json.loads(out)["process"]
    assert (process["statusname"], process["ttn"]) == ("Shipped", "20450000000001")
    assert crm.processes[100001]["statusid"] == process["statusid"]


def test_outside_a_sandbox_nothing_is_rehearsed(run, remotes, process_environment):
    process_environment["ORDERBRIDGE_SANDBOX"] = ""
    for arguments in (["order"], ["edit", "1", "--phone", "1"], ["break", "shop"], ["mend"]):
        code, out, err = run("sandbox", *arguments)
        assert (code, out) == (4, "")
        assert "sandbox alone" in err


def test_where_none_runs_the_sentence_says_how_to_start_it(run):
    code, _, err = run("sandbox", "order")
    assert (code, "make run" in err) == (4, True)


def test_simulators_that_have_ended_are_a_sentence(run, remotes, process_environment):
    process_environment["OKLIVING_URL"] = "http://127.0.0.1:9"
    code, _, err = run("sandbox", "order")
    assert (code, "make run" in err) == (4, True)
