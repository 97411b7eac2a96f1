"""A monitor hears of a good poll while every source is read, and of nothing else."""

from __future__ import annotations

import pytest
import structlog
from webhook import webhook

from ledger import connections
from tasks import heartbeat, polling

SHOP = "okliving"


@pytest.fixture
def hook():
    with webhook() as made:
        yield made


def read_well(r, clock):
    poll = connections.begin_poll(r.ledger, SHOP, clock.now, 70)
    connections.end_poll(r.ledger, poll, clock.now, clock.now)


def test_a_good_poll_is_told(make, clock, hook):
    r = make(heartbeat_url=f"http://127.0.0.1:{hook.port}/uuid")
    read_well(r, clock)
    heartbeat.after_poll(r)
    assert [path for _, path, _ in hook.calls] == ["/uuid"]


def test_a_source_that_is_not_read_is_not_hidden_by_another_one(make, clock, hook):
    """Told is that all are read: this poll may be another source's."""
    r = make(heartbeat_url=f"http://127.0.0.1:{hook.port}/uuid", fetch_interval=60)
    heartbeat.after_poll(r)
    read_well(r, clock)
    clock.go(301)
    heartbeat.after_poll(r)
    assert not hook.calls


@pytest.mark.parametrize("answer", [500, 302, 404])
def test_a_monitor_that_refuses_is_told_in_the_log_without_its_address(make, clock, hook, answer):
    hook.answer = answer
    r = make(heartbeat_url=f"http://127.0.0.1:{hook.port}/secret-uuid")
    read_well(r, clock)
    with structlog.testing.capture_logs() as lines:
        heartbeat.after_poll(r)
    assert [(line["event"], line["because"]) for line in lines] == [("heartbeat_not_taken", answer)]
    assert "secret-uuid" not in str(lines)


def test_a_monitor_that_is_away_fails_no_poll(make, clock):
    r = make(heartbeat_url="http://127.0.0.1:1/secret-uuid")
    read_well(r, clock)
    with structlog.testing.capture_logs() as lines:
        heartbeat.after_poll(r)
    assert [line["because"] for line in lines] == ["Unreachable"]


def test_a_sandbox_does_not_say_that_the_real_system_lives(make, clock, monkeypatch):
    r = make(heartbeat_url="https://hc-ping.com/uuid")
    assert r.settings.sandbox
    read_well(r, clock)
    monkeypatch.setattr(heartbeat, "ping", pytest.fail)
    heartbeat.after_poll(r)


def test_it_follows_each_good_poll_and_no_other(r, monkeypatch):
    from tasks import orders  # noqa: PLC0415  after the settings of conftest

    told = []
    monkeypatch.setattr(orders, "resources", lambda: r)
    monkeypatch.setattr(orders.heartbeat, "after_poll", told.append)
    orders.fetch(SHOP)
    assert told == [r]

    def failing(*_):
        raise polling.PollFailed("not read")

    monkeypatch.setattr(polling, "poll", failing)
    with pytest.raises(polling.PollFailed):
        orders.fetch(SHOP)
    assert told == [r]
