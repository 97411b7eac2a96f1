"""Celery with the toy registered, and nothing else: its shops, which TOY_SHOPS names, and one box, beside the
sandbox's pair.

A file `slow` in a shop's folder makes reading hang; `lose-KEY` in the box's loses the answer after the order
has arrived, `stop-KEY` lets its call never end.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

from celery.__main__ import main
from whole import toy

import settings
from clients.errors import TimedOut
from connection import EVERYTHING, Connection
from connectors.registry import KINDS


class FaultyToy(toy.Toy):
    """As the files in its folder say."""

    def page(self, start, end, number):
        if (self.own.folder / "slow").exists():
            time.sleep(20)
            raise TimedOut("the toy shop hangs")
        return super().page(start, end, number)

    def put(self, external_id, body, next_turn):
        given = super().put(external_id, body, next_turn)
        if (self.own.folder / f"stop-{body['key']}").exists():
            time.sleep(600)
        if (self.own.folder / f"lose-{body['key']}").exists():
            raise TimedOut("the toy box does not answer")
        return given


def connection(name, target=None):
    """A toy connection; its folder has its name."""
    kind = "toybox" if target is None else "toy"
    own = {"folder": str(Path(os.environ["TOY_FOLDER"]) / name)}
    return Connection(
        name, kind, target, None, f"{name}-", "live", own, "toy", {}, EVERYTHING, 600, 0
    )


if __name__ == "__main__":
    toy.Toy = FaultyToy
    KINDS.update({"toy": toy.SHOP, "toybox": toy.BOX})
    shops = {name: connection(name, "toybox") for name in os.environ["TOY_SHOPS"].split(",")}
    pair = settings.load()
    known = replace(pair, connections={**pair.connections, **shops, "toybox": connection("toybox")})
    settings.load = lambda *_: known
    main()
