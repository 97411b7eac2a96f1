"""Files that only their owner may read: generated secrets, and records that hold them.

In: a path and what it shall hold. Fails with OSError when the folder cannot be written. Called by
everything in run/ that keeps a secret, and by flowerconfig.py.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Replace the file at `path` whole, readable by its owner alone (mode 0600)."""
    staged = _stage(path, text)
    staged.replace(path)


def kept_secret(path: Path) -> str:
    """The secret kept at `path`; generated at the first call, the same ever after."""
    if not path.exists():
        staged = _stage(path, secrets.token_urlsafe(24) + "\n")
        # Two processes may come here at once: a link, unlike a rename, never replaces a file.
        with suppress(FileExistsError):
            path.hardlink_to(staged)
        staged.unlink()
    return path.read_text("utf-8").strip()


def _stage(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with open(os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123  Path.open cannot set the mode at birth
        file.write(text)
    return staged
