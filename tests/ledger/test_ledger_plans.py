"""What runs by itself costs the same however long the ledger: no statement reads a big table through.

A ledger of 100,000 orders is filled, everything that beat, the workers, the gateway and the live screen run
is run on it, and whatever is executed meanwhile is listened to. Each statement is then held to its plan and
to the rows that it touches. So a new query is caught without anybody's thinking of this test.
"""

from __future__ import annotations

import itertools
import os
import time
from collections import deque
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import timedelta

import fakeredis
import pytest
from celery.exceptions import Retry
from plan_listener import PLANS, Listener
from sqlalchemy import event
from whole.filling import RETENTION_DAYS, fill

import settings
from ledger import (
    connections,
    enqueueing,
    expiring,
    history,
    hook_listing,
    orders,
    purging,
    queues,
    tallies,
    updates,
    waits,
)
from ledger.database import open_ledger
from ledger.enqueueing import Asked
from ledger.orders import Typed
from ledger.tenants import forgetting
from mapping.request import UpdateRequest
from simulator.crm import Crm
from simulator.faults import Fault
from simulator.samples import many
from simulator.server import start
from simulator.shop import Shop

COUNT = 100_000
SHOP, BOX = "okliving", "onebox"
# Seconds of this thread's own work for what people and machines ask for often, and for one transaction: the
# writer is held for no longer. Of work, since a busy machine says nothing about a query.
QUICK = 0.05


# Of tasks that differ in their order alone so many are run.
MOST_ALIKE = 10


@dataclass
class Bridge:
    """All tasks in this process, on the filled ledger, with both remotes simulated. What would be rung for
    waits in `messages`.
    """

    r: object
    shop: Shop
    crm: Crm
    tasks: dict
    messages: deque

    def run(self, name, **arguments):
        """One task, and what it rang for: a few of each kind, since the others are alike."""
        self._run(name, arguments)
        for _ in range(3):
            rung = list(self.messages)
            self.messages.clear()
            by_name = itertools.groupby(sorted(rung, key=lambda m: m[0]), key=lambda m: m[0])
            for kind, alike in by_name:
                for _, given in itertools.islice(alike, MOST_ALIKE):
                    self._run(kind, given)

    def _run(self, name, arguments):
        with suppress(Retry):  # it would come again
            self.tasks[name](**arguments)

    def fresh(self):
        """Gates read anew, as a second later."""
        for remote in (*self.r.sources.values(), *self.r.targets.values()):
            remote.gate._read_at = remote.read_gate._read_at = float("-inf")


@pytest.fixture
def filled(ledger_url):
    """A ledger with COUNT rows in each big table, which is listened to from then on."""
    made = open_ledger(ledger_url)
    fill(made, COUNT)
    yield made
    made.close()


@pytest.fixture
def bridge(filled, tmp_path, monkeypatch):
    with ExitStack() as stack:
        shop, crm = Shop(), Crm(race=0.0)
        servers = [stack.enter_context(start(one)) for one in (shop, crm)]
        given = {
            "ORDERBRIDGE_SANDBOX": "1",
            "ORDERBRIDGE_DATA": str(tmp_path),
            "REDIS_URL": "redis://127.0.0.1:1/0",
            "OKLIVING_URL": servers[0].url,
            "OKLIVING_CLIENT_ID": shop.client_id,
            "OKLIVING_CLIENT_SECRET": shop.client_secret,
            "ONEBOX_URL": servers[1].url,
            "ONEBOX_LOGIN": crm.login,
            "ONEBOX_PASSWORD": crm.password,
            "ONEBOX_WORKFLOW_ID": crm.workflow_id,
            "ONEBOX_STATUS_ID": crm.status_id,
            "ONEBOX_RATE": "0",
            "ONEBOX_CONCURRENCY": "0",
            "ORDERBRIDGE_NOTIFY": "json://127.0.0.1:1",
            "ORDERBRIDGE_NOTIFY_NO_ORDERS_HOURS": "1",
        }
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        os.environ.setdefault("REDIS_URL", "redis://127.0.0.1:1/0")
        from tasks import doorbell, resources  # noqa: PLC0415  they read the settings when imported
        from tasks.app import app  # noqa: PLC0415  as above

        app.loader.import_default_modules()
        store = fakeredis.FakeRedis()
        monkeypatch.setattr(resources, "open_ledger", lambda *_, **__: filled)
        monkeypatch.setattr(resources.redis.Redis, "from_url", lambda *_, **__: store)
        r = resources.build(settings.load(tmp_path / "no .env"))
        monkeypatch.setattr(resources, "_resources", lambda: r)
        messages = deque()

        def publish(task, _queue, given):
            messages.extend((task, arguments) for arguments in given)
            return len(given)

        monkeypatch.setattr(doorbell, "publish", publish)
        monkeypatch.setattr(
            app, "send_task", lambda task, kwargs=None, **_: messages.append((task, kwargs or {}))
        )
        for remote in (*r.sources.values(), *r.targets.values()):
            stack.callback(remote.connector.client.close)
        yield Bridge(r, shop, crm, app.tasks, messages)


def tell(bridge):
    """People are told, one channel in time and again when something is over."""
    from tasks import concerns, telling  # noqa: PLC0415  as above

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(telling.notifier, "send", lambda letters: ["taken"] * len(letters))
        patched.setattr(telling, "GAP", timedelta(0))
        patched.setattr(concerns, "SETTLED", dict.fromkeys(concerns.SETTLED, timedelta(0)))
        messages = telling.begin(bridge.r)
        assert messages
        telling.deliver(bridge.r, messages)
        telling.deliver(bridge.r, telling.begin(bridge.r))


def work(bridge):
    """Everything that runs by itself, in fair weather and foul."""
    for order in many(30):
        bridge.shop.add(order)
    bridge.run("orders.fetch", connection=SHOP)
    bridge.run("orders.fetch", connection=SHOP)
    for kind, more in (
        ("status", {"status": 500}),
        ("drop", {"effect": "applied"}),
        ("status", {"status": 403}),
        ("refuse", {"body": "no"}),
    ):
        bridge.crm.faults.add(Fault(kind, path=Crm.ORDER_SET, times=8, **more))
        bridge.shop.faults.add(Fault(kind, path=Shop.UPDATE_ORDER, times=8, **more))
        for order in many(10, start=1000 + 100 * len(kind) + more.get("status", 0)):
            bridge.shop.add(order)
        bridge.run("orders.fetch", connection=SHOP)
        send_updates(bridge)
        keep_house(bridge)
        bridge.crm.faults.reset()
        bridge.shop.faults.reset()
    hear(bridge)
    for remote in (SHOP, BOX):
        past = bridge.r.ledger.now() - timedelta(minutes=1)
        connections.close(bridge.r.ledger, remote, "fault", past, 1, "closed")
    keep_house(bridge)
    for remote in (SHOP, BOX):
        connections.open_gate(bridge.r.ledger, remote)
    keep_house(bridge)
    bridge.run("upkeep.purge")
    tell(bridge)
    watch(bridge)


def send_updates(bridge):
    from tasks import accepting  # noqa: PLC0415  as above

    for number, order_id in enumerate(list(bridge.shop.orders)[-6:]):
        request = UpdateRequest(order_id, {"note": f"n{number}"}, connection=SHOP)
        accepting.accept(bridge.r, request, origin="http", key=f"k{order_id}")
        more = {"tracking_number": "20450000000001", "order": "process"}
        request = replace(request, parts=more)
        accepting.accept(bridge.r, request, origin="http")
    bridge.run("updates.enqueue", order_id="1", nonsense=1)


def hear(bridge):
    from tasks import accepting  # noqa: PLC0415  as above

    external_ids = [str(process["externalid"]) for process in bridge.crm.processes.values()]
    for external_id in external_ids[:5]:
        for stage in ("В роботі", "В роботі", "Відправлено"):
            accepting.take_hook(
                bridge.r, SHOP, {"externalid": external_id, "status": stage, "comment": "c"}
            )
    accepting.take_hook(bridge.r, SHOP, {"orderid": "p1", "status": "x"})
    bridge.run("updates.reconcile")


def keep_house(bridge):
    for _ in range(2):
        bridge.fresh()
        bridge.run("upkeep.pulse")
        bridge.run("upkeep.sweep")
        bridge.run("upkeep.sweep", grace=0.0)


def watch(bridge):
    """What /metrics, the live screen and the readers among people ask."""
    from gateway import metrics  # noqa: PLC0415  as above

    list(metrics._Figures(bridge.r).collect())
    ledger, now = bridge.r.ledger, bridge.r.ledger.now()
    orders.overview(ledger, now)
    orders.held(ledger, now, 12)
    updates.parked(ledger, now, 12)
    for state in (None, *orders.STATES):
        orders.listing(ledger, now, state=state, limit=50)
    for state in (None, *updates.STATES):
        updates.listing(ledger, state=state)
    orders.listing(ledger, now, order_id="f77")
    waits.standing(ledger, [row.id for row in updates.listing(ledger, state="queued")])
    orders.listing(ledger, now, changed=True, limit=50)
    orders.search(ledger, Typed("f77", "7654", ["shev"]), now, 50)
    updates.listing(ledger, order_id="f77")
    updates.listing(ledger, connection=SHOP, order_id="f77")
    orders.by_process(ledger, BOX, "p11", SHOP)
    orders.newest_sources(ledger, SHOP, 50)
    history.of_order(ledger, SHOP, "f77")
    for outcome in (None, *hook_listing.KNOWN_OUTCOMES):
        hook_listing.listing(ledger, outcome=outcome, limit=50)
    hook_listing.listing(ledger, connection=BOX, limit=50)
    hook_listing.replays(ledger, hook_listing.Row(1, BOX, {}, ledger.now(), None, "", SHOP, "f77"))


def mend(bridge):
    """What people do, each act with its line in the history."""
    ledger, now = bridge.r.ledger, bridge.r.ledger.now()
    (held,) = orders.listing(ledger, now, state="held", limit=1)
    orders.ignore(ledger, held.pk, now, who="olena")
    orders.retry(ledger, held.pk, now, who="olena")
    (parked,) = updates.listing(ledger, state="parked", limit=1)
    updates.retry(ledger, parked.id, now, who="olena")
    updates.cancel(ledger, parked.id, now, who="olena")
    asked = Asked(SHOP, "f77", digest="d", origin="t", parts={"note": "n"}, who="olena")
    enqueueing.accept(ledger, asked, now)
    ended = [row for row in hook_listing.listing(ledger, limit=50) if row.done_at and row.fields]
    hook_listing.replay(ledger, ended[0].id, now, who="olena")


def quick(bridge):
    """What must answer at once, by name."""
    from ledger import measures  # noqa: PLC0415  beside its use

    ledger = bridge.r.ledger
    now = ledger.now()
    before = now - timedelta(days=RETENTION_DAYS)
    ids = itertools.count()

    def accept():
        asked = Asked(SHOP, f"new{next(ids)}", "d", "t", {"note": "n"})
        enqueueing.accept(ledger, asked, now)

    return {
        "newest and counts": lambda: orders.overview(ledger, now),
        "what needs a person": lambda: (
            orders.held(ledger, now, 12),
            updates.parked(ledger, now, 12),
        ),
        "figures": lambda: measures.measure(ledger, now),
        "by process": lambda: orders.by_process(ledger, BOX, "p11", SHOP),
        "newest of a source": lambda: orders.newest_sources(ledger, "none", 50),
        "one is due": lambda: orders.due(ledger, BOX, now, 1),
        "one queue is due": lambda: queues.due(ledger, SHOP, now, 1),
        "held ones": lambda: orders.listing(ledger, now, state="held", limit=50),
        "orders to purge": lambda: purging.orders(ledger, before),
        "updates to purge": lambda: purging.updates(ledger, before),
        "attempts to purge": lambda: purging.attempts(ledger, before),
        "answers to purge": lambda: purging.answers(ledger, before),
        "accounts to purge": lambda: forgetting.accounts(ledger, before),
        "held to end": lambda: expiring.held(ledger, before, now),
        "parked to end": lambda: expiring.parked(ledger, before, now),
        "reasons to purge": lambda: purging.reasons(ledger, before),
        "hooks to purge": lambda: purging.hook_calls(ledger, before),
        "history to purge": lambda: purging.history(ledger, before),
        "find": lambda: orders.search(ledger, Typed("f77", "7654", ["shev"]), now, 50),
        "changed ones": lambda: orders.listing(ledger, now, changed=True, limit=50),
        "acts on an order": lambda: history.of_order(ledger, SHOP, "f77"),
        "out of shadow": lambda: orders.leave_shadow(ledger, [SHOP], [BOX], now, 1),
        "tallies": lambda: tallies.refresh(ledger, now),
        "accept": accept,
    }


def seconds(function):
    """The best of three."""
    times = []
    for _ in range(3):
        began = time.thread_time()
        function()
        times.append(time.thread_time() - began)
    return min(times)


@pytest.mark.long
def test_no_statement_reads_a_big_table_through(bridge, filled):
    listener = Listener()
    filled.engine.dispose()  # connections made from now on are listened to
    filled._drop_connection()
    listener.listen(filled.engine)
    work(bridge)
    event.remove(filled.engine, "before_cursor_execute", listener._before)

    held_to = PLANS[filled.engine.dialect.name]
    wrong = [
        f"{statement.sql}\n  {line}"
        for statement in listener.heard.values()
        for line in held_to(filled, statement)
    ]
    assert not wrong, "\n\n".join(wrong)
    slow = {name: took for name, one in quick(bridge).items() if (took := seconds(one)) > QUICK}
    assert slow == {}
    assert {sql: took for sql, took in listener.holds.items() if took > QUICK} == {}
    assert len(listener.heard) > 80
