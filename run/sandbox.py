"""What stands in the sandbox for each connection: a simulator, with the address and secrets of its own, or,
for orders that are placed with us, tenants to place them.

In: the connections as they are written down, whose variables nobody has set. Out: how to start each
simulator, and what the variables are to say; tenants in the ledger. Secrets are generated once and kept in
the data folder. Fails with `SettingsError` for what no simulator can stand for. Called by run/system.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import references
from connections_file import Entry, SettingsError, suggestion
from connectors.kind import Kind
from connectors.registry import KINDS
from desk import loading
from ledger.database import open_ledger
from run.places import Place
from run.ports import Ports
from run.private import kept_secret
from settings import Settings

# Who places orders in a sandbox; loading them again changes nothing.
TENANTS = Path(__file__).resolve().parents[1] / "docs" / "examples" / "tenants.yaml"
TENANT = "demo"
# What a simulator of a system that brings orders is told besides.
TRICKLE = ("--trickle", "5", "--history", "12")
_ALONE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Double:
    """One simulator: its process and what it means to the others."""

    name: str
    url: str
    note: str
    arguments: tuple[str, ...]
    secrets: Mapping[str, str]
    variables: Mapping[str, str]


def doubles(entries: Sequence[Entry], data: Path, ports: Ports) -> Iterator[Double]:
    """One for each connection that calls a system. The only one of its kind is called as the simulator is."""
    called = [(entry, kind) for entry in entries if _calls(entry, kind := _kind(entry))]
    kinds = [kind for _, kind in called]
    for entry, kind in called:
        name = kind.stand_in if kinds.count(kind) == 1 else entry.name
        yield _double(entry, kind, name, data, ports.take())


def tenants(chosen: Settings, gateway: str) -> Place:
    """Load tenants, as `orderbridge load` would, who place orders at this gateway."""
    ledger = open_ledger(chosen.database_url)
    try:
        loading.load(chosen, ledger, TENANTS)
    finally:
        ledger.close()
    return Place(
        "orders", f"{gateway}/CreateOrder", f"placed by tenant {TENANT}; …/CreateOrder/docs"
    )


def _kind(entry: Entry) -> Kind:
    named = entry.values.get("kind", "")
    if not isinstance(named, str) or named not in KINDS:
        raise SettingsError(f"{entry.where('kind')}: {suggestion(str(named), KINDS)}")
    return KINDS[named]


def _calls(entry: Entry, kind: Kind) -> bool:
    """Whether an address is to be chosen; a connection that needs none may have no system to call."""
    return _keys(entry, kind)["url"].required or "url" in entry.variables()


def _keys(entry: Entry, kind: Kind) -> Mapping[str, Any]:
    return kind.schema_of(entry.values.get("target")).fields


def _double(entry: Entry, kind: Kind, name: str, data: Path, port: int) -> Double:
    url = f"http://127.0.0.1:{port}"
    said = {"url": url}
    flags: list[str] = []
    secrets: dict[str, str] = {}
    variables: dict[str, str] = {}
    for key, schema in _keys(entry, kind).items():
        is_secret = bool(schema.metadata.get("secret"))
        if key != "url" and (schema.required or key in entry.values):
            said[key] = _value(entry, kind, key, name, data)
        variable = _variable(entry, key)
        if variable is not None:
            variables[variable] = said[key]
        if key == "url" or not schema.required:
            continue
        if is_secret:
            secrets[f"SIM_{key.upper()}"] = said[key]
        else:
            flags += [f"--{key.replace('_', '-')}", said[key]]
    where = ("--port", str(port), "--data", str(data / name))
    trickle = TRICKLE if kind.is_read else ()
    note = "simulated, a new order every 5 s" if kind.is_read else "simulated"
    arguments = (kind.stand_in, *where, *trickle, *flags)
    return Double(name, url, note, arguments, secrets, variables)


def _variable(entry: Entry, key: str) -> str | None:
    """The variable that is the whole value of this key."""
    value = entry.values.get(key)
    found = _ALONE.fullmatch(value) if isinstance(value, str) else None
    if found is None and key in entry.variables():
        raise SettingsError(
            f"{entry.where(key)} must be one ${{NAME}} alone: in a sandbox that is what is chosen."
        )
    return None if found is None else found[1]


def _value(entry: Entry, kind: Kind, key: str, name: str, data: Path) -> str:
    """What the file says, else what is made up here."""
    if key in entry.values and _variable(entry, key) is None:
        value = references.value(entry, key)
        return value if isinstance(value, str) else ",".join(value)
    if kind.keys[key].metadata.get("secret"):
        return kept_secret(data / f"{name}-{key.replace('_', '-')}")
    return str(kind.keys[key].metadata.get("sandbox", "sandbox"))
