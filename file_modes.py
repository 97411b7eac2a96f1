"""What this system writes is closed to other users of the machine: new files by the umask, old ones by a
look.

In: at each start, where the data and `.env` are. Out: what is ours and open to others is closed with a line
in the log; a `.env` that others may read is told. Fails with `Unusable`, a sentence for the person, for data
that cannot be closed, or not kept there. Called by settings (the look) and by what starts a process: cli,
tasks/app, flowerconfig. The simulators set their own umask, since they share no code with us.
"""

from __future__ import annotations

import os
import stat
from functools import cache
from pathlib import Path

import structlog

UMASK = 0o077

log = structlog.get_logger()


class Unusable(Exception):  # noqa: N818  it says what is, as the errors of clients do
    """The data cannot be kept where they are said to be."""


class NoFolder(Unusable):
    """There is something else."""


class OpenToOthers(Unusable):
    """Other users of this machine may look into our data, and we may not close them."""


def close_to_others() -> None:
    """Whatever this process and its children create from now on is its user's alone."""
    os.umask(UMASK)


def close_data(folder: Path, root: Path) -> None:
    """Close a data folder that others may enter. One that others share by design, or that `root` (where the
    program lies) or the user's home are in, is not closed but refused: closing it would shut out the rest. So
    is what is no folder: it may be anybody's, such as a device.
    """
    there = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    if not there.is_dir():
        raise NoFolder(
            f"ORDERBRIDGE_DATA must lead to a folder, and {there} is none: set it to a folder of your own."
        )
    found = _open(folder)
    if found is None:
        return
    # Where there is no home, this leaves the word as it is.
    home = Path(os.path.expanduser("~"))  # noqa: PTH111  pathlib raises there
    is_shared = found.st_mode & stat.S_ISVTX or any(
        place.is_relative_to(folder) for place in (root, home)
    )
    if found.st_uid != os.geteuid() or is_shared:
        whose = "is shared" if is_shared else "belongs to another user"
        raise OpenToOthers(
            f"Other users of this machine may enter the data folder {folder} (mode {_mode(found):o}), and it "
            f"{whose}, so it is not closed. Close it (chmod 700 as its owner), or set ORDERBRIDGE_DATA to a "
            "folder of your own."
        )
    _close(folder, found, 0o700)


def close_ledger(path: Path) -> None:
    """Close a ledger that others may read, with the files that SQLite keeps beside it."""
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        file = path.with_name(name)
        found = _open(file)
        if found is not None and stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
            _close(file, found, 0o600)


@cache
def look_at_variables(dotenv: Path) -> None:
    """Say, once, that others may read the file with the secrets."""
    found = _open(dotenv)
    if found is not None and stat.S_ISREG(found.st_mode):
        log.warning("env_file_open_to_others", path=str(dotenv), mode=f"{_mode(found):o}")


def _open(path: Path) -> os.stat_result | None:
    """What is there and open to others."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found if found.st_mode & UMASK else None


def _mode(found: os.stat_result) -> int:
    return stat.S_IMODE(found.st_mode)


def _close(path: Path, found: os.stat_result, mode: int) -> None:
    try:
        path.chmod(mode)
    except OSError as exc:
        raise OpenToOthers(
            f"Other users of this machine may read {path} (mode {_mode(found):o}), and it could not be "
            f"closed: {exc.strerror}. Close it (chmod {mode:o})."
        ) from exc
    log.warning("closed_to_others", path=str(path), mode=f"{_mode(found):o}")
