"""The programs of our own that a run starts: workers, beat, gateway, Flower; and who stops before whom.

In: the data folder and the doors' ports. Out: what to start, and how long each may take to stop. Nothing
fails. A program or a worker that the system needs is added here. Called by run/system.py.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

# Who is gone before whom: first what brings new work, last what the others need.
BRINGS_WORK, WORKS, REMOTES, BROKER = range(4)
# Seconds from SIGTERM to SIGKILL; all of them together are less than the 10 s of a stop.
STOP_SECONDS = {BRINGS_WORK: 1.2, WORKS: 5.5, REMOTES: 1.0, BROKER: 1.5}

# The workers: what each serves, with how many threads. Each lane has its own, so that a remote which hangs
# stops no other lane; and more threads than one remote may have calls in flight, so that it leaves some
# of its own lane to the others.
LANES = {"create": ("create", 20), "updates": ("updates,ocp", 16), "fetch": ("fetch,upkeep", 8)}


@dataclass(frozen=True, slots=True)
class Program:
    """One of them: Python with these arguments, and with these variables besides those of the run."""

    name: str
    stop_rank: int
    arguments: tuple[str, ...]
    env: Mapping[str, str] | None = None
    on_orphaned: signal.Signals = signal.SIGKILL


def own_programs(data: Path, gateway: int | None, flower: int) -> Iterator[Program]:
    """All that there are beside the broker and the simulators; the doors on these ports. None: no gateway."""
    app = ("-m", "celery", "-A", "tasks")
    # Workers need not know of each other; Flower hears them all the same.
    worker = (*app, "worker", "--pool", "threads", "--without-gossip", "--without-mingle")
    for lane, (queues, threads) in LANES.items():
        lanes = ("-c", str(threads), "-Q", queues, "-n", f"{lane}@%h")
        yield Program(lane, WORKS, (*worker, *lanes))
    schedule = str(data / "celerybeat-schedule")
    yield Program("beat", BRINGS_WORK, (*app, "beat", "-s", schedule, "--pidfile="))
    if gateway is not None:
        yield Program(
            "gateway",
            BRINGS_WORK,
            ("-m", "cli", "gateway", "--host", "127.0.0.1", "--port", str(gateway)),
            # It finishes what is under way.
            on_orphaned=signal.SIGTERM,
        )
    yield Program(
        "flower",
        BRINGS_WORK,
        (*app, "flower", "--conf=flowerconfig.py"),
        env={"FLOWER_PORT": str(flower)},
    )
