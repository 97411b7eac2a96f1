"""Ties a program to the life of the supervisor, then becomes that program.

In, as arguments: the signal for when the supervisor dies, the supervisor's process id, the command.
Only on Linux does the system send that signal; elsewhere the command just runs. Fails with OSError
(into the program's log) when the command cannot be started. Started by run/processes.py: a program
of its own, because code between fork and exec may hang in a supervisor that has threads.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(on_orphaned: str, supervisor: str, *command: str) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(on_orphaned))
        if os.getppid() != int(supervisor):
            sys.exit("The supervisor was gone before this began.")
    os.execvp(command[0], command)  # noqa: S606  a list of ours, no shell


if __name__ == "__main__":
    main(*sys.argv[1:])
