"""Workers, Valkey and the database are killed, frozen or locked at work: nothing lost, nothing doubled."""

from __future__ import annotations

import signal
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from whole.system import Postgres, System

from simulator.faults import Fault

pytestmark = pytest.mark.whole

both_databases = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
# A lost lease is noticed after 2 * 1 + 10 seconds, so that a test of it is done within half a minute.
QUICK = {"ONEBOX_TIMEOUT": 1, "UNCERTAIN_WAIT": 3}


def outage(seconds):
    """Let time pass: the length of the outage is what is tested."""
    threading.Event().wait(seconds)


@both_databases
def test_five_workers_killed_in_the_middle_of_calls(tmp_path, database_url):
    with System(tmp_path, database_url, **QUICK) as system:
        given = system.give(200)
        system.crm.faults.add(Fault("latency", system.crm.ORDER_SET, seconds=0.15, up_to=0.25))
        system.ticks()
        for _ in range(5):
            worker = system.worker(threads=5)
            before = len(system.crm.processes)
            system.wait_until(
                lambda before=before: (
                    len(system.crm.processes) >= before + 12 and system.crm.in_flight >= 3
                )
            )
            system.kill(worker)
        system.worker(threads=20)
        system.wait_created(200)
        system.assert_each_once(given)
        assert "lost" in system.outcomes(), "no worker was killed in the middle of a call"


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_flushed_broker_while_a_backlog_waits(tmp_path, database_url):
    with System(tmp_path, database_url) as system:
        given = system.give(80)
        system.crm.faults.add(Fault("latency", system.crm.ORDER_SET, seconds=0.2))
        system.ticks()
        system.worker(threads=4)
        queue = system.valkey.client

        def backlog():
            return queue.llen("create") + queue.zcard("ob:onebox:line")

        system.wait_until(lambda: backlog() > 30 and len(system.crm.processes) > 5)
        queue.flushall()
        system.crm.faults.reset()
        system.wait_created(80)
        system.assert_each_once(given)


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_valkey_killed_at_work_and_back_after_two_seconds(tmp_path, database_url):
    with System(tmp_path, database_url, ONEBOX_TIMEOUT=6) as system:
        given = system.give(100)
        system.crm.faults.add(Fault("latency", system.crm.ORDER_SET, seconds=0.2))
        # Some calls outlast the outage: their messages belong to a connection that is no more.
        slow = tuple(f"okl-{order_id}" for order_id in given[::10])
        system.crm.faults.add(Fault("latency", system.crm.ORDER_SET, seconds=4.5, ids=slow))
        system.ticks()
        system.worker(threads=5)
        system.wait_until(lambda: len(system.crm.processes) > 10)
        system.valkey.kill()
        outage(2)
        system.valkey.start()
        system.wait_created(100)
        given += system.give(5, start=400_000_001)
        system.wait_created(105)
        system.assert_each_once(given)
        assert system.shop.max_in_flight == 1


def frozen_between_transactions(system, worker):
    """Freeze a worker with calls under way, but not while it holds SQLite's only lock for writing: nobody
    could go on then, which no program can mend."""
    if system.crm.in_flight < 3:
        return False
    system.signal(worker, signal.SIGSTOP)
    with closing(sqlite3.connect(system.folder / "ledger.db", isolation_level=None)) as ledger:
        ledger.execute("PRAGMA busy_timeout=300")
        try:
            ledger.execute("BEGIN IMMEDIATE")
            ledger.execute("ROLLBACK")
        except sqlite3.OperationalError:
            system.signal(worker, signal.SIGCONT)
            return False
    return True


def test_worker_frozen_beyond_its_lease(tmp_path, database_url):
    """Another worker takes the orders over; what the first one holds when it wakes up is let go."""
    with System(tmp_path, database_url, **QUICK) as system:
        given = system.give(30)
        system.crm.faults.add(Fault("latency", system.crm.ORDER_SET, seconds=0.3))
        system.ticks()
        frozen = system.worker(threads=6)
        system.wait_until(lambda: len(system.crm.processes) >= 6)
        system.wait_until(lambda: frozen_between_transactions(system, frozen))
        system.worker(threads=6)
        system.wait_created(30)
        assert "lost" in system.outcomes()
        calls = system.crm.counts[system.crm.ORDER_SET]
        system.signal(frozen, signal.SIGCONT)
        given += system.give(20, start=400_000_001)
        system.wait_created(50)
        system.assert_each_once(given)
        assert system.crm.counts[system.crm.ORDER_SET] == calls + 20


def test_locked_sqlite_for_three_seconds(tmp_path, database_url):
    with System(tmp_path, database_url) as system:
        given = system.give(60)
        system.crm.faults.add(Fault("latency", system.crm.ORDER_SET, seconds=0.1))
        system.ticks()
        system.worker(threads=5)
        system.wait_until(lambda: len(system.crm.processes) > 5)
        with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as other:
            other.execute("PRAGMA busy_timeout=5000")
            other.execute("BEGIN EXCLUSIVE")
            outage(3)
            other.execute("COMMIT")
        system.wait_created(60)
        system.assert_each_once(given)
        assert {row.tries for row in system.rows()} == {1}


@pytest.mark.parametrize(
    "how", ["stopped", *(pytest.param(how, marks=pytest.mark.long) for how in ("killed", "frozen"))]
)
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_postgresql_gone_at_work_and_back_a_moment_later(tmp_path, database_url, postgres, how):
    with System(tmp_path, database_url, **QUICK) as system:
        given = system.give(80)
        system.crm.faults.add(Fault("latency", system.crm.ORDER_SET, seconds=0.2))
        system.ticks()
        system.worker(threads=5)
        system.wait_until(lambda: len(system.crm.processes) > 10)
        system.ledger.close()
        server = Postgres(postgres)
        {"stopped": postgres.stop, "killed": server.kill, "frozen": server.freeze}[how]()
        outage(8 if how == "frozen" else 3)
        (server.thaw if how == "frozen" else postgres.ensure_postgres_running)()
        system.wait_created(80)
        system.assert_each_once(given)
        assert set(system.outcomes()) <= {"created", "lost", "adopted", "not_found"}
        assert max(row.tries for row in system.rows()) == 1


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_worker_whose_host_is_ahead_sends_nothing_again_in_mid_call(tmp_path, database_url):
    """By its own clock every lease of the other worker has run out as soon as it is taken."""
    with System(tmp_path, database_url, ONEBOX_TIMEOUT=20, UNCERTAIN_WAIT=30) as system:
        ahead = Path(__file__).parent / "chaos" / "ahead.py"
        options = ("-A", "tasks", "worker", "-c", "5", "-n", "ahead@%h", "--without-mingle")
        system.crm.faults.add(Fault("latency", system.crm.ORDER_SET, seconds=4))
        given = system.give(6)
        system.worker(threads=5)
        system.wait_until(lambda: "ready" in system.logs())
        system.ticks()
        system.wait_until(lambda: system.crm.in_flight > 0)
        system._start([str(ahead), "200", "celery", *options], "worker")
        system.wait_created(6)
        system.wait_until(lambda: "clock_differs_from_the_database" in system.logs())
        fresh = system.give(10, start=400_000_001)
        system.wait_created(16)
        assert {len(times) for times in system.sent().values()} == {1}
        system.assert_each_once([*given, *fresh])
