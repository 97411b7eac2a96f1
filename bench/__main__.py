"""Runs every measurement, prints the table and writes it to bench/RESULTS.md.

`python -m bench` runs all, `python -m bench NAME ...` some (then nothing is written). Each measurement is a
function that returns rows; medians over its rounds, the two sides of a ratio in turn in the same run.
"""

from __future__ import annotations

import asyncio
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import orjson
import psutil
from rich.console import Console
from rich.table import Table
from whole.system import ROOT, System, wait_until

from bench import placing
from bench.surroundings import Call, Row, database, doors, post_all, post_paced, system
from simulator.crm import Crm
from simulator.faults import Fault
from simulator.remote import Remote
from simulator.samples import many
from simulator.shop import Shop

RESULTS = Path(__file__).with_name("RESULTS.md")
SET = Crm.ORDER_SET
# Updates a second that the gateway must accept.
WANTED_RATE = 300


def fill(made: System, count: int, start: int = 1) -> None:
    for order in many(count, start=start):
        made.shop.add(order)
    done = made.cli("fetch", "--json")
    assert done.returncode == 0, done.stderr
    assert orjson.loads(done.stdout)["stored"] == count, done.stdout


def rate(remote: Remote, path: str, count: int, seconds: float = 120) -> float:
    """Calls a second that a remote saw, from the first twentieth of `count` to the last, without the ramp."""
    begun = 0.0
    skip = count // 20
    deadline = time.monotonic() + seconds
    while remote.counts[path] < count:
        if not begun and remote.counts[path] >= skip:
            begun, skip = time.perf_counter(), remote.counts[path]
        if time.monotonic() > deadline:
            raise AssertionError(f"{remote.counts[path]} of {count} calls within {seconds} s")
        time.sleep(0.005)
    return (count - skip) / (time.perf_counter() - begun)


def backlog() -> list[Row]:
    """100 calls in flight by two workers of 50 threads: against bare tasks where the CRM answers in 200 ms,
    of which this machine has not the CPU for all 500 a second; against the limit where it answers in 1 s.
    """
    sizes = {"count": 3000, "workers": 2, "threads": 50}
    rounds = [(ours(**sizes, latency=0.2), bare(**sizes, latency=0.2)) for _ in range(3)]
    mine, rival = (statistics.median(figures) for figures in zip(*rounds, strict=True))
    slow = ours(1500, workers=2, threads=50, latency=1.0)
    return [
        Row(
            "CRM in 200 ms, 2 × 50 threads, to bare tasks",
            f"{mine / rival:.2f}",
            "≥ 0.85",
            mine / rival >= 0.85,
            f"{mine:.0f} against {rival:.0f} tasks a second (medians of 3); the limit is 500",
        ),
        Row(
            "CRM in 1 s, 2 × 50 threads, of the limit",
            f"{slow / 100:.2f}",
            "≥ 0.95",
            slow / 100 >= 0.95,
            f"{slow:.0f} of 100 orders a second",
        ),
    ]


def throughput() -> list[Row]:
    """No latency, one worker of 20 threads, against the bare task; three rounds in turn."""
    rounds = [(ours(), bare()) for _ in range(3)]
    mine, rival = (statistics.median(figures) for figures in zip(*rounds, strict=True))
    share = mine / rival
    compared = f"{mine:.0f} against {rival:.0f} tasks a second (medians of 3)"
    return [
        Row(
            "no latency, 1 × 20 threads, to a bare task",
            f"{share:.2f}",
            "≥ 0.80",
            share >= 0.8,
            compared,
        )
    ]


def ours(
    count: int = 1500,
    *,
    workers: int = 1,
    threads: int = 20,
    latency: float = 0.0,
    url: str | None = None,
) -> float:
    """Orders a second through our workers, the CRM answering in `latency` seconds."""
    in_flight = workers * threads if latency else 0
    with database(url) as address, system(address, ONEBOX_CONCURRENCY=in_flight) as made:
        fill(made, count)
        if latency:
            made.crm.faults.add(Fault(kind="latency", seconds=latency))
        for _ in range(workers):
            made.worker("-Q", "create", threads=threads)
        reached = rate(made.crm, SET, count)
        wait_until(lambda: made.all_created(count), 60)
        return reached


def bare(count: int = 1500, *, workers: int = 1, threads: int = 20, latency: float = 0.0) -> float:
    """The yardstick: as many tasks that only post, a second, at the same latency and concurrency."""
    with system() as made:
        made.extra |= _bare_environment(made)
        if latency:
            made.crm.faults.add(Fault(kind="latency", seconds=latency))
        code = f"import bench.bare as b\nfor n in range({count}): b.post.apply_async((n,), retry=False)"
        run_python(made, code)
        for number in range(workers):
            named = ("-n", f"bare{number}@%h", "-c", str(threads))
            made.celery("-A", "bench.bare", "worker", *named, "-Q", "create", "-P", "threads")
        return rate(made.crm, SET, count)


def _bare_environment(made: System) -> dict[str, str]:
    token = httpx.post(
        f"{made.crm_server.url}/api/v2/token/get/",
        json={"login": made.crm.login, "restapipassword": made.crm.password},
    ).json()["dataArray"]["token"]
    sample = made.cli("preview", str(_sample(made.folder)), "--json")
    body = {"0": orjson.loads(sample.stdout)["target"]}
    return {
        "BENCH_URL": made.crm_server.url + SET,
        "BENCH_TOKEN": token,
        "BENCH_BODY": orjson.dumps(body).decode(),
    }


def _sample(folder: Path) -> Path:
    path = folder / "sample.json"
    path.write_bytes(orjson.dumps(next(iter(many(1, start=500)))))
    return path


def run_python(made: System, code: str) -> None:
    import subprocess  # noqa: PLC0415  one use

    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=made.environment, check=True)


def known_orders(count: int) -> tuple[float, float]:
    """Seconds of a poll that finds so many orders all known, and of only downloading and parsing them."""
    code = """
import time, sys, statistics
from datetime import UTC, datetime
import logs, settings
logs.configure()
from tasks import polling, resources
from tasks.doorbell import ring
r = resources.build(settings.load())
def once():
    begun = time.perf_counter(); polled = polling.poll(r, "okliving", ring)
    return time.perf_counter() - begun, polled
def bare():
    source, profile = r.sources["okliving"], r.profiles["okliving"]
    client = getattr(source, "connector", source).client
    begun = time.perf_counter(); number = 1
    window = polling.Window(datetime(2000, 1, 1, tzinfo=UTC), datetime.now(UTC))
    while True:
        page = profile.page(client.get_orders(profile.poll_body(window.start, window.end, number)))
        if number >= page.pages: return time.perf_counter() - begun
        number += 1
once()
known, plain = [], []
for _ in range(5):
    from sqlalchemy import text
    r.ledger.write(lambda c: c.execute(text("update cursors set watermark = NULL")))
    seconds, polled = once(); assert polled.stored == 0 and polled.orders == int(sys.argv[1]), polled
    known.append(seconds); plain.append(bare())
print(statistics.median(known), statistics.median(plain))
"""
    import subprocess  # noqa: PLC0415  one use

    with system() as made:
        for order in many(count):
            made.shop.add(order)
        done = subprocess.run(
            [sys.executable, "-c", code, str(count)],
            cwd=ROOT,
            env=made.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        known, plain = map(float, done.stdout.split())
        return known, plain


def poll() -> list[Row]:
    """A poll of 10,000 known orders against downloading and parsing its pages; one of 3,000 new ones."""
    known, plain = known_orders(10_000)
    rows = [
        Row(
            "poll of 10,000 known orders",
            f"{known / plain:.2f} ×",
            "≤ 2 ×",
            known <= 2 * plain,
            f"{known:.2f} s against {plain:.2f} s for downloading and parsing the same pages (medians of 5)",
        )
    ]
    known3, _ = known_orders(3000)
    new = statistics.median(_first_poll() for _ in range(3))
    more = new - known3
    rows.append(
        Row(
            "poll of 3,000 new orders, more than of known ones",
            f"{more:.2f} s",
            "≤ 1.5 s",
            more <= 1.5,
            f"{new:.2f} s against {known3:.2f} s (medians)",
        )
    )
    return rows


def _first_poll() -> float:
    code = """
import time, logs, settings
logs.configure()
from tasks import polling, resources
from tasks.doorbell import ring
r = resources.build(settings.load())
begun = time.perf_counter(); polled = polling.poll(r, "okliving", ring)
assert polled.stored == 3000, polled
print(time.perf_counter() - begun)
"""
    import subprocess  # noqa: PLC0415  one use

    with system() as made:
        for order in many(3000):
            made.shop.add(order)
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=made.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return float(done.stdout)


def memory() -> list[Row]:
    """Resident memory of a worker after 50,000 orders against that after 5,000."""
    # The invented orders lie a second apart, so that a poll must look back over all 5,000 of a step.
    with system(POLL_OVERLAP=6000) as made:
        worker = None
        sizes = []
        total = 0
        for target in (5_000, 50_000):
            while total < target:
                step = min(5_000, target - total)
                fill(made, step, start=total + 1)
                total += step
                if worker is None:
                    worker = made.worker("-Q", "create", threads=20)
                wait_until(lambda total=total: made.all_created(total), 300, "all created")
            sizes.append(psutil.Process(worker.pid).memory_info().rss / 2**20)
    growth = sizes[1] / sizes[0] - 1
    return [
        Row(
            "worker memory, 50,000 against 5,000 orders",
            f"{growth:+.1%}",
            "≤ 10 %",
            growth <= 0.1,
            f"{sizes[1]:.0f} against {sizes[0]:.0f} MB resident",
        )
    ]


def idle() -> list[Row]:
    """CPU of all processes of `orderbridge run` over a minute in which no order comes."""
    with system(FETCH_INTERVAL=60, SWEEP_INTERVAL=30) as made:
        made.extra["REDIS_URL"] = ""  # its own Valkey belongs to what is measured
        run = made.start_cli("run", "--plain")
        time.sleep(30)
        whole = psutil.Process(run.pid)
        family = [whole, *whole.children(recursive=True)]
        assert len(family) >= 7, made.logs()
        used = lambda: sum(sum(p.cpu_times()[:2]) for p in family if p.is_running())  # noqa: E731
        before, begun = used(), time.monotonic()
        time.sleep(60)
        share = (used() - before) / (time.monotonic() - begun)
        assert all(process.is_running() for process in family)
        assert made.shop.counts[Shop.GET_ORDERS] >= 2
        run.terminate()
        run.wait(20)
    return [
        Row(
            "idle CPU of the whole system",
            f"{share:.1%}",
            "< 2 % of a core",
            share < 0.02,
            f"{len(family)} processes over 60 s, a poll among them",
        )
    ]


def drained(orders: int = 2000, each: int = 5) -> float:
    """Updates a second to a shop that answers in 100 ms, by two workers of 25 threads."""
    code = f"""
import settings
from ledger.updates import Due
from tasks import accepting, resources
from tasks.doorbell import ring_updates
r = resources.build(settings.load())
accepting.ring_updates = lambda _: None
for order in range({orders}):
    for number in range({each}):
        fields = {{"order_id": str(1 + order), "note": str(number)}}
        accepting.accept_flat(r, fields, origin="bench")
ring_updates(Due("okliving", str(1 + order)) for order in range({orders}))
"""
    threads, total = 50, orders * each
    with system() as made:
        for order in many(orders, start=1):
            made.shop.add(order)
        run_python(made, code)
        made.shop.faults.add(Fault(kind="latency", seconds=0.1))
        for _ in range(2):
            made.worker("-Q", "updates", threads=threads // 2)
        reached = rate(made.shop, Shop.UPDATE_ORDER, total, 300)
        wait_until(lambda: len(made.shop.updates) == total, 60)
        assert all(n == [str(i) for i in range(each)] for n in made.shop.notes.values())
        return reached


def updates(orders: int = 1000, each: int = 5) -> list[Row]:
    """5,000 queued updates over 1,000 orders, shop answering in 100 ms, two workers of 25 threads, against
    bare tasks with as many in flight.
    """
    total = orders * each
    rounds = [
        (drained(orders, each), bare(total, workers=2, threads=25, latency=0.1)) for _ in range(3)
    ]
    mine, rival = (statistics.median(figures) for figures in zip(*rounds, strict=True))
    share = mine / rival
    compared = f"{mine:.0f} against {rival:.0f} a second (medians of 3); the limit is 500"
    what = (
        f"{total:,} updates over {orders:,} orders, shop in 100 ms, 2 × 25 threads, to bare tasks"
    )
    return [Row(what, f"{share:.2f}", "≥ 0.85", share >= 0.85, compared)]


def latency(count: int = 60) -> list[Row]:
    """From the 202 to the shop receiving it, against a bare task from publishing it to its POST's arrival."""
    with system() as made:
        ids = [made.shop.add(order) for order in many(count, start=1)]
        made.extra |= _bare_environment(made)
        made.worker("-Q", "updates,upkeep", threads=20)
        made.celery("-A", "bench.bare", "worker", "-c", "20", "-Q", "create", "-P", "threads")
        with doors(made) as address, httpx.Client(base_url=address) as client:
            # The first of each pay for what is loaded and opened only once.
            for order_id in (ids[0], ids[1]):
                _answered(made, client, order_id)
            ours = [_answered(made, client, order_id) for order_id in ids[2:]]
        bare = _bare_latencies(made, count)[2:]
    mine, rival = statistics.median(ours), statistics.median(bare)
    compared = f"{mine * 1000:.1f} ms against {rival * 1000:.1f} ms (medians of {len(ours)})"
    share = mine / rival
    what = "from the 202 to the shop, to a bare task and its POST"
    return [Row(what, f"{share:.2f} ×", "≤ 1.5 ×", share <= 1.5, compared)]


def _answered(made: System, client: httpx.Client, order_id: str) -> float:
    body = {"order_id": order_id, "note": "n"}
    client.post("/api/v1/updates", json=body).raise_for_status()
    answered = time.time()
    wait_until(lambda: order_id in made.shop.notes, 30)
    time.sleep(0.05)
    calls = [entry for entry in made.shop.requests if entry.path == Shop.UPDATE_ORDER]
    return calls[-1].time - answered


def _bare_latencies(made: System, count: int) -> list[float]:
    code = f"""
import time
import bench.bare as b
for n in range({count}):
    print(time.time())
    b.post.apply_async((n,), retry=False)
    time.sleep(0.15)
"""
    import subprocess  # noqa: PLC0415  one use

    told = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=made.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    wait_until(lambda: made.crm.counts[SET] == count, 30)
    arrived = [entry.time for entry in made.crm.requests if entry.path == SET]
    return [
        there - begun for begun, there in zip(map(float, told.stdout.split()), arrived, strict=True)
    ]


def gateway(count: int = 3000, paced: int = 1500, rounds: int = 3) -> list[Row]:
    """Accepted updates a second by 32 callers on either ledger, and the wait at half the wanted rate; medians
    of three rounds.
    """
    rows = []
    for name, url in (("SQLite", None), ("PostgreSQL", "postgresql")):
        rates, middles, lasts = [], [], []
        for _ in range(rounds):
            with database(url) as address_of, system(address_of) as made, doors(made) as address:
                rates.append(accepted(address, count))
                call = an_update(address, "paced")
                waits = sorted(asyncio.run(post_paced(call, paced, WANTED_RATE / 2)))
            middles.append(statistics.median(waits))
            lasts.append(waits[int(len(waits) * 0.99) - 1])
        reached, p99 = statistics.median(rates), statistics.median(lasts)
        rows += [
            Row(
                f"updates accepted a second, {name}",
                f"{reached:.0f}",
                f"≥ {WANTED_RATE}",
                reached >= WANTED_RATE,
                f"{count} updates by 32 callers, {min(rates):.0f} to {max(rates):.0f} in {rounds} rounds; "
                "every one is durable before its 202",
            ),
            Row(
                f"p99 at {WANTED_RATE // 2} a second, {name}",
                f"{p99 * 1000:.0f} ms",
                "< 50 ms",
                p99 < 0.05,
                f"{min(lasts) * 1000:.0f} to {max(lasts) * 1000:.0f} ms in {rounds} rounds; "
                f"median wait {statistics.median(middles) * 1000:.1f} ms of {len(waits)}",
            ),
        ]
    return rows


def accepted(address: str, count: int) -> float:
    """Updates a second that a gateway takes from 32 callers."""
    return count / asyncio.run(post_all(an_update(address, "full"), count, callers=32))


def an_update(address: str, key: str) -> Call:
    async def call(session: aiohttp.ClientSession, number: int) -> float:
        begun = time.perf_counter()
        async with session.post(
            f"{address}/api/v1/updates",
            json={"order_id": str(number % 500), "note": str(number)},
            headers={"Idempotency-Key": f"{key}-{number}"},
        ) as answer:
            assert answer.status == 202, await answer.text()
        return time.perf_counter() - begun

    return call


ALL: dict[str, Callable[[], list[Row]]] = {
    f.__name__: f
    for f in (
        throughput,
        backlog,
        poll,
        latency,
        gateway,
        placing.createorder,
        updates,
        idle,
        memory,
    )
}


def main(names: list[str]) -> int:
    console = Console()
    rows: list[Row] = []
    before = psutil.cpu_times()
    for name in names or ALL:
        console.print(f"[dim]{name} …[/]")
        rows += ALL[name]()
        console.print(rows[-1].what, rows[-1].figure)
        if not names:
            # After each, so that what a broken-off run has measured is kept.
            # What was written below the table by hand stays.
            _, heading, rest = RESULTS.read_text().partition("\n## ")
            RESULTS.write_text(report(rows, stolen(before)) + heading + rest)
    table = Table("what", "figure", "wanted", "", "compared with")
    for row in rows:
        table.add_row(
            row.what,
            row.figure,
            row.wanted,
            "reached" if row.reached else "[red]missed[/]",
            row.compared,
        )
    console.print(table)
    return 0 if all(row.reached for row in rows) else 1


def stolen(before: Any) -> float:
    """The share of the time in which another guest had the CPU that this machine wanted, since then."""
    now = psutil.cpu_times()
    busy = (sum(now) - now.idle) - (sum(before) - before.idle)
    return (getattr(now, "steal", 0.0) - getattr(before, "steal", 0.0)) / max(busy, 1.0)


def report(rows: list[Row], share_stolen: float) -> str:
    cores = os.cpu_count()
    lines = [
        "# Results of `make bench`",
        "",
        (
            f"{datetime.now(UTC):%Y-%m-%d}, {cores} cores, Python {platform.python_version()}, SQLite (WAL, "
            "synchronous=FULL), simulators and Valkey on the same machine. "
            f"Its host kept {share_stolen:.0%} of the busy time for others. One run of `make bench`."
        ),
        "",
        "| what | figure | wanted | | compared with |",
        "|---|---|---|---|---|",
        *(
            f"| {r.what} | {r.figure} | {r.wanted} | {'reached' if r.reached else 'missed'} | {r.compared} |"
            for r in rows
        ),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
