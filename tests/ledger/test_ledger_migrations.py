"""The tables: migrations go up and down, agree with the models, and a ledger knows whose it is."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic import command, op
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import bindparam, inspect, select, text
from sqlalchemy.exc import StatementError

from connection import EVERYTHING
from ledger import connections
from ledger.database import open_ledger
from ledger.identity import VERSION, WrongLedger, identify
from ledger.migrate import configuration, upgrade
from ledger.tables import CURSORS, METADATA, ORDERS

ROOT = Path(__file__).resolve().parents[2]
both = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)


def migrate(url, change, revision):
    ledger = open_ledger(url)
    with ledger.engine.connect() as connection:
        config = configuration()
        config.attributes["connection"] = connection
        change(config, revision)
        connection.commit()
        tables = set(inspect(connection).get_table_names()) - {"alembic_version"}
    ledger.close()
    return tables


@both
def test_migrations_go_up_and_down_and_up_again(database_url):
    everything = set(METADATA.tables)
    assert migrate(database_url, command.upgrade, "head") == everything
    assert migrate(database_url, command.downgrade, "base") == set()
    assert migrate(database_url, command.upgrade, "head") == everything


def test_models_and_migrations_agree(ledger):
    with ledger.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []


def test_ledger_keeps_its_id_through_migrations(ledger, ledger_url):
    known = identify(ledger, sandbox=True)
    upgrade(ledger_url, sandbox=True)
    assert identify(ledger, sandbox=True) == known


def test_ledger_of_the_other_world_is_refused(ledger, ledger_url):
    with pytest.raises(WrongLedger, match="never mixed"):
        identify(ledger, sandbox=False)
    with pytest.raises(WrongLedger, match="never mixed"):
        upgrade(ledger_url, sandbox=False)


@both
def test_ledger_that_is_not_migrated_says_which_command_to_run(database_url):
    ledger = open_ledger(database_url)
    with pytest.raises(WrongLedger, match="orderbridge migrate"):
        identify(ledger, sandbox=True)
    ledger.close()


def test_times_come_back_aware_and_in_utc(ledger):
    kyiv = timezone(timedelta(hours=2))
    row = {"connection": "x", "error": "", "watermark": datetime(2026, 11, 21, 10, tzinfo=kyiv)}
    ledger.write(lambda db: db.execute(CURSORS.insert().values(**row)))
    with ledger.read() as db:
        (read,) = db.execute(select(CURSORS.c.watermark)).one()
    assert read == datetime(2026, 11, 21, 8, tzinfo=UTC)
    assert read.utcoffset() == timedelta(0)


def test_times_without_a_zone_are_refused(ledger):
    row = {"connection": "x", "error": "", "watermark": datetime(2026, 11, 21)}  # noqa: DTZ001  the case
    with pytest.raises(StatementError, match="without a zone"):
        ledger.write(lambda db: db.execute(CURSORS.insert().values(**row)))


def test_the_version_that_processes_want_is_the_newest_migration():
    assert ScriptDirectory.from_config(configuration()).get_current_head() == VERSION


def half_of(monkeypatch, what="create_index", after=4):
    """The newest migration breaks off in its middle, as when its process is killed."""
    real, done = getattr(op, what), []

    def until_then(*args, **kwargs):
        if len(done) == after:
            raise KeyboardInterrupt
        done.append(real(*args, **kwargs))

    monkeypatch.setattr(op, what, until_then)


@both
@pytest.mark.parametrize("what", ["create_index", "drop_table", "add_column"])
def test_migration_that_breaks_off_leaves_nothing_behind(database_url, monkeypatch, what):
    before = migrate(database_url, command.upgrade, "0002")
    with monkeypatch.context() as patched:
        half_of(patched, what, after=0 if what == "drop_table" else 4)
        with pytest.raises(KeyboardInterrupt):
            upgrade(database_url, sandbox=True)
    assert shape(database_url)["tables"] == before
    assert migrate(database_url, command.upgrade, "0002") == before
    upgrade(database_url, sandbox=True)
    assert shape(database_url)["tables"] == set(METADATA.tables)


def shape(url):
    """The version of a ledger and its tables."""
    ledger = open_ledger(url)
    with ledger.engine.connect() as connection:
        version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        tables = set(inspect(connection).get_table_names()) - {"alembic_version"}
    ledger.close()
    return {"version": version, "tables": tables}


def test_process_killed_in_mid_migration_leaves_a_ledger_that_migrates(tmp_path):
    """With SIGKILL, in the middle of 0003, on a file."""
    path = tmp_path / "ledger.db"
    url = f"sqlite:///{path}"
    migrate(url, command.upgrade, "0002")
    code = (
        "import os, signal, sys\n"
        "from alembic import op\n"
        "from ledger.migrate import upgrade\n"
        "op.create_index = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\n"
        "upgrade(sys.argv[1], sandbox=True)"
    )
    done = subprocess.run([sys.executable, "-c", code, url], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert shape(url)["version"] == "0002"
    upgrade(url, sandbox=True)
    assert shape(url) == {"version": VERSION, "tables": set(METADATA.tables)}


def test_half_a_migration_of_an_older_release_is_refused_in_plain_words(tmp_path):
    path = tmp_path / "ledger.db"
    url = f"sqlite:///{path}"
    migrate(url, command.upgrade, "0002")
    with closing(sqlite3.connect(path)) as db:
        db.execute("ALTER TABLE orders ADD COLUMN sent_source TEXT")
    with pytest.raises(WrongLedger, match="broke off"):
        upgrade(url, sandbox=True)


@both
def test_a_ledger_that_was_read_before_still_counts_all_orders(database_url):
    """Its default was `all`. One whose source was asked in vain alone goes by the setting of today."""
    migrate(database_url, command.upgrade, "0007")
    ledger = open_ledger(database_url)
    moment = datetime(2026, 11, 21, tzinfo=UTC)
    order = {
        "connection": "broke off", "order_id": "1", "target": "t", "external_id": "x1", "source": "{}",
        "content_hash": "h", "received_at": moment, "state": "received", "reason": "", "state_at": moment,
        "tries": 0, "next_try_at": moment, "lookups": 0,
    }  # fmt: skip
    cursors = [
        {"connection": name, "start_at": moment, "watermark": watermark, "polled_at": polled}
        for name, watermark, polled in [
            ("read", moment, moment),
            ("empty", None, moment),
            ("in part", moment, None),
            ("broke off", None, None),
            ("in vain", None, None),
        ]
    ]
    old = [column for column in CURSORS.c if column.name != "counts_from"]
    with ledger.engine.begin() as db:
        db.execute(ORDERS.insert(), [order])
        columns = ", ".join(c.name for c in old if c.name in cursors[0])
        for cursor in cursors:
            bound = text(
                f"INSERT INTO cursors ({columns}, error)"
                " VALUES (:connection, :start_at, :watermark, :polled_at, '')"
            ).bindparams(*(bindparam(c.name, type_=c.type) for c in old if c.name in cursor))
            db.execute(bound, cursor)
    ledger.close()
    upgrade(database_url, sandbox=False)
    ledger = open_ledger(database_url)
    later = moment + timedelta(days=1)
    counts = {
        cursor["connection"]: connections.begin_poll(
            ledger, cursor["connection"], later, 60
        ).counts_from
        for cursor in cursors
    }
    ledger.close()
    assert counts.pop("in vain") == moment
    assert set(counts.values()) == {EVERYTHING}


def test_going_down_deletes_nothing_that_belongs_to_a_kept_row(tmp_path):
    """A table made anew is dropped under its old name; what points to its rows must outlive that."""
    path = tmp_path / "ledger.db"
    url = f"sqlite:///{path}"
    upgrade(url, sandbox=True)
    with closing(sqlite3.connect(path)) as db:
        now = datetime.now(UTC).replace(tzinfo=None)
        columns = (
            "connection, order_id, target, external_id, source, content_hash, received_at, state"
        )
        db.execute(
            f"INSERT INTO orders ({columns}, reason, state_at, tries, next_try_at, lookups)"
            " VALUES ('s', '1', 't', 'e', '{}', 'h', ?, 'held', '', ?, 0, ?, 0)",
            (now, now, now),
        )
        db.execute(
            "INSERT INTO attempts"
            " (order_pk, kind, connection, parts, started_at, duration_ms, outcome, excerpt)"
            " VALUES (1, 'create', 't', '', ?, 1, 'refused', '')",
            (now,),
        )
        db.commit()
    migrate(url, command.downgrade, "0002")
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM attempts").fetchone() == (1,)
