"""Reads the YAML files that mapping is told by: profiles and texts. Nothing else belongs here."""

from pathlib import Path
from typing import Any

import yaml

# The same loader in C where the machine has it, ten times as fast: every process reads these files.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path) -> Any:
    """The file's content as plain values; raises OSError, UnicodeDecodeError and yaml.YAMLError."""
    return yaml.load(path.read_text(encoding="utf-8"), _LOADER)  # noqa: S506  both loaders are safe
