"""The way from a program into its log: a pipe, and at its end a process that writes.

In: the log's path. Out: an end to write to, for as many starts of the program as there are. It stays good
when the writer dies, which is then started again and finds what waits in the pipe. Fails with OSError where
the system has no room for a pipe. Called by run/processes.py.
Source: docs/decisions/a-process-for-each-log.md.
"""

from __future__ import annotations

import fcntl
import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from run import log_writer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# Of one file, and how many old ones are kept beside it.
LOG_BYTES = 10 * 1024 * 1024
OLD_LOGS = 4
# What a program may say while its writer is started anew, in bytes; the system's own is a sixteenth.
PIPE_BYTES = 1024 * 1024
# Seconds that all writers have for what still waits in their pipes, at the end.
LAST_WORDS = 0.5


class LogPipe:
    """The log of one program."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._out, self.end = os.pipe()
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            # Not beyond what the system lets one user have.
            with suppress(OSError):
                fcntl.fcntl(self.end, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._writer: subprocess.Popen[bytes] | None = None
        self.tick()

    def tick(self) -> None:
        """Have a writer."""
        if self._writer is not None and self._writer.poll() is None:
            return
        with suppress(OSError):
            self._writer = subprocess.Popen(  # noqa: S603  a list of ours, no shell
                [
                    *(sys.executable, "-I", "-S", log_writer.__file__),
                    *(str(self._path), str(LOG_BYTES), str(OLD_LOGS)),
                ],
                stdin=self._out,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # Ctrl-C at the terminal is not for it: it ends when nobody writes any more.
                start_new_session=True,
            )

    def note(self, sentence: str) -> None:
        """Say it in the log, after all that was said; not where that would have to be waited for."""
        line = f"--- {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {sentence}\n".encode()
        if select.select([], [self.end], [], 0)[1]:
            os.write(self.end, line[: select.PIPE_BUF])

    def await_end(self, until: float) -> None:
        """Let the writer come to its end, once nobody writes any more; `until` is of the monotonic clock."""
        if self._writer is not None:
            try:
                self._writer.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._writer.kill()
                self._writer.wait()
        os.close(self._out)


def close(pipes: Sequence[LogPipe]) -> None:
    """Their programs are gone: all writers come to their end at the same time."""
    for pipe in pipes:
        os.close(pipe.end)
    until = time.monotonic() + LAST_WORDS
    for pipe in pipes:
        pipe.await_end(until)
