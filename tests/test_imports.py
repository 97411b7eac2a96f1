"""Modules are imported without surroundings: no environment, no broker, no database; and quickly."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    "cli",
    "clients",
    "connectors",
    "desk",
    "gateway",
    "ledger",
    "mapping",
    "run",
    "simulator",
    "tasks",
)
# What is a program's settings rather than a module: Alembic's.
READ_BY_PROGRAMS = {"ledger.migrations.env"}
# Seconds of imports that a short command does without.
HEAVY = {"alembic", "celery", "flask", "httpx", "jmespath", "kombu", "mapping.profile", "redis"}


def modules():
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            if name.isascii() and "versions." not in name and name not in READ_BY_PROGRAMS:
                yield name


def python(code, **environment):
    """Run it in a process that has nothing but its path."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "ORDERBRIDGE_DOTENV": os.devnull, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_every_module_is_imported_without_surroundings(tmp_path):
    names = ["logs", "settings", *modules()]
    code = (
        "import importlib, socket\n"
        "def refuse(*_, **__): raise AssertionError('a connection while importing')\n"
        "socket.socket.connect = refuse\n"
        f"for name in {names!r}:\n"
        "    importlib.import_module(name)\n"
        "print('all')"
    )
    assert python(code, ORDERBRIDGE_DATA=str(tmp_path)) == (0, "all\n", "")
    assert list(tmp_path.iterdir()) == []


def test_a_task_is_imported_where_a_setting_is_wrong(tmp_path):
    code = "import tasks.orders, tasks.updates, tasks.upkeep\nprint('all')"
    wrong = {"FETCH_INTERVAL": "often", "ORDERBRIDGE_DATA": str(tmp_path)}
    assert python(code, **wrong) == (0, "all\n", "")


@pytest.mark.parametrize(
    "program",
    ["worker", *(pytest.param(one, marks=pytest.mark.long) for one in ("beat", "inspect"))],
)
@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "REDIS_URL is not set and no running system was found."),
        ({"FETCH_INTERVAL": "0"}, "FETCH_INTERVAL must be a whole number"),
    ],
)
def test_celery_names_a_wrong_setting_in_one_sentence(tmp_path, program, environment, said):
    more = ("ping",) if program == "inspect" else ()
    done = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "tasks", program, *more],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "ORDERBRIDGE_DOTENV": os.devnull,
            "ORDERBRIDGE_DATA": str(tmp_path),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"orderbridge: {said}")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [("orders", "list"), ("orders", "list", "--json")])
def test_a_short_command_imports_nothing_that_it_does_not_need(tmp_path, arguments):
    code = (
        "import sys\n"
        f"sys.argv = ['orderbridge', *{arguments!r}]\n"
        "from cli.__main__ import start\n"
        "try:\n"
        "    start()\n"
        "except SystemExit as exc:\n"
        "    print(exc.code, *sys.modules)"
    )
    surroundings = {"ORDERBRIDGE_DATA": str(tmp_path)}
    assert python("from cli.app import app; app(['migrate'])", **surroundings)[0] == 0
    code, out, err = python(code, **surroundings)
    assert (code, err) == (0, "")
    ended, *imported = out.splitlines()[-1].split()
    assert ended == "0"
    assert HEAVY.isdisjoint(imported)


def test_every_module_of_ours_is_installed():
    """What a list lacks, tests find, which run from the root of the project; installed commands do not."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    modules = {path.stem for path in ROOT.glob("*.py")}
    packages = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for top in listed["packages"]
        for path in (ROOT / top.partition(".")[0]).rglob("__init__.py")
    }
    assert set(listed["py-modules"]) == modules
    assert set(listed["packages"]) == packages
