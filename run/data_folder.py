"""The data folder of one run: held by it alone, with the record of what it chose.

In: the folder, and what was chosen. Out: a lock as long as the run lasts, and `run.env`, which commands in
other terminals read and which goes with the run. Fails with `RunError` when another run holds the folder.
What a run tells others there is changed here. Called by run/system.py.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

import settings
from run.errors import RunError
from run.private import write_private

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@contextmanager
def data_folder(folder: Path) -> Iterator[None]:
    """Hold `folder` for this run alone, without the record of a run that was killed."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "run.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(_already_runs(lock, folder)) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        settings.run_file().unlink(missing_ok=True)
        try:
            yield
        finally:
            settings.run_file().unlink(missing_ok=True)


def _already_runs(lock: TextIO, folder: Path) -> str:
    lock.seek(0)
    return (
        f"orderbridge already runs on {folder} (process {lock.read().strip() or 'unknown'}). "
        "Stop it there with Ctrl-C, or set ORDERBRIDGE_DATA to another folder."
    )


def record(chosen: Mapping[str, str]) -> None:
    """Write down what this run chose, for those who come later."""
    lines = "".join(f"{name}={quoted(value)}\n" for name, value in chosen.items())
    header = "# What `orderbridge run` chose; removed when it stops.\n"
    write_private(settings.run_file(), header + lines)


def quoted(value: str) -> str:
    """As dotenv reads it back, whatever a path may hold."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
