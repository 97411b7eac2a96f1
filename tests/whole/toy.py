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
from datetime import UTC, datetime, timedelta
from pathlib import Path

from celery.__main__ import main
from marshmallow import Schema, fields, post_load

import settings
from clients.errors import TimedOut
from connection import EVERYTHING, Connection
from connectors.feedback import Ends, PartRule, Send
from connectors.kind import Kind
from connectors.ports import Connector, Page, Snapshot
from connectors.registry import KINDS
from mapping.request import UpdateRequest
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
    """Feed, source, target and feedback in one. It takes one thing back: a level, which only grows."""

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

    parts = {"level": PartRule("level", timedelta(hours=1), ordered=True)}  # noqa: RUF012  never changed

    def validate(self, raw, *, flat=False):
        given = dict(raw)
        named = {name: given.pop(name, None) for name in ("connection", "key")}
        request = UpdateRequest(str(given.pop("order_id")), given, **named)
        return (request, {}) if set(given) == {"level"} else (None, {"level": ["Alone, please."]})

    def shown(self, part, value):
        return f"{part} {value}"

    def takes_over(self, newer, older, part):
        return None

    def first_known(self, stored, stored_at, seen, now):
        return (stored or {}).get("level", 0)

    def kept(self, known):
        return {"level": known}

    def plan(self, asks, sendable, known, *, trust, ours):
        if trust and asks.values["level"] <= known:
            return Ends("level", "parked", "update_illegal")
        return Send(asks.values, sendable)

    def send(self, order_id, send):
        with (self.own.folder / "levels.txt").open("a") as levels:
            levels.write(f"{order_id}:{send.values['level']}\n")

    def learned(self, known, send):
        return send.values["level"]

    def doubted(self, known, send=None):
        return 0

    def judged(self, refused, asks, send, known, later=()):
        return None


def _snapshot(path):
    stamp = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return Snapshot(path.stem, f"{stamp:%s%f}", stamp, json.loads(path.read_text()))


def connect(one, own, _means):
    toy = Toy(own, one.prefix)
    return Connector(client=None, feed=toy, source=toy, target=toy, feedback=toy)


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
