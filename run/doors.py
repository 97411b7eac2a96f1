"""Where the doors of a run are: the gateway and Flower, on their own ports or the next free ones.

In: the settings, and the ports of this run. Out: a `Door` each: its port, what others are told of it, its
line in the table of what runs where. Fails with `RunError` where no port is free, and with `SettingsError`.
Called by run/system.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import api_keys
import flower_settings
from references import is_given
from run.places import Place, moved, short
from run.private import kept_secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from run.ports import Ports
    from settings import Settings

GATEWAY_PORT = 8000
FLOWER_USER = "orderbridge"


@dataclass(frozen=True, slots=True)
class Door:
    """One of them; without a port it is not opened."""

    port: int | None
    place: Place
    told: Mapping[str, str]


def gateway(chosen: Settings, ports: Ports) -> Door:
    """Real systems open it to nobody without a key."""
    if not (chosen.sandbox or chosen.api_keys or api_keys.kept(chosen.key_file)):
        return Door(None, Place("gateway", "not started", api_keys.NO_KEYS), {})
    port = ports.take(GATEWAY_PORT)
    url = f"http://127.0.0.1:{port}"
    return Door(port, Place("gateway", url, moved(port, GATEWAY_PORT)), {"GATEWAY_URL": url})


def flower(chosen: Settings, ports: Ports) -> Door:
    """Its password is generated and kept where nobody chose one."""
    preferred = flower_settings.port()
    port = ports.take(preferred)
    password_file = chosen.data / "flower-password"
    login = "login as in FLOWER_BASIC_AUTH"
    if not is_given("FLOWER_BASIC_AUTH"):
        password = kept_secret(password_file)
        login = f"{FLOWER_USER} / {password if chosen.sandbox else f'in {short(password_file)}'}"
    url = f"http://127.0.0.1:{port}"
    return Door(
        port,
        Place("Flower", url, login + moved(port, preferred)),
        {"FLOWER_URL": url, "FLOWER_PASSWORD_FILE": str(password_file)},
    )
