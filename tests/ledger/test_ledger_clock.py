"""The database's clock counts, whatever this host's says, and a person hears of a difference."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from ledger import clock, database
from ledger.database import open_ledger
from ledger.faults import LedgerUnavailable

postgresql = pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
AHEAD = 200.0


@pytest.fixture
def host_ahead(monkeypatch):
    """This host's clock is ahead by some minutes."""

    class Ahead(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(seconds=AHEAD)

    monkeypatch.setattr(clock, "datetime", Ahead)


@postgresql
def test_a_wrong_clock_of_the_host_changes_no_lease_and_is_said(ledger, host_ahead):
    with capture_logs() as said:
        told = ledger.now()
    with ledger.read() as db:
        its = db.execute(text("SELECT clock_timestamp()")).scalar_one()
    assert abs((its - told).total_seconds()) < 5
    assert ledger.skew == pytest.approx(AHEAD, abs=2)
    assert [line["event"] for line in said] == ["clock_differs_from_the_database"]
    assert said[0]["log_level"] == "error"


@postgresql
def test_right_clocks_are_not_spoken_of(ledger):
    with capture_logs() as said:
        ledger.measure_clock()
    assert abs(ledger.skew) < 5
    assert said == []


@postgresql
def test_a_clock_that_is_set_while_the_process_runs_moves_nothing(ledger, monkeypatch):
    before = ledger.now()
    passed = [clock.elapsed()]
    monkeypatch.setattr(clock, "elapsed", lambda: passed[0] + 30)
    monkeypatch.setattr(clock, "OLD", 1e9)
    host = datetime.now(UTC) + timedelta(days=1)
    monkeypatch.setattr(clock, "datetime", type("Set", (), {"now": lambda _: host}))
    assert 29 < (ledger.now() - before).total_seconds() < 40


@postgresql
def test_the_time_is_measured_anew_now_and_then(ledger, monkeypatch):
    ledger.now()
    measured = []
    monkeypatch.setattr(ledger._clock, "measure", lambda ask: measured.append(ask()))
    ledger.now()
    assert measured == []
    later = clock.elapsed() + clock.OLD + 1
    monkeypatch.setattr(clock, "elapsed", lambda: later)
    ledger.now()
    assert len(measured) == 1


def test_a_database_that_was_never_reached_has_no_time():
    ledger = open_ledger("postgresql+psycopg://127.0.0.1:1/none")
    with pytest.raises(LedgerUnavailable):
        ledger.now()
    ledger.close()


@postgresql
def test_the_time_goes_on_while_the_database_is_away(ledger, monkeypatch):
    before = ledger.now()
    later = clock.elapsed() + clock.OLD + 1
    monkeypatch.setattr(clock, "elapsed", lambda: later)

    def away():
        raise LedgerUnavailable("away")

    monkeypatch.setattr(ledger, "_ask_time", away)
    assert ledger.now() > before + timedelta(seconds=clock.OLD)


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
def test_a_file_has_the_clock_of_its_host(ledger, monkeypatch):
    monkeypatch.setattr(database, "SKEW_LIMIT", 0.0)
    with capture_logs() as said:
        ledger.measure_clock()
        assert abs((datetime.now(UTC) - ledger.now()).total_seconds()) < 5
    assert ledger.skew == 0.0
    assert said == []
