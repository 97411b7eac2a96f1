"""What OneBox tells, with real processes: nothing swallowed, nothing twice, and no read stops the rest."""

from __future__ import annotations

import secrets
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, insert, select, update
from whole.system import System

from ledger import connections, updates
from ledger.tables import HOOKS, ORDERS
from simulator.crm import Crm
from simulator.faults import Fault

pytestmark = pytest.mark.whole

BOTH = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)


class Hearing(System):
    """A system whose box has the stages of the shipped profiles' examples, and which can be called."""

    def __init__(self, folder, database_url, **environment):
        self.hook_secret = secrets.token_hex(24)
        crm = Crm(
            password=secrets.token_hex(8), stage_names=("In work", "Shipped", "Done", "Refused")
        )
        environment |= {"ONEBOX_HOOK_SECRETS": self.hook_secret}
        super().__init__(folder, database_url, crm=crm, **environment)

    def gateway(self):
        self.client = super().gateway()
        return self.client

    def call(self, order_id, **fields):
        """The box calls the hook."""
        fields = {"externalid": f"okl-{order_id}", **fields}
        answer = self.client.post(f"/hooks/onebox/{self.hook_secret}", data=fields)
        assert answer.status_code == 200, answer.text

    def moved(self, order_id, stage, **fields):
        """A clerk moves the process, and the box tells of it as it does: the stage by its id."""
        said = self.crm.move(f"okl-{order_id}", stage, **fields)
        self.call(order_id, statusid=said["statusid"], **fields)

    def made(self, order_id):
        """The updates of an order, in order."""
        rows = updates.listing(self.ledger, order_id=order_id, limit=1000)
        return [tuple(u.values.values()) for u in reversed(rows)]

    def wait_made(self, order_id, *wanted):
        self.wait_until(lambda: self.made(order_id) == list(wanted))

    def wait_heard(self):
        """Until every hook call has come to something."""
        query = select(func.count()).where(HOOKS.c.done_at.is_(None))

        def done():
            with self.ledger.read() as db:
                return db.execute(query).scalar_one() == 0

        self.wait_until(done)

    def reconcile(self):
        """Every process is due to be read, and is."""
        now = self.ledger.now()
        self.ledger.write(lambda db: db.execute(update(ORDERS).values(check_at=now)))
        self.send("updates.reconcile", "updates")

        def read():
            with self.ledger.read() as db:
                due = select(func.count()).where(ORDERS.c.check_at <= now)
                return db.execute(due).scalar_one() == 0

        self.wait_until(read)


@BOTH
def test_a_process_that_goes_back_to_a_stage_is_three_updates(tmp_path, database_url):
    with Hearing(tmp_path, database_url) as system:
        hooked, read = system.give(2)
        system.ticks()
        system.worker()
        system.gateway()
        system.wait_created(2)
        wanted = []
        for stage, update_ in (
            ("In work", ("process",)),
            ("Refused", ("cancel", "cancel")),
            ("In work", ("process",)),
        ):
            wanted.append(update_)
            system.moved(hooked, stage)
            system.moved(hooked, stage)  # the box calls again for want of an answer
            system.crm.move(f"okl-{read}", stage)
            system.reconcile()
            system.wait_made(hooked, *wanted)
            system.wait_made(read, *wanted)
        system.wait_heard()
        system.reconcile()
        assert (system.made(hooked), system.made(read)) == (wanted, wanted)


@BOTH
def test_what_the_hook_said_and_what_is_read_later_both_count(tmp_path, database_url):
    """The calls are worked off only when the box has gone on: no word of them is lost."""
    with Hearing(tmp_path, database_url) as system:
        (order_id,) = system.give(1)
        system.ticks()
        worker = system.worker()
        system.gateway()
        system.wait_created(1)
        system.kill(worker)
        system.moved(order_id, "In work")
        system.moved(order_id, "Shipped", ttn="20450000000001")
        system.call(order_id, comment="On its way")
        system.crm.move(f"okl-{order_id}", "Done")
        system.worker()
        system.wait_heard()
        system.reconcile()
        assert system.made(order_id) == [
            ("process",),
            ("20450000000001", "ship"),
            ("On its way",),
            ("complete",),
        ]
        system.wait_until(lambda: len(system.shop.updates) == 4)
        order = system.shop.orders[order_id]
        assert order["shipping"]["tracking_number"] == "20450000000001"
        assert (order["status"], order["delivery_status"]) == ("completed", "shipped")
        assert system.shop.notes == {order_id: ["On its way"]}


@BOTH
def test_the_reconcile_knows_a_stage_by_its_name_and_makes_what_the_hook_did_not(
    tmp_path, database_url
):
    with Hearing(tmp_path, database_url) as system:
        told, lost = system.give(2)
        system.ticks()
        system.worker()
        system.gateway()
        system.wait_created(2)
        for order_id in (told, lost):
            number = f"2045000000{order_id}"[:14]
            system.crm.move(f"okl-{order_id}", "Shipped", customorder_ttn=number)
        # The hook says less than the box, and says it twice.
        for _ in range(2):
            system.call(told, comment="On its way")
        for _ in range(2):
            system.reconcile()
        system.wait_heard()
        system.wait_until(lambda: len(system.shop.updates) == 3)
        for order_id in (told, lost):
            order = system.shop.orders[order_id]
            assert order["shipping"]["tracking_number"] == f"2045000000{order_id}"[:14]
            assert order["delivery_status"] == "shipped"
        assert system.shop.notes == {told: ["On its way"]}


def test_a_worker_that_is_killed_at_a_call_loses_and_doubles_nothing(tmp_path, database_url):
    with Hearing(tmp_path, database_url, ONEBOX_TIMEOUT=2) as system:
        (order_id,) = system.give(1)
        system.ticks()
        worker = system.worker()
        system.gateway()
        system.wait_created(1)
        system.crm.faults.add(Fault("hang", system.crm.ORDER_GET, times=1))
        before = reads(system)
        system.moved(order_id, "Shipped", ttn="20450000000001")
        system.wait_until(lambda: reads(system) > before)
        system.kill(worker)
        system.worker()
        system.wait_heard()
        system.reconcile()
        assert system.made(order_id) == [("20450000000001", "ship")]


@BOTH
def test_a_call_with_what_no_database_takes_comes_to_an_end(tmp_path, database_url):
    """One that comes now, and one that was kept as it came."""
    with Hearing(tmp_path, database_url) as system:
        system.ticks()
        system.worker()
        system.gateway()
        system.call("1", orderid="4711\0", externalid="\0", statusname="Done")
        now = system.ledger.now()
        kept = insert(HOOKS).values(
            connection="okliving", fields={"orderid": "4711\0"}, received_at=now, next_try_at=now
        )
        system.ledger.write(lambda db: db.execute(kept))
        system.wait_heard()


def reads(system):
    return sum(entry.path == system.crm.ORDER_GET for entry in list(system.crm.requests))


def polls(system):
    return sum(entry.path == system.shop.GET_ORDERS for entry in list(system.shop.requests))


@BOTH
def test_a_hundred_hooks_whose_reads_hang_stop_no_poll(tmp_path, database_url):
    """One worker for all queues: the reads that hang hold no more than their places."""
    with Hearing(tmp_path, database_url, ONEBOX_TIMEOUT=20) as system:
        system.worker(threads=8)
        system.gateway()
        orders = system.give(5)
        system.ticks()
        system.wait_created(5)
        system.crm.faults.add(Fault("hang", system.crm.ORDER_GET))
        began = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: system.call(f"9{n:05}", statusname="Done"), range(100)))
        before = polls(system)
        system.wait_until(lambda: polls(system) >= before + 8)
        new = system.give(1, start=777)
        system.wait_created(len(orders) + len(new))
        waves = 1 + (time.monotonic() - began) // 20
        assert reads(system) <= 2 * waves + 1
        assert connections.gate(system.ledger, "onebox").closed_by is None
        # In the end every call comes to what it said.
        system.crm.faults.reset()
        system.wait_heard()
        assert len(updates.listing(system.ledger, limit=1000)) == 100
