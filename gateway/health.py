"""Says whether the system is alive and ready, to supervisors, load balancers and people.

In: nothing. Out: `/healthz`, 200 while this process serves; `/readyz`, 200 when the ledger and Redis answer,
every lane is served and none is late, and every source was read lately, else 503 with what is missing.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from flask import Blueprint, current_app, jsonify
from flask.typing import ResponseReturnValue
from redis.exceptions import RedisError

from gateway.doors import Door
from gateway.keys import everyone
from gateway.words import Lack
from lanes import unserved
from ledger import connections
from ledger.clock import SKEW_LIMIT
from ledger.faults import LedgerUnavailable
from ledger.lateness import LATE, late_lanes
from tasks.resources import Resources
from tasks.upkeep import SEEN_KEY

# A successful poll this many intervals ago, or this many seconds if that is longer, is too old.
LATE_INTERVALS = 5
LATE_SECONDS = 300

health = Blueprint("health", __name__)


def door(_: Resources) -> Door:
    """The door of health: open, and never counted."""
    return Door(blueprint=health, below=("/healthz", "/readyz"), authenticate=everyone)


@health.get("/healthz")
def healthz() -> ResponseReturnValue:
    return jsonify(status="alive")


@health.get("/readyz")
def readyz() -> ResponseReturnValue:
    missing = not_ready(current_app.config["RESOURCES"])
    return jsonify(ready=not missing, missing=missing), 503 if missing else 200


def not_ready(r: Resources, now: datetime | None = None) -> list[str]:
    """What keeps the system from being ready, in words; empty when it is."""
    missing: list[str] = []
    try:
        polled = {row.connection: row.polled_at for row in connections.cursors(r.ledger)}
        now = now or r.ledger.now()
    except LedgerUnavailable:
        return [Lack("ledger_away")]
    if abs(r.ledger.skew) > SKEW_LIMIT:
        missing.append(Lack("clock", seconds=f"{r.ledger.skew:+.0f}"))
    late = timedelta(seconds=max(LATE_INTERVALS * r.settings.fetch_interval, LATE_SECONDS))
    for name in r.feeds:
        last = polled.get(name)
        if last is None:
            missing.append(Lack("not_read_yet", name=name))
        elif now - last > late:
            missing.append(Lack("read_long_ago", name=name, at=f"{last:%Y-%m-%d %H:%M:%S}"))
    written = [n for n in r.sources if r.settings.connections[n].mode == "live"]
    missing += [
        Lack("lane_late", lane=lane, minutes=LATE.seconds // 60)
        for lane in late_lanes(r.ledger, list(r.targets), written, now)
    ]
    try:
        if not r.redis.exists(SEEN_KEY):
            missing.append(Lack("no_worker"))
        missing += [Lack("lane_unserved", lane=lane) for lane in unserved(r.redis)]
    except RedisError:
        missing.append(Lack("redis_away"))
    return missing
