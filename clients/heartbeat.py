"""Tells a monitor that all is well, by a GET of an address that only it and we know.

In: the address. Out: the status that it answered with. Fails with a `RemoteError` whose message names the
host alone. TLS is checked, no redirect is followed, nothing is said but the call itself. Called by
tasks/heartbeat.py. Source: healthchecks.io/docs/http_api/, "Success"; a push monitor of Uptime
Kuma is called the same way.
"""

from __future__ import annotations

from typing import Final

from clients.base import HttpTransport
from clients.deadline import Deadline

# Seconds for the whole call: the poll that has just ended holds its thread until then.
LIMIT: Final = 5.0


def ping(url: str, limit: float = LIMIT) -> int:
    with HttpTransport(url, secrets=(url,)) as transport:
        return transport.request("GET", "", {}, Deadline(limit)).status
