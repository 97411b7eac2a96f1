"""The licence stands, and whose work is shipped is told in the version that is installed."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
TOLD = (ROOT / "THIRD-PARTY.md").read_text()
ROWS = dict(re.findall(r"^\| ([\w.-]+) \| (\d[^ ]*) \| [^|]+ \|$", TOLD, re.MULTILINE))


def script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "deploy" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


NOTICES, AUDIT = script("notices"), script("audit")


def installed():
    for name, version in NOTICES.pinned().items():
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        yield name, version


@pytest.mark.parametrize(("name", "version"), sorted(installed()))
def test_every_package_that_is_shipped_is_told_in_its_version(name, version):
    """Else: make notices."""
    assert ROWS[name] == version
    assert f"| {name} | {version} | {NOTICES.licence(name)} |" in TOLD


def test_no_package_is_told_that_is_not_pinned():
    assert ROWS.items() <= NOTICES.pinned().items()


def test_every_image_that_is_fetched_is_told():
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"].values()
    images = {one["image"].partition(":")[0] for one in services}
    for recipe in ("Dockerfile", "front.Dockerfile"):
        text = (ROOT / "deploy" / recipe).read_text()
        images |= {
            base.partition(":")[0] for base in re.findall(r"^FROM (\S+)", text, re.MULTILINE)
        }
    for image in images - {"orderbridge", "orderbridge-front"}:
        assert f"`{image}`" in TOLD


def test_the_licence_of_valkey_is_reproduced():
    assert "Valkey contributors" in TOLD
    assert "Redistributions in binary form must reproduce the above copyright notice" in TOLD


def test_the_licence_is_named_where_tools_look():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (project["license"], project["license-files"]) == ("MIT", ["LICENSE", "THIRD-PARTY.md"])
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")
    let_in = (ROOT / ".dockerignore").read_text().splitlines()
    assert {"!LICENSE", "!THIRD-PARTY.md"} <= set(let_in)


# --- make audit ---------------------------------------------------------------------------------------

GOOD = {"name": "a", "version": "1", "vulns": []}
BAD = {"name": "b", "version": "2", "vulns": [{"id": "X-1", "fix_versions": ["3"]}]}
SKIPPED = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("told", "code", "said"),
    [
        ([GOOD], 0, "1 versions were compared"),
        ([GOOD, BAD], 1, "b 2: X-1, mended in 3"),
        ([BAD, SKIPPED], 1, "for 1 of 2 versions"),
        ([GOOD, SKIPPED], 2, "for 1 of 2 versions. This says nothing of the others"),
        ([SKIPPED], 2, "for 0 of 1 versions"),
        ([], 2, "for 0 of 0 versions"),
    ],
)
def test_an_audit_takes_no_silence_for_a_clean_bill(told, code, said):
    given, lines = AUDIT.judge(json.dumps({"dependencies": told}), "")
    assert given == code
    assert said in " ".join(lines)


@pytest.mark.parametrize("output", ["", "[]", "{}", "null", "no network"])
def test_an_audit_without_an_answer_says_so(output):
    code, lines = AUDIT.judge(output, "Traceback\nthe host cannot be resolved")
    assert code == 2
    assert "the host cannot be resolved" in lines[0]
