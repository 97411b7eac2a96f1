"""The supervisor: what dies comes back, what is stopped stops in time, nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from run.processes import Process, next_delay

# Says its process id, then waits for ever.
PATIENT = "import os, time; print('pid', os.getpid(), flush=True); time.sleep(600)"
STUBBORN = (
    "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print('pid', os.getpid(), flush=True); time.sleep(600)"
)
# Has a child of its own, in its group, that ignores SIGTERM.
PARENT = (
    "import subprocess, sys, time;"
    f"subprocess.Popen([sys.executable, '-c', {STUBBORN!r}]); time.sleep(600)"
)


def program(folder: Path, name: str, code: str, **changes) -> Process:
    described = {
        "argv": (sys.executable, "-c", code),
        "log_path": folder / f"{name}.log",
        "stop_rank": 0,
        "cwd": folder,
        "stop_seconds": 5.0,
    }
    return Process(name=name, **(described | changes))


def pids(log: Path) -> list[int]:
    if not log.exists():
        return []
    words = [line.split() for line in log.read_text().splitlines()]
    return [int(word[1]) for word in words if len(word) == 2 and word[0] == "pid"]


def alive(pid: int) -> bool:
    """Zombies are dead: who adopted them may take its time."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("delay", "lived", "expected"),
    [
        (0, 0, 0.5),
        (0.5, 0, 1),
        (1, 29.9, 2),
        (8, 0, 10),
        (10, 0, 10),
        (10, 30, 0.5),
        (4, 3_000, 0.5),
    ],
)
def test_waits_double_up_to_ten_seconds_and_start_again_after_a_good_life(delay, lived, expected):
    assert next_delay(delay, lived) == expected


def test_a_killed_program_is_started_again(supervisor, tmp_path, until):
    described = program(tmp_path, "patient", PATIENT)
    supervisor.start(described)
    until(lambda: len(pids(described.log_path)) == 1)

    os.kill(pids(described.log_path)[0], signal.SIGKILL)
    until(lambda: supervisor.tick() or len(pids(described.log_path)) == 2)

    [status] = supervisor.statuses()
    assert (status.restarts, status.again_in) == (1, None)
    assert status.pid == pids(described.log_path)[1]
    assert "patient ended with SIGKILL; again in 0.5 s" in described.log_path.read_text()


def test_a_program_that_ends_well_is_started_again_too(supervisor, tmp_path, until):
    described = program(tmp_path, "short", "import os; print('pid', os.getpid())")
    supervisor.start(described)
    until(lambda: supervisor.tick() or len(pids(described.log_path)) == 2)
    assert "ended with exit code 0" in described.log_path.read_text()


def test_a_program_that_cannot_be_started_is_never_given_up(supervisor, tmp_path, until):
    supervisor.start(program(tmp_path, "absent", "", cwd=tmp_path / "absent"))
    until(lambda: supervisor.tick() or supervisor.statuses()[0].restarts == 2)
    said = "absent could not be started: No such file"
    until(lambda: said in (tmp_path / "absent.log").read_text())


SAYS = "import sys; print({!r}, file=sys.stderr); sys.exit(2)"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("orderbridge: FLOWER_PORT is wrong.", "FLOWER_PORT is wrong."),
        ("orderbridge: FLOWER_PORT is wrong.\n{}\n", "FLOWER_PORT is wrong."),
        ("Traceback (most recent call last):\n  File x\nValueError: no", "ValueError: no"),
        ('{"event": "x"}', ""),
        ("", ""),
        ("x" * 99_999, "x" * 300),
        ("orderbridge: \x1b[2Jgone", "gone"),
    ],
)
def test_a_program_that_ends_leaves_its_last_words(supervisor, tmp_path, until, written, said):
    (tmp_path / "wrong.log").write_text("orderbridge: of another start.\n")
    supervisor.start(program(tmp_path, "wrong", SAYS.format(written)))

    def ended():
        supervisor.tick()
        # The log has a writer of its own: our note of the end stands behind all that the program said.
        noted = "again in" in (tmp_path / "wrong.log").read_text()
        return noted and supervisor.statuses()[0].again_in is not None

    until(ended)
    assert supervisor.statuses()[0].said.replace("[2J", "").replace("\\x1b", "") == said


def test_what_a_dead_program_left_of_its_group_dies_before_the_next_start(
    supervisor, tmp_path, until
):
    described = program(tmp_path, "parent", PARENT)
    supervisor.start(described)
    until(lambda: len(pids(described.log_path)) == 1)
    left = pids(described.log_path)[0]

    os.kill(supervisor.statuses()[0].pid, signal.SIGKILL)
    until(lambda: supervisor.tick() or supervisor.statuses()[0].restarts == 1)
    until(lambda: not alive(left))


def test_a_stop_goes_rank_by_rank(supervisor, tmp_path, until):
    order = tmp_path / "order"
    code = (
        "import pathlib, signal, sys, time\n"
        "def end(*_):\n"
        f"    with open({str(order)!r}, 'a') as file: file.write(NAME + ' ')\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('pid', 0, flush=True); time.sleep(600)\n"
    )
    described = [
        program(tmp_path, name, f"NAME = {name!r}\n{code}", stop_rank=rank)
        for rank, name in [(3, "broker"), (0, "beat"), (2, "shop"), (1, "worker")]
    ]
    for each in described:
        supervisor.start(each)
    until(lambda: all(pids(each.log_path) for each in described))

    supervisor.stop()

    assert order.read_text().split() == ["beat", "worker", "shop", "broker"]
    assert supervisor.statuses() == []


def test_what_ignores_sigterm_is_killed_with_its_group_at_its_deadline(supervisor, tmp_path, until):
    described = program(tmp_path, "stubborn", STUBBORN, stop_seconds=0.5)
    with_child = program(tmp_path, "parent", PARENT, stop_seconds=0.5)
    supervisor.start(described)
    supervisor.start(with_child)
    until(lambda: pids(described.log_path) and pids(with_child.log_path))
    left = pids(described.log_path) + pids(with_child.log_path)

    began = time.monotonic()
    supervisor.stop()

    assert 0.4 < time.monotonic() - began < 3
    until(lambda: not any(alive(pid) for pid in left))


def test_a_hurried_stop_does_not_wait(supervisor, tmp_path, until):
    described = program(tmp_path, "stubborn", STUBBORN, stop_seconds=60)
    supervisor.start(described)
    until(lambda: pids(described.log_path))
    began = time.monotonic()
    supervisor.stop(lambda: True)
    assert time.monotonic() - began < 5
    assert not alive(pids(described.log_path)[0])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of a death")
def test_a_supervisor_that_is_killed_leaves_nothing_running(tmp_path, until):
    script = f"""
import sys, time
from pathlib import Path
from run.processes import Process, Supervisor
supervisor = Supervisor()
for name, code in [("one", {PATIENT!r}), ("two", {STUBBORN!r})]:
    supervisor.start(Process(name=name, argv=(sys.executable, "-c", code), stop_rank=0,
                             log_path=Path({str(tmp_path)!r}) / (name + ".log"), cwd=Path.cwd()))
while True:
    supervisor.tick()
    time.sleep(0.05)
"""
    logs = [tmp_path / "one.log", tmp_path / "two.log"]
    with subprocess.Popen([sys.executable, "-c", script]) as supervising:
        until(lambda: all(pids(log) for log in logs))
        children = [pids(log)[0] for log in logs]
        assert all(alive(child) for child in children)
        supervising.kill()
    until(lambda: not any(alive(child) for child in children))


def test_a_terminal_interrupt_does_not_reach_the_programs(supervisor, tmp_path, until):
    described = program(tmp_path, "patient", PATIENT)
    supervisor.start(described)
    until(lambda: pids(described.log_path))
    assert os.getsid(pids(described.log_path)[0]) != os.getsid(0)


def test_a_program_gets_its_surroundings_and_shows_none_of_them(supervisor, tmp_path, until):
    code = "import os; print('pid', os.environ['NUMBER'], flush=True); import time; time.sleep(600)"
    described = program(tmp_path, "surrounded", code, env={"NUMBER": "4711"})
    supervisor.start(described)
    until(lambda: pids(described.log_path) == [4711])
    assert "4711" not in repr(described)
    assert b"4711" not in Path(f"/proc/{supervisor.statuses()[0].pid}/cmdline").read_bytes()
