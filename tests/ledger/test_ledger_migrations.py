"""The tables: migrations go up and down, agree with the models, and a ledger knows whose it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, select
from sqlalchemy.exc import StatementError

from ledger.connections import CURSORS
from ledger.database import open_ledger
from ledger.identity import VERSION, WrongLedger, identify
from ledger.migrate import configuration, upgrade
from ledger.models import Base

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
    everything = set(Base.metadata.tables)
    assert migrate(database_url, command.upgrade, "head") == everything
    assert migrate(database_url, command.downgrade, "base") == set()
    assert migrate(database_url, command.upgrade, "head") == everything


def test_models_and_migrations_agree(ledger):
    with ledger.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


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
