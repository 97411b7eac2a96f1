"""Every environment variable of orderbridge, read once, typed, and refused by name when wrong.

In: the process environment, then `.env` in the project's root, then `run.env` in the data folder
(what `orderbridge run` chose: ports, the sandbox's credentials). Out: a frozen `Settings`. Fails
with `SettingsError`, which names the variable and what to do. Called by everything that starts.
A new setting is added here, in docs/configuration.md and nowhere else.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Literal, cast
from urllib.parse import urlsplit

from dotenv import dotenv_values
from environs import Env, EnvError

ROOT = Path(__file__).resolve().parent
EVERYTHING = datetime(2000, 1, 1, tzinfo=UTC)

# A secret that stands in a URL: long enough not to be guessed, and nothing that would end its part there.
SHORTEST_SECRET = 16
_SECRET = re.compile(r"[^\s/?#%]+")

Mode = Literal["shadow", "live"]

SHOP_VARIABLES = ("OKLIVING_URL", "OKLIVING_CLIENT_ID", "OKLIVING_CLIENT_SECRET")
BOX_VARIABLES = (
    "ONEBOX_URL",
    "ONEBOX_LOGIN",
    "ONEBOX_PASSWORD",
    "ONEBOX_WORKFLOW_ID",
    "ONEBOX_STATUS_ID",
)


# Seconds between two turns, times the three that a try may wait for, and a little apart (clients/limits).
SLOW_TURNS = 3.2


class SettingsError(Exception):
    """A setting is wrong or missing; the message names it and says how to mend it."""


@dataclass(frozen=True, slots=True)
class Shop:
    """A source connection. `rate` is calls a second and `concurrency` calls in flight over all
    workers, reads included, 0 = no limit; `timeout` is in seconds for one call.
    """

    name: str
    target: str
    url: str
    client_id: str
    client_secret: str = field(repr=False)
    kind: str = "okliving"
    timeout: float = 30.0
    rate: float = 10.0
    concurrency: int = 8
    login_style: Literal["form", "json"] = "form"

    @property
    def lease(self) -> float:
        """Seconds that one worker reads a shop or owns an order's updates: design, "A task's life"."""
        return 2 * self.timeout + 10


@dataclass(frozen=True, slots=True)
class Box:
    """A target connection. `rate` is calls a second and `concurrency` calls in flight over all
    workers, 0 = no limit; `timeout` is in seconds for one call.
    """

    name: str
    url: str
    login: str
    password: str = field(repr=False)
    workflow_id: str
    status_id: str
    source_id: str | None = None
    kind: str = "onebox"
    timeout: float = 30.0
    rate: float = 5.0
    concurrency: int = 4
    password_form: Literal["raw", "md5", "auto"] = "auto"  # noqa: S105  the form, no password
    body_shape: Literal["object", "array"] = "object"

    @property
    def lease(self) -> float:
        """Seconds that one worker owns an order: design, "A task's life". Where the rate is slow, the
        turns of a try's later calls come on top.
        """
        return 2 * self.timeout + 10 + (SLOW_TURNS / self.rate if 0 < self.rate < 1 else 0)


@dataclass(frozen=True, slots=True)
class Settings:
    """All that a process knows of its surroundings. Intervals and waits are in seconds."""

    sandbox: bool
    mode: Mode
    data: Path
    database_url: str = field(repr=False)
    redis_url: str | None = field(repr=False)
    shops: dict[str, Shop]
    boxes: dict[str, Box]
    profile: Path
    fetch_interval: int
    sweep_interval: int
    poll_overlap: int
    poll_lag: int
    start_from: datetime | None
    uncertain_wait: float
    visibility_timeout: int
    retention_days: int
    supervised: bool
    secret_key: str | None = field(repr=False)
    api_keys: dict[str, str] = field(repr=False)
    gateway_rate: int
    hook_secrets: tuple[str, ...] = field(repr=False)
    hook_hmac_key: str | None = field(repr=False)
    hook_addresses: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]

    @property
    def broker(self) -> str:
        """The Redis of this system; raises SettingsError when nobody started or named one."""
        if self.redis_url is None:
            raise SettingsError(
                "REDIS_URL is not set and no running system was found. "
                "Start one with `make run`, or set REDIS_URL."
            )
        return self.redis_url

    def shop(self, name: str) -> Shop:
        return cast("Shop", _named(self.shops, name, "shop"))

    def box(self, name: str) -> Box:
        return cast("Box", _named(self.boxes, name, "CRM"))


def _named(connections: dict[str, Shop] | dict[str, Box], name: str, kind: str) -> Shop | Box:
    if name not in connections:
        known = ", ".join(connections) or "none: start the sandbox with `make run`"
        raise SettingsError(f"There is no {kind} connection called {name!r} (known: {known}).")
    return connections[name]


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


def load(dotenv: Path = ROOT / ".env") -> Settings:
    """Read everything. Raises SettingsError naming the first variable that is wrong or missing."""
    env = Env(expand_vars=False)
    if dotenv.is_file():
        _add(dotenv_values(dotenv))
    try:
        return _read(env)
    except EnvError as exc:
        raise SettingsError(f"A setting cannot be read: {exc}") from exc


def _add(found: Mapping[str, str | None]) -> None:
    """Put into the environment what is not set there; set to nothing is as good as not set."""
    for name, value in found.items():
        if value and not os.environ.get(name):
            os.environ[name] = value


def _read(env: Env) -> Settings:
    pair = SHOP_VARIABLES + BOX_VARIABLES
    recorded = dotenv_values(run_file()) if run_file().is_file() else {}
    configured = [name for name in pair if env.str(name, "")]
    sandbox = env.bool("ORDERBRIDGE_SANDBOX", default=False) or not configured
    if sandbox or not recorded.get("ORDERBRIDGE_SANDBOX"):
        _add(recorded)
        configured = [name for name in pair if env.str(name, "")]
    missing = [name for name in pair if name not in configured]
    if configured and missing:
        raise SettingsError(
            f"The configuration is half filled in: {', '.join(missing)} is missing. Set it in the "
            f"environment or in .env; or unset {', '.join(configured)} to run the sandbox."
        )
    data = data_root() / "sandbox" if sandbox else data_root()
    shops = {"okliving": _shop(env)} if configured else {}
    boxes = {"onebox": _box(env)} if configured else {}
    if sandbox:
        for url in [*(s.url for s in shops.values()), *(b.url for b in boxes.values())]:
            _require_loopback(url)
    return Settings(
        sandbox=sandbox,
        mode="live" if sandbox else _mode(env),
        data=data,
        database_url=_database_url(env.str("DATABASE_URL", ""), data),
        redis_url=env.str("REDIS_URL", "") or None,
        shops=shops,
        boxes=boxes,
        profile=_profile(env),
        fetch_interval=_at_least(env, "FETCH_INTERVAL", 60, 1),
        sweep_interval=_at_least(env, "SWEEP_INTERVAL", 60, 1),
        poll_overlap=_at_least(env, "POLL_OVERLAP", 600, 0),
        poll_lag=_at_least(env, "POLL_LAG", 0, 0),
        start_from=_start_from(env.str("ORDERBRIDGE_START_FROM", "") or "all"),
        uncertain_wait=_seconds(env, "UNCERTAIN_WAIT", 120),
        visibility_timeout=_at_least(env, "VISIBILITY_TIMEOUT", 600, 1),
        retention_days=_at_least(env, "ORDERBRIDGE_RETENTION_DAYS", 180, 1),
        supervised=env.bool("ORDERBRIDGE_SUPERVISED", default=False),
        secret_key=env.str("ORDERBRIDGE_SECRET_KEY", "") or None,
        api_keys=_api_keys(env.str("ORDERBRIDGE_API_KEYS", "")),
        gateway_rate=_at_least(env, "GATEWAY_RATE", 2000, 0),
        hook_secrets=_hook_secrets(env.str("ONEBOX_HOOK_SECRETS", "")),
        hook_hmac_key=env.str("ONEBOX_HOOK_HMAC_KEY", "") or None,
        hook_addresses=_networks(env.str("ONEBOX_HOOK_ADDRESSES", "")),
    )


def _shop(env: Env) -> Shop:
    return Shop(
        name="okliving",
        target="onebox",
        url=_url(env, "OKLIVING_URL"),
        client_id=env.str("OKLIVING_CLIENT_ID"),
        client_secret=env.str("OKLIVING_CLIENT_SECRET"),
        timeout=_seconds(env, "OKLIVING_TIMEOUT", 30, least=0.1),
        rate=_seconds(env, "OKLIVING_RATE", 10),
        concurrency=_at_least(env, "OKLIVING_CONCURRENCY", 8, 0),
        login_style=cast(
            "Literal['form', 'json']", _one_of(env, "OKLIVING_LOGIN_STYLE", "form", "json")
        ),
    )


def _box(env: Env) -> Box:
    return Box(
        name="onebox",
        url=_url(env, "ONEBOX_URL"),
        login=env.str("ONEBOX_LOGIN"),
        password=env.str("ONEBOX_PASSWORD"),
        workflow_id=env.str("ONEBOX_WORKFLOW_ID"),
        status_id=env.str("ONEBOX_STATUS_ID"),
        source_id=env.str("ONEBOX_SOURCE_ID", "") or None,
        timeout=_seconds(env, "ONEBOX_TIMEOUT", 30, least=0.1),
        rate=_seconds(env, "ONEBOX_RATE", 5),
        concurrency=_at_least(env, "ONEBOX_CONCURRENCY", 4, 0),
        password_form=cast(
            "Literal['raw', 'md5', 'auto']",
            _one_of(env, "ONEBOX_PASSWORD_FORM", "auto", "raw", "md5"),
        ),
        body_shape=cast(
            "Literal['object', 'array']", _one_of(env, "ONEBOX_BODY_SHAPE", "object", "array")
        ),
    )


def _url(env: Env, name: str) -> str:
    text = env.str(name).rstrip("/")
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingsError(f"{name} must be a URL such as https://www.example.com.")
    if parts.scheme == "http" and not _is_loopback(text):
        raise SettingsError(f"{name} must begin with https:// (http is for this machine only).")
    return text


def _is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in {"127.0.0.1", "localhost", "::1"}


def _require_loopback(url: str) -> None:
    if not _is_loopback(url):
        raise SettingsError(
            "ORDERBRIDGE_SANDBOX is set, but an address leads off this machine. Simulated and real "
            "systems are never mixed: unset ORDERBRIDGE_SANDBOX to work with the real ones."
        )


def _mode(env: Env) -> Mode:
    return cast("Mode", _one_of(env, "ORDERBRIDGE_MODE", "shadow", "live"))


def _one_of(env: Env, name: str, default: str, *others: str) -> str:
    value = env.str(name, "") or default
    if value not in {default, *others}:
        raise SettingsError(f"{name} must be one of {', '.join((default, *others))}.")
    return value


def _at_least(env: Env, name: str, default: int, least: int) -> int:
    value = env.int(name) if env.str(name, "") else default
    if value < least:
        raise SettingsError(f"{name} must be {least} or more.")
    return value


def _seconds(env: Env, name: str, default: float, least: float = 0.0) -> float:
    value = env.float(name) if env.str(name, "") else default
    if not least <= value < float("inf"):
        raise SettingsError(f"{name} must be a number, {least:g} or more.")
    return value


def _database_url(text: str, data: Path) -> str:
    if not text:
        return f"sqlite:///{data / 'ledger.db'}"
    for plain in ("postgresql://", "postgres://"):
        if text.startswith(plain):
            return "postgresql+psycopg://" + text.removeprefix(plain)
    if text.startswith(("postgresql+psycopg://", "sqlite:///")):
        return text
    raise SettingsError("DATABASE_URL must begin with postgresql:// or sqlite:///.")


def _profile(env: Env) -> Path:
    named = env.str("ORDERBRIDGE_PROFILE", "") or "mapping/profiles/okliving-onebox.yaml"
    path = ROOT / named
    if not path.is_file():
        raise SettingsError(f"ORDERBRIDGE_PROFILE names a file that is not there: {path}.")
    return path


def _start_from(text: str) -> datetime | None:
    """`now` is None: the first poll's own clock."""
    if text == "now":
        return None
    if text == "all":
        return EVERYTHING
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(
            "ORDERBRIDGE_START_FROM must be `all`, `now` or a date such as 2026-11-21."
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _api_keys(text: str) -> dict[str, str]:
    keys: dict[str, str] = {}
    for pair in _listed(text):
        name, separator, key = pair.partition(":")
        if not (name and separator and key):
            raise SettingsError("ORDERBRIDGE_API_KEYS must be name:key pairs, comma separated.")
        keys[name] = key
    return keys


def _hook_secrets(text: str) -> tuple[str, ...]:
    listed = _listed(text)
    if any(len(secret) < SHORTEST_SECRET or not _SECRET.fullmatch(secret) for secret in listed):
        raise SettingsError(
            f"ONEBOX_HOOK_SECRETS must be secrets of {SHORTEST_SECRET} characters or more, comma separated, "
            "without blanks and / ? # %: they stand in a URL."
        )
    return listed


def _networks(text: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part) for part in _listed(text))
    except ValueError:
        raise SettingsError(
            "ONEBOX_HOOK_ADDRESSES must be addresses or networks such as 203.0.113.0/24, comma separated."
        ) from None


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
