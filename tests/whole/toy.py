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
from marshmallow import Schema, fields, post_load
from toy_feedback import ToyFeedback

import settings
from clients.errors import TimedOut
from connection import EVERYTHING, Connection
from connectors.kind import Kind
from connectors.ports import Connector, Page, Snapshot
from connectors.registry import KINDS
from mapping.source_profile import ReadOrder
from mapping.target_profile import Mapped


@dataclass(frozen=True)
class Own:
    folder: Path
    timeout: float = 1.0
    rate: float = 0.0
    concurrency: int = 2
    lease: float = 4.0


class OwnSchema(Schema):
    folder = fields.Function(deserialize=Path)

    @post_load
    def _own(self, data, **_):
        return Own(**data)


@dataclass(frozen=True)
class Toy:
    """Feed, source and target in one. What goes back to it is a level, as toy_feedback has it."""

    own: Own
    prefix: str
    zone = UTC
    limit = 100

    def page(self, start, end, number):
        if (self.own.folder / "slow").exists():
            time.sleep(20)
            raise TimedOut("the toy shop hangs")
        found = [_snapshot(path) for path in sorted(self.own.folder.glob("*.json"))]
        return Page([one for one in found if start <= one.stamp <= end])

    def read(self, text):
        found = json.loads(text)
        return ReadOrder(found["id"], "toy", UTC, (), note=found["toy"])

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

    def take(self, order_id, level):
        with (self.own.folder / "levels.txt").open("a") as levels:
            levels.write(f"{order_id}:{level}\n")


def _snapshot(path):
    stamp = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return Snapshot(path.stem, f"{stamp:%s%f}", stamp, json.loads(path.read_text()))


def connect(one, own, _means):
    toy = Toy(own, one.prefix)
    return Connector(client=None, feed=toy, source=toy, target=toy, feedback=ToyFeedback(toy.take))


def connection(name, target=None):
    """A toy connection; its folder has its name."""
    kind = "toybox" if target is None else "toy"
    own = {"folder": str(Path(os.environ["TOY_FOLDER"]) / name)}
    return Connection(
        name, kind, target, None, f"{name}-", "live", own, "toy", {}, EVERYTHING, 600, 0
    )


def register():
    """The kinds, and the shops that TOY_SHOPS names, all to one box, beside the sandbox's pair."""
    KINDS["toy"] = Kind(name="toy", schema=OwnSchema, open=connect, brings=True, is_read=True)
    KINDS["toybox"] = Kind(name="toybox", schema=OwnSchema, open=connect, receives=True)
    shops = {n: connection(n, "toybox") for n in os.environ["TOY_SHOPS"].split(",")}
    pair = settings.load()
    all_of_them = {**pair.connections, **shops, "toybox": connection("toybox")}
    both = replace(pair, connections=all_of_them)
    settings.load = lambda *_: both


if __name__ == "__main__":
    register()
    main()
