"""Silent and slow callers beside good ones: nobody's request waits for somebody who does not finish his."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import aiohttp
import orjson
import pytest
from system import ROOT, System, free_port, wait_until

pytestmark = [pytest.mark.whole, pytest.mark.long]

IDLE, HEADERS, BODIES = 2000, 25, 25
# Good requests a second, for how many seconds, and how long the last hundredth of them may take.
RATE, SECONDS, P99 = 100, 20, 0.2


class Attack:
    """The crowd as a process of its own, there from entering to leaving."""

    def __init__(self, address, addresses, seconds=300):
        program = ["-m", "simulator.slow_callers", address, "--seconds", str(seconds)]
        kinds = ["--idle", str(IDLE), "--headers", str(HEADERS), "--bodies", str(BODIES)]
        self.argv = [sys.executable, *program, *kinds, "--addresses", str(addresses)]

    def __enter__(self):
        self.process = subprocess.Popen(self.argv, cwd=ROOT, stdout=subprocess.PIPE)
        self.came = orjson.loads(self.process.stdout.readline())["came"]
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


async def good_requests(address):
    """Seconds that each took, callers who do not wait for each other; and each of the health check, which
    comes by a connection of its own every time.
    """
    waits, checks = [], []

    async def post(session, number):
        begun = time.perf_counter()
        body = {"order_id": str(number % 500), "note": str(number)}
        async with session.post(f"{address}/api/v1/updates", json=body) as answer:
            assert answer.status == 202, await answer.text()
        waits.append(time.perf_counter() - begun)

    async def check():
        begun = time.perf_counter()
        connector = aiohttp.TCPConnector(force_close=True)
        async with (
            aiohttp.ClientSession(connector=connector) as alone,
            alone.get(f"{address}/healthz") as answer,
        ):
            assert answer.status == 200
        checks.append(time.perf_counter() - begun)

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(30)) as session:
        begun, calls = time.perf_counter(), []
        for number in range(RATE * SECONDS):
            await asyncio.sleep(max(0.0, begun + number / RATE - time.perf_counter()))
            calls.append(asyncio.create_task(post(session, number)))
            if number % 10 == 0:
                calls.append(asyncio.create_task(check()))
        await asyncio.gather(*calls)
    return sorted(waits), sorted(checks)


def p99(waits):
    return waits[int(len(waits) * 0.99) - 1]


@pytest.mark.parametrize("addresses", [1, 16], ids=["from-one-address", "from-sixteen-addresses"])
def test_good_requests_go_through_beside_idle_and_slow_connections(
    tmp_path, addresses, record_property
):
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with System(tmp_path, url, FETCH_INTERVAL=3600, SWEEP_INTERVAL=3600) as system:
        address = str(system.gateway().base_url).rstrip("/")
        with Attack(address, addresses) as attack:
            waits, checks = asyncio.run(good_requests(address))
    told = {"came": attack.came, "p99": p99(waits), "worst": waits[-1], "health": p99(checks)}
    # With -s or in a report: the figure is as important as that it is below the limit.
    record_property("measured", told)
    sys.stderr.write(f"{told}\n")
    assert len(waits) == RATE * SECONDS
    assert p99(waits) < P99
    assert p99(checks) < P99


def test_a_stop_under_attack_answers_what_is_under_way(tmp_path):
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with System(tmp_path, url, FETCH_INTERVAL=3600, SWEEP_INTERVAL=3600) as system:
        port = free_port()
        gateway = system.start_cli("gateway", "--port", str(port))
        address = f"http://127.0.0.1:{port}"
        wait_until(lambda: _serves(address))
        with Attack(address, 16):
            gateway.terminate()
            assert gateway.wait(5) == 0


def _serves(address):
    async def get():
        async with aiohttp.ClientSession() as session, session.get(f"{address}/healthz") as answer:
            return answer.status == 200

    try:
        return asyncio.run(get())
    except aiohttp.ClientError:
        return False
