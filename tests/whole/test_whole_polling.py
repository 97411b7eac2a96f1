"""Reading the shop: one poll at a time, every order once, whatever its answers look like."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from whole.system import System

import settings
from connection import EVERYTHING
from ledger import connections, orders
from ledger.tables import INTAKE
from simulator.faults import Fault
from simulator.remote import Answer
from simulator.samples import many, reference_order, shop_time
from simulator.shop import Shop

pytestmark = pytest.mark.whole

# How the list is wrapped, and whether it is paged: with page numbers, silently, or not at all.
WIRES = (
    ("orders", "fields"),
    ("orders", "plain"),
    ("orders", "none"),
    ("data", "fields"),
    ("result.orders", "fields"),
    ("response.orders", "fields"),
    ("list", "plain"),
    ("by_id", "none"),
)
MODES = ("new", "all", "window")
# How a shop pages, and how many orders it puts on a page at most.
PAGINGS = (("fields", 500), ("plain", 500), ("total", 40), ("fields", 40))


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_two_beats_and_the_command_line_never_poll_at_the_same_time(tmp_path, database_url):
    with System(tmp_path, database_url) as system:
        given = system.give(250)
        system.shop.faults.add(Fault("latency", system.shop.GET_ORDERS, seconds=0.3))
        system.worker()
        system.beat()
        system.beat()
        commands = [system.start_cli("fetch", "--json") for _ in range(2)]
        assert [command.wait(100) for command in commands] == [0, 0]
        system.wait_created(250)
        polls = system.shop.counts[system.shop.GET_ORDERS]
        system.wait_until(lambda: system.shop.counts[system.shop.GET_ORDERS] >= polls + 6)
        assert system.shop.max_in_flight == 1
        system.assert_each_once(given)
        assert {len(times) for times in system.sent().values()} == {1}


@pytest.mark.parametrize("mode", MODES)
def test_each_order_once_in_every_mode_and_envelope_of_the_shop(tmp_path, database_url, mode):
    """The envelope and the paging change under way; new orders come between the polls."""
    shop = Shop(client_secret="of-this-test", mode=mode)
    given = []
    with System(tmp_path, database_url, shop=shop) as system:
        system.worker()
        system.ticks()
        for envelope, paging in WIRES:
            shop.envelope, shop.paging = envelope, paging
            start = 300_000_001 + 1000 * len(given)
            given += system.give(120 if envelope == "orders" else 10, start=start)
            system.wait_created(len(given))
        system.assert_each_once(given)
        assert {len(times) for times in system.sent().values()} == {1}


def bad_page():
    """Good orders among everything that a shop may put beside them."""
    good = many(5, 500_000_001)
    return {
        "good": good,
        "held": [
            reference_order(id="600000001", total=float("nan")),
            reference_order(
                id="600000002", items=[{"sku": "A", "name": "A", "quantity": -1, "price": "1"}]
            ),
            reference_order(id="600000003", note="я" * 50_000),
            reference_order(id="600000004", recipient={"phone": "none"}),
            reference_order(id="600000005", customer=[], recipient=None),
            {"id": "600000006"},
            reference_order(id="600000007", total="дуже багато"),
            reference_order(id="600000008", note="Дзвоніть \x00\x07\x1b[31m після 18\ud800"),
        ],
        "no_orders": [None, "text", 17, [], reference_order(id=""), {"name": "no id"}],
    }


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_bad_input_never_stops_a_page(tmp_path, database_url):
    parts = bad_page()
    listed = [item for part in parts.values() for item in part]
    body = json.dumps({"orders": listed, "page": 1, "pages": 1}).encode()

    class OddShop(Shop):
        async def _get_orders(self, call):
            self._check_bearer(call)
            return Answer(200, body)

    with System(tmp_path, database_url, shop=OddShop(client_secret="of-this-test")) as system:
        system.worker()
        system.ticks()
        system.wait_until(lambda: system.states().get("held") == len(parts["held"]))
        system.wait_created(len(parts["good"]))
        assert system.crm.doubled() == []
        held = {row.order_id: row.reason for row in system.rows() if row.state == "held"}
        assert set(held) == {order["id"] for order in parts["held"]}
        assert all(held.values())
        with system.ledger.read() as db:
            aside = db.execute(select(INTAKE.c.raw)).scalars().all()
        assert sorted(map(str, map(json.loads, aside))) == sorted(map(str, parts["no_orders"]))


UNREADABLE = [
    Fault("html", Shop.GET_ORDERS, times=1),
    Fault("cut", Shop.GET_ORDERS, times=1),
    Fault("garbled", Shop.GET_ORDERS, times=1),
    Fault("empty", Shop.GET_ORDERS, times=1),
    Fault("status", Shop.GET_ORDERS, status=200, body={"what": "is this"}, times=1),
    Fault("status", Shop.GET_ORDERS, status=500, times=1),
    Fault("drop", Shop.GET_ORDERS, times=1),
    Fault("hang", Shop.GET_ORDERS, times=1),
]


def test_unreadable_answer_moves_nothing_and_the_next_poll_reads_it(
    tmp_path, database_url, monkeypatch
):
    with (
        System(tmp_path, database_url, OKLIVING_TIMEOUT=1) as system,
        in_this_process(system, monkeypatch) as (polling, r),
    ):
        rung = []
        polling.poll(r, "okliving", rung.extend)
        for number, fault in enumerate(UNREADABLE, start=1):
            system.give(2, start=700_000_000 + 10 * number)
            (before,) = connections.cursors(system.ledger)
            system.shop.faults.add(fault)
            with pytest.raises(polling.PollFailed):
                polling.poll(r, "okliving", rung.extend)
            (failed,) = connections.cursors(system.ledger)
            assert failed.watermark == before.watermark
            assert failed.error
            polling.poll(r, "okliving", rung.extend)
            (after,) = connections.cursors(system.ledger)
            assert not after.error
            assert after.watermark >= (before.watermark or EVERYTHING)
            assert len(rung) == len(system.rows()) == 2 * number


@contextmanager
def in_this_process(system, monkeypatch):
    """The resources of a worker, in this process, so that a test polls when it wants to."""
    for name, value in system.environment.items():
        monkeypatch.setenv(name, value)
    # Only with the environment of a system can they be imported.
    from tasks import polling, resources  # noqa: PLC0415

    r = resources.build(settings.load())
    yield polling, r
    close(r)


def aged(count, minutes, start=800_000_001):
    """Orders of the last minutes, one after the other."""
    now = datetime.now(UTC)
    step = timedelta(minutes=minutes) / count
    return [
        reference_order(id=str(start + n), updated_at=shop_time(now - (count - n) * step))
        for n in range(count)
    ]


class RestlessShop(Shop):
    """While the first 30 pages are read, three orders of the front leave the window after each."""

    async def _get_orders(self, call):
        self.edits = 3 if self.counts[self.GET_ORDERS] <= 30 else 0
        return await super()._get_orders(call)


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_orders_that_move_while_pages_are_read_are_all_in_the_ledger(
    tmp_path, database_url, monkeypatch
):
    """350 orders in each of the ways a shop pages. One poll alone is looked at, and what it passed: the
    next would begin behind what was skipped.
    """
    shop = RestlessShop(client_secret="of-this-test")
    with (
        System(tmp_path, database_url, shop=shop) as system,
        in_this_process(system, monkeypatch) as (polling, r),
    ):
        for number, (shop.paging, shop.max_limit) in enumerate(PAGINGS):
            given = aged(350, 9, start=810_000_000 + 1_000 * number)
            shop.orders_in(given)
            shop.counts[shop.GET_ORDERS] = 0
            polling.poll(r, "okliving", lambda _: None)
            (cursor,) = connections.cursors(system.ledger)
            stored = {row.order_id for row in system.rows()}
            passed = {
                order["id"]
                for order in given
                if shop.orders[order["id"]]["updated_at"] <= shop_time(cursor.watermark)
            }
            assert passed <= stored
            assert cursor.error == ""
            assert shop.counts[shop.GET_ORDERS] > 4
            polling.poll(r, "okliving", lambda _: None)
            assert {row.order_id for row in system.rows()} == set(shop.orders)


def test_poll_whose_pages_fail_now_and_then_ends(tmp_path, database_url, monkeypatch):
    """300 pages, 3 % of them fail; the first poll that reads anything reads all."""
    with (
        System(tmp_path, database_url) as system,
        in_this_process(system, monkeypatch) as (polling, r),
    ):
        shop = system.shop
        shop.orders_in(aged(600, 60 * 24 * 30))
        shop.max_limit = 2
        shop.faults.seed(7)
        shop.faults.add(Fault("status", shop.GET_ORDERS, status=500, probability=0.03))
        shop.faults.add(Fault("drop", shop.GET_ORDERS, ids=("page 2",), times=2))
        polled = polling.poll(r, "okliving", lambda _: None)
        assert polled.stored == 600
        assert polled.pages >= 300


ODD = {
    "deep": b'{"id":"610000001","x":' + b"[" * 1_000 + b"]" * 1_000 + b"}",
    "very deep": b'{"id":"610000002","x":' + b'{"x":' * 50_000 + b"1" + b"}" * 50_000 + b"}",
    "huge number": b'{"id":"610000003","total":' + b"9" * 5_000 + b"}",
    "huge id": b'{"id":' + b"9" * 5_000 + b"}",
    "half a letter": b'{"id":"610000004","note":"\xd0"}',
    "bare line end": b'{"id":"610000005","note":"a\nb"}',
    "NUL": b'{"id":"610000006","note":"\\u0000","\\u0000":1}',
    "NUL in the id": b'{"id":"6100\\u000000007"}',
    "half an emoji": b'{"id":"610000008","\\ud83d":"\\ud83d"}',
}


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_one_odd_order_in_the_answer_stops_no_poll(tmp_path, database_url, monkeypatch):
    bodies = []

    class OddShop(Shop):
        async def _get_orders(self, call):
            self._check_bearer(call)
            return Answer(200, bodies[-1])

    with (
        System(tmp_path, database_url, shop=OddShop(client_secret="of-this-test")) as system,
        in_this_process(system, monkeypatch) as (polling, r),
    ):
        for number, odd in enumerate(ODD.values()):
            good = many(3, 620_000_001 + 10 * number)
            parts = [json.dumps(order).encode() for order in good]
            parts.insert(1, odd)
            bodies.append(b'{"orders":[' + b",".join(parts) + b'],"page":1,"pages":1}')
            polled = polling.poll(r, "okliving", lambda _: None)
            assert polled.stored + polled.aside == 4, odd[:40]
            assert {order["id"] for order in good} <= {row.order_id for row in system.rows()}
            assert polling.poll(r, "okliving", lambda _: None).stored == 0
        for row in system.rows():
            creating_sees = json.loads(orders.source(system.ledger, row.pk))
            assert r.profiles["okliving"].map(creating_sees).order_id == row.order_id


def close(r):
    """Give back what `build` opened in this process."""
    r.ledger.close()
    r.redis.close()
    for part in (*r.sources.values(), *r.targets.values()):
        part.connector.client.close()
