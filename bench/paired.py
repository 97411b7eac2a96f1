"""Measures an older commit and this one in turn, round by round, so that the machine's drift meets both.

`python -m bench.paired COMMIT [ROUNDS]` (`make bench-paired OLD=COMMIT`). The older one is checked out
beside and runs its own code under today's packages and today's measurements; bare tasks of the same run are
the yardstick. Prints the table and writes it to bench/PAIRED.md.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).with_name("PAIRED.md")
BARE = "bare"


def figures() -> dict[str, Callable[[], float]]:
    """What is measured, each as a rate: the more the better."""
    from bench import __main__ as bench  # noqa: PLC0415  only the process that measures needs it

    def doors(kind: str | None) -> float:
        with (
            bench.database(kind) as url,
            bench.system(url) as made,
            bench.doors(made) as address,
        ):
            return bench.accepted(address, 3000)

    return {
        "orders a second, SQLite": bench.ours,
        "orders a second, PostgreSQL": lambda: bench.ours(url="postgresql"),
        "orders a second, CRM in 200 ms, 2 × 50 threads": lambda: bench.ours(
            3000, workers=2, threads=50, latency=0.2
        ),
        "updates drained a second, shop in 100 ms": lambda: bench.drained(1000),
        "updates accepted a second, SQLite": lambda: doors(None),
        "updates accepted a second, PostgreSQL": lambda: doors("postgresql"),
        "known orders read a second": lambda: 10_000 / bench.known_orders(10_000)[0],
        BARE: bench.bare,
    }


def measured(tree: Path, what: str) -> float:
    """One figure of the code in `tree`, by a process of its own."""
    path = os.pathsep.join([str(tree / "tests"), str(tree), str(HERE)])
    code = (
        "import sys; sys.path.remove('') if '' in sys.path else None\n"
        "from bench.paired import figures\n"
        "print(figures()[sys.argv[1]]())"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, what],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{tree}: {what}\n{done.stderr[-3000:]}")
    return float(done.stdout.split()[-1])


def main(commit: str, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        old = Path(folder) / "old"
        subprocess.run(
            ["git", "worktree", "add", "--detach", "--quiet", old, commit], cwd=HERE, check=True
        )
        try:
            # Both are measured the same way.
            subprocess.run(["cp", "-r", HERE / "bench", old], check=True)
            write(commit, compared(old, rounds))
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", old], cwd=HERE, check=True)


def compared(old: Path, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Pairs (old, new) of every figure; of bare tasks the two are the same thing measured twice."""
    pairs: dict[str, list[tuple[float, float]]] = {}
    for number in range(rounds):
        for what in figures():
            trees = (old, HERE) if number % 2 == 0 else (HERE, old)
            told = {tree: measured(tree, what) for tree in trees}
            pairs.setdefault(what, []).append((told[old], told[HERE]))
            print(f"round {number + 1}: {what}: {told[old]:.0f} -> {told[HERE]:.0f}", flush=True)
    return pairs


def write(commit: str, pairs: dict[str, list[tuple[float, float]]]) -> None:
    lines = [
        "# An older commit against this one",
        "",
        (
            f"`make bench-paired OLD={commit}`, {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, "
            f"{len(pairs[BARE])} rounds, old and new in turn. Medians; the ratio is the median of the "
            "rounds' ratios. Bare tasks are the same code both times: their ratio is the noise."
        ),
        "",
        "| what | old | new | new / old | rounds |",
        "|---|---|---|---|---|",
    ]
    for what, rounds in pairs.items():
        before, after = (statistics.median(side) for side in zip(*rounds, strict=True))
        ratios = [b / a for a, b in rounds]
        each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        lines.append(
            f"| {what} | {before:.0f} | {after:.0f} | {statistics.median(ratios):.2f} | {each} |"
        )
    RESULTS.write_text("\n".join([*lines, ""]))
    print(RESULTS.read_text())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3)
