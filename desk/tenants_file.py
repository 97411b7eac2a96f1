"""Reads a file of tenants, YAML or JSON, as plain values: numbers as they are written, none through a float.

In: a path; what ends in .json is JSON, all else YAML. Out: mappings, lists, texts, whole numbers, Decimals,
yes and no, None. Fails with `Wrong`, which names the file and, where it is known, the line. What may be read
in two ways is a text: a number with zeros before it, a date, `yes`. Called by desk/loading.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

import yaml

from desk.errors import Wrong

# The parser in C where the machine has it, twenty times as fast. It gives one event after the other, so that
# of a great file nothing but its values is kept.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# So many digits a column holds; what has more is a text, and said to be no number where one must be.
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,18})?(?:[eE][+-]?[0-9]{1,2})?")
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}


def read(path: Path) -> Any:
    """What the file says. Raises Wrong."""
    try:
        text = path.read_text("utf-8-sig")
    except OSError as exc:
        raise Wrong(f"{path} cannot be read: {exc.strerror}.") from None
    except UnicodeDecodeError as exc:
        raise Wrong(f"{path} is not UTF-8: byte {exc.start + 1} is none of it.") from None
    return _json(path, text) if path.suffix == ".json" else _yaml(path, text)


def _json(path: Path, text: str) -> Any:
    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            _refuse(path, f"the key {_twice(pairs)} stands twice in one object")
        return made

    try:
        return json.loads(
            text,
            object_pairs_hook=distinct,
            parse_float=_number,
            parse_int=_number,
            parse_constant=str,
        )
    except json.JSONDecodeError as exc:
        _refuse(path, f"this is no JSON: {exc.msg}", exc.lineno)
    except RecursionError:
        _refuse(path, "it is nested too deeply")


def _number(text: str) -> int | Decimal | str:
    if _WHOLE.fullmatch(text):
        return int(text)
    return Decimal(text) if _DECIMAL.fullmatch(text) else text


def _twice(pairs: list[tuple[str, Any]]) -> str:
    seen: set[str] = set()
    return next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]


def _refuse(path: Path, why: str, line: int | None = None) -> NoReturn:
    where = path if line is None else f"{path}, line {line}"
    raise Wrong(f"{where}: {why}.") from None


def _yaml(path: Path, text: str) -> Any:
    try:
        return _Builder(path).built(yaml.parse(text, _LOADER))
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        _refuse(path, f"this is no YAML: {exc.problem}", mark.line + 1 if mark else None)
    except yaml.reader.ReaderError as exc:
        # Where it stands is counted in letters, not in lines.
        line = text.count("\n", 0, exc.position) + 1
        _refuse(path, "this is no YAML: a character that steers and says nothing", line)


class _Builder:
    """Values out of the parser's events. `_open` are the mappings and lists that are not over yet, each with
    the key that waits for its value.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: list[tuple[Any, list[Any]]] = []

    def built(self, events: Iterator[Any]) -> Any:
        root: Any = None
        documents = 0
        for event in events:
            line = event.start_mark.line + 1
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    _refuse(self._path, "a second document begins, and one is read", line)
            elif isinstance(event, yaml.AliasEvent):
                _refuse(self._path, f"*{event.anchor} is not read here: write it out", line)
            elif isinstance(event, yaml.MappingStartEvent):
                self._open.append(({}, []))
            elif isinstance(event, yaml.SequenceStartEvent):
                self._open.append(([], []))
            elif isinstance(event, yaml.ScalarEvent):
                root = self._put(_scalar(event), line)
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                root = self._put(self._open.pop()[0], line)
        return root

    def _put(self, value: Any, line: int) -> Any:
        """The value, at its place in what it stands in."""
        if not self._open:
            return value
        into, key = self._open[-1]
        if isinstance(into, list):
            into.append(value)
        elif key:
            into[key.pop()] = value
        else:
            self._demand_key(value, into, line)
            key.append(value)
        return value

    def _demand_key(self, key: Any, into: dict[Any, Any], line: int) -> None:
        if isinstance(key, dict | list):
            _refuse(self._path, "a key must be a word", line)
        if key in into:
            _refuse(self._path, f"the key {key} stands twice in one mapping", line)


def _scalar(event: Any) -> Any:
    """What is not quoted is what it looks like, where that is one thing only."""
    if not event.implicit[0]:
        return event.value
    if event.value in _WORDS:
        return _WORDS[event.value]
    return _number(event.value)
