"""The figures for Prometheus: from ledger and Redis, when asked."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from mapped_as import mapped_as
from prometheus_client.parser import text_string_to_metric_families

from gateway import metrics
from ledger import connections, enqueueing, hook_intake, hooks, measures, orders, queues
from ledger.attempts import Try
from ledger.database import open_ledger
from ledger.enqueueing import Asked
from ledger.faults import LedgerUnavailable
from ledger.hook_endings import Ending
from ledger.migrate import upgrade
from ledger.orders import Arrived, Outcome
from ledger.updates import Due

NOW = datetime.now(UTC)


def fill(ledger):
    """Two orders, one created; two updates of one order, one sent; a poll, a closed gate, a hook."""
    arrived = [Arrived(str(n), f"OK-{n}", "{}", "hash", NOW) for n in (1, 2)]
    then = NOW - timedelta(minutes=5)
    pks = orders.store(ledger, "okliving", "onebox", arrived, then, mapped_as())
    claim = orders.claim(ledger, pks[0], NOW, 60)
    tried = Try("create", NOW - timedelta(minutes=1), 250, "created", 200)
    orders.record(ledger, claim, Outcome("created", target_id="77"), tried, NOW)
    for part in ("a", "b"):
        enqueueing.accept(ledger, Asked("okliving", "1", part, "test", {"note": part}), NOW)
    queue, rows, _ = queues.claim(ledger, Due("okliving", "1"), NOW, 60)
    for milliseconds in (100, 300):
        call = Try("update", NOW - timedelta(seconds=1), milliseconds, "sent", 200, parts="note")
        queues.record(ledger, queue, replace(rows[0], state="sent"), NOW, call=call)
    queues.rest(ledger, queue, NOW - timedelta(seconds=30))
    poll = connections.begin_poll(ledger, "okliving", NOW, 60)
    connections.end_poll(ledger, poll, NOW, NOW)
    connections.close(ledger, "onebox", "fault", NOW, 15, "x")
    hook_id, _ = hook_intake.keep(ledger, "okliving", "okl-1", {}, NOW)
    claim = hooks.claim(ledger, hooks.find(ledger, hook_id), NOW, 60)
    hooks.finish(ledger, claim, {hook_id: Ending("unknown_stage")}, NOW)
    hook_intake.keep(ledger, "okliving", "okl-1", {}, NOW)


def figures(made):
    answer = made.client.get("/metrics")
    assert answer.status_code == 200
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_figures_tell_how_ledger_and_redis_stand(gateway):
    made = gateway()
    fill(made.ledger)
    made.redis.rpush("create", "a", "b", "c")

    found = figures(made)

    hour = "orderbridge_attempts_last_hour"
    expected = {
        ("orderbridge_orders", ("state", "created")): 1,
        ("orderbridge_orders", ("state", "received")): 1,
        ("orderbridge_orders", ("state", "held")): 0,
        ("orderbridge_updates", ("state", "sent")): 1,
        ("orderbridge_updates", ("state", "queued")): 1,
        ("orderbridge_queue_length", ("queue", "create")): 3,
        ("orderbridge_queue_length", ("queue", "ocp")): 0,
        (hour, ("lane", "orders"), ("outcome", "created")): 1,
        (hour, ("lane", "updates"), ("outcome", "sent")): 2,
        (f"{hour}_seconds_sum", ("lane", "updates")): 0.4,
        (f"{hour}_seconds", ("lane", "updates"), ("quantile", "0.5")): 0.3,
        (f"{hour}_seconds", ("lane", "orders"), ("quantile", "0.99")): 0.25,
        (
            "orderbridge_gate_closed",
            ("by", "fault"),
            ("connection", "onebox"),
            ("direction", "write"),
        ): 1,
        ("orderbridge_hook_calls_last_hour", ("outcome", "unknown_stage")): 1,
        ("orderbridge_hook_calls_last_hour", ("outcome", "waiting")): 1,
        ("orderbridge_up", ("store", "ledger")): 1,
        ("orderbridge_up", ("store", "redis")): 1,
    }
    assert {name: found.get(name) for name in expected} == expected
    assert 299 < found["orderbridge_orders_oldest_due_seconds",] < 3600
    assert 29 < found["orderbridge_updates_oldest_due_seconds",] < 3600
    polled = found["orderbridge_last_poll_timestamp_seconds", ("connection", "okliving")]
    assert polled == pytest.approx(NOW.timestamp())
    counted = found["orderbridge_counted_timestamp_seconds", ("of", "orders")]
    assert counted == pytest.approx(NOW.timestamp(), abs=600)


def test_every_figure_is_explained_and_every_explained_one_is_told(gateway):
    made = gateway()
    fill(made.ledger)
    document = (Path(metrics.__file__).parents[1] / "docs" / "http.md").read_text()
    table = re.findall(r"^\| (`orderbridge_.*?) \|", document, re.MULTILINE)
    explained = set(re.findall(r"orderbridge_\w+", "".join(table)))

    assert {name for name, *_ in figures(made)} == explained


def test_a_store_that_is_away_is_told_and_the_others_figures_stay(gateway, monkeypatch):
    made = gateway()
    made.redis_server.connected = False
    found = figures(made)
    assert found["orderbridge_up", ("store", "redis")] == 0
    assert ("orderbridge_orders", ("state", "held")) in found

    def away(*_):
        raise LedgerUnavailable("x")

    made.redis_server.connected = True
    monkeypatch.setattr(metrics.measures, "measure", away)
    found = figures(made)
    assert found["orderbridge_up", ("store", "ledger")] == 0
    assert ("orderbridge_queue_length", ("queue", "create")) in found


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_measures_are_the_same_on_either_database(database_url):
    upgrade(database_url, sandbox=True)
    ledger = open_ledger(database_url)
    fill(ledger)

    found = measures.measure(ledger, NOW)
    later = measures.measure(ledger, NOW + timedelta(hours=2))
    ledger.close()

    assert found.orders.rows["created"] == found.orders.rows["received"] == 1
    assert found.orders.at == found.updates.at == NOW
    assert found.oldest_order_due_at == NOW - timedelta(minutes=5)
    assert found.lanes["updates"].outcomes == {"sent": 2}
    assert found.lanes["updates"].quantiles == {"0.5": 0.3, "0.9": 0.3, "0.99": 0.3}
    assert found.hooks == {"unknown_stage": 1, "waiting": 1}
    assert (later.lanes["updates"].outcomes, later.lanes["updates"].quantiles) == ({}, {})
