"""Plays a plan: the shop and the box, the people who use them, the workers, and the faults in their time.

In: a plan, a folder, a database. Out: a `World` in which all of it has happened and every fault has ended.
One thread is the people's (they wait for the ledger when it is silent), the caller's own is the timeline's,
which waits for nothing but the rollback. Called by test_whole_chaos; what came of it is looked at in
verdict.py.
"""

from __future__ import annotations

import random
import secrets
import signal
import sqlite3
import threading
import time
from collections import defaultdict
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import httpx
import redis
from celery import Celery
from kombu.exceptions import KombuError
from sqlalchemy import select, update
from whole.chaos import rollback
from whole.chaos.plan import CLOCK, FIRST_ID, LENGTH, POISON, REFUSED
from whole.system import ROOT, Postgres, System, free_port, wait_until

from ledger.faults import LedgerUnavailable
from ledger.tables import ORDERS, UPDATES
from simulator.crm import Crm
from simulator.faults import Fault, everything, turned_away
from simulator.samples import reference_order, shop_time
from simulator.shop import Shop

WORKERS = 2
STAGES = ("In work", "Shipped", "Done", "Refused")
# What each stage of the shipped profiles makes of an order, as an update: number, order, delivery.
MEANS = {
    "In work": (None, "process", None),
    "Shipped": ("ttn", None, "ship"),
    "Done": (None, "complete", None),
    "Refused": (None, "cancel", "cancel"),
}
# How long the people go on trying when nobody answers them, in seconds.
PATIENCE = 60.0
# Seconds after the end of all faults in which the people may still say something.
LAST_WORDS = 15.0
# Seconds between two runs of the reconcile.
RECONCILE = 3.0
QUICK = {
    "ONEBOX_TIMEOUT": 2,
    "OKLIVING_TIMEOUT": 2,
    "CREATEORDER_TIMEOUT": 2,
    "UNCERTAIN_WAIT": 5,
    "SWEEP_INTERVAL": 2,
    "FETCH_INTERVAL": 1,
}


def patiently(look, seconds=PATIENCE):
    """What `look` gives, however long the ledger takes to answer."""
    until = time.monotonic() + seconds
    while True:
        try:
            return look()
        except LedgerUnavailable:
            if time.monotonic() > until:
                raise
            time.sleep(0.3)


def edit(shop, order_id, **changes):
    """Someone changes an order in the shop, which stamps it."""
    with shop.lock:
        order = shop.orders[order_id] | changes
        shop.add(order | {"updated_at": shop_time(shop.now())})


class RestlessShop(Shop):
    """After each of the first pages, orders that were just read are touched and leave their place."""

    def restless(self, edits, dice):
        self.to_come, self.dice, self.touched = list(edits), dice, set()

    async def _get_orders(self, call):
        answer = await super()._get_orders(call)
        count = self.to_come.pop(0) if self.to_come else 0
        page = call.body["args"]["page"] * call.body["args"]["limit"]
        with self.lock:
            front = [key for _, key in self._index[:page] if key not in self.touched]
            for key in self.dice.sample(front, min(count, len(front))):
                self.touched.add(key)
                edit(self, key)
        return answer


class World(System):
    """A system with its people: what they said and did stands in `said` and `notes`, whom a rollback may
    have made say something again in `again`, what happened when in `diary`.
    """

    def __init__(self, folder, database_url, plan, server=None):
        self.plan, self.server = plan, server
        self.hook_secret = secrets.token_hex(24)
        shop = RestlessShop(client_secret=secrets.token_hex(8))
        shop.restless(plan.edits, random.Random(plan.seed))
        crm = Crm(password=secrets.token_hex(8))
        stages = crm.workflows[crm.workflow_id]["stages"]
        first = int(crm.status_id)
        stages.update({str(first + n): name for n, name in enumerate(STAGES, start=1)})
        self.stage_ids = {name: number for number, name in stages.items()}
        settings = QUICK | {
            "ONEBOX_HOOK_SECRETS": self.hook_secret,
            "OKLIVING_PROFILE": _profile(folder, plan),
        }
        super().__init__(folder, database_url, shop=shop, crm=crm, **settings)
        self.began = time.monotonic()
        self.diary = []
        self.said = defaultdict(list)
        self.posts = defaultdict(list)
        self.again = set()
        self.rolled_back = False
        self.crew = [None] * WORKERS
        self.gone = []
        self.speech = threading.RLock()
        self.rules = {}

    def tell(self, text):
        self.diary.append(f"{time.monotonic() - self.began:6.1f}  {text}")

    # --- workers and doors --------------------------------------------------------------------------

    def man(self, place, ahead=0.0):
        """Put a worker into its place; the one that was there is killed."""
        if self.crew[place] is not None:
            self.dismiss(place)
        name = f"w{len(self.processes)}@%h"
        program = ["-m", "celery"]
        if ahead:
            program = [str(Path(__file__).with_name("ahead.py")), str(ahead), "celery"]
        options = ["-A", "tasks", "worker", "-c", "8", "-n", name, "--without-mingle"]
        self.crew[place] = self._start([*program, *options], "ahead" if ahead else "worker")

    def dismiss(self, place):
        process, self.crew[place] = self.crew[place], None
        if process.poll() is not None:
            (log,) = self.folder.glob(f"*-{self.processes.index(process)}.log")
            if "orderbridge: The ledger could not be" in log.read_text():
                # As its supervisor would be told, which starts it again.
                self.tell(f"worker {process.pid} did not start, since the ledger was silent")
            else:
                self.gone.append(process.pid)
                self.tell(f"worker {process.pid} had ended by itself, {process.returncode}")
        self.kill(process)

    def open_doors(self):
        if not hasattr(self, "port"):
            self.port = free_port()
            self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=15)
            self.stack.callback(self.client.close)
        self.doors = self.start_cli("gateway", "--port", str(self.port))

    # --- people -------------------------------------------------------------------------------------

    def post(self, path, **content):
        """A call of the gateway, until it is taken."""
        until = time.monotonic() + PATIENCE
        while True:
            with suppress(httpx.TransportError):
                answer = self.client.post(path, **content)
                if answer.is_success:
                    return
                self.tell(f"{path.split('/')[1]} was answered {answer.status_code}")
            if time.monotonic() > until:
                raise AssertionError(f"nobody took {path} within {PATIENCE} s: {content}")
            time.sleep(0.5)

    def move(self, order_id, stage, *, aloud):
        """A clerk moves a process; its hook calls unless the box keeps silent about it."""
        ttn, order, delivery = MEANS[stage]
        number = ttn and f"2045{int(order_id):010}"
        with self.crm.lock:
            (found,) = self.crm.find(f"okl-{order_id}")
            process = self.crm.processes[found["id"]]
            process["statusid"] = self.stage_ids[stage]
            if number:
                process["customorder_ttn"] = number
        self.said[order_id].append((number, order, delivery))
        self.tell(f"{order_id} is moved to {stage}{'' if aloud else ' in silence'}")
        if aloud:
            fields = {"externalid": f"okl-{order_id}", "statusid": self.stage_ids[stage]}
            self.post(
                f"/hooks/onebox/{self.hook_secret}",
                data=fields | ({"ttn": number} if number else {}),
            )

    def heard(self, order_id):
        """How many updates were made of what this process said."""
        of_box = (UPDATES.c.order_id == order_id, UPDATES.c.origin == "onebox")
        query = select(UPDATES.c.id).where(*of_box)
        with self.ledger.read() as db:
            return len(db.execute(query).all())

    def reconcile_soon(self):
        """Every process of the people is due to be read, and the reconcile is rung for."""
        whom = [*self.plan.told, *self.plan.silent]
        due = (
            update(ORDERS)
            .where(ORDERS.c.order_id.in_(whom), ORDERS.c.state == "created")
            .values(check_at=self.ledger.now())
        )
        with suppress(LedgerUnavailable):
            self.ledger.write(lambda db: db.execute(due))
        self.ring("updates.reconcile", "updates")

    def ring(self, task, queue, **kwargs):
        """Send a task; where Redis takes none, nobody is rung for."""
        with (
            suppress(KombuError, redis.RedisError, OSError),
            Celery(broker=self.valkey.url) as app,
        ):
            app.conf.broker_transport_options = {"socket_timeout": 2, "socket_connect_timeout": 2}
            app.send_task(task, kwargs=kwargs, queue=queue, expires=30, retry=False)

    def people(self, hurry):
        """The clerks and the other system, each at an own pace, until all is said. `hurry` ends the pauses,
        and what could not be said a while later is left unsaid.
        """
        dice = random.Random(self.plan.seed + 1)
        everyone = {**self.plan.told, **self.plan.silent}
        self.moves = {order_id: list(stages) for order_id, stages in everyone.items()}
        self.steps = {order_id: steps_of(order_id) for order_id in self.plan.posted}
        next_at = defaultdict(lambda: time.monotonic() + dice.uniform(0, 8))
        reconciled = 0.0
        until = None
        while (self.moves or self.steps) and (until is None or time.monotonic() < until):
            if until is None and hurry.is_set():
                until = time.monotonic() + LAST_WORDS
            if time.monotonic() > reconciled + RECONCILE:
                reconciled = time.monotonic()
                with self.speech:
                    self.reconcile_soon()
            for order_id in [*self.moves, *self.steps]:
                if time.monotonic() < next_at[order_id] and not hurry.is_set():
                    continue
                with self.speech:
                    self._act(order_id)
                next_at[order_id] = time.monotonic() + dice.uniform(0.5, 6)
            time.sleep(0.05)

    def _act(self, order_id):
        if order_id in self.steps:
            if order_id in self.shop.orders:
                self._post_next(order_id)
            return
        if not self.crm.find(f"okl-{order_id}"):
            return
        silent = order_id in self.plan.silent
        if silent and patiently(lambda: self.heard(order_id)) < len(self.said[order_id]):
            return  # a change that nobody could have seen would not be swallowed
        self.move(order_id, self.moves[order_id].pop(0), aloud=not silent)
        if not self.moves[order_id]:
            del self.moves[order_id]

    def _post_next(self, order_id):
        number = len(self.posts[order_id])
        body = self.steps[order_id].pop(0)
        self.posts[order_id].append(body)
        self.post(
            "/api/v1/updates",
            json={"order_id": order_id, **body},
            headers={"Idempotency-Key": f"{order_id}-{number}"},
        )
        if not self.steps[order_id]:
            del self.steps[order_id]

    # --- faults -------------------------------------------------------------------------------------

    def begin(self):
        """What holds for the whole run."""
        self.shop.faults.seed(self.plan.seed)
        self.crm.faults.seed(self.plan.seed + 1)
        on = self.plan.faults
        refused = {
            "refused": Fault(
                "status",
                Crm.ORDER_SET,
                status=403,
                body="<html>403</html>",
                ids=(f"okl-{REFUSED}",),
            ),
            "poison": Fault("status", Crm.ORDER_SET, status=500, ids=(f"okl-{POISON}",)),
            "wave": Fault(
                "refuse",
                Crm.ORDER_SET,
                body="Немає вільної ліцензії",
                ids=tuple(f"okl-{one}" for one in self.plan.wave),
            ),
        }
        self.crm.faults.add(*(fault for name, fault in refused.items() if name in on))
        if "lost" in on:
            for remote in (self.crm, self.shop):
                remote.faults.add(turned_away(0.01))
            self.crm.faults.add(everything(probability=self.plan.lost, late=1.0))
            self.shop.faults.add(everything(probability=self.plan.lost / 2, late=1.0))
        self.crm.faults.add(Fault("latency", Crm.ORDER_SET, seconds=0.1, up_to=0.5))
        self.shop.faults.add(Fault("latency", Shop.GET_ORDERS, seconds=0.02, up_to=0.1))

    def play(self):
        """The timeline, to its end; then every fault is taken away."""
        todo = []
        for event in self.plan.events:
            todo.append((event.at, f"begin_{event.what}", event))
            if event.seconds:
                todo.append((event.at + event.seconds, f"end_{event.what}", event))
        todo.sort(key=lambda one: one[:2])
        self.began = time.monotonic()
        for at, act, event in todo:
            time.sleep(max(self.began + at - time.monotonic(), 0))
            if event.what not in {"order", "edit"}:
                self.tell(f"{act} {event.whom}")
            getattr(self, act)(event)
        time.sleep(max(self.began + LENGTH - time.monotonic(), 0))
        self.crm.faults.reset()
        self.shop.faults.reset()
        if "beat" in self.rules:
            self.rules["beat"].set()
        for place, process in enumerate(self.crew):
            if process.poll() is not None or process is self.rules.get("clock"):
                self.man(place)
        self.tell("every fault has ended")

    def begin_order(self, event):
        self.shop.add(order_of(event.whom, self.shop.now()))

    def begin_edit(self, event):
        """The buyer gives another phone of the recipient."""
        if event.whom in self.shop.orders:
            recipient = self.shop.orders[event.whom]["recipient"]
            phone = f"+38063{recipient['phone'][-7:]}"
            edit(self.shop, event.whom, recipient={**recipient, "phone": phone})

    def begin_clock(self, _):
        """The host that is ahead has a beat too: what only it sends does not expire there at once."""
        self.rules["beat"] = self.ticks(ahead=CLOCK)
        self.man(WORKERS - 1, ahead=CLOCK)
        self.rules["clock"] = self.crew[WORKERS - 1]

    def begin_kill(self, event):
        place = int(event.at * 10) % WORKERS
        ahead = self.crew[place] is self.rules.get("clock") and place == WORKERS - 1
        self.man(place, ahead=CLOCK if ahead else 0.0)
        if ahead:
            self.rules["clock"] = self.crew[place]

    def begin_hang(self, _):
        self.rules["hang"] = Fault("hang", Crm.ORDER_GET)
        self.crm.faults.first(self.rules["hang"])

    def end_hang(self, _):
        self.crm.faults.remove(self.rules["hang"])

    def begin_full(self, _):
        """Just as messages wait: whoever takes one must write down that it did."""
        workers = [process for process in self.crew if process.poll() is None]
        for process in workers:
            self.signal(process, signal.SIGSTOP)
        for _ in workers:
            self.ring("orders.fetch", "fetch", connection="okliving")
        self.valkey.client.config_set("maxmemory", 1)
        for process in workers:
            self.signal(process, signal.SIGCONT)

    def end_full(self, _):
        self.valkey.client.config_set("maxmemory", 0)

    def begin_flush(self, _):
        self.valkey.client.flushall()

    def begin_silent(self, _):
        if self.server is None:
            path = self.folder / "ledger.db"
            self.rules["silent"] = sqlite3.connect(path, isolation_level=None, timeout=20)
            self.rules["silent"].execute("BEGIN EXCLUSIVE")
            return
        self.rules["silent"] = Postgres(self.server)
        self.rules["silent"].freeze()

    def end_silent(self, _):
        if self.server is None:
            self.rules.pop("silent").close()
            return
        self.rules.pop("silent").thaw()

    def begin_rollback(self, _):
        """Nothing is said from here to the end of it: what is taken back with the ledger nobody can know."""
        self.speech.acquire()
        self.copy = rollback.copy_of(self.database_url)
        self.copy.take()
        open_updates = self.copy.rows(
            "SELECT order_id FROM {schema}.updates WHERE state = 'queued'"
        )
        undone = self.copy.rows("SELECT fields FROM {schema}.hook_calls WHERE done_at IS NULL")
        self.again = {row[0] for row in open_updates}
        self.again |= {one for one in self.plan.told if any(one in str(row[0]) for row in undone)}

    def end_rollback(self, _):
        if self.server is None:
            clock = [
                place for place in range(WORKERS) if self.crew[place] is self.rules.get("clock")
            ]
            for place in range(WORKERS):
                self.dismiss(place)
            self.kill(self.doors)
            self.ledger.close()
            self.copy.put_back()
            self.open_doors()
            for place in range(WORKERS):
                self.man(place, ahead=CLOCK if place in clock else 0.0)
            if clock:
                self.rules["clock"] = self.crew[clock[0]]
        else:
            self.copy.put_back()
        self.rolled_back = True
        self.speech.release()

    def __exit__(self, *error):
        with suppress(Exception):
            if "silent" in self.rules:
                self.end_silent(None)
        super().__exit__(*error)


def _profile(folder, plan):
    """The shipped source's profile with small pages and the planner that finds the way back."""
    shipped = (ROOT / "mapping/profiles/okliving.yaml").read_text()
    small = shipped.replace("limit: 100", f"limit: {plan.page}").replace(
        "planner: check", "planner: plan"
    )
    assert small.count(f"limit: {plan.page}") == small.count("planner: plan") == 1
    path = Path(folder) / "okliving.yaml"
    path.write_text(small)
    return str(path)


def order_of(order_id, at):
    """A good order with phones of its own."""
    number = f"{(2_345_678 + int(order_id)) % 10_000_000:07}"
    return reference_order(
        id=order_id,
        created_at=shop_time(at),
        updated_at=shop_time(at),
        customer={"phone": f"+38067{number}"},
        recipient={"phone": f"+38050{number}"},
    )


def steps_of(order_id):
    """The steps of one order's life, as another system sends them."""
    return [
        {"statuses": {"order": "process"}, "note": "1"},
        {"tracking_number": f"2045{int(order_id):010}"},
        {"statuses": {"delivery": "ship"}, "note": "2"},
        {"statuses": {"order": "complete"}, "note": "3"},
    ]


def run(world):
    """Everything, to the end of the people's words and of every fault."""
    plan = world.plan
    for number in range(plan.orders):
        # Of the last three days: what a poll passes over is not found again by the overlap.
        age = timedelta(days=3) * (plan.orders - number) / plan.orders
        world.shop.add(order_of(str(FIRST_ID + number), world.shop.now() - age))
    world.begin()
    world.open_doors()
    for place in range(WORKERS):
        world.man(place)
    world.ticks()
    wait_until(lambda: serves(world), what=world.logs)
    hurry = threading.Event()
    failed = []

    def people():
        try:
            world.people(hurry)
        except BaseException as exc:  # noqa: BLE001  it is raised by the test's own thread
            failed.append(exc)

    talking = threading.Thread(target=people, daemon=True)
    talking.start()
    try:
        world.play()
    finally:
        hurry.set()
        talking.join(PATIENCE + LENGTH)
    if failed:
        raise failed[0]


def serves(world):
    try:
        return world.client.get("/healthz").is_success
    except httpx.TransportError:
        return False
