"""Cursors: one poll at a time. Gates: closed at the limit, and one probe at a time through."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ledger import connections
from ledger.connections import CursorRow, GateRow

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LATER = NOW + timedelta(seconds=61)


def test_only_one_of_many_begins_a_poll(ledger, together):
    polls = together(lambda _: connections.begin_poll(ledger, "shop", NOW, 60), 16)
    assert sum(poll is not None for poll in polls) == 1
    assert connections.begin_poll(ledger, "other", NOW, 60) is not None


def test_poll_that_never_ended_is_taken_over_and_its_holder_moves_nothing(ledger):
    lost = connections.begin_poll(ledger, "shop", NOW, 60)
    assert connections.begin_poll(ledger, "shop", NOW + timedelta(seconds=60), 60) is None
    taken = connections.begin_poll(ledger, "shop", LATER, 60)
    assert taken is not None
    assert not connections.keep_poll(ledger, lost, LATER, 60)
    assert not connections.end_poll(ledger, lost, LATER, LATER)
    connections.fail_poll(ledger, lost, LATER, "late")
    assert connections.cursors(ledger) == [CursorRow("shop", None, None, None, "", NOW)]
    assert connections.end_poll(ledger, taken, LATER, NOW)


def test_prolonged_poll_is_not_taken_over(ledger):
    poll = connections.begin_poll(ledger, "shop", NOW, 60)
    assert connections.keep_poll(ledger, poll, NOW + timedelta(seconds=50), 60)
    assert connections.begin_poll(ledger, "shop", LATER, 60) is None


def test_ended_poll_moves_the_cursor_and_gives_the_shop_back(ledger):
    poll = connections.begin_poll(ledger, "shop", NOW, 60)
    assert poll.watermark is None
    assert connections.end_poll(ledger, poll, LATER, NOW)
    assert connections.cursors(ledger) == [CursorRow("shop", NOW, LATER, None, "", NOW)]
    assert connections.begin_poll(ledger, "shop", NOW, 60).watermark == NOW


def test_failed_poll_leaves_the_cursor_and_its_error_goes_with_the_next_good_one(ledger):
    connections.end_poll(ledger, connections.begin_poll(ledger, "shop", NOW, 60), NOW, NOW)
    poll = connections.begin_poll(ledger, "shop", LATER, 60)
    connections.fail_poll(ledger, poll, LATER, "no answer")
    assert connections.cursors(ledger) == [CursorRow("shop", NOW, NOW, LATER, "no answer", NOW)]
    poll = connections.begin_poll(ledger, "shop", LATER, 60)
    assert poll.watermark == NOW
    connections.end_poll(ledger, poll, LATER, LATER)
    assert connections.cursors(ledger) == [CursorRow("shop", LATER, LATER, None, "", NOW)]


def fail(ledger, times, limit=5):
    return [connections.count_failure(ledger, "box", NOW, limit, 5, "down") for _ in range(times)]


def test_breaker_closes_at_the_limit_and_a_success_opens_it(ledger):
    assert connections.gate(ledger, "box") == GateRow("box")
    rows = fail(ledger, 6)
    assert [row.closed_by for row in rows] == [None] * 4 + ["breaker"] * 2
    assert rows[4] == GateRow("box", "write", 5, "breaker", NOW, "down", NOW + timedelta(seconds=5))
    assert connections.gates(ledger) == [rows[5]]
    assert connections.open_gate(ledger, "box")
    assert connections.gate(ledger, "box") == GateRow("box")
    assert not connections.open_gate(ledger, "box")


def test_success_between_failures_begins_the_count_anew(ledger):
    fail(ledger, 4)
    assert not connections.open_gate(ledger, "box")
    assert {row.closed_by for row in fail(ledger, 4)} == {None}


def test_failures_of_many_workers_are_all_counted(ledger, together):
    together(lambda _: fail(ledger, 1, limit=16), 16)
    row = connections.gate(ledger, "box")
    assert (row.failures, row.closed_by) == (16, "breaker")


def test_only_one_of_many_takes_the_probe(ledger, together):
    connections.close(ledger, "box", "fault", NOW, 15, "bad password")
    assert not connections.take_probe(ledger, "box", NOW, 15)
    later = NOW + timedelta(seconds=15)
    assert sum(together(lambda _: connections.take_probe(ledger, "box", later, 15), 16)) == 1
    assert not connections.take_probe(ledger, "box", later + timedelta(seconds=14), 15)
    assert connections.take_probe(ledger, "box", later + timedelta(seconds=15), 15)


def test_open_gate_has_no_probe(ledger):
    fail(ledger, 1)
    assert not connections.take_probe(ledger, "box", LATER, 5)
    assert not connections.take_probe(ledger, "never seen", LATER, 5)


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        ("breaker", "fault", "fault"),
        ("fault", "fault", "fault"),
        ("person", "fault", "person"),
        ("fault", "person", "person"),
    ],
)
def test_closing_is_never_weakened(ledger, first, second, kept):
    connections.close(ledger, "box", first, NOW, 15, f"first {first}")
    row = connections.close(ledger, "box", second, LATER, 15, f"then {second}")
    assert row.closed_by == kept
    assert row.reason == (f"then {second}" if kept != first else f"first {first}")
    assert row.closed_at == (LATER if kept != first else NOW)
