"""A toy system: orders lie in a folder as files, arrive in one that nobody can ask what it has, and take back
a level. All that it costs stands here; toy_celery.py registers it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from marshmallow import Schema, fields, post_load

from clients.errors import Rejected
from connectors.feedback import PartRule, PlainFeedback
from connectors.kind import Kind
from connectors.ports import Connector, Page, Snapshot
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
class Toy(PlainFeedback):
    """Feed, source, target and feedback in one."""

    own: Own
    prefix: str
    zone = UTC
    takes_repeats = False
    limit = 100
    parts = {"level": PartRule("level", timedelta(hours=1), ordered=True)}  # noqa: RUF012  never changed

    def page(self, start, end, number):
        found = [_snapshot(path) for path in sorted(self.own.folder.glob("*.json"))]
        return Page([one for one in found if start <= one.stamp <= end])

    def read(self, text):
        found = json.loads(text)
        return ReadOrder(found["id"], "toy", UTC, (), note=found["toy"])

    def without_ours(self, read, known, ours):
        return read

    def compose(self, read, prefix):
        body = {"key": f"{prefix}{read.order_id}", "toy": read.note}
        return Mapped(read.order_id, body["key"], None, None, body, [], body)

    def put(self, external_id, body, next_turn):
        self._write("arrived", body["key"])
        return body["key"].upper()

    def validate(self, raw, *, flat=False):
        if not isinstance(level := raw.get("level"), int):
            return None, {"level": ["Not a number."]}
        named = {name: raw.get(name) for name in ("connection", "key")}
        return UpdateRequest(str(raw["order_id"]), {"level": level}, **named), {}

    def send(self, order_id, send):
        if send.values["level"] > 9:
            raise Rejected("a level is 9 at most")
        self._write("levels", f"{order_id}:{send.values['level']}")

    def _write(self, name, line):
        with (self.own.folder / f"{name}.txt").open("a") as file:
            file.write(f"{line}\n")


def _snapshot(path):
    stamp = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return Snapshot(path.stem, f"{stamp:%s%f}", stamp, json.loads(path.read_text()))


def connect(one, own, _means):
    toy = Toy(own, one.prefix)
    return Connector(client=None, feed=toy, source=toy, target=toy, feedback=toy)


SHOP = Kind(name="toy", schema=OwnSchema, open=connect, brings=True, is_read=True)
BOX = Kind(name="toybox", schema=OwnSchema, open=connect, receives=True)
