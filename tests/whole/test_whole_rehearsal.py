"""The README's ten minutes: each command is run, in its order, against a sandbox as `make run` starts it, and
shows what its line says.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys

import pytest
from whole.system import ROOT, a_run, free_port, wait_until

pytestmark = [pytest.mark.whole, pytest.mark.long]
COMMAND = ".venv/bin/orderbridge"
# What each command of the script shows sooner or later, in the script's order.
CLERK = (
    r"new order ID",
    r"orders on",
    r"ID\s+held",
    r"“12”",
    r"recipient\.phone",
    r"",
    r"created",
    r"Process \d+ is in the stage Shipped",
    r"20450000000001[^\n]*sent|sent[^\n]*20450000000001|(?s:ID.*sent)",
    r"in the stage Put on a shelf",
    r"(?s:Put on a shelf.*Shipped)",
)
ENGINEER = (
    r"onebox is broken",
    r"new order ID",
    r"orders on",
    r"waiting",
    r"(?s:onebox.*bad)",
    r"onebox[^\n]*mended",
    r"created",
    r"onebox",
    r"new order ID",
    r"orders on",
    r"waiting|received",
    r"onebox",
    r"created",
)


def script(heading):
    """The commands of one half of the README's script."""
    text = (ROOT / "README.md").read_text()
    section = text[text.index("## Rehearse") :]
    half = section[section.index(f"\n{heading}:\n") :]
    block = re.search(r"```\n(.*?)```", half, re.DOTALL)[1]
    return [re.split(r"  +", line)[0] for line in block.strip().splitlines()]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    """A sandbox as a newcomer starts it, on free ports; the surroundings of its commands."""
    folder = tmp_path_factory.mktemp("rehearsal")
    surroundings = {
        **os.environ,
        "ORDERBRIDGE_DATA": str(folder),
        "FLOWER_PORT": str(free_port()),
        "FETCH_INTERVAL": "3",
        "COLUMNS": "160",
    }
    with a_run(surroundings, folder / "run.log") as log:
        wait_until(lambda: re.search(r"order \d+  created", log.read_text()), what=log.read_text)
        yield surroundings


def run(line, surroundings):
    assert line.startswith(COMMAND), line
    done = subprocess.run(
        [sys.executable, "-m", "cli", *shlex.split(line)[1:]],
        cwd=ROOT,
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == (1 if line.endswith(" check") else 0), (line, done.stderr)
    return done.stdout


def screen(name):
    """A screen of the README, as `make screens` put it there."""
    text = (ROOT / "README.md").read_text()
    return re.search(rf"<!-- screen {name} -->\n```\n(.*?)\n```", text, re.DOTALL)[1]


@pytest.mark.parametrize(
    ("command", "name"), [("orders show ID", "show"), ("hooks list", "hooks"), ("", "live")]
)
def test_the_screens_of_the_readme_have_the_heads_of_today(sandbox, command, name):
    if not command:
        assert screen(name).startswith("orderbridge · SANDBOX · last poll: ")
        assert re.search(r"^waits for a person   \d+ held$", screen(name), re.MULTILINE)
        return
    (made, *_) = json.loads(run(f"{COMMAND} orders list --state created --json", sandbox))
    told = run(f"{COMMAND} {command}".replace("ID", made["order_id"]), sandbox)
    # On a terminal a column of which all cells are empty is left out, or its texts stand below.
    heads = [line.split("\t")[:3] for line in told.splitlines() if "\t" in line][:1]
    shown = [re.split(r"  +", line)[:3] for line in screen(name).splitlines()]
    # A call of a hook there may be none of yet.
    assert all(head in shown for head in heads)
    assert heads or name == "hooks"


@pytest.mark.parametrize(("half", "shows"), [("The clerk", CLERK), ("The engineer", ENGINEER)])
def test_the_script_of_the_readme_shows_what_it_says(sandbox, half, shows):
    lines = script(half)
    assert len(lines) == len(shows)
    order_id = "ID"
    for line, shown in zip(lines, shows, strict=True):
        told = ""

        def is_shown(line=line, shown=shown):
            nonlocal told, order_id
            told = run(re.sub(r"\bID\b", order_id, line), sandbox)
            if found := re.search(r"new order (\d+)", told):
                order_id = found[1]
            return re.search(re.sub(r"\bID\b", order_id, shown), told)

        if re.search(r" (list|show|check)\b", line):
            wait_until(is_shown, what=lambda line=line: f"{line}\n{told}", look=0.5)  # noqa: B023  said at once
        else:
            assert is_shown(), f"{line}\n{told}"
