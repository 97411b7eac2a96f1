"""Runs the whole system: starts its parts in their order, keeps them running, and stops them.

In: the configuration (environment, .env) and the data folder. Out: a running system, its addresses
on the terminal and in `run.env`, and an exit code. Fails with `RunError` when another run holds the
data folder or a part does not come up, with `SettingsError` and `WrongLedger` as those who raise
them say. Called by `orderbridge run`. What must be there before what is changed here, a program of ours
in run/programs.py.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rich.console import Console
from rich.live import Live
from rich.text import Text

import flower_settings
import settings as configuration
from connectors import registry
from ledger.migrate import upgrade
from ledger.routes import check_routes
from plain_text import plain
from references import is_given
from run import broker, doors
from run.data_folder import data_folder, record
from run.errors import RunError
from run.frame import MOST_ORDERS, frame
from run.places import MODES, SANDBOX, Place, mode, short, without_password
from run.ports import Ports, accepts
from run.private import kept_secret
from run.processes import Process, Supervisor
from run.programs import BROKER, REMOTES, STOP_SECONDS, Program, own_programs
from run.sandbox import Double, doubles, tenants
from run.screen import Lines, Watch, utc_now
from run.snapshots import ledger_reader
from run.stopping import Stop, Stopped

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from settings import Settings

# In the sandbox orders come every few seconds, and nobody waits two minutes to see a doubt end; its simulator
# has carried a call out by then, a slow one too (run/rehearsal.py).
REHEARSED = {"FETCH_INTERVAL": "10", "UNCERTAIN_WAIT": "30"}

# Seconds that Valkey or a simulator may take to answer.
PATIENCE = 30.0
# Seconds between two looks at the programs, while they start and when they all run.
TICK = 0.1
LOOK = 0.25
# Orders that may change between two looks and still get a line each.
MOST_LINES = 200


def run(*, screen: bool = True) -> int:
    """Run the system until Ctrl-C, SIGTERM or SIGHUP; returns the exit code.

    Reads the configuration itself, once the data folder is its own: what a killed run left in
    `run.env` must not be taken for it. Raises RunError, SettingsError, WrongLedger.
    """
    configuration.read_dotenv()
    stop = Stop()
    with data_folder(configuration.data_root()):
        configured = configuration.load()
        registry.check(configured)
        flower_settings.check()
        configured.demand_calls()
        if configured.notify:
            from tasks.telling import demand_understood  # noqa: PLC0415  it needs Celery, a run not

            demand_understood(configured)
        _demand_broker(configured)
        console = Console(highlight=False)
        system = _System(configured, stop, console)
        try:
            system.start()
            system.show(live=screen and console.is_terminal)
        except Stopped:
            pass
        finally:
            system.stop()
    return 0


def _demand_broker(configured: Settings) -> None:
    """A Redis that somebody named is there. Raises RunError."""
    given = configured.redis_url
    if given is not None and not broker.answers(given):
        raise RunError(
            f"No Redis answers as REDIS_URL says ({without_password(given)}): start it, or mend address "
            "and password. Without REDIS_URL a Valkey of our own is started."
        )


class _System:
    """The parts of one run."""

    def __init__(self, configured: Settings, stop: Stop, console: Console) -> None:
        self._settings = configured
        self._data = configured.data
        self._stop = stop
        self._console = console
        self._ports = Ports()
        self._supervisor = Supervisor()
        self._places: list[Place] = []
        self._doubles: list[Double] = []
        self._chosen: dict[str, str] = {"ORDERBRIDGE_RUN_PID": str(os.getpid())}

    def start(self) -> None:
        """Start everything, each part as soon as what it needs is there."""
        self._say(f"Starting orderbridge, data in {short(self._data)} ...")
        self._data.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._settings.redis_url is None:
            self._start_valkey()
        else:
            self._places.append(Place("broker", without_password(self._settings.redis_url)))
        if self._settings.sandbox:
            self._choose_sandbox()
        self._start_simulators()
        upgrade(self._settings.database_url, sandbox=self._settings.sandbox)
        self._wait_for_remotes()
        gateway, flower = self._choose_doors()
        record(self._chosen)
        # From here on all processes, this one too, see the same settings.
        self._settings = configuration.load()
        registry.check(self._settings)
        check_routes(self._settings.database_url, self._settings.routes)
        if self._settings.sandbox and "ORDERBRIDGE_CONNECTIONS" not in self._chosen:
            self._places.append(tenants(self._settings, self._chosen["GATEWAY_URL"]))
        for program in own_programs(self._data, gateway, flower):
            self._start(program)
        self._print_places()

    def show(self, *, live: bool) -> None:
        """Show orders arriving, and keep the programs running, until a stop is asked for."""
        latest = MOST_ORDERS if live else MOST_LINES
        watch = Watch(ledger_reader(self._settings, latest), self._settings.broker)
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
            Place("broker", without_password(address), "Valkey, password in run.env")
        )

    def _choose_sandbox(self) -> None:
        self._choose("ORDERBRIDGE_SANDBOX", "1")
        for name, value in REHEARSED.items():
            self._choose(name, os.environ.get(name) or value)
        named = os.environ.get("ORDERBRIDGE_CONNECTIONS")
        if named:
            # For commands in a second terminal, from wherever they are called.
            self._choose("ORDERBRIDGE_CONNECTIONS", str(configuration.ROOT / named))
        elif kept := os.environ.get("ONEBOX_HOOK_SECRETS"):
            self._choose("ONEBOX_HOOK_SECRETS", kept)
        elif not is_given("ONEBOX_HOOK_SECRETS"):
            self._choose("ONEBOX_HOOK_SECRETS", kept_secret(self._data / "hook-secret"))

    def _start_simulators(self) -> None:
        """A stand-in for each connection of a sandbox, with what its variables are to say."""
        for double in doubles(self._settings.unfilled, self._data, self._ports):
            arguments = ("-m", "simulator", *double.arguments)
            self._start(Program(double.name, REMOTES, arguments, env=double.secrets))
            self._doubles.append(double)
            for name, value in double.variables.items():
                self._choose(name, value)
            self._places.append(Place(double.name, double.url, double.note))

    def _start(self, program: Program) -> None:
        surroundings = {
            "ORDERBRIDGE_SUPERVISED": "1",
            "PYTHONUNBUFFERED": "1",
            **(program.env or {}),
        }
        self._supervisor.start(
            Process(
                name=program.name,
                argv=(sys.executable, *program.arguments),
                log_path=self._log(program.name),
                stop_rank=program.stop_rank,
                cwd=configuration.ROOT,
                env={**self._chosen, **surroundings},
                stop_seconds=STOP_SECONDS[program.stop_rank],
                on_orphaned=program.on_orphaned,
            )
        )

    def _log(self, name: str) -> Path:
        return self._data / "log" / f"{name}.log"

    # --- what is chosen --------------------------------------------------------------------------

    def _choose(self, name: str, value: str) -> None:
        self._chosen[name] = value

    def _choose_doors(self) -> tuple[int | None, int]:
        """The ports of the gateway and of Flower."""
        ports = []
        for door in (
            doors.gateway(self._settings, self._ports),
            doors.flower(self._settings, self._ports),
        ):
            self._chosen.update(door.told)
            self._places.append(door.place)
            ports.append(door.port)
        return ports[0], ports[1] or 0

    # --- waiting and showing ---------------------------------------------------------------------

    def _wait_for_remotes(self) -> None:
        if "REDIS_URL" in self._chosen:
            address = self._chosen["REDIS_URL"]
            self._wait(broker.NAME, lambda: broker.answers(address))
        for double in self._doubles:
            port = urlsplit(double.url).port or 0
            self._wait(double.name, lambda port=port: accepts(port))  # type: ignore[misc]

    def _wait(self, name: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not ready():
            self._stop.check()
            self._supervisor.tick()
            if time.monotonic() >= deadline:
                raise RunError(f"{name} does not start; {short(self._log(name))} says why.")
            time.sleep(TICK)

    def _show_live(self, watch: Watch) -> None:
        title = "SANDBOX" if self._settings.sandbox else mode(self._settings).upper()
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
        self._say(SANDBOX if self._settings.sandbox else MODES[mode(self._settings)])
        for place in self._places:
            self._say(f"  {place.name:<9} {place.address:<24}  {place.note}".rstrip())
        self._say(f"  {'logs':<9} {short(self._data / 'log')}/")
        self._say("")

    def _say(self, sentence: str) -> None:
        # The reader of a pipe may have gone first; the programs are still to be stopped in order.
        with suppress(OSError):
            self._console.print(Text(plain(sentence)), soft_wrap=True)
