"""A toy system, which only the tests have: its orders lie in a folder as files, and arrive in one that nobody
can ask what it has. As a program it is Celery with this kind registered, and nothing else.

A file `slow` in a shop's folder makes reading hang; `lose-KEY` in the box's loses the answer after the order
has arrived, `stop-KEY` lets its call never end.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from celery.__main__ import main

import settings
from clients.errors import TimedOut
from connectors.ports import Connector, Page, Snapshot
from connectors.registry import KINDS, Kind
from mapping.profile import Mapped, ReadOrder


@dataclass(frozen=True)
class Own:
    name: str
    folder: Path
    target: str = ""
    kind: str = "toy"
    timeout: float = 1.0
    rate: float = 0.0
    concurrency: int = 2
    lease: float = 4.0


@dataclass(frozen=True)
class Toy:
    """Feed, source and target in one; a feedback with one part has its place here, too."""

    own: Own
    zone = UTC
    limit = 100

    @property
    def prefix(self):
        return f"{self.own.name}-"

    def page(self, start, end, number):
        if (self.own.folder / "slow").exists():
            time.sleep(20)
            raise TimedOut("the toy shop hangs")
        found = [_snapshot(path) for path in sorted(self.own.folder.glob("*.json"))]
        return Page([one for one in found if start <= one.stamp <= end])

    def read(self, text):
        return ReadOrder(json.loads(text)["id"], (), note=json.loads(text)["toy"])

    def compose(self, read, prefix):
        body = {"key": f"{prefix}{read.order_id}", "toy": read.note}
        return Mapped(read.order_id, body["key"], None, None, body, [], body)

    def put(self, body, next_turn):
        folder, key = self.own.folder, body["key"]
        with (folder / "arrived.txt").open("a") as arrived:
            arrived.write(f"{key}\n")
        if (folder / f"stop-{key}").exists():
            time.sleep(600)
        if (folder / f"lose-{key}").exists():
            raise TimedOut("the toy box does not answer")
        return key.upper()


def _snapshot(path):
    stamp = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return Snapshot(path.stem, f"{stamp:%s%f}", stamp, json.loads(path.read_text()))


def connect(own, _means):
    toy = Toy(own)
    return Connector(client=None, feed=toy, source=toy, target=toy)


def register():
    """The kind, and the connections that TOY_SHOPS names, all to one box, beside the sandbox's pair."""
    KINDS["toy"] = Kind(connect, is_read=True, by_profile=False)
    folder, read = Path(os.environ["TOY_FOLDER"]), settings.load
    shops = {n: Own(n, folder / n, "toybox") for n in os.environ["TOY_SHOPS"].split(",")}
    boxes = {"toybox": Own("toybox", folder / "toybox")}
    pair = read()
    both = replace(pair, shops=pair.shops | shops, boxes=pair.boxes | boxes)
    settings.load = lambda *_: both


if __name__ == "__main__":
    register()
    main()
