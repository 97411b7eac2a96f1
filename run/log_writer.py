"""Writes what a program says into its log, and turns the log over when it is full.

In, as arguments: the log's path, bytes that one file may have, how many old ones are kept; on stdin what the
program says, until it and all that it started are gone. Out: the log, readable by its owner alone. What
cannot be written, as on a full disk, is counted and told later: a program never waits for that. Started by
run/log_pipes.py: a process of its own, so that a supervisor that is slow, stopped or dead stops no program.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable
from logging.handlers import RotatingFileHandler

# A line beyond so many bytes is cut into several.
LONGEST_LINE = 1024 * 1024
# In which each byte is a character.
BYTES = "latin-1"


class Log(RotatingFileHandler):
    """A log that counts the lines that it could not take."""

    def __init__(self, path: str, size: int, old: int) -> None:
        # Bytes as they are, whatever they mean; and a log that cannot be opened ends nothing.
        super().__init__(path, maxBytes=size, backupCount=old, encoding=BYTES, delay=True)
        self.lost = 0

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802  the library's
        self.lost += 1

    def say(self, text: str) -> None:
        self.emit(logging.makeLogRecord({"msg": text}))


def write(log: Log, lines: Iterable[bytes]) -> None:
    """Write all lines, each whole into one file."""
    for line in lines:
        before = log.lost
        log.say(line.decode(BYTES).removesuffix("\n"))
        if before and log.lost == before:
            log.lost = 0
            log.say(f"--- {before} lines were lost: this log could not be written")


def main(path: str, size: str, old: str) -> None:
    os.umask(0o077)
    lines = iter(lambda: sys.stdin.buffer.readline(LONGEST_LINE), b"")
    write(Log(path, int(size), int(old)), lines)


if __name__ == "__main__":
    main(*sys.argv[1:])
