"""All faults at once, drawn from a seed: nothing lost, nothing doubled, nothing swallowed.

`make chaos SEEDS=10` runs seeds 1 to 10 on both databases. `SEED=4` runs that one alone, and
`FAULTS=paging,clock` switches only those on (chaos/plan.py names them), to find out which one it is.
"""

from __future__ import annotations

import os
import sys

import pytest
from whole.chaos.plan import FAULTS, draw
from whole.chaos.play import World, run
from whole.chaos.verdict import judge

pytestmark = [pytest.mark.whole, pytest.mark.long]

SEEDS = (
    [int(os.environ["CHAOS_SEED"])]
    if os.environ.get("CHAOS_SEED")
    else range(1, int(os.environ.get("CHAOS_SEEDS") or 10) + 1)
)
ONLY = frozenset(filter(None, os.environ.get("CHAOS_FAULTS", "").split(",")))
assert set(FAULTS) >= ONLY, f"CHAOS_FAULTS may name {', '.join(FAULTS)}"


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
@pytest.mark.parametrize("seed", SEEDS)
def test_everything_at_once(tmp_path, database_url, request, seed):
    kind = database_url.partition(":")[0].partition("+")[0]
    plan = draw(seed, kind, ONLY)
    sys.stdout.write(f"{plan}\n")  # pytest shows it whatever fails
    server = None if kind == "sqlite" else request.getfixturevalue("postgres")
    with World(tmp_path, database_url, plan, server) as world:
        run(world)
        judge(world)
