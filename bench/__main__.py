"""Runs every measurement, prints the table and writes it to bench/RESULTS.md.

`python -m bench` runs all, `python -m bench NAME ...` some (then nothing is written). Each measurement is a
function that returns rows; medians over its rounds, the two sides of a ratio in turn in the same run.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import orjson
import psutil
from rich.console import Console
from rich.table import Table
from whole.system import ROOT, System, wait_until

from simulator.crm import Crm
from simulator.faults import Fault
from simulator.samples import many
from simulator.shop import Shop

RESULTS = Path(__file__).with_name("RESULTS.md")
SET = Crm.ORDER_SET


@dataclass
class Row:
    """One figure: what, how much, what is wanted, what it was compared with."""

    what: str
    figure: str
    wanted: str
    reached: bool
    compared: str


@contextmanager
def system(**environment: object):
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/ledger.db"
        settings = {
            "FETCH_INTERVAL": 3600,
            "SWEEP_INTERVAL": 3600,
            "ONEBOX_TIMEOUT": 30,
            **environment,
        }
        with System(folder, url, shop=Shop(max_limit=1000), crm=Crm(race=0.0), **settings) as made:
            yield made


def fill(made: System, count: int, start: int = 1) -> None:
    for order in many(count, start=start):
        made.shop.add(order)
    done = made.cli("fetch", "--json")
    assert done.returncode == 0, done.stderr


def rate(made: System, path: str, count: int, seconds: float = 120) -> float:
    """Calls a second that the CRM saw, from the first twentieth of `count` to the last, the ramp left out."""
    begun = 0.0
    skip = count // 20
    deadline = time.monotonic() + seconds
    while made.crm.counts[path] < count:
        if not begun and made.crm.counts[path] >= skip:
            begun, skip = time.perf_counter(), made.crm.counts[path]
        if time.monotonic() > deadline:
            raise AssertionError(f"{made.crm.counts[path]} of {count} calls within {seconds} s")
        time.sleep(0.005)
    return (count - skip) / (time.perf_counter() - begun)


def backlog() -> list[Row]:
    """3,000 orders, CRM answering in 200 ms, two workers of 50 threads: 500 a second is the limit."""
    with system(ONEBOX_CONCURRENCY=100) as made:
        fill(made, 3000)
        made.crm.faults.add(Fault(kind="latency", seconds=0.2))
        for _ in range(2):
            made.worker("-Q", "create", threads=50)
        reached = rate(made, SET, 3000)
        wait_until(lambda: made.all_created(3000), 60)
        share = reached / 500
    compared = f"{reached:.0f} of 500 orders a second (100 in flight / 0.2 s)"
    return [
        Row(
            "backlog, CRM in 200 ms, 2 × 50 threads",
            f"{share:.2f}",
            "≥ 0.90",
            share >= 0.9,
            compared,
        )
    ]


def throughput() -> list[Row]:
    """No latency, one worker of 20 threads, against the bare task; three rounds in turn."""
    ours, bare = [], []
    for _ in range(3):
        ours.append(_ours())
        bare.append(_bare())
    mine, rival = statistics.median(ours), statistics.median(bare)
    share = mine / rival
    compared = f"{mine:.0f} against {rival:.0f} tasks a second (medians of 3)"
    return [
        Row(
            "no latency, 1 × 20 threads, to a bare task",
            f"{share:.2f}",
            "≥ 0.60",
            share >= 0.6,
            compared,
        )
    ]


def _ours(count: int = 3000) -> float:
    with system() as made:
        fill(made, count)
        made.worker("-Q", "create", threads=20)
        reached = rate(made, SET, count)
        wait_until(lambda: made.all_created(count), 60)
        return reached


def _bare(count: int = 3000) -> float:
    with system() as made:
        token = httpx.post(
            f"{made.crm_server.url}/api/v2/token/get/",
            json={"login": made.crm.login, "restapipassword": made.crm.password},
        ).json()["dataArray"]["token"]
        sample = made.cli("preview", str(_sample(made.folder)), "--json")
        body = {"0": orjson.loads(sample.stdout)["target"]}
        made.extra |= {
            "BENCH_URL": made.crm_server.url + SET,
            "BENCH_TOKEN": token,
            "BENCH_BODY": orjson.dumps(body).decode(),
        }
        code = f"import bench.bare as b\nfor n in range({count}): b.post.apply_async((n,), retry=False)"
        run_python(made, code)
        made.celery("-A", "bench.bare", "worker", "-c", "20", "-Q", "create", "-P", "threads")
        return rate(made, SET, count)


def _sample(folder: Path) -> Path:
    path = folder / "sample.json"
    path.write_bytes(orjson.dumps(next(iter(many(1, start=500)))))
    return path


def run_python(made: System, code: str) -> None:
    import subprocess  # noqa: PLC0415  one use

    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=made.environment, check=True)


def poll() -> list[Row]:
    """A poll of 10,000 known orders against downloading and parsing its pages; one of 3,000 new ones."""
    code = """
import time, sys, statistics
import settings
from tasks import polling, resources
from tasks.doorbell import ring
r = resources.build(settings.load())
def once():
    begun = time.perf_counter(); polled = polling.poll(r, "okliving", ring)
    return time.perf_counter() - begun, polled
def bare():
    source, profile = r.sources["okliving"], r.profiles["okliving"]
    begun = time.perf_counter(); number = 1
    window = polling.Window(settings.EVERYTHING, polling.datetime.now(polling.UTC))
    while True:
        page = profile.page(source.client.get_orders(profile.poll_body(window.start, window.end, number)))
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

    def measure(count: int) -> tuple[float, float]:
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

    known, plain = measure(10_000)
    rows = [
        Row(
            "poll of 10,000 known orders",
            f"{known / plain:.2f} ×",
            "≤ 2 ×",
            known <= 2 * plain,
            f"{known:.2f} s against {plain:.2f} s for downloading and parsing the same pages (medians of 5)",
        )
    ]
    known3, _ = measure(3000)
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
import time, settings
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
    with system() as made:
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
    """CPU of all processes of `orderbridge run` over a minute with nothing to do."""
    with tempfile.TemporaryDirectory() as folder:
        import subprocess  # noqa: PLC0415  one use

        environment = {**os.environ, "ORDERBRIDGE_DATA": folder, "FETCH_INTERVAL": "60"}
        with Path(folder, "out").open("wb") as out:
            run = subprocess.Popen(
                [sys.executable, "-m", "cli", "run", "--plain"],
                cwd=ROOT,
                env=environment,
                stdout=out,
                stderr=out,
            )
        try:
            time.sleep(30)
            whole = psutil.Process(run.pid)
            family = [
                p
                for p in (whole, *whole.children(recursive=True))
                if "simulator" not in p.cmdline()
            ]
            used = lambda: sum(sum(p.cpu_times()[:2]) for p in family if p.is_running())  # noqa: E731
            before, begun = used(), time.monotonic()
            time.sleep(60)
            share = (used() - before) / (time.monotonic() - begun)
        finally:
            run.terminate()
            run.wait(20)
    return [
        Row(
            "idle CPU of the whole system",
            f"{share:.1%}",
            "< 2 % of a core",
            share < 0.02,
            f"{len(family)} processes over 60 s, the simulators left out",
        )
    ]


ALL: dict[str, Callable[[], list[Row]]] = {
    f.__name__: f for f in (backlog, throughput, poll, memory, idle)
}


def main(names: list[str]) -> int:
    console = Console()
    rows: list[Row] = []
    for name in names or ALL:
        console.print(f"[dim]{name} …[/]")
        rows += ALL[name]()
        console.print(rows[-1].what, rows[-1].figure)
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
    if not names:
        RESULTS.write_text(report(rows))
    return 0 if all(row.reached for row in rows) else 1


def report(rows: list[Row]) -> str:
    cores = os.cpu_count()
    lines = [
        "# Results of `make bench`",
        "",
        (
            f"{datetime.now(UTC):%Y-%m-%d}, {cores} cores, Python {platform.python_version()}, SQLite (WAL, "
            "synchronous=NORMAL in workers), simulators and Valkey on the same machine."
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
