"""One run for a data folder, its record, and how it is told to stop. (tests/whole starts it all.)"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st

import api_keys
import settings
from connectors.registry import KINDS
from run import data_folder, doors, log_pipes, places, programs, stopping
from run.errors import RunError
from run.ports import Ports


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ORDERBRIDGE_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def stop():
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield stopping.Stop()
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def test_a_second_run_on_the_same_folder_is_refused_and_told_of_the_first(folder):
    code = (
        "from run.errors import RunError\n"
        "from run.system import run\n"
        "try: run()\n"
        "except RunError as refused: print(refused)\n"
    )
    with data_folder.data_folder(folder):
        settings.run_file().write_text("REDIS_URL='redis://127.0.0.1:1/0'\n")
        second = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert settings.run_file().exists(), "the first run's record is not the second's to remove"
    assert f"already runs on {folder} (process {os.getpid()})" in second.stdout
    assert "ORDERBRIDGE_DATA" in second.stdout


def test_a_folder_is_free_again_after_a_run(folder):
    with data_folder.data_folder(folder):
        pass
    with data_folder.data_folder(folder):
        pass


def test_the_record_of_a_killed_run_is_not_believed(folder):
    folder.mkdir()
    settings.run_file().write_text("ORDERBRIDGE_SANDBOX='1'\nOKLIVING_URL='http://127.0.0.1:1'\n")
    with data_folder.data_folder(folder):
        assert not settings.run_file().exists()


def test_the_record_goes_with_the_run_even_when_it_fails(folder):
    def failing_run():
        with data_folder.data_folder(folder):
            settings.run_file().write_text("A='1'\n")
            raise RunError

    with pytest.raises(RunError):
        failing_run()
    assert not settings.run_file().exists()


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])))
def test_what_is_recorded_is_read_back(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("record") / "run.env"
    path.write_text(f"NAME={data_folder.quoted(value)}\n", "utf-8")
    assert dotenv_values(path, interpolate=False) == {"NAME": value}


def test_the_stops_of_all_ranks_add_up_to_less_than_ten_seconds():
    assert sum(programs.STOP_SECONDS.values()) + log_pipes.LAST_WORDS < 9.9


def test_a_remote_that_hangs_leaves_threads_of_its_lane_to_the_others():
    """By default a remote takes as many of a lane's threads as it may have calls in flight."""
    shop, box = (KINDS[kind].keys["concurrency"].load_default for kind in ("okliving", "onebox"))
    assert programs.LANES["updates"][1] >= shop + 4
    assert programs.LANES["create"][1] >= box + 4


@pytest.mark.parametrize(
    ("sandbox", "key", "started"), [(True, "", True), (False, "", False), (False, "erp", True)]
)
def test_the_gateway_of_real_systems_is_started_with_a_key_alone(tmp_path, sandbox, key, started):
    keys = api_keys.listed(f"{key}:{'k' * 24}" if key else "")
    chosen = SimpleNamespace(
        sandbox=sandbox, data=tmp_path, api_keys=keys, key_file=tmp_path / api_keys.FILE
    )
    taken = Ports()
    door = doors.gateway(chosen, taken)
    taken.close()

    assert ("gateway" in {p.name for p in programs.own_programs(tmp_path, door.port, 1)}) is started
    assert ("orderbridge key new" in door.place.note) is not started


def test_one_signal_stops_and_its_echo_does_not_hurry(stop):
    assert not stop.requested()
    stop.check()
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
    assert stop.requested()
    assert not stop.hurried()
    with pytest.raises(stopping.Stopped):
        stop.check()


def test_a_second_interrupt_hurries(stop, monkeypatch):
    monkeypatch.setattr(stopping, "DOUBLE", 0.0)
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)
    assert stop.hurried()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:secret@127.0.0.1:6380/0", "redis://127.0.0.1:6380/0"),
        ("rediss://user:secret@redis.example.com/1", "rediss://redis.example.com:6379/1"),
    ],
)
def test_an_address_is_shown_without_its_password(url, shown):
    assert places.without_password(url) == shown
