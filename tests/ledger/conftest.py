"""An empty migrated ledger on each kind of database, and threads that start together."""

from __future__ import annotations

import os
import shutil
import threading

import pytest
from tide_calls import BOUNDS, Backup, Memory, store

from ledger.database import open_ledger
from ledger.migrate import upgrade


@pytest.fixture(scope="session")
def migrated_template(postgres):
    postgres.psql("CREATE DATABASE migrated;")
    upgrade(address(postgres, "migrated"), sandbox=True)
    return "migrated"


def address(server, name):
    return server.get_uri(name).replace("postgresql://", "postgresql+psycopg://")


@pytest.fixture
def ledger_url(request, tmp_path):
    """A migrated database of the kind asked for; a copy, since migrating costs seconds."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "ledger.db")
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    server = request.getfixturevalue("postgres")
    template = request.getfixturevalue("migrated_template")
    name = f"t{os.urandom(6).hex()}"
    server.psql(f"CREATE DATABASE {name} TEMPLATE {template};")
    return address(server, name)


def pytest_generate_tests(metafunc):
    """Every test of a ledger runs on both databases, unless it names its own."""
    chosen = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    if "ledger_url" in metafunc.fixturenames and "ledger_url" not in chosen:
        metafunc.parametrize("ledger_url", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def ledger(ledger_url):
    opened = open_ledger(ledger_url)
    yield opened
    opened.close()


@pytest.fixture
def together():
    """Run a function of a number in so many threads at once; their results, errors included."""

    def run(function, count):
        results = [None] * count
        start = threading.Barrier(count)

        def one(number):
            start.wait()
            try:
                results[number] = function(number)
            except Exception as exc:  # noqa: BLE001  the error is the result
                results[number] = exc

        threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    return run


@pytest.fixture
def memory():
    return Memory()


@pytest.fixture
def opened(ledger_url, memory):
    """Opens the ledger as another process would."""
    made = []

    def open_it(remembers=None):
        ledger = open_ledger(ledger_url)
        ledger.watch(remembers or memory, BOUNDS)
        made.append(ledger)
        return ledger

    yield open_it
    for ledger in made:
        ledger.close()


@pytest.fixture
def backup(ledger_url):
    made = []

    def take():
        other = open_ledger(ledger_url)
        made.append(other)
        return Backup(other)

    yield take
    for other in made:
        other.close()


@pytest.fixture
def lost(opened, backup):
    """A ledger that loses whatever the given work commits."""

    def lose(work):
        ledger = opened()
        before = backup()
        work(ledger)
        store(ledger, "lost")
        before.put_back()
        ledger.look_back()
        return ledger

    return lose
