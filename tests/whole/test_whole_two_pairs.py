"""Two shops and two boxes side by side: nothing of one is ever the other's, and none waits for the other."""

from __future__ import annotations

import json
import os
import re
import time

import pytest
from whole.system import Pair, Pairs, a_run, free_port, wait_until

from ledger import connections
from ledger.tables import ORDERS
from simulator.faults import Fault

pytestmark = [pytest.mark.whole, pytest.mark.long]

BOTH = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
STAGES = ("In work", "Shipped", "Done", "Refused")


@pytest.fixture
def pairs():
    return Pair("north", STAGES), Pair("south", STAGES)


@BOTH
def test_each_order_goes_into_its_own_box_and_back_to_its_own_shop(tmp_path, database_url, pairs):
    """The same order ids in both shops, updates by the command and by the hooks of both boxes."""
    with Pairs(tmp_path, database_url, *pairs) as system:
        ids = {pair.name: pair.give(5, start=300_000_000) for pair in pairs}
        assert ids["north"] == ids["south"]
        system.worker()
        system.beat()
        client = system.gateway()
        for pair in pairs:
            system.wait_created_of(pair, 5)
            pair.assert_each_once(ids[pair.name])
        # A token of one is never shown to the other, nor a cursor moved by it.
        keys = {key.decode() for key in system.valkey.client.keys("*token*")}
        assert all(any(name in key for key in keys) for name in system.sources)
        assert {row.connection for row in connections.cursors(system.ledger)} == {"north", "south"}
        first = ids["north"][0]
        unnamed = system.cli("update", first, "--note", "whose?")
        assert unnamed.returncode == 2
        assert "north, south" in unnamed.stderr
        for pair in pairs:
            done = system.cli("update", first, "--connection", pair.name, "--note", pair.name)
            assert done.returncode == 0, done.stderr
        for pair in pairs:
            system.wait_until(lambda pair=pair: len(pair.shop.updates) == 1)
            (sent,) = [r.body for r in pair.shop.requests if r.path == pair.shop.UPDATE_ORDER]
            assert sent["args"]["order"]["note"] == pair.name
        _move_both(system, client, pairs, ids["north"][1])
        shown = json.loads(system.cli("orders", "list", "--connection", "south", "--json").stdout)
        assert {row["connection"] for row in shown} == {"south"}


def _move_both(system, client, pairs, order_id):
    """Each box tells of its process of the same order: by its external id, and by its number alone."""
    for pair in pairs:
        said = pair.crm.move(f"{pair.name}-{order_id}", "In work")
        (process,) = pair.crm.find(f"{pair.name}-{order_id}")
        whose = (
            {"externalid": f"{pair.name}-{order_id}"}
            if pair.name == "north"
            else {"orderid": process["id"]}
        )
        fields = {**whose, "statusid": said["statusid"]}
        answer = client.post(f"/hooks/onebox/{pair.hook_secret}", data=fields)
        assert answer.json()["accepted"]
        system.wait_until(lambda pair=pair: len(pair.shop.updates) == 2)
        last = [r.body for r in pair.shop.requests if r.path == pair.shop.UPDATE_ORDER][-1]
        assert last["args"]["order"] == {"id": order_id, "statuses": {"order": "process"}}


@BOTH
def test_one_shop_hangs_and_its_box_is_down_while_the_other_pair_goes_on(
    tmp_path, database_url, pairs
):
    """0 lost, 0 doubled, and the other pair as fast as it is alone."""
    north, south = pairs
    with Pairs(tmp_path, database_url, *pairs, UNCERTAIN_WAIT=3) as system:
        alone = south.give(100)
        system.worker(threads=10)
        system.ticks()
        began = time.monotonic()
        system.wait_created_of(south, 100)
        took = time.monotonic() - began
        stuck = north.give(60)
        system.wait_until(lambda: len(system.rows()) > 100)
        north.crm_server.down()
        north.shop.faults.add(Fault("hang", north.shop.GET_ORDERS))
        system.wait_until(lambda: north.shop.in_flight > 0)
        beside = south.give(100, start=500_000_000)
        began = time.monotonic()
        system.wait_created_of(south, 200)
        # Half as much again, and what a busy machine and a poll that has just begun cost.
        assert time.monotonic() - began <= 1.5 * took + 5
        assert len(system.created(north)) < 60
        north.shop.faults.reset()
        north.crm_server.up()
        stuck += north.give(5, start=600_000_000)
        system.wait_created_of(north, 65)
        north.assert_each_once(stuck)
        south.assert_each_once(alone + beside)
        assert system.states() == {"created": 265}


def test_a_source_in_shadow_writes_nothing_to_its_target_nor_back(tmp_path, database_url, pairs):
    north, south = pairs
    with Pairs(tmp_path, database_url, *pairs) as system:
        live = system.file.read_text()
        system.file.write_text(live.replace("target: north-box", "target: north-box, mode: shadow"))
        given = {pair.name: pair.give(3) for pair in pairs}
        worker = system.worker()
        system.ticks()
        system.wait_created_of(south, 3)
        system.cli("update", given["north"][0], "--connection", "north", "--note", "later")
        system.wait_until(lambda: [r.reason for r in system.rows()].count("shadow") == 3)
        assert (north.crm.processes, north.shop.updates) == ({}, [])
        one = given["north"][0]
        asked = system.cli("orders", "send-one", one, "--connection", "north", "--yes-really", one)
        assert asked.returncode == 0, asked.stderr
        assert len(north.crm.processes) == 1
        system.kill(worker)
        system.file.write_text(live)
        system.worker()
        system.wait_created_of(north, 3)
        system.wait_until(lambda: len(north.shop.updates) == 1)
        for pair in pairs:
            pair.assert_each_once(given[pair.name])


def test_a_changed_target_is_refused_while_orders_of_the_old_one_are_open(
    tmp_path, database_url, pairs
):
    north, south = pairs
    with Pairs(tmp_path, database_url, *pairs) as system:
        north.crm_server.down()
        (order_id,) = north.give(1)
        assert system.cli("fetch", "--connection", "north").returncode == 0
        right = system.file.read_text()
        system.file.write_text(right.replace("target: north-box", "target: south-box"))
        refused = system.cli("gateway", "--port", str(free_port()))
        assert refused.returncode == 2
        assert "The target of north is south-box now" in " ".join(refused.stderr.split())
        assert order_id in refused.stderr
        assert f"orders ignore ID --connection {north.name}" in " ".join(refused.stderr.split())
        worker = system.worker()
        system.wait_until(lambda: worker.poll() is not None)
        assert "The target of north is south-box now" in system.logs()
        ignored = system.cli("orders", "ignore", order_id, "--connection", "north")
        assert ignored.returncode == 0, ignored.stderr
        system.worker()
        (again,) = north.give(1, start=700_000_000)
        assert system.cli("fetch", "--connection", "north").returncode == 0
        system.wait_until(lambda: len(south.crm.find(f"north-{again}")) == 1)
        assert {row.target for row in _rows(system) if row.state == "created"} == {"south-box"}


def _rows(system):
    with system.ledger.read() as db:
        return db.execute(ORDERS.select()).all()


def test_the_sandbox_runs_the_example_with_a_simulator_for_each_connection(tmp_path):
    surroundings = {
        **os.environ,
        "ORDERBRIDGE_DATA": str(tmp_path),
        "ORDERBRIDGE_CONNECTIONS": "docs/examples/two-shops.yaml",
        "FETCH_INTERVAL": "2",
    }
    with a_run(surroundings, tmp_path / "run.log") as log:
        for pair in ("north", "south"):
            wait_until(
                lambda pair=pair: re.search(rf"order {pair} \d+  created", log.read_text()),
                what=log.read_text,
            )
    assert (tmp_path / "sandbox-two-shops" / "ledger.db").is_file()
