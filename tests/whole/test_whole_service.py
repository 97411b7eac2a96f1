"""Orders go to a service that cannot be asked: lost answers double nothing, with its keys and without."""

from __future__ import annotations

import json
import time

import pytest
from whole.system import Pair, Pairs

from simulator.faults import Fault, everything
from simulator.server import start
from simulator.service import Service

pytestmark = [pytest.mark.whole, pytest.mark.long]

BOTH = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
CREATE = Service.CREATE
FAILED = {"processing_result": {"status": "error", "code": 9, "text": "later", "ctx_id": "x"}}
MADE = [
    Fault("drop", CREATE, effect="applied"),
    Fault("hang", CREATE, effect="applied"),
    Fault("status", CREATE, effect="applied", status=500),
    Fault("status", CREATE, effect="applied", status=200, body=FAILED),
    Fault("status", CREATE, effect="applied", status=502, body="<html>Bad Gateway</html>"),
    Fault("garbled", CREATE),
    Fault("cut", CREATE),
    Fault("empty", CREATE, effect="applied"),
]
NOT_MADE = [
    Fault("drop", CREATE),
    Fault("hang", CREATE),
    Fault("status", CREATE, status=500, body=FAILED),
]
HELD = ("held", "uncertain_no_lookup")


class ServicePair(Pair):
    """A shop whose orders go to a service of its own; it says so, where this knows keys."""

    def __init__(self, name, *, knows_keys):
        super().__init__(name)
        self.service = Service(tenant="Acme", token=f"token-of-{name}", honours_keys=knows_keys)

    def start(self, stack):
        self.shop_server = stack.enter_context(start(self.shop))
        self.service_server = stack.enter_context(start(self.service))

    @property
    def written(self):
        known = self.name.upper()
        says = "honours_idempotency: true, " if self.service.honours_keys else ""
        return f"""
  {self.name}:
    {{kind: okliving, url: "{self.shop_server.url}", client_id: {self.shop.client_id},
     client_secret: "${{{known}_CLIENT_SECRET}}", target: {self.box}, timeout: 2, rate: 0}}
  {self.box}:
    {{kind: createorder, url: "{self.service_server.url}", tenant: acme, token: "${{{known}_TOKEN}}",
     {says}timeout: 1, rate: 0}}
"""

    @property
    def variables(self):
        return super().variables | {f"{self.name.upper()}_TOKEN": self.service.token}

    def spoil(self, order_id, fault):
        """This goes wrong with the first call that carries the order."""
        fault.ids, fault.times = (f"{self.name}-{order_id}",), 1
        self.service.faults.add(fault)

    def made(self, order_id):
        """The service's numbers of this order."""
        return [str(one["order_id"]) for one in self.service.find(f"{self.name}-{order_id}")]


def stands(system, ids):
    rows = {row.order_id: (row.state, row.reason) for row in system.rows()}
    return [rows.get(order_id) for order_id in ids]


def assert_each_once(system, pair, ids):
    known = {row.order_id: [row.target_id] for row in system.rows() if row.state == "created"}
    assert known == {order_id: pair.made(order_id) for order_id in ids}
    assert (pair.service.doubled(), len(pair.service.orders)) == ([], len(ids))


def fresh(faults):
    return [Fault(f.kind, f.path, effect=f.effect, status=f.status, body=f.body) for f in faults]


@BOTH
def test_what_got_no_answer_waits_for_a_person_and_none_is_doubled(tmp_path, database_url):
    pair = ServicePair("north", knows_keys=False)
    with Pairs(tmp_path, database_url, pair) as system:
        ids = pair.give(len(MADE) + len(NOT_MADE) + 5)
        there, not_there = ids[: len(MADE)], ids[len(MADE) : len(MADE) + len(NOT_MADE)]
        lost, clear = there + not_there, ids[len(MADE) + len(NOT_MADE) :]
        for order_id, fault in zip(lost, fresh(MADE) + fresh(NOT_MADE), strict=True):
            pair.spoil(order_id, fault)
        system.worker(threads=5)
        system.ticks()
        system.wait_created_of(pair, len(clear))
        system.wait_until(lambda: stands(system, lost) == [HELD] * len(lost))
        # Some sweeps and polls later nothing was sent by itself.
        time.sleep(5)
        assert stands(system, lost) == [HELD] * len(lost)
        calls = [one for one in pair.service.requests if (one.method, one.path) == ("POST", CREATE)]
        assert len(calls) == len(ids)
        assert [len(pair.made(order_id)) for order_id in there] == [1] * len(there)
        assert [pair.made(order_id) for order_id in not_there] == [[]] * len(not_there)
        for order_id in there:
            number = pair.made(order_id)[0]
            done = system.cli("orders", "adopt", order_id, "--as", number, "--json")
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout)["state"] == "created"
        for order_id in not_there:
            done = system.cli("orders", "release", order_id)
            assert done.returncode == 0, done.stderr
        system.wait_created_of(pair, len(ids))
        assert_each_once(system, pair, ids)


@BOTH
def test_a_service_that_knows_keys_gets_each_order_once_without_a_person(tmp_path, database_url):
    pair = ServicePair("north", knows_keys=True)
    with Pairs(tmp_path, database_url, pair) as system:
        ids = pair.give(30)
        for order_id, fault in zip(ids, fresh(MADE) + fresh(NOT_MADE), strict=False):
            pair.spoil(order_id, fault)
        pair.service.faults.add(everything(CREATE, probability=0.3))
        doomed = system.worker(threads=5)
        system.ticks()
        system.wait_until(lambda: len(pair.service.orders) >= 10)
        system.kill(doomed)
        system.worker(threads=5)
        system.wait_created_of(pair, len(ids))
        assert_each_once(system, pair, ids)
