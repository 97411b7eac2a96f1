"""Every environment variable of orderbridge, read once, typed, and refused by name when wrong.

In: the process environment, then `.env` in the project's root, then `run.env` in the data folder
(what `orderbridge run` chose: ports, the sandbox's credentials), and the connections file if one is named.
Out: a frozen `Settings`, and data that nobody else on this machine can read. Fails with `SettingsError`,
which names the variable, or file, line and key, and what to do. Called by everything that starts. A new
setting is added here, in docs/configuration.md and nowhere else; one of a kind of system in connectors/. What
a single variable may be says variables.py.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from dotenv import dotenv_values
from environs import Env

import api_keys
import channels
import connections_file
import default_pair
import dotenv_file
import file_modes
import setting_names
from connection import (
    LONGEST_WAIT,
    Connection,
    Defaults,
    connect,
    demand_loopback,
    start_from,
)
from connections_file import Entry, File, SettingsError, suggestion
from references import given, is_given
from stores import database_url, redis_url
from variables import (
    Language,
    calls_remotes,
    flag,
    language,
    mode,
    refuse_single_profile,
    sandbox_folder,
    seconds,
    whole,
)

ROOT = Path(__file__).resolve().parent
# Seconds between two looks, and days that anything is kept, at most.
DAY, LIFE = 86_400, 36_500


@dataclass(frozen=True, slots=True)
class Settings:
    """All that a process knows of its surroundings. Intervals and waits are in seconds. `unfilled` are the
    connections of a sandbox of which simulators are still to be started. A process that does not call remotes
    may hold texts that fit nothing in place of their secrets.
    """

    sandbox: bool
    data: Path
    database_url: str = field(repr=False)
    redis_url: str | None = field(repr=False)
    connections: dict[str, Connection]
    unfilled: tuple[Entry, ...]
    fetch_interval: int
    sweep_interval: int
    uncertain_wait: float
    visibility_timeout: int
    retention_days: int
    held_retention_days: int
    answer_retention_days: int
    supervised: bool
    calls_remotes: bool
    secret_key: str | None = field(repr=False)
    api_keys: tuple[api_keys.ApiKey, ...] = field(repr=False)
    gateway_rate: int
    notify: tuple[channels.Channel, ...] = field(repr=False)
    notify_no_orders_hours: int
    heartbeat_url: str | None = field(repr=False)
    language: Language

    @property
    def broker(self) -> str:
        """The Redis of this system; raises SettingsError when nobody started or named one."""
        if self.redis_url is None:
            raise SettingsError(
                "REDIS_URL is not set and no running system was found. "
                "Start one with `make run`, or set REDIS_URL."
            )
        return self.redis_url

    @property
    def key_file(self) -> Path:
        """The keys that `orderbridge key new` made, beside those of the environment."""
        return self.data / api_keys.FILE

    @property
    def source_names(self) -> tuple[str, ...]:
        """The connections that bring orders."""
        return tuple(name for name, one in self.connections.items() if one.target is not None)

    @property
    def target_names(self) -> tuple[str, ...]:
        """The connections that receive orders."""
        named = {one.target for one in self.connections.values()}
        return tuple(name for name in self.connections if name in named)

    @property
    def routes(self) -> dict[str, str]:
        """The target of every source."""
        return {
            name: one.target for name, one in self.connections.items() if one.target is not None
        }

    def connection(self, name: str) -> Connection:
        """Raises SettingsError for a name that no connection has."""
        if name not in self.connections:
            raise SettingsError(
                f"There is no connection called {name!r}. {_known(name, tuple(self.connections))}"
            )
        return self.connections[name]

    def demand_calls(self) -> None:
        """Raises SettingsError in a process that calls no remote system: it holds no secret of theirs."""
        if not self.calls_remotes:
            raise SettingsError(
                "This process calls no remote system (ORDERBRIDGE_CALLS_REMOTES is 0): do this where a "
                "worker runs, with Compose: docker compose exec worker-fetch orderbridge ..."
            )

    def source(self, name: str | None = None) -> str:
        """The name of the source that is meant: this one, else the only one, else the default pair's.
        Raises SettingsError, with the choices, when that is none.
        """
        names = self.source_names
        if name is not None:
            if name not in names:
                raise SettingsError(
                    f"There is no connection called {name!r} that brings orders. {_known(name, names)}"
                )
            return name
        return default_pair.default_of(names)


def _known(name: str, names: tuple[str, ...]) -> str:
    return suggestion(name, names) if names else "There is none: start the sandbox with `make run`."


def data_root() -> Path:
    """The data folder as configured, before the sandbox takes a folder of its own below it."""
    return Path(os.environ.get("ORDERBRIDGE_DATA") or ROOT / "var").resolve()


def run_file() -> Path:
    """Where `orderbridge run` records the addresses that it chose (mode 0600)."""
    return data_root() / "run.env"


@cache
def current() -> Settings:
    """The settings of this process, read once."""
    return load()


def load(dotenv: Path | None = None) -> Settings:
    """Read everything, `.env` where it is unless another is named. Raises SettingsError naming the first
    variable that is wrong or missing.
    """
    path = dotenv or dotenv_file.place()
    written = read_dotenv(path)
    setting_names.refuse_unknown(written, _referred)
    chosen = _read(Env(expand_vars=False))
    _close(chosen, path)
    return chosen


def read_dotenv(path: Path | None = None) -> dict[str, str | None]:
    """What `.env` says, which is in the environment from then on. Raises SettingsError."""
    written = dotenv_file.read(path or dotenv_file.place())
    dotenv_file.add(written)
    return written


def _referred() -> set[str]:
    """The variables to which the connections file refers."""
    named = os.environ.get("ORDERBRIDGE_CONNECTIONS", "")
    found = connections_file.read(ROOT / named).entries if named else ()
    return {name for entry in found for names in entry.variables().values() for name in names}


def _close(chosen: Settings, dotenv: Path) -> None:
    """Let nobody else on this machine look into what is kept here. Raises SettingsError."""
    file_modes.look_at_variables(dotenv)
    try:
        file_modes.close_data(data_root(), ROOT)
        if chosen.database_url.startswith("sqlite:///"):
            file_modes.close_ledger(Path(chosen.database_url.removeprefix("sqlite:///")))
    except file_modes.Unusable as exc:
        raise SettingsError(str(exc)) from exc


def _read(env: Env) -> Settings:
    refuse_single_profile(env)
    recorded = dotenv_values(run_file()) if run_file().is_file() else {}
    sandbox = _written(env).sandbox
    if sandbox or not recorded.get("ORDERBRIDGE_SANDBOX"):
        # What a killed run left never stands beside what a person gives as a file.
        dotenv_file.add({name: value for name, value in recorded.items() if not is_given(name)})
    found = _written(env)
    data = data_root() / sandbox_folder(env) if found.sandbox else data_root()
    connections, unfilled = _connections(env, found)
    return Settings(
        sandbox=found.sandbox,
        data=data,
        database_url=database_url(
            given("DATABASE_URL"), data, insecure=flag(env, "DATABASE_INSECURE")
        ),
        redis_url=redis_url(given("REDIS_URL"), insecure=flag(env, "REDIS_INSECURE")),
        connections=connections,
        unfilled=unfilled,
        fetch_interval=whole(env, "FETCH_INTERVAL", 60, 1, DAY),
        sweep_interval=whole(env, "SWEEP_INTERVAL", 60, 1, DAY),
        uncertain_wait=seconds(env, "UNCERTAIN_WAIT", 120, LONGEST_WAIT),
        visibility_timeout=whole(env, "VISIBILITY_TIMEOUT", 600, 1, LONGEST_WAIT),
        retention_days=whole(env, "ORDERBRIDGE_RETENTION_DAYS", 180, 1, LIFE),
        held_retention_days=whole(env, "ORDERBRIDGE_HELD_RETENTION_DAYS", 365, 1, LIFE),
        answer_retention_days=whole(env, "ORDERBRIDGE_ANSWER_RETENTION_DAYS", 30, 1, LIFE),
        supervised=flag(env, "ORDERBRIDGE_SUPERVISED"),
        calls_remotes=calls_remotes(env),
        secret_key=given("ORDERBRIDGE_SECRET_KEY") or None,
        api_keys=api_keys.listed(given("ORDERBRIDGE_API_KEYS")),
        gateway_rate=whole(env, "GATEWAY_RATE", 2000, 0, 1_000_000),
        notify=channels.listed(given("ORDERBRIDGE_NOTIFY")),
        notify_no_orders_hours=whole(env, "ORDERBRIDGE_NOTIFY_NO_ORDERS_HOURS", 0, 0, 8760),
        heartbeat_url=channels.heartbeat_url(given("ORDERBRIDGE_HEARTBEAT_URL")),
        language=language(env),
    )


# --- the connections ----------------------------------------------------------------------------------


def _written(env: Env) -> File:
    """The connections as they are written down: in the file, or as the default pair's variables."""
    sandbox = flag(env, "ORDERBRIDGE_SANDBOX")
    configured = [name for name in default_pair.VARIABLES if is_given(name)]
    named = env.str("ORDERBRIDGE_CONNECTIONS", "")
    if not named:
        if not configured and env.str("ORDERBRIDGE_SANDBOX", "") and not sandbox:
            raise SettingsError(
                "ORDERBRIDGE_SANDBOX says that this is no sandbox, but no system is configured: set "
                f"{', '.join(default_pair.VARIABLES)}, or ORDERBRIDGE_CONNECTIONS."
            )
        return File(
            sandbox or not configured,
            default_pair.entries(configured, may_lack=not calls_remotes(env)),
        )
    found, referred = connections_file.read(ROOT / named), _referred()
    both = [name for name in configured if name not in referred]
    if both:
        raise SettingsError(
            f"ORDERBRIDGE_CONNECTIONS is set, so the connections of {named} count, and {', '.join(both)} "
            "would not. Remove these variables, or refer to them in the file."
        )
    return File(found.sandbox or sandbox, found.entries)


def _connections(env: Env, found: File) -> tuple[dict[str, Connection], tuple[Entry, ...]]:
    """All connections; in a sandbox whose simulators were not started none, but what is to be started."""
    # What is older stands in the real CRM already, as often as not; the simulated one is empty.
    begin = "all" if found.sandbox else "now"
    defaults = Defaults(
        mode="live" if found.sandbox else mode(env),
        start_from=start_from(
            "ORDERBRIDGE_START_FROM", env.str("ORDERBRIDGE_START_FROM", "") or begin
        ),
        poll_overlap=whole(env, "POLL_OVERLAP", 600, 0, LONGEST_WAIT),
        poll_lag=whole(env, "POLL_LAG", 0, 0, LONGEST_WAIT),
        calls_remotes=calls_remotes(env),
    )
    unfilled = tuple(
        entry
        for entry in found.entries
        if any(not is_given(name) for names in entry.variables().values() for name in names)
    )
    if found.sandbox and unfilled:
        return {}, found.entries
    made = connect(found.entries, defaults)
    if found.sandbox:
        for one in made.values():
            demand_loopback(one)
    return made, ()
