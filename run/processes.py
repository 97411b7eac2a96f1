"""The supervisor: starts programs, restarts what dies, stops all of it in order and in time.

In: `Process` descriptions. Out: running programs, their output in logs, and a `Status` of each
for the screen. It never gives up on a program: what cannot be started is tried again for ever, and
its log and status say so. Called by run/system.py, from one thread only, which must live as long as
the programs (Linux ties them to the thread that started them).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from run import leash, log_pipes
from run.last_words import last_words
from run.log_pipes import LogPipe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

FIRST_DELAY = 0.5
LONGEST_DELAY = 10.0
# A program that lived this long was well: its next death starts again with a short delay.
GOOD_LIFE = 30.0
# How often a stop looks whether the programs are gone.
POLL = 0.02


@dataclass(frozen=True, slots=True)
class Process:
    """A program to keep running.

    `env` is added to the supervisor's own. Programs of a lower `stop_rank` are gone before those of
    a higher one are told to stop; each has `stop_seconds` between SIGTERM and SIGKILL.
    `on_orphaned` is what it gets when the supervisor itself was killed; SIGTERM suits a program
    that has something to finish.
    """

    name: str
    argv: tuple[str, ...]
    log_path: Path
    stop_rank: int
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    stop_seconds: float = 1.5
    on_orphaned: signal.Signals = signal.SIGKILL


@dataclass(frozen=True, slots=True)
class Status:
    """How a program does; `again_in` is the seconds until it is started again, None while up; `said` is with
    what words it ended last, until it has been well for a while.
    """

    name: str
    pid: int | None
    restarts: int
    again_in: float | None
    said: str = ""


def next_delay(delay: float, lived: float) -> float:
    """Seconds until the next start, after a wait of `delay` (0: none) and `lived` seconds of life."""
    if lived >= GOOD_LIFE or not delay:
        return FIRST_DELAY
    return min(delay * 2, LONGEST_DELAY)


class Supervisor:
    """Keeps programs running. `tick` must be called several times a second."""

    def __init__(self) -> None:
        self._children: dict[str, _Child] = {}

    def start(self, process: Process) -> None:
        """Start `process` now and keep it running until `stop`."""
        child = self._children[process.name] = _Child(process)
        child.start()

    def tick(self) -> None:
        """Notice what died, and start again what is due."""
        for child in self._children.values():
            child.tick()

    def statuses(self) -> list[Status]:
        return [child.status() for child in self._children.values()]

    def stop(self, hurried: Callable[[], bool] = lambda: False) -> None:
        """Stop everything, rank after rank; `hurried` returning True kills what is left at once."""
        for rank in sorted({child.process.stop_rank for child in self._children.values()}):
            stage = [c for c in self._children.values() if c.process.stop_rank == rank]
            _stop_together(stage, hurried)
        log_pipes.close([child.log for child in self._children.values() if child.log is not None])
        self._children.clear()


class _Child:
    """One program and the story of its starts."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.popen: subprocess.Popen[bytes] | None = None
        self.log: LogPipe | None = None
        self._starts = 0
        self._delay = 0.0
        self._changed_at = 0.0
        self._unstarted = ""
        self._log_begin = 0
        # Where the words of the start that ended last begin in the log; None: none has.
        self._ended_begin: int | None = None

    def start(self) -> None:
        self._starts += 1
        self._changed_at = time.monotonic()
        try:
            self.log = self.log or LogPipe(self.process.log_path)
            self._log_begin = _length(self.process.log_path)
            self.popen = _spawn(self.process, self.log.end)
            self._unstarted = ""
        except OSError as exc:
            # No memory, no disk, no file handles: it may pass, and the rest must be kept running.
            self._unstarted = exc.strerror or ""
            self._buried(f"could not be started: {exc.strerror}", lived=0)

    def tick(self) -> None:
        now = time.monotonic()
        if self.log is not None:
            self.log.tick()
        if self.popen is not None:
            code = self.popen.poll()
            if code is not None:
                self._kill_group()
                self.popen = None
                self._ended_begin = self._log_begin
                self._buried(f"ended with {_describe(code)}", lived=now - self._changed_at)
        elif now - self._changed_at >= self._delay:
            self.start()

    def status(self) -> Status:
        name, restarts = self.process.name, self._starts - 1
        since = time.monotonic() - self._changed_at
        if self.popen is not None:
            said = self._said() if since < GOOD_LIFE else ""
            return Status(name, self.popen.pid, restarts, None, said)
        return Status(name, None, restarts, max(0, self._delay - since), self._said())

    def _said(self) -> str:
        """With what words it ended; read when asked for, since another process writes its log."""
        if self._unstarted or self._ended_begin is None:
            return self._unstarted
        return last_words(self.process.log_path, self._ended_begin)

    def terminate(self) -> None:
        if self.popen is not None:
            self.popen.terminate()

    def gone(self) -> bool:
        """Whether the program has ended; what it may have left of its group is killed with it."""
        if self.popen is None:
            return True
        if self.popen.poll() is None:
            return False
        self._kill_group()
        return True

    def kill(self) -> None:
        if self.popen is not None:
            self._kill_group()
            self.popen.wait()

    def _buried(self, end: str, *, lived: float) -> None:
        self._delay = next_delay(self._delay, lived)
        self._changed_at = time.monotonic()
        if self.log is not None:
            self.log.note(f"{self.process.name} {end}; again in {self._delay:g} s")

    def _kill_group(self) -> None:
        if self.popen is None:
            return
        try:
            os.killpg(self.popen.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            # Nobody is left; macOS says it with the second one when all that is left are zombies.
            return


def _stop_together(stage: list[_Child], hurried: Callable[[], bool]) -> None:
    started = time.monotonic()
    for child in stage:
        child.terminate()
    waiting = list(stage)
    while waiting:
        lasted = time.monotonic() - started
        for child in waiting:
            if hurried() or lasted >= child.process.stop_seconds:
                child.kill()
        waiting = [child for child in waiting if not child.gone()]
        if waiting:
            time.sleep(POLL)


def _length(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:
        return 0


def _spawn(process: Process, log: int) -> subprocess.Popen[bytes]:
    tied = (
        *(sys.executable, "-I", "-S", leash.__file__),
        *(str(int(process.on_orphaned)), str(os.getpid())),
    )
    return subprocess.Popen(  # noqa: S603  a list of ours, no shell
        (*tied, *process.argv),
        cwd=process.cwd,
        env={**os.environ, **process.env},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        # Ctrl-C at the terminal must reach the supervisor alone, or Valkey would stop first.
        start_new_session=True,
    )


def _describe(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
