"""Why an update that waits has not gone yet: each way of waiting has its reason, and no other has one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from desk import waiting
from ledger import connections, enqueueing, queues, updates, waits
from ledger.database import Ledger, open_ledger
from ledger.enqueueing import Asked
from ledger.migrate import upgrade
from ledger.updates import Due

SHOP = "okliving"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LIVE = {SHOP: SimpleNamespace(mode="live")}
ORDERED = frozenset({"order", "delivery"})


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    monkeypatch.setattr(Ledger, "now", lambda _: NOW)
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    upgrade(url, sandbox=True)
    opened = open_ledger(url)
    yield opened
    opened.close()


def ask(ledger, order_id="1", at=NOW, **parts):
    asked = Asked(SHOP, order_id, digest="d", origin="t", parts=parts or {"note": "n"})
    return enqueueing.accept(ledger, asked, at)


def park(ledger, *rows, part="order"):
    """A drain of one order that parks this part of these, and gives the queue back."""
    queue, _, _ = queues.claim(ledger, Due(SHOP, rows[0].order_id), NOW, 60)
    for row in rows:
        parts = updates.moved(row.parts, [part], "parked")
        blocks = part in ORDERED
        after = replace(row, state="parked", reason="update_illegal", parts=parts, blocks=blocks)
        queues.record(ledger, queue, after, NOW)
    queues.rest(ledger, queue, NOW, ordered=ORDERED)


def drained(ledger, order_id="1", **rest):
    queue, _, _ = queues.claim(ledger, Due(SHOP, order_id), NOW, 60)
    queues.rest(ledger, queue, NOW, ordered=ORDERED, **rest)


def reason(ledger, row, configured=LIVE):
    told = waiting.reasons(ledger, [updates.find(ledger, row.id)], configured)
    return told.get(row.id)


def code(ledger, row, configured=LIVE):
    told = reason(ledger, row, configured)
    return told and told["code"]


def test_what_was_just_accepted_is_about_to_be_sent(ledger):
    assert code(ledger, ask(ledger)) == "update_due"


def test_an_old_queue_does_not_make_a_new_update_late(ledger):
    """A queue keeps the time of what was in it before."""
    ask(ledger, at=NOW - timedelta(days=2))
    assert code(ledger, ask(ledger)) == "update_due"


def test_what_nobody_takes_up_is_said_to_be_so(ledger):
    told = reason(ledger, ask(ledger, at=NOW - timedelta(minutes=4)))
    assert (told["code"], told["after"]) == ("update_not_taken", "2026-11-21 11:56:00 UTC")


def test_what_is_being_sent_is_about_to_be_sent(ledger):
    row = ask(ledger, at=NOW - timedelta(hours=1))
    queues.claim(ledger, Due(SHOP, "1"), NOW, 60)
    assert code(ledger, row) == "update_due"


def test_behind_a_parked_status_the_update_is_named(ledger):
    parked = ask(ledger, order="complete")
    other = ask(ledger, order_id="2", order="complete")
    waits = ask(ledger, delivery="ship")
    park(ledger, parked)
    park(ledger, other)
    told = reason(ledger, waits)
    assert (told["code"], told["after"]) == ("update_waits_behind", str(parked.id))
    assert code(ledger, parked) is None
    updates.cancel(ledger, parked.id, NOW, who="olena")
    assert code(ledger, waits) == "update_due"


def test_of_several_parked_ones_the_first_is_named(ledger):
    rows = [ask(ledger, order="complete") for _ in range(3)]
    park(ledger, *rows[:2])
    assert reason(ledger, rows[2])["after"] == str(rows[0].id)


def test_a_parked_comment_is_in_nobodys_way(ledger):
    parked = ask(ledger, note="n")
    later = ask(ledger, order="process")
    park(ledger, parked, part="note")
    assert code(ledger, later) == "update_due"


@pytest.mark.parametrize(
    ("counted", "expected"), [(True, "update_shop_silent"), (False, "update_due")]
)
def test_after_a_failed_try_the_time_of_the_next_is_told(ledger, counted, expected):
    row = ask(ledger)
    drained(ledger, next_try_at=NOW + timedelta(seconds=90), counted=counted)
    told = reason(ledger, row)
    assert told["code"] == expected
    assert told["after"] == ("2026-11-21 12:01:30 UTC" if counted else None)


@pytest.mark.parametrize(("direction", "expected"), [("write", True), ("read", False)])
def test_a_closed_gate_of_writes_is_told_with_its_reason(ledger, direction, expected):
    row = ask(ledger)
    connections.close(ledger, SHOP, "fault", NOW, 15, "wrong password", direction)
    told = reason(ledger, row)
    assert (told["code"] == "update_connection_paused") is expected
    assert (told["detail"] == "wrong password") is expected


@pytest.mark.parametrize(
    ("configured", "expected"),
    [
        ({SHOP: SimpleNamespace(mode="shadow")}, "update_shadow"),
        ({"other": SimpleNamespace(mode="live")}, "update_not_configured"),
        # A sandbox that does not run knows no connection, and so none that is missing.
        ({}, "update_due"),
    ],
)
def test_what_the_settings_say_is_a_reason_too(ledger, configured, expected):
    assert code(ledger, ask(ledger), configured) == expected


def test_what_has_ended_has_no_reason_to_wait(ledger):
    row = ask(ledger)
    updates.cancel(ledger, row.id, NOW, who="olena")
    assert reason(ledger, row) is None
    assert waiting.reasons(ledger, [], LIVE) == {}


def test_of_a_thousand_each_is_told(ledger, monkeypatch):
    monkeypatch.setattr(waits, "AT_ONCE", 7)
    rows = [ask(ledger, order_id=str(n)) for n in range(20)]
    assert set(waiting.reasons(ledger, rows, LIVE)) == {row.id for row in rows}
