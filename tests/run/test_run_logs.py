"""Logs of programs turn over while these run: bounded, no line lost, and no program waits for its log."""

from __future__ import annotations

import io
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from run import log_pipes, log_writer
from run.processes import Process, Supervisor

LINES = 1000
# Says so many numbered lines as fast as it can, then leaves a mark that it is through.
TALKATIVE = (
    f"import pathlib, time\nfor n in range({LINES}): print('line', n, 'é' * (n % 50), flush=True)\n"
    "pathlib.Path('through').touch(); time.sleep(600)"
)
SIZE = 5000


@pytest.fixture
def small(monkeypatch):
    def small(size=SIZE, old=1000):
        monkeypatch.setattr(log_pipes, "LOG_BYTES", size)
        monkeypatch.setattr(log_pipes, "OLD_LOGS", old)

    return small


def program(folder: Path, name: str = "one", code: str = TALKATIVE, **changes) -> Process:
    folder.mkdir(exist_ok=True)
    described = {
        "argv": (sys.executable, "-c", code),
        "log_path": folder / f"{name}.log",
        "stop_rank": 0,
        "cwd": folder,
        "stop_seconds": 5.0,
    }
    return Process(name=name, **(described | changes))


def said(path: Path) -> str:
    """What stands there; a file that has just been renamed is looked at the next time."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def files(folder: Path, name: str = "one") -> list[Path]:
    """The logs of this program, the oldest first."""
    old = [path for path in folder.glob(f"{name}.log.*") if path.suffix[1:].isdecimal()]
    return [*sorted(old, key=lambda path: -int(path.suffix[1:])), folder / f"{name}.log"]


def numbers(folder: Path, name: str = "one") -> list[int]:
    lines = [line for path in files(folder, name) for line in said(path).splitlines()]
    return [int(line.split()[1]) for line in lines if line.startswith("line ")]


def test_a_log_turns_over_while_its_program_runs_and_no_line_is_lost(
    supervisor, tmp_path, until, small
):
    small()
    supervisor.start(program(tmp_path))
    until(lambda: len(numbers(tmp_path)) == LINES)
    assert numbers(tmp_path) == list(range(LINES))
    found = files(tmp_path)
    assert len(found) > 10
    assert all(path.stat().st_size <= SIZE for path in found)
    assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {0o600}
    assert supervisor.statuses()[0].restarts == 0


def test_no_more_old_ones_are_kept_than_are_to_be(supervisor, tmp_path, until, small):
    small(old=2)
    supervisor.start(program(tmp_path))
    until(lambda: numbers(tmp_path)[-1:] == [LINES - 1])
    assert [path.name for path in files(tmp_path)] == ["one.log.2", "one.log.1", "one.log"]
    assert numbers(tmp_path)[0] > 0


def test_each_program_has_its_own(supervisor, tmp_path, until, small):
    small()
    for name in ("one", "two"):
        supervisor.start(program(tmp_path, name))
    until(lambda: all(len(numbers(tmp_path, name)) == LINES for name in ("one", "two")))


def test_a_full_log_of_before_is_an_old_one(supervisor, tmp_path, until, small):
    small(size=10)
    (tmp_path / "one.log").write_text("an old story\n")
    supervisor.start(program(tmp_path, code="print('new'); import time; time.sleep(600)"))
    until(lambda: said(tmp_path / "one.log.1") and said(tmp_path / "one.log"))
    assert (tmp_path / "one.log.1").read_text() == "an old story\n"


def test_a_start_after_a_death_goes_on_in_the_same_log(supervisor, tmp_path, until):
    supervisor.start(program(tmp_path, code="print('again')"))
    until(lambda: supervisor.tick() or said(tmp_path / "one.log").count("again\n") == 2)
    first, note, second = said(tmp_path / "one.log").splitlines()[:3]
    assert first == second == "again"
    assert "one ended with exit code 0; again in" in note


def test_the_last_words_before_a_stop_stand_in_the_log(tmp_path, until):
    code = (
        "import signal, sys, time\n"
        "def end(*_):\n    print('last words ' * 5000); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\nprint('up', flush=True); time.sleep(600)"
    )
    supervised = Supervisor()
    supervised.start(program(tmp_path, code=code))
    until(lambda: "up" in said(tmp_path / "one.log"))
    supervised.stop()
    assert (tmp_path / "one.log").read_text().count("last words") == 5000


def _writer(supervisor: Supervisor) -> subprocess.Popen[bytes]:
    return supervisor._children["one"].log._writer


def test_writers_that_hang_do_not_add_up_at_a_stop(tmp_path, until):
    supervised = Supervisor()
    for number in range(4):
        supervised.start(
            program(tmp_path, f"p{number}", "print('up', flush=True); import time; time.sleep(600)")
        )
    until(lambda: all(said(tmp_path / f"p{number}.log") for number in range(4)))
    for child in supervised._children.values():
        child.log._writer.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    supervised.stop(lambda: True)
    assert time.monotonic() - began < log_pipes.LAST_WORDS + 1


def test_a_writer_that_dies_is_replaced_and_finds_what_was_said_meanwhile(
    supervisor, tmp_path, until
):
    """Nobody looks meanwhile: the program is through all the same."""
    code = f"print('before', flush=True); open('go').readline(); exec({TALKATIVE!r})"
    os.mkfifo(tmp_path / "go")
    supervisor.start(program(tmp_path, code=code))
    until(lambda: said(tmp_path / "one.log"))
    _writer(supervisor).kill()
    _writer(supervisor).wait()
    (tmp_path / "go").write_text("go\n")
    until((tmp_path / "through").exists)
    supervisor.tick()
    until(lambda: numbers(tmp_path) == list(range(LINES)))
    assert supervisor.statuses()[0].restarts == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of a death")
@pytest.mark.parametrize("end", [signal.SIGSTOP, signal.SIGKILL])
def test_a_supervisor_that_stops_or_dies_stops_nobody_from_saying_all(tmp_path, until, end):
    """A program that may finish when it is orphaned finishes, and its words are kept."""
    code = (
        "import signal; signal.signal(signal.SIGTERM, lambda *_: None); open('go').readline();"
        f"exec({TALKATIVE.removesuffix('time.sleep(600)')!r})"
    )
    script = f"""
import signal, sys, time
from pathlib import Path
from run import log_pipes
from run.processes import Process, Supervisor
log_pipes.LOG_BYTES, log_pipes.OLD_LOGS = {SIZE}, 1000
supervisor = Supervisor()
folder = Path({str(tmp_path)!r})
supervisor.start(Process(name="one", argv=(sys.executable, "-c", {code!r}), stop_rank=0, cwd=folder,
                         log_path=folder / "one.log", on_orphaned=signal.SIGTERM))
print("up", flush=True)
while True:
    supervisor.tick()
    time.sleep(0.05)
"""
    os.mkfifo(tmp_path / "go")
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, start_new_session=True
    ) as supervising:
        supervising.stdout.readline()
        with (tmp_path / "go").open("w") as go:  # opened by both: the program is up
            supervising.send_signal(end)
            go.write("go\n")
        until((tmp_path / "through").exists)
        until(lambda: numbers(tmp_path) == list(range(LINES)))
        supervising.kill()


def test_a_log_that_cannot_be_written_stops_nobody(supervisor, tmp_path, until):
    (tmp_path / "one.log").mkdir()
    supervisor.start(program(tmp_path, code=TALKATIVE.replace("flush", "end='x' * 2000, flush")))
    until((tmp_path / "through").exists)
    assert _writer(supervisor).poll() is None


# --- the writer by itself ---------------------------------------------------------------------------


def written(path: Path, said: bytes) -> None:
    log = log_writer.Log(str(path), 10_000, 1)
    log_writer.write(log, io.BytesIO(said))
    log.close()


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"line\n",
        b"\xff\xfe \xc3\n",
        "Замовлення\n".encode(),
        b"\x1b[31m%s {x}\n",
        b"\n\n",
        b"\r\n",
    ],
)
def test_what_is_said_stands_there_byte_by_byte(tmp_path, said):
    written(tmp_path / "log", said)
    assert (tmp_path / "log").exists() is bool(said)
    assert not said or (tmp_path / "log").read_bytes() == said


def test_an_end_in_the_middle_of_a_line_is_kept_as_a_line(tmp_path):
    written(tmp_path / "log", b"whole\nhalf")
    assert (tmp_path / "log").read_bytes() == b"whole\nhalf\n"


def test_lines_that_a_full_disk_took_are_told_when_there_is_room(tmp_path, monkeypatch):
    log = log_writer.Log(str(tmp_path / "log"), 10_000, 1)
    room = iter([False, False, True, True, True])

    def open_it(self=log):
        if not next(room):
            raise OSError(28, "No space left on device")
        return type(self)._open(self)

    monkeypatch.setattr(log, "_open", open_it)
    log_writer.write(log, io.BytesIO(b"one\ntwo\nthree\nfour\n"))
    log.close()
    told = (tmp_path / "log").read_text().splitlines()
    assert told[-1] == "four"
    assert "--- 2 lines were lost: this log could not be written" in told
