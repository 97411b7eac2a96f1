"""The append-only JSONL file in which a stand-in keeps its state between starts.

Change it when the way of writing changes; what an event means is said by who writes it.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson


class Journal:
    """Events as JSON arrays, one a line, each handed to the kernel before the answer goes out.

    In: a path whose folder is made. Out: `load` gives what is there. A torn last line (the
    process was killed in the middle) is cut off; a broken line elsewhere raises ValueError.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)

    def load(self) -> Iterator[list[Any]]:
        whole = 0
        with self._path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.endswith(b"\n"):
                    break
                try:
                    event: list[Any] = orjson.loads(line)
                except orjson.JSONDecodeError as error:
                    raise ValueError(f"{self._path.name}: line {number} is not JSON") from error
                yield event
                whole += len(line)
        os.ftruncate(self._file, whole)

    def append(self, event: tuple[Any, ...]) -> None:
        os.write(self._file, orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))

    def close(self) -> None:
        os.close(self._file)
