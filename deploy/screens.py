"""Renews the screens of the README: what a sandbox shows on a terminal at the README's rehearsal.

In: nothing. Out: README.md, with the live screen while an order is held, `orders show` of that order once it
is mended, and `hooks list`, each as a terminal of 100 columns shows it. The people are invented. Fails with
SystemExit where the sandbox does not do its part in time. Called by `make screens`.
"""

from __future__ import annotations

import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pyte

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
COLUMNS, LINES = 100, 30
# Lines of a terminal on which a whole answer stands.
TALL = 120
# Seconds that anything may take.
PATIENCE = 90.0


class Terminal:
    """A terminal on which one program runs; `text` is what stands on it."""

    def __init__(self, argv: list[str], lines: int, environment: Mapping[str, str]) -> None:
        self._screen = pyte.Screen(COLUMNS, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, COLUMNS, 0, 0))
        self.process = subprocess.Popen(  # noqa: S603  a list of ours, no shell
            argv,
            cwd=ROOT,
            env={**environment, "TERM": "xterm-256color"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        # The last reader of a terminal meets an error where others meet its end.
        with suppress(OSError):
            while data := os.read(self._ours, 65536):
                self._stream.feed(data)

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self._screen.display).strip("\n")

    def until(self, shown: Callable[[str], object]) -> str:
        """What stands there once `shown` says yes of it."""
        deadline = time.monotonic() + PATIENCE
        while not shown(text := self.text):
            if time.monotonic() > deadline:
                raise SystemExit(f"not within {PATIENCE:g} s:\n{text}")
            time.sleep(0.2)
        return text

    def close(self) -> None:
        self.process.wait(PATIENCE)
        self._reader.join(5)
        os.close(self._ours)


@contextmanager
def sandbox() -> Iterator[tuple[Terminal, dict[str, str]]]:
    """A sandbox of its own, on a terminal; and the surroundings of its commands."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "ORDERBRIDGE_DATA": folder, "FETCH_INTERVAL": "3"}
        screen = Terminal([sys.executable, "-m", "cli", "run"], LINES, environment)
        try:
            yield screen, environment
        finally:
            screen.process.send_signal(signal.SIGINT)
            screen.close()


def main() -> None:
    with sandbox() as (screen, environment):

        def told(*arguments: str) -> str:
            """The answer of a command."""
            terminal = Terminal([sys.executable, "-m", "cli", *arguments], TALL, environment)
            terminal.close()
            return terminal.text

        screen.until(lambda text: re.search(r"[1-9]\d* created", text))
        found = re.search(r"new order (\d+)", told("sandbox", "order", "--phone", "12"))
        if found is None:
            raise SystemExit("the sandbox took no order")
        order_id = found[1]
        told("fetch")
        live = screen.until(lambda text: re.search(rf"{order_id}\s+held", text))
        told("sandbox", "edit", order_id, "--phone", "0501234567")
        told("fetch")
        screen.until(lambda text: re.search(rf"{order_id}\s+created", text))
        told("sandbox", "stage", order_id, "Shipped", "--ttn", "20450000000001")
        told("sandbox", "stage", order_id, "Put on a shelf")
        deadline = time.monotonic() + PATIENCE
        while "waiting" in (hooks := told("hooks", "list")) and time.monotonic() < deadline:
            time.sleep(0.5)
        # What was printed before it has a password.
        live = live[live.index("orderbridge · ") :]
        shown = {"live": live, "show": told("orders", "show", order_id), "hooks": hooks}
    write(shown)


def write(shown: Mapping[str, str]) -> None:
    """Put each screen between its marks."""
    text = README.read_text()
    for name, screen in shown.items():
        marks = rf"(<!-- screen {name} -->\n```\n).*?(\n```\n<!-- end of it -->)"
        text, count = re.subn(
            marks, lambda found, it=screen: found[1] + it + found[2], text, flags=re.DOTALL
        )
        if count != 1:
            raise SystemExit(f"README.md has no place for the screen {name}")
    README.write_text(text)


if __name__ == "__main__":
    main()
