"""Serves the gateway with a production WSGI server (granian; docs/decisions/ says why).

In: address and port. Without API keys it listens on the loopback only, and says so.
"""

from __future__ import annotations

import ipaddress

import structlog
from granian.constants import Interfaces
from granian.server import Server

from settings import Settings, SettingsError

# Requests worked on at the same time; each may wait for a shared commit.
THREADS = 4
# Connections held at the same time; granian leaves those above unserved until one closes.
CONNECTIONS = 1024

log = structlog.get_logger()


def serve(chosen: Settings, host: str, port: int) -> None:
    """Serve until told to stop. Raises SettingsError for an open address without keys."""
    if not chosen.api_keys:
        if not _is_loopback(host):
            raise SettingsError(
                f"The gateway may listen on {host} only with keys: set ORDERBRIDGE_API_KEYS to name:key."
            )
        log.warning("gateway_open_to_local_callers", reason="no ORDERBRIDGE_API_KEYS are set")
    Server(
        "gateway.wsgi:app",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=THREADS,
        backpressure=CONNECTIONS,
        log_access=False,
    ).serve()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
