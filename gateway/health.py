"""Says whether the system is alive and ready, to supervisors, load balancers and people.

In: nothing. Out: `/healthz`, 200 while this process serves; `/readyz`, 200 when the ledger and Redis answer,
every lane is served and none is late, and every source was read lately, else 503 with what is missing.
Beside it the connections to which calls are stopped: that alone makes nothing unready, since what comes in is
kept and goes later, and a person may have wanted it so.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from datetime import datetime

from flask import Blueprint, current_app, jsonify
from flask.typing import ResponseReturnValue
from redis.exceptions import RedisError

from desk.gates import Closed, closed
from gateway.doors import Door
from gateway.keys import everyone
from gateway.words import Lack
from lanes import unserved
from ledger import connections
from ledger.clock import SKEW_LIMIT
from ledger.connections import PERSON
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
    r: Resources = current_app.config["RESOURCES"]
    stopped: list[Closed] = []
    with suppress(LedgerUnavailable):
        stopped = closed(r.ledger, {*r.sources, *r.targets})
    missing = not_ready(r, stopped=stopped)
    told = [_told(one) for one in stopped]
    return jsonify(ready=not missing, missing=missing, closed=told), 503 if missing else 200


def _told(one: Closed) -> dict[str, str | None]:
    """A closed gate without what the remote said: this door is open to everyone."""
    since = None if one.since is None else one.since.isoformat()
    shown = {"connection": one.connection, "direction": one.direction, "by": one.by}
    return {**shown, "who": one.who or None, "since": since, "why": one.why}


def not_ready(
    r: Resources, now: datetime | None = None, *, stopped: Collection[Closed] = ()
) -> list[str]:
    """What keeps the system from being ready, in words; empty when it is. A source whose reads a person has
    paused is not read, as told.
    """
    paused = {one.connection for one in stopped if one.by == PERSON and one.direction == "read"}
    missing: list[str] = []
    try:
        polled = {row.connection: row.polled_at for row in connections.cursors(r.ledger)}
        now = now or r.ledger.now()
    except LedgerUnavailable:
        return [Lack("ledger_away")]
    if abs(r.ledger.skew) > SKEW_LIMIT:
        missing.append(Lack("clock", seconds=f"{r.ledger.skew:+.0f}"))
    late = late_after(r.settings.fetch_interval)
    for name in (name for name in r.feeds if name not in paused):
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
