"""Commands in this process, over an empty data folder and a migrated ledger."""

from __future__ import annotations

import shutil
import sys

import pytest

import default_pair
from cli import app as cli
from ledger.database import open_ledger


@pytest.fixture
def folder(tmp_path, monkeypatch, process_environment):
    """An empty data folder, with nothing else configured."""
    monkeypatch.setattr(cli.logs, "configure", lambda *_: None)
    for name in (
        "REDIS_URL",
        "ORDERBRIDGE_SANDBOX",
        *default_pair.VARIABLES,
    ):
        process_environment.pop(name, None)
    process_environment["ORDERBRIDGE_DATA"] = str(tmp_path)
    return tmp_path


@pytest.fixture
def run(folder, monkeypatch, capfd):
    """Run a command in this process: its exit code, stdout and stderr, the latter on one line."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["orderbridge", *arguments])
        with open(
            1, "w", encoding="utf-8", closefd=False
        ) as stdout:  # as a real one: UTF-8, a file
            monkeypatch.setattr(sys, "stdout", stdout)
            try:
                code = cli.main() or 0
            except SystemExit as exc:
                code = exc.code or 0
        said = capfd.readouterr()
        return code, said.out, " ".join(said.err.split())

    return run


@pytest.fixture
def ledger(folder, migrated_file):
    path = folder / "sandbox" / "ledger.db"
    path.parent.mkdir(mode=0o700)
    path.touch(mode=0o600)
    shutil.copyfile(migrated_file, path)
    opened = open_ledger(f"sqlite:///{path}")
    yield opened
    opened.close()
