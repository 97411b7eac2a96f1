"""The ledger as it was some seconds ago: what a power cut, a fail-over or a restored backup leaves behind."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
from sqlalchemy import BigInteger, Integer
from sqlalchemy.engine import make_url

from ledger.tables import METADATA

TABLES = [table.name for table in METADATA.sorted_tables]
COUNTED = [
    table.name
    for table in METADATA.sorted_tables
    if "id" in table.c and isinstance(table.c.id.type, Integer | BigInteger)
]
OTHERS = "datname = current_database() AND pid <> pg_backend_pid()"
TRIES = 20


class FileCopy:
    """Of a SQLite file. Nobody may have it open while it is put back."""

    def __init__(self, database_url):
        self.path = Path(make_url(database_url).database)
        self.copy = self.path.with_suffix(".before")

    def take(self):
        with (
            closing(sqlite3.connect(self.path)) as source,
            closing(sqlite3.connect(self.copy)) as to,
        ):
            source.backup(to)

    def put_back(self):
        for ending in ("-wal", "-shm"):
            Path(f"{self.path}{ending}").unlink(missing_ok=True)
        shutil.copy(self.copy, self.path)

    def rows(self, query):
        with closing(sqlite3.connect(self.copy)) as db:
            return db.execute(query.format(schema="main")).fetchall()


class SchemaCopy:
    """Of the tables of a PostgreSQL, which go back in one transaction; every connection is lost by it, as
    when another server takes over.
    """

    def __init__(self, database_url):
        self.url = database_url.replace("+psycopg", "")

    def take(self):
        with psycopg.connect(self.url) as db:
            db.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            db.execute("CREATE SCHEMA before")
            for table in TABLES:
                db.execute(f"CREATE TABLE before.{table} AS TABLE public.{table}")

    def put_back(self):
        for tried in range(TRIES):
            try:
                with psycopg.connect(self.url) as db:
                    self._put_back(db)
            except (psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable):
                if tried + 1 == TRIES:
                    raise
            else:
                return

    def _put_back(self, db):
        db.execute("SET LOCAL lock_timeout = '1s'")
        db.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OTHERS}")
        names = ", ".join(f"public.{table}" for table in TABLES)
        db.execute(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE")
        db.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OTHERS}")
        db.execute(f"TRUNCATE {names}")
        for table in TABLES:
            db.execute(f"INSERT INTO public.{table} SELECT * FROM before.{table}")
        for table in COUNTED:
            last = f"COALESCE((SELECT max(id) FROM public.{table}), 0) + 1"
            db.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {last}, false)")

    def rows(self, query):
        with psycopg.connect(self.url) as db:
            return db.execute(query.format(schema="before")).fetchall()


def copy_of(database_url):
    return (FileCopy if database_url.startswith("sqlite") else SchemaCopy)(database_url)
