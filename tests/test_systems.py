"""The flows know systems by what they can do: no name of one stands in them, but where a comment cites it."""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NAMES = re.compile("okliving|onebox|shopware|createorder", re.IGNORECASE)
FLOWS = [p for folder in ("tasks", "ledger", "desk") for p in sorted((ROOT / folder).rglob("*.py"))]


def words(path):
    """What the program says: names and texts, without comments and docstrings."""
    before = tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        begins = before in {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.NL}
        if token.type != tokenize.COMMENT and not (token.type == tokenize.STRING and begins):
            yield token.string
        if token.type != tokenize.COMMENT:
            before = token.type


@pytest.mark.parametrize("path", FLOWS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_flow_names_a_system(path):
    named = {word for word in words(path) if NAMES.search(word)}
    assert not named
