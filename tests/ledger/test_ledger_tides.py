"""A ledger that went back in time is noticed by whoever remembers more than it knows, and begins anew."""

from __future__ import annotations

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs
from tide_calls import LEASE, Memory, row, standing, store

from ledger import orders
from ledger.database import open_ledger
from ledger.faults import LedgerUnavailable
from ledger.tables import IDENTITY


def test_a_ledger_that_only_goes_on_is_left_alone(opened):
    first, second = opened(), opened()
    store(first, "1")
    store(second, "2")
    third = opened()
    for ledger in (first, second, third):
        assert ledger.look_back().epoch == ""
    assert row(third, "1").uncertain_since is None


def test_process_whose_own_last_commit_is_gone_begins_anew_before_it_writes(opened, backup):
    ledger = opened(Memory())
    store(ledger, "1")
    before = backup()
    store(ledger, "2")
    before.put_back()
    with capture_logs() as said:
        (pk,) = store(ledger, "3")
    assert [line["event"] for line in said if line["log_level"] == "critical"] == [
        "ledger_went_back"
    ]
    # Also what came in with that very commit, and what the backup had.
    for order_id in ("1", "3"):
        assert row(ledger, order_id).uncertain_since is not None
    assert orders.claim(ledger, pk, ledger.now(), LEASE).uncertain_since is not None


def test_process_that_starts_learns_from_the_memory_what_others_had_committed(opened, backup):
    first = opened()
    store(first, "1")
    before = backup()
    store(first, "2")
    first.close()
    before.put_back()
    started = opened()
    assert started.look_back().is_behind
    assert row(started, "1").uncertain_since is not None


def test_a_new_connection_looks_back_before_its_first_commit(opened, backup):
    """Another server takes over: the connections break, and it lacks what another process committed."""
    first, second = opened(), opened()
    (pk,) = store(second, "1")
    before = backup()
    claimed = orders.claim(first, pk, first.now(), LEASE)
    assert claimed.uncertain_since is None
    before.put_back()
    second._drop_connection()
    again = orders.claim(second, pk, second.now(), LEASE)
    assert again.uncertain_since is not None


def test_one_process_begins_anew_and_the_others_learn_it(opened, backup, together):
    ledgers = [opened() for _ in range(6)]
    for number, ledger in enumerate(ledgers):
        store(ledger, f"a{number}")
    before = backup()
    for number, ledger in enumerate(ledgers):
        store(ledger, f"b{number}")
    before.put_back()
    with capture_logs() as said:
        together(lambda n: store(ledgers[n], f"c{n}"), 6)
        epochs = {ledger.look_back().epoch for ledger in ledgers}
    assert len(epochs) == 1
    assert [line["event"] for line in said].count("ledger_went_back") == 1
    assert epochs == {standing(ledgers[0]).epoch}


def test_a_ledger_may_go_back_to_before_it_went_back(opened, backup):
    ledger = opened()
    store(ledger, "1")
    oldest = backup()
    store(ledger, "2")
    oldest.put_back()
    first = ledger.look_back().epoch
    store(ledger, "3")
    oldest.put_back()
    again = opened()
    second = again.look_back().epoch
    assert len({"", first, second}) == 3
    oldest.put_back()
    # Who lived on knows that its epoch came later than the one it finds.
    assert ledger.look_back().epoch not in {"", first, second}


def test_a_memory_that_is_behind_or_away_means_nothing(opened, memory):
    ledger = opened()
    store(ledger, "1")
    memory.kept[""] = dict.fromkeys(memory.kept[""], 0)
    memory.away = True
    store(ledger, "2")
    memory.away = False
    assert opened().look_back().epoch == ""
    memory.kept.clear()
    assert opened().look_back().epoch == ""


def test_a_memory_that_was_away_is_asked_as_soon_as_it_is_back(opened, backup, memory, monkeypatch):
    monkeypatch.setattr("ledger.lookout.ASK_AGAIN", 0.0)
    first = opened()
    store(first, "1")
    before = backup()
    store(first, "2")
    first.close()
    before.put_back()
    memory.away = True
    started = opened()
    store(started, "3")
    assert row(started, "3").uncertain_since is None
    memory.away = False
    store(started, "4")
    assert row(started, "3").uncertain_since is not None


def test_commit_whose_answer_was_lost_is_no_proof(opened):
    """The connection broke in COMMIT: the ledger may have it, or not."""
    ledger = opened()
    store(ledger, "1")
    writer, height = next(iter(ledger._lookout._confirmed.items()))
    store(ledger, "2")
    ledger._lookout._confirmed[writer] = height
    store(ledger, "3")

    def break_off(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ledger.write(break_off)
    store(ledger, "4")
    assert ledger.look_back().epoch == ""


def test_ledger_in_whose_place_another_stands_is_not_worked_with(opened):
    ledger = opened()
    store(ledger, "1")
    other = open_ledger(str(ledger.engine.url.render_as_string(hide_password=False)))
    other.write(lambda db: db.execute(update(IDENTITY).values(id="another")))
    other.close()
    with pytest.raises(LedgerUnavailable, match="Another ledger"):
        ledger.look_back()
