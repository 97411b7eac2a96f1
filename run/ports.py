"""Finds free ports of this machine and keeps them for one run.

In: a preferred port, or none. Out: a port on 127.0.0.1 that nobody listens on, not handed out
twice, by other runs on this machine neither. Fails with `RunError` when nothing is free. Called by
run/system.py.
"""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack

from run.errors import RunError

# Below the range that systems take outgoing ports from (32768 on Linux): a client that dials a port
# of that range while its server restarts can be given that very port and then talks to itself.
ANYWHERE = range(20_000, 30_000)
# How far from a preferred port people still find it.
NEAR = 50


class Ports:
    """Ports of one run. A port stays reserved until `close`, also while its server restarts."""

    def __init__(self) -> None:
        self._reserved = ExitStack()

    def close(self) -> None:
        self._reserved.close()

    def take(self, preferred: int | None = None) -> int:
        """`preferred` or the next free one after it; without it any free port."""
        if preferred is None:
            candidates = random.sample(ANYWHERE, 200)
        else:
            candidates = list(range(preferred, min(preferred + NEAR, 65_536)))
        for port in candidates:
            if self._reserve(port):
                return port
        begin = min(candidates) if preferred is None else preferred
        raise RunError(f"No port on 127.0.0.1 is free from {begin} on: stop what takes them.")

    def _reserve(self, port: int) -> bool:
        # A UDP socket of the same number is the mark: it bars no TCP server, and the system takes
        # it back whatever way this process ends.
        mark = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            mark.bind(("127.0.0.1", port))
            with socket.socket() as probe:
                # As servers do, so that connections closed a moment ago do not count as taken.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
                probe.listen()
        except OSError:
            mark.close()
            return False
        self._reserved.enter_context(mark)
        return True


def accepts(port: int) -> bool:
    """Whether a server on 127.0.0.1 takes connections at `port` now."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
