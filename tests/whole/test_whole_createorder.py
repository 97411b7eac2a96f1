"""Orders placed by CreateOrder: into the CRM like any other and told of, each once, through kills."""

from __future__ import annotations

import json
import secrets
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest
from whole.system import Postgres, System, free_port

from simulator.crm import Crm
from simulator.faults import Fault
from simulator.server import start
from simulator.service import Service

pytestmark = pytest.mark.whole

TENANT = {
    "name": "Demo885",
    "timezone": "Europe/Kyiv",
    "accounts": [
        {
            "account_id": 1,
            "customer_name": "Шевченко Тарас",
            "external_customer_id": "a",
            "addresses": [{"account_address_id": 1, "text": "Київ, вул. Хрещатик, 1"}],
        }
    ],
    "catalog": [
        {
            "catalog_position_id": 4,
            "product_name": "position #612",
            "position_type": "Goods",
            "unit": "шт",
            "default_quantity": 2,
            "price": 30,
        }
    ],
}


def loaded(system, tenant=None):
    path = system.folder / "tenants.json"
    path.write_text(json.dumps({"tenants": [tenant or TENANT]}))
    done = system.cli("load", str(path), "--json")
    assert done.returncode == 0, done.stderr


def order(number, **more):
    """A request of a new account of its own."""
    return {
        "tenant": "demo885",
        "external_customer_id": str(number),
        "customer_name": "Шевченко Тарас",
        "tel_num": "0671234567",
        "address_text": "Київ, вул. Хрещатик, 1",
        "order_positions": [
            {"catalog_position_id": 4},
            {"product_name": "position #2", "price": 200.50, "quantity": 1},
        ],
        **more,
    }


def test_an_order_that_is_placed_goes_into_the_crm_and_its_tenant_is_told_how_it_goes_on(tmp_path):
    """A tenant is there as soon as it is loaded. The first word to it gets no answer, and is said again."""
    hook, signs = secrets.token_hex(24), secrets.token_hex(24)
    crm = Crm(password=secrets.token_hex(8), stage_names=("In work", "Shipped"))
    receiver = Service(tenant="Demo885", callback_secret=signs)
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with System(tmp_path, url, crm=crm, ONEBOX_HOOK_SECRETS=hook) as system:
        told_at = system.stack.enter_context(start(receiver)).url + Service.CALLBACK
        gateway = system.gateway()
        system.worker()
        unknown = gateway.post("/CreateOrder", json=order(1)).json()["processing_result"]
        assert (unknown["status"], unknown["code"]) == ("error", 5)

        defaults = {"callback_url": told_at, "callback_secret": signs}
        loaded(system, TENANT | {"defaults": defaults})
        said = gateway.post("/CreateOrder", json=order(1)).json()
        assert said["processing_result"]["status"] == "ok"
        assert said["CreateOrder"]["response"]["order"]["order_total"] == 260.5
        system.wait_created(1)
        (process,) = crm.find("co-Demo885-1")
        assert process["clientphone"] == "+380671234567"
        assert process["sum"] == "260.50"

        receiver.faults.add(Fault("drop", Service.CALLBACK, effect="applied", times=1))
        said = {"customorder_ttn": "20450000000001"}
        moved = crm.move("co-Demo885-1", "Shipped", **said)
        call = {
            "externalid": "co-Demo885-1",
            "statusid": moved["statusid"],
            "ttn": "20450000000001",
        }
        assert gateway.post(f"/hooks/onebox/{hook}", data=call).is_success

        system.wait_until(lambda: len(receiver.callbacks) == 2)
        first, again = (one["body"] for one in receiver.callbacks)
        assert first["id"] == again["id"]
        assert (again["order_num"], again["delivery_status"]) == (1, "Shipped")
        assert again["tracking_number"] == "20450000000001"
        shown = gateway.get("/api/v1/orders/Demo885-1").json()
        assert (shown["stage"], shown["tracking_number"]) == ("shipped", "20450000000001")


@pytest.mark.long
@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_a_thousand_orders_through_kills_of_gateway_and_database(tmp_path, database_url, request):
    """What was answered is there, what was repeated with its key is one order, numbers have no gaps."""
    count = 1_000
    with System(tmp_path, database_url) as system:
        loaded(system)
        port = free_port()
        gateway = system.start_cli("gateway", "--port", str(port))
        numbers = {}
        ended = threading.Event()

        def place(client, number):
            """As a patient caller does: again with the same key until there is an answer."""
            while not ended.is_set():
                with suppress(httpx.TransportError):
                    headers = {"Idempotency-Key": f"order-{number}"}
                    answer = client.post("/CreateOrder", json=order(number), headers=headers)
                    if answer.is_success:
                        return answer.json()["CreateOrder"]["response"]["order"]["order_num"]
                    assert answer.status_code in {500, 503}, answer.text
                ended.wait(0.2)
            return None

        def caller(first):
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
                for number in range(first, count, 16):
                    numbers[number] = place(client, number)

        with ThreadPoolExecutor(16) as callers:
            done = [callers.submit(caller, first) for first in range(16)]
            try:
                for share in (0.2, 0.5, 0.7):
                    system.wait_until(lambda share=share: len(numbers) >= share * count)
                    system.kill(gateway, signal.SIGKILL)
                    if share == 0.5 and not database_url.startswith("sqlite"):
                        server = request.getfixturevalue("postgres")
                        system.ledger.close()
                        Postgres(server).kill()
                        server.ensure_postgres_running()
                    gateway = system.start_cli("gateway", "--port", str(port))
                system.wait_until(lambda: len(numbers) == count)
            finally:
                ended.set()
            for one in done:
                one.result()

        assert sorted(numbers.values()) == list(range(1, count + 1))
        system.worker(threads=20)
        system.wait_created(count)
        assert system.crm.doubled() == []
        externals = {f"co-Demo885-{number}" for number in numbers.values()}
        assert {one for one in externals if len(system.crm.find(one)) != 1} == set()
        assert len(system.crm.processes) == count
