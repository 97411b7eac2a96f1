"""Reads the connections file: YAML in which `${NAME}` and `${file:PATH}` stand for secrets (references.py).

In: a path. Out: one `Entry` a connection, its values as text beside the lines where they stand. Fails with
`SettingsError`, which names file, line and key, and never shows a value. Called by settings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import yaml

# What stands for a value: a variable of the environment, or a file with a secret.
REFERENCE = re.compile(r"\$\{([^}]*)\}")
FILE = "file:"
# What YAML takes for no value when it is not quoted.
_NOTHING = "tag:yaml.org,2002:null"
_TOP = ("connections", "sandbox")
_FLAGS = {"true": True, "false": False}

# Where the default pair's values come from, in place of a file.
ENVIRONMENT = "the environment"

Text = str | tuple[str, ...]


class SettingsError(Exception):
    """A setting is wrong or missing; the message names it and says how to mend it."""


def suggestion(given: str, known: Iterable[str]) -> str:
    """What was probably meant, as the end of a sentence; without anything near, what there is."""
    names = list(known)
    near = get_close_matches(given, names, n=1, cutoff=0.6)
    if near:
        return f"Did you mean {near[0]}?"
    return f"There is: {', '.join(names) or 'none'}."


@dataclass(frozen=True, slots=True)
class Entry:
    """One connection as it is written down: `values` are text, or lists of it, before `${NAME}` is
    filled in; `folder` is where paths begin.
    """

    name: str
    place: str
    line: int
    values: Mapping[str, Text]
    lines: Mapping[str, int]
    folder: Path

    def where(self, key: str) -> str:
        """What a message about this key begins with: the variable's name, or file, line and key."""
        if self.place == ENVIRONMENT:
            return f"{self.values['kind']}_{key}".upper()
        line = self.lines.get(key, self.line)
        return f"{self.place}, line {line}: {key} of {self.name}"

    def variables(self) -> dict[str, list[str]]:
        """The environment's names that each key refers to."""
        named = {
            key: [name for name in _references(value) if not name.startswith(FILE)]
            for key, value in self.values.items()
        }
        return {key: names for key, names in named.items() if names}


def _references(value: Text) -> list[str]:
    texts = value if isinstance(value, tuple) else (value,)
    return [name for text in texts for name in REFERENCE.findall(text)]


@dataclass(frozen=True, slots=True)
class File:
    """A connections file; `sandbox`: simulators stand for all that it names."""

    sandbox: bool
    entries: tuple[Entry, ...]


def read(path: Path) -> File:
    """The file as it is written. Raises SettingsError."""
    place = path.name
    try:
        root = yaml.compose(path.read_text("utf-8"), yaml.SafeLoader)
    except OSError as exc:
        raise SettingsError(
            f"ORDERBRIDGE_CONNECTIONS names a file that cannot be read: {path} ({exc.strerror})."
        ) from None
    except UnicodeDecodeError:
        raise SettingsError(f"{place} is no UTF-8 text.") from None
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else 1
        raise SettingsError(f"{place}, line {line}: this is no YAML: {exc.problem}.") from None
    except yaml.YAMLError:
        raise SettingsError(
            f"{place} is no YAML: it has characters that YAML does not allow."
        ) from None
    top = _table(place, root, "the file")
    for key, (line, _) in top.items():
        if key not in _TOP:
            raise SettingsError(
                f"{place}, line {line}: {key} is no key here. {suggestion(key, _TOP)}"
            )
    if "connections" not in top:
        raise SettingsError(f"{place}, line 1: connections is missing.")
    named = _table(place, top["connections"][1], "connections")
    if not named:
        raise SettingsError(f"{place}, line {top['connections'][0]}: connections is empty.")
    return File(
        _flag(place, *top["sandbox"]) if "sandbox" in top else False,
        tuple(_entry(path, name, line, node) for name, (line, node) in named.items()),
    )


def _entry(path: Path, name: str, line: int, node: yaml.Node) -> Entry:
    place = path.name
    keys = _table(place, node, name)
    values: dict[str, Text] = {}
    for key, (at, value) in keys.items():
        text = _text(f"{place}, line {at}: {key} of {name}", value)
        if text is not None:
            values[key] = text
    lines = {key: at for key, (at, _) in keys.items()}
    return Entry(name, place, line, values, lines, path.resolve().parent)


def _table(place: str, node: yaml.Node | None, what: str) -> dict[str, tuple[int, yaml.Node]]:
    """The keys of a mapping with their lines; each key once."""
    line = node.start_mark.line + 1 if node is not None else 1
    if not isinstance(node, yaml.MappingNode):
        raise SettingsError(f"{place}, line {line}: {what} must be a table of keys and values.")
    found: dict[str, tuple[int, yaml.Node]] = {}
    for key, value in node.value:
        at = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise SettingsError(f"{place}, line {at}: a key of {what} must be text.")
        if key.value in found:
            raise SettingsError(
                f"{place}, line {at}: {key.value} stands twice in {what}, first in line "
                f"{found[key.value][0]}. Remove one of the two."
            )
        found[key.value] = (at, value)
    return found


def _text(where: str, node: yaml.Node) -> Text | None:
    """A value as it is written, whatever YAML takes it for: 007 is an id, and `no` a word. None: no value."""
    if isinstance(node, yaml.ScalarNode):
        return None if node.tag == _NOTHING else str(node.value)
    if isinstance(node, yaml.SequenceNode) and all(
        isinstance(part, yaml.ScalarNode) and part.tag != _NOTHING for part in node.value
    ):
        return tuple(str(part.value) for part in node.value)
    raise SettingsError(f"{where} must be one value, or a list of values.")


def _flag(place: str, line: int, node: yaml.Node) -> bool:
    found = _FLAGS.get(node.value) if isinstance(node, yaml.ScalarNode) else None
    if found is None:
        raise SettingsError(f"{place}, line {line}: sandbox must be true or false.")
    return found
