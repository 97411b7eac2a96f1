"""What a setting's text stands for: a variable, the file that `NAME_FILE` names, or a secret file.

In: the name of a variable, or an entry of the connections file with its `${NAME}` and `${file:PATH}`. Out:
the text meant. Fails with `SettingsError`, which names variable and file and never shows a value: for both
forms at once, and for a secret file that others may read. Called by everything that reads a secret, so that
each may be given either way.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from difflib import get_close_matches
from pathlib import Path

from connections_file import FILE, REFERENCE, Entry, SettingsError, Text

ROOT = Path(__file__).resolve().parent
# Where container engines mount secrets, readable by everyone who is in the container.
MOUNTED = Path("/run/secrets")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def given(name: str) -> str:
    """What the environment says: NAME, or what stands in the file that NAME_FILE names; empty: neither."""
    value, path = os.environ.get(name, ""), os.environ.get(f"{name}_FILE", "")
    if value and path:
        raise SettingsError(
            f"{name} and {name}_FILE are both set, in the environment or in .env: remove one of the two."
        )
    return _content(f"{name}_FILE", ROOT / path) if path else value


def is_given(name: str) -> bool:
    """Whether `given` has something, without reading the file."""
    return bool(os.environ.get(name) or os.environ.get(f"{name}_FILE"))


def filled(entry: Entry, *, may_lack: bool = False) -> dict[str, Text]:
    """The values of an entry with what `${...}` stands for. Raises SettingsError for what is not there; who
    `may_lack` it gets a text that fits nothing instead.
    """
    return {key: value(entry, key, may_lack=may_lack) for key in entry.values}


def value(entry: Entry, key: str, *, may_lack: bool = False) -> Text:
    """One of them."""
    written = entry.values[key]
    if isinstance(written, tuple):
        return tuple(_text(entry, key, part, may_lack=may_lack) for part in written)
    return _text(entry, key, written, may_lack=may_lack)


def _text(entry: Entry, key: str, text: str, *, may_lack: bool) -> str:
    return REFERENCE.sub(lambda found: _meant(entry, key, found[1], may_lack=may_lack), text)


def _meant(entry: Entry, key: str, name: str, *, may_lack: bool) -> str:
    if name.startswith(FILE):
        path = entry.folder / name.removeprefix(FILE).strip()
        return _stand_in() if may_lack and not path.exists() else _content(entry.where(key), path)
    if not _VARIABLE.fullmatch(name):
        raise SettingsError(
            f"{entry.where(key)}: ${{{name}}} is neither ${{NAME}} of the environment nor "
            "${file:PATH} of a secret file."
        )
    meant = given(name)
    if meant:
        return meant
    if may_lack:
        return _stand_in()
    near = get_close_matches(name, [n for n, v in os.environ.items() if v], 1, 0.85)
    told = f" Did you mean {near[0]}?" if near else " Set it in the environment or in .env."
    raise SettingsError(f"{entry.where(key)}: the variable {name} is not set.{told}")


def _stand_in() -> str:
    return secrets.token_urlsafe(24)


def _content(where: str, path: Path) -> str:
    """What stands in a secret file, without its last line end. `where` begins what is said of it."""
    try:
        text = path.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(
            f"{where}: the secret file {path} cannot be read ({type(exc).__name__}).{_beside(path)}"
        ) from None
    if not text:
        raise SettingsError(f"{where}: the secret file {path} is empty.")
    if _is_open(path):
        raise SettingsError(
            f"{where}: every user of this machine may read the secret file {path}. Close it (chmod 600 "
            f"{path}), and change the secret if others were here."
        )
    return text


def _is_open(path: Path) -> bool:
    """Whether others may read it: its own mode says so, and that of every folder on the way."""
    mode = path.stat().st_mode
    real = path.resolve()
    # A pipe, such as a shell's <(...), is this process's alone.
    if not stat.S_ISREG(mode) or real.is_relative_to(MOUNTED):
        return False
    return bool(mode & stat.S_IROTH) and all(
        folder.stat().st_mode & stat.S_IXOTH for folder in real.parents
    )


def _beside(path: Path) -> str:
    """A file of nearly that name, as the end of a sentence."""
    try:
        names = [one.name for one in path.parent.iterdir()]
    except OSError:
        return ""
    near = get_close_matches(path.name, names, 1)
    return f" Did you mean {near[0]}?" if near else ""
