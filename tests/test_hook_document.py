"""What docs/onebox-action.md says is held against the product: fields, outcomes, tables, examples."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from ledger.hook_listing import KNOWN_OUTCOMES
from mapping.hook import FIELDS
from mapping.profile import join, load_source, load_target

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = (ROOT / "docs" / "onebox-action.md").read_text()
PARAMETERS = {"workflow_id": "1", "status_id": "1", "source_id": None}
SHIPPED = join(
    load_source(ROOT / "mapping" / "profiles" / "okliving.yaml"),
    load_target(ROOT / "mapping" / "profiles" / "onebox.yaml", PARAMETERS),
    "okl-",
)


def blocks(first):
    """The indented blocks that begin with this word, as YAML."""
    found = re.findall(r"(?:^(?: {4}.*)?\n)+", DOCUMENT, re.MULTILINE)
    return [yaml.safe_load(text) for text in found if text.strip().startswith(first)]


def cells(heading):
    section = re.search(rf"^#+ {heading}$(.*?)(?=^#|\Z)", DOCUMENT, re.MULTILINE | re.DOTALL)[1]
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


def test_the_outcomes_are_those_that_there_are():
    assert cells("What came of a call") == list(KNOWN_OUTCOMES)


@pytest.mark.parametrize(
    ("heading", "roles"),
    [
        ("2. Make the actions", {"external_id", "order_id", "process_id"}),
        ("A tracking number", {"external_id", "tracking_number"}),
        ("A status", {"external_id", "stage", "tracking_number"}),
        ("A comment", {"external_id", "note"}),
    ],
)
def test_the_fields_are_those_that_are_read(heading, roles):
    read = {name: SHIPPED.updates.hook.role(name) for name in cells(heading)}
    assert set(read.values()) == roles
    assert all(name in FIELDS[role] for name, role in read.items())


def test_the_stages_are_rows_of_the_shipped_profile():
    (told,) = blocks("stages:")
    rows = SHIPPED.updates.hook.stages
    for row in told["stages"]:
        assert rows[row["stage"].casefold()].milestone == row["milestone"]


def test_the_milestones_are_those_of_the_shipped_profile_but_for_the_note():
    (told,) = blocks("updates:")
    for name, meant in told["updates"]["milestones"].items():
        known = SHIPPED.updates.hook.milestones[name]
        said = {key: getattr(known, key) for key in ("order", "delivery", "tracking_number")}
        assert {k: v for k, v in said.items() if v} == {
            k: v for k, v in meant.items() if k != "note"
        }
        assert known.note is None


CALLS = [
    [word for word in shlex.split(line) if "=" in word and not word.startswith("http")]
    for line in re.findall(
        r"^    (?:curl|\.venv/bin/orderbridge hooks test) .*$", DOCUMENT, re.MULTILINE
    )
]


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_every_example_asks_for_something(call):
    fields = dict(word.split("=", 1) for word in call)
    said = SHIPPED.hook_update(fields)
    assert (said.order_id, said.request is not None, said.errors) == ("300167757", True, {})


def test_there_are_examples():
    assert len(CALLS) == 5
