"""Asks the simulators of a running sandbox to do what people and accidents do: orders come and are edited, a
system breaks and is mended, a clerk of the CRM moves a process on.

In: the settings of a running sandbox, what to do. Out: the simulator's answer. Fails with `Impossible` where
none runs, with `Wrong` for what a simulator refuses, each a sentence for the person.
Called by cli/sandbox.py; what a simulator can be asked is in simulator/server.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from connections_file import suggestion
from connectors.registry import kind_of, own_settings
from desk.errors import Impossible, Wrong
from settings import Settings

# Seconds for an answer of a program on this machine.
TIMEOUT = 10.0
# How a system breaks: what its simulator then does to every call.
BREAKS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "down": ({"kind": "drop"},),
    "slow": ({"kind": "latency", "seconds": 20},),
    "errors": ({"kind": "status", "status": 503},),
    "login": ({"kind": "kill_tokens"}, {"kind": "status", "status": 401, "path": "*token*"}),
}


def simulated(chosen: Settings, name: str) -> str:
    """The connection that is called so, by its own name or by its simulator's."""
    demand_sandbox(chosen)
    names = {one: one for one in systems(chosen)}
    for one in systems(chosen):
        names.setdefault(kind_of(chosen.connections[one]).stand_in, one)
    if name not in names:
        raise Wrong(f"The sandbox has no system {name!r}. {suggestion(name, tuple(names))}")
    return names[name]


def systems(chosen: Settings) -> list[str]:
    """The connections for which a simulator stands: those that call a system."""
    return [name for name, one in chosen.connections.items() if one.own.get("url")]


def demand_sandbox(chosen: Settings) -> None:
    """Raises Impossible unless these settings are of a sandbox that runs."""
    if not chosen.sandbox:
        raise Impossible(
            "Real systems are configured: this is for rehearsals in the sandbox alone. For one beside them, "
            "run it in a clone of its own, without .env."
        )
    if not chosen.connections:
        raise Impossible("The sandbox does not run: start it with `make run` in another terminal.")


def ask(chosen: Settings, name: str, what: str, body: object = None) -> Any:
    """Have the simulator of this connection do something."""
    url = own_settings(chosen.connections[name]).url
    return _posted(f"{url}/_sim/{what}", json=body)


def break_system(chosen: Settings, name: str, how: str) -> None:
    """Break this system so, and no longer as before."""
    if how not in BREAKS:
        raise Wrong(f"--how must be one of {', '.join(BREAKS)}.")
    ask(chosen, name, "reset-faults")
    ask(chosen, name, "faults", list(BREAKS[how]))


def call_hook(gateway: str, secret: str, fields: Mapping[str, str]) -> Any:
    """Call the gateway as an action of the CRM does (docs/onebox-action.md)."""
    return _posted(f"{gateway}/hooks/onebox/{secret}", data=dict(fields))


def _posted(url: str, **body: Any) -> Any:
    try:
        # No proxy of the environment stands between two programs of this machine.
        with httpx.Client(timeout=TIMEOUT, trust_env=False) as client:
            answer = client.post(url, **body)
    except httpx.HTTPError as exc:
        raise Impossible(
            "The simulator does not answer: does `make run` run in another terminal?"
        ) from exc
    said = answer.json()
    if answer.is_success:
        return said
    raise Wrong(str(said.get("error", said)))
