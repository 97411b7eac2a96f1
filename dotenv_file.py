"""The file with the settings of this installation: `.env` in the project's root, or the one that
ORDERBRIDGE_DOTENV names.

In: a path. Out: what it says, name by name. Fails with `SettingsError` for a file that cannot be read and for
a line that says nothing: a setting that is written wrong would be left out without a word. Called by
settings.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from connections_file import SettingsError

ROOT = Path(__file__).resolve().parent
VARIABLE = "ORDERBRIDGE_DOTENV"


def place() -> Path:
    """Where it is. Raises SettingsError where one is named that is not there."""
    named = os.environ.get("ORDERBRIDGE_DOTENV", "")
    path = ROOT / (named or ".env")
    if named and not path.exists():
        raise SettingsError(f"{VARIABLE} names {path}, which is not there.")
    return path


def read(path: Path) -> dict[str, str | None]:
    """What it says; nothing where there is none."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return {}
    except OSError as exc:
        raise SettingsError(f"The settings in {path} cannot be read: {exc.strerror}.") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is no UTF-8 text: save it as such.") from None
    for line in parse_stream(io.StringIO(text)):
        if line.error:
            # Blank lines before it count as its own there.
            blank = line.original.string.removesuffix(line.original.string.lstrip())
            number = line.original.line + blank.count("\n")
            raise SettingsError(
                f"{path.name}, line {number}: this is no setting. What is wanted is NAME=value, "
                "and single quotes around a value with blanks, quotes, $ or #."
            )
    return dict(dotenv_values(stream=io.StringIO(text)))


def add(found: Mapping[str, str | None]) -> None:
    """Put into the environment what is not set there; set to nothing is as good as not set."""
    for name, value in found.items():
        if value and not os.environ.get(name):
            os.environ[name] = value
