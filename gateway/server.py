"""Serves the gateway with a production WSGI server (granian; docs/decisions/granian-for-the-gateway.md says
why).

In: address and port. Without API keys it listens on the loopback only, and says so.
"""

from __future__ import annotations

import structlog
from granian.constants import Interfaces
from granian.server import Server

from connections_file import SettingsError
from connectors import registry
from gateway.keys import is_loopback
from ledger.routes import check_routes
from settings import Settings

# Requests worked on at the same time. More of them share a commit, and wait longer for the interpreter: 8
# took in as much as 4 or 16 and kept the 99th percentile lowest.
THREADS = 8
# Connections held at the same time; granian leaves those above unserved until one closes.
CONNECTIONS = 1024

log = structlog.get_logger()


def serve(chosen: Settings, host: str, port: int) -> None:
    """Serve until told to stop. Raises SettingsError for an open address without keys, and RouteChanged."""
    if not chosen.api_keys:
        if not is_loopback(host):
            raise SettingsError(
                f"The gateway may listen on {host} only with keys: set ORDERBRIDGE_API_KEYS to name:key."
            )
        log.warning("gateway_open_to_local_callers", reason="no ORDERBRIDGE_API_KEYS are set")
    registry.check(chosen)
    check_routes(chosen.database_url, chosen.routes)
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
