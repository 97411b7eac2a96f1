"""Serves the gateway: one event loop that holds all connections, a few threads that call the application
(docs/decisions/a-server-that-reads-first.md says why).

In: the settings, address and port. Out: a server, until SIGTERM or SIGINT; what is under
way then is finished.
Raises SettingsError where keys are missing and for an address that cannot be listened on, and
RouteChanged. Called by `orderbridge gateway`.
"""

from __future__ import annotations

import asyncio
import resource
import signal
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from api_keys import NO_KEYS
from connections_file import SettingsError
from connectors import registry
from gateway.addresses import is_loopback
from gateway.app import create_app
from gateway.connection import Connection, House
from gateway.keys import Callers
from gateway.places import MOST, Places
from gateway.workers import Workers
from ledger.routes import check_routes
from settings import Settings
from tasks.resources import build

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

LAST_PORT = 65_535
# Connections that the system holds until the loop takes them; and how many it takes at once: fewer than one
# address may have, so that whoever has already sent his request is read before others crowd him out.
BACKLOG = 1024
AT_ONCE = 32
# Files that are open beside the connections: of the ledger, of Redis, of the log.
OTHER_FILES = 256
# Seconds between two looks at who has had his time.
LOOK = 0.5
# Looks between two lines of the log about who was cut off: under an attack one line tells of thousands.
LOOKS_A_LINE = 20
# Seconds for which a stop waits for answers, and for what has only half come.
FINISH, HALF_COME = 10.0, 0.5

log = structlog.get_logger()


def serve(chosen: Settings, host: str, port: int) -> None:
    """Serve until told to stop."""
    _demand_keys(chosen, host)
    registry.check(chosen)
    check_routes(chosen.database_url, chosen.routes)
    app = create_app(build(chosen))
    asyncio.run(_until_told(app, app.config["LARGEST"], host, port))


def _demand_keys(chosen: Settings, host: str) -> None:
    callers = Callers(chosen)
    known = callers.keys()
    for key in known:
        for name in key.connections or ():
            # Raises SettingsError with what there is.
            chosen.source(name)
    if callers.keyless:
        if not is_loopback(host):
            raise SettingsError(
                f"The gateway may listen on {host} only with keys: `orderbridge key new NAME` makes one, or "
                "set ORDERBRIDGE_API_KEYS to name:key."
            )
        log.warning("gateway_open_to_local_callers", reason="a sandbox without API keys")
    elif not known:
        raise SettingsError(NO_KEYS)


async def _until_told(
    app: WSGIApplication, largest: Callable[[str], int], host: str, port: int
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await listen(app, largest, host, port, stop)


async def listen(
    app: WSGIApplication,
    largest: Callable[[str], int],
    host: str,
    port: int,
    stop: asyncio.Event,
    *,
    ready: Callable[[int], object] = lambda _: None,
) -> None:
    """Serve this application until `stop`; `largest` says how much of a body is read, by the path. `ready` is
    told the port, once it is listened on.
    """
    loop = asyncio.get_running_loop()
    house = House(loop, Workers(app), largest, Places(min(MOST, _files() - OTHER_FILES)))
    listener = _listener(host, port)
    server = await loop.create_server(lambda: Connection(house), sock=listener, backlog=AT_ONCE)
    # asyncio takes as many at once as it lets wait.
    listener.listen(BACKLOG)
    looking = asyncio.create_task(_look(house))
    ready(listener.getsockname()[1])
    log.info("gateway_serves", host=host, port=port)
    told = asyncio.create_task(stop.wait())
    # Nobody is cut off any more if looking should fail: better to end, and be started again.
    await asyncio.wait({told, looking}, return_when=asyncio.FIRST_COMPLETED)
    house.workers.stopping = True
    server.close()
    await _finish(house)
    if not looking.cancel():
        looking.result()


def _listener(host: str, port: int) -> socket.socket:
    if not 0 <= port <= LAST_PORT:
        # The resolver would take its lower half.
        raise SettingsError(
            f"The gateway cannot listen on {host}:{port}: ports go from 0 to {LAST_PORT}. Choose another "
            "with --port."
        )
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except (OSError, UnicodeError) as exc:
        because = getattr(exc, "strerror", None) or "that is no address"
        raise SettingsError(
            f"The gateway cannot listen on {host}:{port}: {because}. Choose another with --host and --port."
        ) from exc


async def _look(house: House) -> None:
    """Cut off whoever has had his time, and say now and then how many that were."""
    looks = 0
    while True:
        await asyncio.sleep(LOOK)
        now = house.loop.time()
        for one in house.places:
            one.expire(now)
        looks += 1
        if looks % LOOKS_A_LINE == 0 and house.cut_off:
            counts, house.cut_off = house.cut_off, {}
            log.warning("callers_cut_off", connections=len(house.places), **counts)


async def _finish(house: House) -> None:
    """Let come to its end within FINISH what is being done, and within HALF_COME what is still coming."""
    began = house.loop.time()
    while True:
        waited = house.loop.time() - began
        for one in house.places:
            one.wind_up(patient=waited < HALF_COME)
        if not len(house.places) or waited > FINISH:
            return
        await asyncio.sleep(0.02)


def _files() -> int:
    """How many files this process may have open, raised as far as it may raise that itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else soft
