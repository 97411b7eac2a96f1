"""A system that only the tests know goes through real workers, and nothing else is touched for it."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

import pytest
from celery import Celery
from whole.system import ROOT, System

import lanes
from ledger import orders, updates

pytestmark = [pytest.mark.whole, pytest.mark.long]


class ToySystem(System):
    """A whole system whose workers know the toy, with so many toy shops."""

    def __init__(self, folder, database_url, *, shops=("toyshop",), **environment):
        self.toys = folder / "toys"
        for name in (*shops, "toybox"):
            (self.toys / name).mkdir(parents=True)
        super().__init__(
            folder,
            database_url,
            PYTHONPATH=ROOT / "tests",
            TOY_FOLDER=self.toys,
            TOY_SHOPS=",".join(shops),
            **environment,
        )

    def celery(self, *arguments, log="celery"):
        return self._start(["-m", "whole.toy_celery", "-A", "tasks", *arguments], log)

    def give_toys(self, *ids, shop="toyshop"):
        for order_id in ids:
            path = self.toys / shop / f"{order_id}.json"
            path.write_text(json.dumps({"id": order_id, "toy": "bear"}))

    def make_box(self, how, order_id, shop="toyshop"):
        (self.toys / "toybox" / f"{how}-{shop}-{order_id}").touch()

    def arrived(self):
        path = self.toys / "toybox" / "arrived.txt"
        return path.read_text().split() if path.exists() else []

    def stands(self, order_id):
        found = orders.listing(self.ledger, datetime.now(UTC), order_id=order_id)
        return [(row.state, row.reason) for row in found]


HELD = [("held", "uncertain_no_lookup")]


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_orders_of_a_toy_arrive_once_beside_all_others(tmp_path, database_url):
    with ToySystem(tmp_path, database_url) as system:
        given = system.give(5)
        system.give_toys("1", "2", "3")
        assert lanes.unserved(system.valkey.client) == list(lanes.USED)
        system.worker()
        system.beat()
        system.wait_created(8)
        assert lanes.unserved(system.valkey.client) == []
        assert sorted(system.arrived()) == ["toyshop-1", "toyshop-2", "toyshop-3"]
        assert system.row("1").target_id == "TOYSHOP-1"
        assert len(system.crm.processes) == len(given)


def test_updates_of_a_toy_go_back_in_their_order_and_what_it_refuses_is_seen(
    tmp_path, database_url
):
    with ToySystem(tmp_path, database_url) as system:
        system.worker()
        stranger = Celery(broker=system.valkey.url)
        for number, level in enumerate([1, 5, 3, 10, 4]):
            asked = {"connection": "toyshop", "order_id": "7", "level": level, "key": str(number)}
            stranger.send_task("updates.enqueue", kwargs=asked, queue="updates")
            system.wait_until(lambda n=number: len(updates.listing(system.ledger)) == n + 1)
        system.wait_until(lambda: updates.listing(system.ledger, state="parked"))
        taken = (system.toys / "toyshop" / "levels.txt").read_text().split()
        assert taken == ["7:1", "7:5", "7:3"]
        (parked,) = updates.listing(system.ledger, state="parked")
        assert (parked.values, parked.reason) == ({"level": 10}, "update_refused")


def test_unanswered_create_of_a_target_that_cannot_be_asked_waits_for_a_person(
    tmp_path, database_url
):
    with ToySystem(tmp_path, database_url) as system:
        system.make_box("lose", "1")
        system.give_toys("1")
        system.worker()
        system.beat()
        system.wait_until(lambda: system.stands("1") == HELD)
        system.give_toys("2")
        system.wait_created(1)
        time.sleep(3)
        assert (system.arrived(), system.stands("1")) == (["toyshop-1", "toyshop-2"], HELD)
        (system.toys / "toybox" / "lose-toyshop-1").unlink()
        orders.release(system.ledger, system.row("1").pk, datetime.now(UTC), who="olena")
        system.wait_created(2)
        assert system.arrived().count("toyshop-1") == 2


def test_create_whose_worker_died_waits_for_a_person_too(tmp_path, database_url):
    with ToySystem(tmp_path, database_url) as system:
        system.make_box("stop", "1")
        system.give_toys("1")
        doomed = system.worker()
        system.beat()
        system.wait_until(lambda: system.arrived() == ["toyshop-1"])
        system.kill(doomed)
        system.worker()
        system.wait_until(lambda: system.stands("1") == HELD)
        time.sleep(3)
        assert system.arrived() == ["toyshop-1"]


@pytest.mark.long
def test_as_many_hanging_shops_as_a_lane_has_threads_stop_neither_upkeep_nor_another(
    tmp_path, database_url
):
    hanging = tuple(f"hang{n}" for n in range(8))
    with ToySystem(tmp_path, database_url, shops=(*hanging, "zoo")) as system:
        system.worker("-Q", "fetch,upkeep", threads=8)
        system.beat()
        seen = Seen(system.valkey.client)
        system.give_toys("0", shop="zoo")
        system.wait_until(lambda: system.stands("0") and seen.is_fresh())
        for name in hanging:
            (system.toys / name / "slow").touch()
        # All hang at once: who does is known once each has hung for its time, and others wait so long.
        system.wait_until(
            lambda: (
                seen.is_fresh()
                and all(f"{name} could not be read" in system.logs() for name in hanging)
            )
        )
        begun = time.monotonic()
        read_within = []
        for number in ("1", "2", "3", "4"):
            time.sleep(5)
            system.give_toys(number, shop="zoo")
            asked = time.monotonic()
            system.wait_until(lambda number=number: seen.is_fresh() and system.stands(number))
            read_within.append(round(time.monotonic() - asked, 1))
        assert time.monotonic() - begun > 20
        # A poll hangs for 20 s, and again and again: the pulse, each 5 s, comes all the time.
        assert seen.lowest >= 30 - 13
        assert max(read_within) < 10, read_within


class Seen:
    """The sign that the pulse leaves for 30 seconds."""

    def __init__(self, client):
        self.client = client
        self.lowest = 30

    def is_fresh(self):
        left = self.client.ttl("ob:worker:seen")
        if left > 0 or self.lowest < 30:
            self.lowest = min(self.lowest, left)
        return left > 0
