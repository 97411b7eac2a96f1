"""Says whether the system is alive and ready, to supervisors, load balancers and people.

In: nothing. Out: `/healthz`, 200 while this process serves; `/readyz`, 200 when the ledger and Redis answer,
every lane is served and none is late, and every source was read lately, else 503 with what is missing.
"""

from __future__ import annotations

from datetime import datetime

from flask import Blueprint, current_app, jsonify
from flask.typing import ResponseReturnValue
from redis.exceptions import RedisError

from gateway.doors import Door
from gateway.keys import everyone
from lanes import unserved
from ledger import connections
from ledger.clock import SKEW_LIMIT
from ledger.faults import LedgerUnavailable
from ledger.lateness import LATE, late_lanes
from tasks.freshness import late_after
from tasks.resources import Resources
from tasks.upkeep import SEEN_KEY

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
        return ["the ledger does not answer"]
    if abs(r.ledger.skew) > SKEW_LIMIT:
        missing.append(f"this host's clock is {r.ledger.skew:+.0f} s from the database's")
    late = late_after(r.settings.fetch_interval)
    for name in r.feeds:
        last = polled.get(name)
        if last is None:
            missing.append(f"{name} was not read yet")
        elif now - last > late:
            missing.append(f"{name} was last read at {last:%Y-%m-%d %H:%M:%S} UTC")
    written = [n for n in r.sources if r.settings.connections[n].mode == "live"]
    missing += [
        f"the lane {lane} is late: something has been due for over {LATE.seconds // 60} minutes"
        for lane in late_lanes(r.ledger, list(r.targets), written, now)
    ]
    try:
        if not r.redis.exists(SEEN_KEY):
            missing.append("no worker was seen lately")
        missing += [f"nobody serves the lane {lane}" for lane in unserved(r.redis)]
    except RedisError:
        missing.append("Redis does not answer")
    return missing
