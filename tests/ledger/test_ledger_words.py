"""The ledger serves every system alike: it names none."""

from __future__ import annotations

import re
from pathlib import Path

LEDGER = Path(__file__).resolve().parents[2] / "ledger"


def test_ledger_names_no_system():
    named = [
        f"{path.relative_to(LEDGER)}: {line}"
        for path in LEDGER.rglob("*.py")
        for line in path.read_text().splitlines()
        if re.search("okliving|onebox", line, re.IGNORECASE)
    ]
    assert named == []
