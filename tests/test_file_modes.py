"""Nobody else on the machine looks into what this system keeps: closed with a word, or refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import structlog

import file_modes
import settings
from connections_file import SettingsError

ROOT = Path(__file__).resolve().parents[1]


def mode(path):
    return path.stat().st_mode & 0o7777


@pytest.fixture
def lines():
    with structlog.testing.capture_logs() as captured:
        yield captured


@pytest.fixture
def data(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("ORDERBRIDGE_DATA", str(folder))
    file_modes.look_at_variables.cache_clear()
    return folder


def load(tmp_path):
    return settings.load(tmp_path / ".env")


@pytest.mark.parametrize("before", [0o755, 0o750, 0o701, 0o777, 0o770, 0o740])
def test_data_folder_of_ours_is_closed_with_a_word(data, tmp_path, lines, before):
    data.chmod(before)
    load(tmp_path)
    assert mode(data) == 0o700
    told = {"event": "closed_to_others", "path": str(data), "mode": f"{before:o}"}
    assert lines == [told | {"log_level": "warning"}]
    load(tmp_path)
    assert len(lines) == 1


@pytest.mark.parametrize("before", [0o700, 0o500])
def test_closed_folder_is_left_as_it_is_without_a_word(data, tmp_path, lines, before):
    data.chmod(before)
    load(tmp_path)
    assert (mode(data), lines) == (before, [])


def test_folder_that_is_not_there_yet_is_no_matter(data, tmp_path, lines):
    data.rmdir()
    load(tmp_path)
    assert lines == []


def test_open_folder_of_another_user_is_refused(data, tmp_path, lines, monkeypatch):
    data.chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: data.stat().st_uid + 1)
    with pytest.raises(SettingsError, match=r"mode 755.*belongs to another user.*chmod 700"):
        load(tmp_path)
    assert (mode(data), lines) == (0o755, [])


def test_closed_folder_of_another_user_that_may_be_read_is_taken(data, tmp_path, monkeypatch):
    data.chmod(0o700)
    monkeypatch.setattr(os, "geteuid", lambda: data.stat().st_uid + 1)
    load(tmp_path)


@pytest.mark.parametrize("shared", ["sticky", "home", "program"])
def test_folder_that_others_share_is_refused_and_never_closed(data, tmp_path, monkeypatch, shared):
    data.chmod(0o1777 if shared == "sticky" else 0o755)
    if shared == "home":
        monkeypatch.setenv("HOME", str(data / "olena"))
    if shared == "program":
        monkeypatch.setattr(settings, "ROOT", data / "orderbridge")
    before = mode(data)
    with pytest.raises(SettingsError, match=r"is shared.*set ORDERBRIDGE_DATA"):
        load(tmp_path)
    assert mode(data) == before


def test_folder_that_cannot_be_closed_is_refused(data, tmp_path, monkeypatch):
    data.chmod(0o755)

    def fail(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", fail)
    with pytest.raises(SettingsError, match="could not be closed: Operation not permitted"):
        load(tmp_path)


def test_ledger_of_an_older_release_is_closed_wherever_it_lies(data, tmp_path, lines, monkeypatch):
    data.chmod(0o700)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    files = [elsewhere / f"orders.db{end}" for end in ("", "-wal", "-shm")]
    for file in files:
        file.touch()
        file.chmod(0o644)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{files[0]}")
    load(tmp_path)
    assert [mode(file) for file in files] == [0o600] * 3
    assert mode(elsewhere) == 0o755
    assert [line["path"] for line in lines] == [str(file) for file in files]


@pytest.mark.parametrize(
    ("before", "said"), [(0o644, 1), (0o640, 1), (0o604, 1), (0o600, 0), (0o400, 0)]
)
def test_variables_that_others_may_read_are_told_once_and_left(data, tmp_path, lines, before, said):
    data.chmod(0o700)
    dotenv = tmp_path / ".env"
    dotenv.write_text("ONEBOX_RATE=\n")
    dotenv.chmod(before)
    load(tmp_path)
    load(tmp_path)
    assert [line["event"] for line in lines] == ["env_file_open_to_others"] * said
    assert mode(dotenv) == before


def test_who_imports_us_keeps_the_modes_of_his_own_files(tmp_path):
    code = "import os; os.umask(0o022); import tasks.accepting, gateway.app, cli.app; print(os.umask(0))"
    env = os.environ | {"ORDERBRIDGE_DATA": str(tmp_path), "REDIS_URL": "redis://127.0.0.1:1/0"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == 0o022


def test_migrate_writes_a_ledger_that_is_closed(tmp_path):
    folder = tmp_path / "new" / "data"
    env = os.environ | {"ORDERBRIDGE_DATA": str(folder)}
    done = subprocess.run(
        ["/bin/sh", "-c", 'umask 000; exec "$0" -m cli migrate', sys.executable],
        cwd=ROOT, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = list(folder.parent.rglob("*"))
    assert any(path.name == "ledger.db" for path in made)
    assert {str(path): oct(mode(path)) for path in made if mode(path) & 0o077} == {}
