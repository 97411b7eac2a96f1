"""A stand-in as a process: ready line, journal over restarts and kills, quick end, trickle."""

import contextlib
import json
import signal
import subprocess
import sys
import time

import httpx
import pytest
from sim_calls import get, post, process, until

from simulator.crm import Crm
from simulator.generator import Generator
from simulator.journal import Journal
from simulator.samples import reference_order
from simulator.server import start
from simulator.service import Service
from simulator.shop import Shop


@contextlib.contextmanager
def program(*arguments, env=None):
    command = [sys.executable, "-m", "simulator", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as running:
        try:
            yield running, json.loads(running.stdout.readline())["url"]
        finally:
            running.kill()


def shop_call(url, shop, path, body):
    form = {
        "grant_type": "client_credentials",
        "client_id": shop.client_id,
        "client_secret": shop.client_secret,
    }
    token = post(url + Shop.TOKEN, data=form).json()["access_token"]
    return post(url + path, json=body, headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("system", ["shop", "crm", "service"])
def test_it_tells_its_url_and_ends_within_a_second_with_calls_open(system, number, tmp_path):
    ready = tmp_path / "ready.json"
    with program(system, "--ready-file", ready) as (running, url):
        assert json.loads(ready.read_text()) == {"url": url}
        post(url + "/_sim/faults", json={"kind": "hang"})
        with httpx.Client(verify=False) as idle:
            idle.get(url + "/_sim/state")
            with pytest.raises(httpx.ReadTimeout):
                idle.post(url + "/api/v2/workflow/get/", json={}, timeout=0.1)
            started = time.monotonic()
            running.send_signal(number)
            assert running.wait(timeout=5) == 0
            assert time.monotonic() - started < 1


def test_a_secret_may_stand_in_the_environment_instead_of_the_process_list():
    env = {"SIM_PASSWORD": "from-env", "PATH": ""}
    with program("crm", "--login", "me", env=env) as (_, url):
        body = {"login": "me", "restapipassword": "from-env"}
        assert post(url + Crm.TOKEN, json=body).json()["status"] == 1


def test_the_token_of_a_service_may_stand_there_too():
    with program("service", "--tenant", "acme", env={"SIM_TOKEN": "tkn", "PATH": ""}) as (_, url):
        body = {"tenant": "acme", "customer_name": "Іван", "external_customer_id": "1"}
        assert post(url + Service.CREATE, json=body).status_code == 401
        headers = {"Authorization": "Bearer tkn"}
        assert post(url + Service.CREATE, json=body, headers=headers).status_code == 200


def test_a_killed_shop_goes_on_where_it_stopped(tmp_path):
    options = ("shop", "--data", tmp_path, "--history", 5, "--seed", 1)
    with program(*options) as (running, url):
        post(url + "/_sim/orders", json=reference_order(id="1"))
        body = {"args": {"order": {"id": "1", "statuses": {"order": "process"}, "note": "n"}}}
        assert shop_call(url, Shop(), Shop.UPDATE_ORDER, body).status_code == 200
        before = get(url + "/_sim/state").json()
        running.kill()
    with program(*options) as (_, url):
        after = get(url + "/_sim/state").json()
    assert before["orders"] == 6
    for part in ("orders", "updates", "notes", "statuses"):
        assert after[part] == before[part]


def test_what_was_read_in_mode_new_stays_read_after_a_restart(tmp_path):
    shops = []
    for _ in range(2):
        with start(Shop(mode="new", data=tmp_path)) as running:
            if not shops:
                running.app.add(reference_order())
            body = {"args": {}}
            answer = shop_call(running.url, running.app, Shop.GET_ORDERS, body)
            shops.append(len(answer.json()["orders"]))
    assert shops == [1, 0]


def test_the_crm_keeps_processes_contacts_and_known_products(running, tmp_path):
    buyer = {"name": "Олена", "phones": ["+380671234567"], "findbyArray": ["phones"]}
    server, client = running(Crm(data=tmp_path))
    client.post(Crm.ORDER_SET, json={"0": process(client=buyer)})
    client.post(Crm.ORDER_SET, json={"0": process(statusid="73")})
    server.stop()
    again = Crm(data=tmp_path)
    assert again.processes == server.app.processes
    assert again.contacts == server.app.contacts
    assert again.products == server.app.products
    assert again.find("okl-1")[0]["statusid"] == "73"
    again.close_journal()


def test_a_torn_last_line_is_cut_off_and_a_broken_one_before_it_is_an_error(tmp_path):
    path = tmp_path / "shop.jsonl"
    path.write_bytes(b'["read",["1"]]\n["rea')
    journal = Journal(path)
    assert list(journal.load()) == [["read", ["1"]]]
    journal.append(("read", ["2"]))
    journal.close()
    assert path.read_bytes() == b'["read",["1"]]\n["read",["2"]]\n'
    path.write_bytes(b'["rea\n["read",["1"]]\n')
    broken = Journal(path)
    with pytest.raises(ValueError, match="line 1"):
        list(broken.load())
    broken.close()


def test_the_trickle_adds_orders_with_ids_of_their_own():
    with start(Shop(trickle=0.01, seed=1)) as running:
        assert until(lambda: len(running.app.orders) >= 20)
        numbers = [int(key) for key in list(running.app.orders)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_history_lies_in_the_past_days():
    shop = Shop(history=50, seed=1)
    times = [order["updated_at"] for order in shop.orders.values()]
    assert len(times) == 50
    assert times == sorted(times)
    assert times[-1] <= shop.now().strftime("%Y-%m-%d %H:%M:%S")


def test_the_same_seed_invents_the_same_orders_and_all_sorts_of_them():
    now = Shop().now()

    def invented(seed):
        generator = Generator(seed)
        return [generator.order(number, now) for number in range(600)]

    orders = invented(5)
    assert orders == invented(5)
    assert orders != invented(6)
    unclear = [order for order in orders if order["customer"]["phone"] == ""]
    sloppy = [order for order in orders if "," in order["total"] or "recipient" not in order]
    assert unclear
    assert sloppy
    assert len(unclear) + len(sloppy) < len(orders) / 4


def test_a_taken_port_is_an_error_at_the_start():
    with start(Shop()) as running:
        port = int(running.url.rpartition(":")[2])
        with pytest.raises(OSError, match="address already in use"):
            start(Shop(), port=port)
