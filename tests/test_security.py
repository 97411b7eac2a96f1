"""Every threat of docs/security.md is tried by a test that exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "security.md").read_text()
HEAD = ["asset", "attacker", "way", "what stops it", "tests"]


def threats():
    """The table's rows, as their cells."""
    table = re.search(r"^## Threats$(.*?)^## ", TEXT, re.MULTILINE | re.DOTALL)[1]
    lines = [line for line in table.splitlines() if line.startswith("|")]
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert head == HEAD
    return rows


def defined():
    """The names of all tests, also of those within a class."""
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield node.name


THREATS = threats()
TESTS = set(defined())


@pytest.mark.parametrize("row", THREATS, ids=lambda row: f"{row[0]}: {row[2]}"[:70])
def test_a_threat_is_told_whole_and_tried_by_tests_that_exist(row):
    assert len(row) == len(HEAD)
    assert all(row)
    named = re.findall(r"`(\w+)`", row[-1])
    assert named
    assert set(named) <= TESTS


def test_no_threat_stands_twice():
    ways = [(row[0], row[1], row[2]) for row in THREATS]
    assert len(set(ways)) == len(ways) > 0
