"""A developer's own settings, in the environment or in `.env`, reach no test and nothing that one starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import dotenv_file
import setting_names
import settings

ROOT = Path(__file__).resolve().parents[1]
LIVE = dict.fromkeys(setting_names.NAMES | {f"{n}_FILE" for n in setting_names.BY_FILE}, "live")
LEFT = """
import json, os, runpy, setting_names
runpy.run_path("tests/conftest.py")
print(json.dumps({n: v for n, v in os.environ.items() if setting_names.is_ours(n)}))
"""


def test_no_setting_of_the_environment_is_left():
    told = subprocess.run(
        [sys.executable, "-c", LEFT],
        cwd=ROOT,
        env={**os.environ, **LIVE, "FLOWER_DEBUG": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert json.loads(told) == {"ORDERBRIDGE_DOTENV": os.devnull}


@pytest.mark.parametrize("emptied", [False, True])
def test_the_env_file_of_the_project_is_not_the_one_that_is_read(
    process_environment, tmp_path, emptied
):
    if emptied:
        process_environment.clear()
    process_environment["ORDERBRIDGE_DATA"] = str(tmp_path)
    assert not dotenv_file.place().is_relative_to(ROOT)
    assert settings.load().sandbox


# What these start is no program of ours.
OTHERS = {"test_compose.py", "test_gateway_front.py", "test_whole_roles.py"}
BARE = """"PATH": os.environ["PATH"]"""


def test_no_test_starts_a_program_that_would_find_it():
    """Whoever makes an environment from nothing must take the file's place out of it, too."""
    for path in (ROOT / "tests").rglob("*.py"):
        text = path.read_text()
        if path.name not in OTHERS and BARE in text:
            assert "ORDERBRIDGE_DOTENV" in text, path.name
