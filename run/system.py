"""Runs the whole system: who is started, with which surroundings, in which order it stops.

In: the configuration (environment, .env) and the data folder. Out: a running system, its addresses
on the terminal and in `run.env`, and an exit code. Fails with `RunError` when another run holds the
data folder or a part does not come up, with `SettingsError` and `WrongLedger` as those who raise
them say. Called by `orderbridge run`. A program that the system needs is added here.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO
from urllib.parse import urlsplit

from dotenv import load_dotenv
from rich.console import Console
from rich.live import Live
from rich.text import Text

import settings as configuration
from ledger.connections import cursors
from ledger.database import open_ledger
from ledger.migrate import upgrade
from ledger.orders import overview
from run import broker
from run.ports import Ports, accepts
from run.private import kept_secret, write_private
from run.processes import Process, Supervisor
from run.screen import MOST_ORDERS, LatestOrder, Lines, Snapshot, Watch, frame, utc_now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from settings import Settings

GATEWAY_PORT = 8000
FLOWER_PORT = 5555
FLOWER_USER = "orderbridge"
# The simulated shop's and box's own names; their secrets are generated.
CLIENT_ID = "sandbox"
LOGIN = "sandbox"
WORKFLOW_ID = "1"
STATUS_ID = "1"
# Seconds between polls in the sandbox, where orders come every few seconds.
SANDBOX_INTERVAL = "10"

# Who is gone before whom: first what brings new work, last what the others need.
BRINGS_WORK, WORKS, REMOTES, BROKER = range(4)
# Seconds from SIGTERM to SIGKILL; all of them together are less than the 10 s of a stop.
STOP_SECONDS = {BRINGS_WORK: 1.2, WORKS: 5.5, REMOTES: 1.0, BROKER: 1.5}

# The workers: what each serves, with how many threads. Each lane has its own, so that a remote which hangs
# stops no other lane; and more threads than one remote may have calls in flight, so that it leaves some
# of its own lane to the others.
LANES = {"create": ("create", 20), "updates": ("updates,ocp", 16), "fetch": ("fetch,upkeep", 8)}

# Seconds that Valkey or a simulator may take to answer.
PATIENCE = 30.0
# Seconds between two looks at the programs, while they start and when they all run.
TICK = 0.1
LOOK = 0.25
# Orders that may change between two looks and still get a line each.
MOST_LINES = 200
# Two Ctrl-C nearer than this are one: some callers send it to the whole group and again to us.
DOUBLE = 0.5

MODES = {
    "shadow": "SHADOW: orders are read and mapped, nothing is written to the real systems",
    "live": "LIVE: orders are created in the real CRM",
}


class RunError(Exception):
    """The system cannot be started; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line of the table of what runs where."""

    name: str
    address: str
    note: str = ""


def run(*, screen: bool = True) -> int:
    """Run the system until Ctrl-C, SIGTERM or SIGHUP; returns the exit code.

    Reads the configuration itself, once the data folder is its own: what a killed run left in
    `run.env` must not be taken for it. Raises RunError, SettingsError, WrongLedger.
    """
    load_dotenv(configuration.ROOT / ".env")
    stop = _Stop()
    with _data_folder(configuration.data_root()):
        configured = configuration.load()
        console = Console(highlight=False)
        system = _System(configured, stop, console)
        try:
            system.start()
            system.show(live=screen and console.is_terminal)
        except _Stopped:
            pass
        finally:
            system.stop()
    return 0


@contextmanager
def _data_folder(folder: Path) -> Iterator[None]:
    """Hold `folder` for this run alone, without the record of a run that was killed."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "run.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(_already_runs(lock, folder)) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        configuration.run_file().unlink(missing_ok=True)
        try:
            yield
        finally:
            configuration.run_file().unlink(missing_ok=True)


def _already_runs(lock: TextIO, folder: Path) -> str:
    lock.seek(0)
    return (
        f"orderbridge already runs on {folder} (process {lock.read().strip() or 'unknown'}). "
        "Stop it there with Ctrl-C, or set ORDERBRIDGE_DATA to another folder."
    )


class _Stopped(Exception):  # noqa: N818  no error: the person's wish, on its way out of the start
    """The person asked to stop while the system was starting."""


class _Stop:
    """Whether the person asked to stop, and whether they are in a hurry."""

    def __init__(self) -> None:
        self._first: float | None = None
        self._hurried = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._asked)

    def requested(self) -> bool:
        return self._first is not None

    def hurried(self) -> bool:
        return self._hurried

    def check(self) -> None:
        """Raises _Stopped when a stop was asked for."""
        if self.requested():
            raise _Stopped

    def _asked(self, number: int, _frame: object) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = now
        elif number == signal.SIGINT and now - self._first >= DOUBLE:
            self._hurried = True


class _System:
    """The parts of one run."""

    def __init__(self, configured: Settings, stop: _Stop, console: Console) -> None:
        self._settings = configured
        self._data = configured.data
        self._stop = stop
        self._console = console
        self._ports = Ports()
        self._supervisor = Supervisor()
        self._places: list[Place] = []
        self._chosen: dict[str, str] = {"ORDERBRIDGE_RUN_PID": str(os.getpid())}

    def start(self) -> None:
        """Start everything, each part as soon as what it needs is there."""
        simulated = self._settings.sandbox and not self._settings.shops
        self._say(f"Starting orderbridge, data in {_short(self._data)} ...")
        self._data.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._settings.redis_url is None:
            self._start_valkey()
        else:
            self._places.append(Place("broker", _without_password(self._settings.redis_url)))
        if self._settings.sandbox:
            self._choose_sandbox()
        if simulated:
            self._start_simulators()
        upgrade(self._settings.database_url, sandbox=self._settings.sandbox)
        self._wait_for_remotes()
        gateway, flower = self._choose_doors()
        self._record()
        # From here on all processes, this one too, see the same settings.
        self._settings = configuration.load()
        self._start_own(gateway, flower)
        self._print_places()

    def show(self, *, live: bool) -> None:
        """Show orders arriving, and keep the programs running, until a stop is asked for."""
        latest = MOST_ORDERS if live else MOST_LINES
        watch = Watch(_ledger_reader(self._settings, latest), self._settings.broker)
        watch.start()
        try:
            if live:
                self._show_live(watch)
            else:
                self._show_lines(watch)
        finally:
            watch.stop()

    def stop(self) -> None:
        """Stop all programs, at once when the person is in a hurry."""
        began = time.monotonic()
        self._say("Stopping; Ctrl-C again kills at once ...")
        self._supervisor.stop(self._stop.hurried)
        self._ports.close()
        self._say(
            f"Stopped in {time.monotonic() - began:.1f} s. "
            "Nothing is lost: the next start goes on from here."
        )

    # --- what is started -------------------------------------------------------------------------

    def _start_valkey(self) -> None:
        folder, port = self._data / "valkey", self._ports.take()
        address = broker.url(folder, port)
        self._supervisor.start(
            broker.valkey(
                folder,
                port,
                self._log(broker.NAME),
                stop_rank=BROKER,
                stop_seconds=STOP_SECONDS[BROKER],
            )
        )
        self._choose("REDIS_URL", address)
        self._places.append(
            Place("broker", _without_password(address), "Valkey, password in run.env")
        )

    def _choose_sandbox(self) -> None:
        self._choose("ORDERBRIDGE_SANDBOX", "1")
        self._choose("FETCH_INTERVAL", os.environ.get("FETCH_INTERVAL") or SANDBOX_INTERVAL)
        secret = os.environ.get("ONEBOX_HOOK_SECRETS") or kept_secret(self._data / "hook-secret")
        self._choose("ONEBOX_HOOK_SECRETS", secret)

    def _start_simulators(self) -> None:
        client_secret = kept_secret(self._data / "shop-secret")
        password = kept_secret(self._data / "crm-password")
        shop, crm = self._ports.take(), self._ports.take()
        self._start_simulator(
            "shop",
            shop,
            ("--trickle", "5", "--history", "12", "--client-id", CLIENT_ID),
            {"SIM_CLIENT_SECRET": client_secret},
        )
        self._start_simulator(
            "crm",
            crm,
            ("--login", LOGIN, "--workflow-id", WORKFLOW_ID, "--status-id", STATUS_ID),
            {"SIM_PASSWORD": password},
        )
        self._choose("OKLIVING_URL", f"http://127.0.0.1:{shop}")
        self._choose("OKLIVING_CLIENT_ID", CLIENT_ID)
        self._choose("OKLIVING_CLIENT_SECRET", client_secret)
        self._choose("ONEBOX_URL", f"http://127.0.0.1:{crm}")
        self._choose("ONEBOX_LOGIN", LOGIN)
        self._choose("ONEBOX_PASSWORD", password)
        self._choose("ONEBOX_WORKFLOW_ID", WORKFLOW_ID)
        self._choose("ONEBOX_STATUS_ID", STATUS_ID)
        self._places += [
            Place("shop", f"http://127.0.0.1:{shop}", "simulated, a new order every 5 s"),
            Place("CRM", f"http://127.0.0.1:{crm}", "simulated"),
        ]

    def _start_simulator(
        self, name: str, port: int, flags: tuple[str, ...], secret: Mapping[str, str]
    ) -> None:
        where = ("--port", str(port), "--data", str(self._data / name))
        self._start(name, REMOTES, ("-m", "simulator", name, *where, *flags), env=secret)

    def _start_own(self, gateway: int, flower: int) -> None:
        app = ("-m", "celery", "-A", "tasks")
        # Workers need not know of each other; Flower hears them all the same.
        worker = (*app, "worker", "--pool", "threads", "--without-gossip", "--without-mingle")
        for lane, (queues, threads) in LANES.items():
            lanes = ("-c", str(threads), "-Q", queues, "-n", f"{lane}@%h")
            self._start(lane, WORKS, (*worker, *lanes))
        schedule = str(self._data / "celerybeat-schedule")
        self._start("beat", BRINGS_WORK, (*app, "beat", "-s", schedule, "--pidfile="))
        self._start(
            "gateway",
            BRINGS_WORK,
            ("-m", "cli", "gateway", "--host", "127.0.0.1", "--port", str(gateway)),
            # It has processes of its own, which only it can end.
            on_orphaned=signal.SIGTERM,
        )
        self._start(
            "flower",
            BRINGS_WORK,
            (*app, "flower", "--conf=flowerconfig.py"),
            env={"FLOWER_PORT": str(flower)},
        )

    def _start(
        self,
        name: str,
        stop_rank: int,
        arguments: tuple[str, ...],
        *,
        env: Mapping[str, str] | None = None,
        on_orphaned: signal.Signals = signal.SIGKILL,
    ) -> None:
        surroundings = {"ORDERBRIDGE_SUPERVISED": "1", "PYTHONUNBUFFERED": "1", **(env or {})}
        self._supervisor.start(
            Process(
                name=name,
                argv=(sys.executable, *arguments),
                log_path=self._log(name),
                stop_rank=stop_rank,
                cwd=configuration.ROOT,
                env={**self._chosen, **surroundings},
                stop_seconds=STOP_SECONDS[stop_rank],
                on_orphaned=on_orphaned,
            )
        )

    def _log(self, name: str) -> Path:
        return self._data / "log" / f"{name}.log"

    # --- what is chosen and recorded -------------------------------------------------------------

    def _choose(self, name: str, value: str) -> None:
        self._chosen[name] = value

    def _choose_doors(self) -> tuple[int, int]:
        gateway = self._ports.take(GATEWAY_PORT)
        flower = self._ports.take(int(os.environ.get("FLOWER_PORT") or FLOWER_PORT))
        password_file = self._data / "flower-password"
        login = "login as in FLOWER_BASIC_AUTH"
        if not os.environ.get("FLOWER_BASIC_AUTH"):
            password = kept_secret(password_file)
            shown = password if self._settings.sandbox else f"in {_short(password_file)}"
            login = f"{FLOWER_USER} / {shown}"
        self._choose("GATEWAY_URL", f"http://127.0.0.1:{gateway}")
        self._choose("FLOWER_URL", f"http://127.0.0.1:{flower}")
        self._choose("FLOWER_PASSWORD_FILE", str(password_file))
        self._places += [
            Place("gateway", self._chosen["GATEWAY_URL"], _moved(gateway, GATEWAY_PORT)),
            Place("Flower", self._chosen["FLOWER_URL"], login + _moved(flower, FLOWER_PORT)),
        ]
        return gateway, flower

    def _record(self) -> None:
        lines = "".join(f"{name}={_quoted(value)}\n" for name, value in self._chosen.items())
        header = "# What `orderbridge run` chose; removed when it stops.\n"
        write_private(configuration.run_file(), header + lines)

    # --- waiting and showing ---------------------------------------------------------------------

    def _wait_for_remotes(self) -> None:
        if "REDIS_URL" in self._chosen:
            address = self._chosen["REDIS_URL"]
            self._wait(broker.NAME, lambda: broker.answers(address))
        for name, variable in (("shop", "OKLIVING_URL"), ("crm", "ONEBOX_URL")):
            if variable in self._chosen:
                port = urlsplit(self._chosen[variable]).port or 0
                self._wait(name, lambda port=port: accepts(port))  # type: ignore[misc]

    def _wait(self, name: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not ready():
            self._stop.check()
            self._supervisor.tick()
            if time.monotonic() >= deadline:
                raise RunError(f"{name} does not start; {_short(self._log(name))} says why.")
            time.sleep(TICK)

    def _show_live(self, watch: Watch) -> None:
        title = "SANDBOX" if self._settings.sandbox else self._settings.mode.upper()
        console = self._console
        with Live(console=console, auto_refresh=False, vertical_overflow="crop") as display:
            drawn = 0.0
            while not self._stop.requested():
                self._supervisor.tick()
                if time.monotonic() - drawn >= 0.5:
                    drawn = time.monotonic()
                    statuses = self._supervisor.statuses()
                    with suppress(OSError):
                        display.update(
                            frame(title, watch.view, statuses, utc_now(), console.height),
                            refresh=True,
                        )
                time.sleep(LOOK)

    def _show_lines(self, watch: Watch) -> None:
        lines = Lines()
        while not self._stop.requested():
            self._supervisor.tick()
            for line in lines.new(watch.view.snapshot, self._supervisor.statuses()):
                self._say(line)
            time.sleep(LOOK)

    def _print_places(self) -> None:
        mode = "SANDBOX: simulated shop and CRM, nothing leaves this machine"
        self._say(mode if self._settings.sandbox else MODES[self._settings.mode])
        for place in self._places:
            self._say(f"  {place.name:<9} {place.address:<24}  {place.note}".rstrip())
        self._say(f"  {'logs':<9} {_short(self._data / 'log')}/")
        self._say("")

    def _say(self, sentence: str) -> None:
        # The reader of a pipe may have gone first; the programs are still to be stopped in order.
        with suppress(OSError):
            self._console.print(Text(sentence), soft_wrap=True)


def _ledger_reader(settings: Settings, latest: int) -> Callable[[], Snapshot]:
    ledger = open_ledger(settings.database_url)

    def read() -> Snapshot:
        seen = overview(ledger, utc_now(), latest=latest)
        polls = [cursor.polled_at for cursor in cursors(ledger) if cursor.polled_at]
        orders = [
            LatestOrder(
                order_id=row.order_id,
                state=row.state,
                # The codes read as words and fit a column; `orders show` has the sentences.
                reason=row.reason.replace("_", " "),
                target_id=row.target_id,
                received_at=row.received_at,
                changed_at=row.state_at,
            )
            for row in seen.latest
        ]
        return Snapshot(seen.counts, orders, max(polls, default=None), seen.counted_at)

    return read


def _quoted(value: str) -> str:
    """As dotenv reads it back, whatever a path may hold."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or 'unix socket'}:{parts.port or 6379}{parts.path}"


def _moved(port: int, preferred: int) -> str:
    return "" if port == preferred else f" ({preferred} was taken)"


def _short(path: Path) -> str:
    """Relative to where the person stands, when it lies below."""
    with suppress(ValueError):
        return str(path.relative_to(os.getcwd()))  # noqa: PTH109  a str is all that is needed
    return str(path)
