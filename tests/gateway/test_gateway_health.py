"""Alive while it serves, ready while all that an order needs is there; open to others only with keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import fakeredis
import pytest
from flask import Flask
from mapped_as import mapped_as

import lanes
from gateway.health import SEEN_KEY, health, not_ready
from ledger import connections, enqueueing, hook_intake, orders
from ledger.database import open_ledger
from ledger.enqueueing import Asked
from ledger.lateness import late_lanes
from ledger.migrate import upgrade
from ledger.orders import Arrived
from tasks.freshness import LATE_SECONDS

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def r(tmp_path):
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    upgrade(url, sandbox=True)
    ledger = open_ledger(url)
    store = fakeredis.FakeRedis(server=fakeredis.FakeServer())
    store.set(SEEN_KEY, "1")
    lanes.sign(store, lanes.USED)
    yield SimpleNamespace(
        ledger=ledger,
        redis=store,
        sources={"okliving": None},
        targets={"onebox": None},
        feeds={"okliving": None},
        settings=SimpleNamespace(
            fetch_interval=10, connections={"okliving": SimpleNamespace(mode="live")}
        ),
    )
    ledger.close()


def polled(r, at, connection="okliving"):
    held = connections.begin_poll(r.ledger, connection, at, 60)
    connections.end_poll(r.ledger, held, at, None)


@pytest.fixture
def client(r):
    app = Flask("test")
    app.config["RESOURCES"] = r
    app.register_blueprint(health)
    return app.test_client()


def test_alive_whatever_is_missing(client, r):
    r.redis = r.ledger = None
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json) == (200, {"status": "alive"})


def test_ready_when_nothing_is_missing(client, r):
    polled(r, datetime.now(UTC))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json) == (200, {"ready": True, "missing": [], "closed": []})


def test_not_ready_says_what_is_missing(client):
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json["ready"] is False
    assert answer.json["missing"] == ["okliving was not read yet"]


@pytest.mark.parametrize(
    ("interval", "age", "ready"),
    [(10, LATE_SECONDS, True), (10, LATE_SECONDS + 1, False), (100, 500, True), (100, 501, False)],
)
def test_shop_that_was_not_read_for_long_is_missing(r, interval, age, ready):
    r.settings.fetch_interval = interval
    polled(r, NOW - timedelta(seconds=age))
    missing = not_ready(r, NOW)
    assert (missing == []) is ready
    assert ready or missing[0].startswith("okliving was last read at 2026-11-21 11:")


# By whom, and what everyone is told.
STOPPED = {
    "person": "Writes to onebox are paused by anna: they move.",
    "breaker": "Writes to onebox are stopped: it does not answer.",
    "fault": "Writes to onebox are stopped: it refuses them, whatever the order.",
}


@pytest.mark.parametrize("by", STOPPED)
def test_stopped_connection_is_named_and_alone_makes_nothing_unready(client, r, by):
    """What comes in is kept, so a balancer is to go on sending it; no text of a remote is told."""
    now = datetime.now(UTC)
    polled(r, now)
    if by == "person":
        connections.pause(r.ledger, "onebox", ["write"], now, reason="they move", who="anna")
    else:
        connections.close(r.ledger, "onebox", by, now, 5, "its own words")
    connections.close(r.ledger, "no longer configured", "fault", now, 5, "")
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["ready"]) == (200, True)
    assert answer.json["closed"] == [
        {
            "connection": "onebox",
            "direction": "write",
            "by": by,
            "who": "anna" if by == "person" else None,
            "since": now.isoformat(),
            "why": STOPPED[by],
        }
    ]


@pytest.mark.parametrize(("by", "ready"), [("person", True), ("breaker", False)])
def test_source_that_is_not_read_as_told_is_not_missing(client, r, by, ready):
    now = datetime.now(UTC)
    if by == "person":
        connections.pause(r.ledger, "okliving", ["read"], now, reason="they move", who="anna")
    else:
        connections.close(r.ledger, "okliving", by, now, 5, "down", "read")
    assert client.get("/readyz").json["ready"] is ready


def test_writes_to_a_source_that_is_not_read_are_still_late(r):
    long_ago = NOW - timedelta(hours=1)
    enqueueing.accept(
        r.ledger, Asked("okliving", "1", digest="d", origin="t", parts={"note": "x"}), long_ago
    )
    connections.pause(r.ledger, "okliving", ["read"], NOW, reason="they move", who="anna")
    assert late_lanes(r.ledger, [], ["okliving"], NOW) == ["updates"]
    connections.pause(r.ledger, "okliving", ["write"], NOW, reason="they move", who="anna")
    assert late_lanes(r.ledger, [], ["okliving"], NOW) == []


def test_every_shop_must_be_read(r):
    r.feeds["second"] = None
    polled(r, NOW)
    assert not_ready(r, NOW) == ["second was not read yet"]


def test_failed_polls_are_no_reading(r):
    polled(r, NOW - timedelta(hours=1))
    held = connections.begin_poll(r.ledger, "okliving", NOW, 60)
    connections.fail_poll(r.ledger, held, NOW, "no answer")
    assert not_ready(r, NOW) == ["okliving was last read at 2026-11-21 11:00:00 UTC"]


def test_worker_that_is_not_seen_and_redis_that_is_away(r):
    polled(r, NOW)
    r.redis.delete(SEEN_KEY)
    assert not_ready(r, NOW) == ["no worker was seen lately"]
    r.redis = fakeredis.FakeRedis(server=fakeredis.FakeServer(), connected=False)
    r.redis.connection_pool.connection_kwargs["server"].connected = False
    assert not_ready(r, NOW) == ["Redis does not answer"]


def test_a_lane_that_nobody_serves_is_named(r):
    polled(r, NOW)
    r.redis.delete("ob:lane:create:seen")
    assert not_ready(r, NOW) == ["nobody serves the lane create"]


@pytest.mark.parametrize(
    ("minutes", "closed", "late"), [(14, False, 0), (16, False, 1), (16, True, 0)]
)
def test_a_lane_is_late_unless_its_connection_is_closed(r, minutes, closed, late):
    polled(r, NOW)
    came = NOW - timedelta(minutes=minutes)
    arrived = [Arrived("1", "okl-1", "{}", "h", came)]
    orders.store(r.ledger, "okliving", "onebox", arrived, came, mapped_as(str))
    if closed:
        connections.close(r.ledger, "onebox", "person", NOW, 0.0, "")
    said = ["the lane create is late: something has been due for over 15 minutes"]
    assert not_ready(r, NOW) == said[:late]


def test_the_lane_of_updates_is_late_by_queues_and_by_hook_calls(r):
    long_ago = NOW - timedelta(hours=1)
    assert late_lanes(r.ledger, ["onebox"], ["okliving"], NOW) == []
    hook_intake.keep(r.ledger, "okliving", "okl-1", {}, long_ago)
    assert late_lanes(r.ledger, ["onebox"], [], NOW) == ["updates"]
    asked = Asked("okliving", "1", digest="d", origin="t", parts={"note": "x"})
    enqueueing.accept(r.ledger, asked, long_ago)
    assert late_lanes(r.ledger, [], ["okliving"], NOW) == ["updates"]


def test_ledger_that_is_away(r, tmp_path):
    r.ledger = open_ledger(f"sqlite:///{tmp_path / 'no such folder' / 'x.db'}")
    assert not_ready(r, NOW) == ["the ledger does not answer"]
