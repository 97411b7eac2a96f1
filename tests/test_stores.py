"""Stores off this machine are reached over TLS to a server that proves itself, or insecurely with a word."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis
from redis.connection import SSLConnection

import settings
from connections_file import SettingsError
from stores import database_url, redis_url

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _nothing_of_libpq(monkeypatch):
    for name in list(os.environ):
        if name.startswith("PG"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("postgresql://u@localhost/d", "postgresql+psycopg://u@localhost/d"),
        ("postgres://u@127.0.0.1:5/d", "postgresql+psycopg://u@127.0.0.1:5/d"),
        ("postgresql://u@[::1]/d", "postgresql+psycopg://u@[::1]/d"),
        ("postgresql://u@/d?host=/run/pg", "postgresql+psycopg://u@/d?host=/run/pg"),
        ("postgresql:///d", "postgresql+psycopg:///d"),
        ("postgresql://u@/d?host=localhost:5&host=/run/pg", "postgresql+psycopg://u@/d?host=localhost:5&host=/run/pg"),
        ("postgresql+psycopg://u@h/d?sslmode=verify-full", "postgresql+psycopg://u@h/d?sslmode=verify-full"),
        ("sqlite:////tmp/x.db", "sqlite:////tmp/x.db"),
        ("", "sqlite:////data/ledger.db"),
    ],
)  # fmt: skip
def test_a_database_on_this_machine_or_one_that_proves_itself_is_taken(given, read):
    assert database_url(given, Path("/data"), insecure=False) == read


FAR_DATABASES = [
    "postgresql://u:p@h/d",
    "postgresql://u:p@10.0.0.1/d",
    "postgresql://u:p@postgres/d",
    *(f"postgresql://u:p@h/d?sslmode={mode}" for mode in ("disable", "prefer", "require", "verify-ca")),
    "postgresql://u:p@h/d?sslmode=verify-full&sslmode=disable",
    "postgresql://u:p@/d?host=h",
    "postgresql://u:p@/d?host=/run/pg&host=h",
    "postgresql://u:p@/d?host=localhost,h",
    "postgresql://u:p@/d?host=localhost:1&host=h:2",
    "postgresql://u:p@localhost/d?host=h",
    "postgresql://u:p@localhost,h/d",
    "postgresql://u:p@localhost.h/d",
    "postgresql://u:p@127.0.0.1.h/d",
    "postgresql://u:p@localhost/d?hostaddr=10.0.0.1",
    "postgresql://u:p@/d?service=far",
    "postgresql://u:p@localhost/d?conninfo=host%3Dh",
    # Whose parser is asked decides: SQLAlchemy takes `h` for the host, a URL's parser `localhost`.
    "postgresql://localhost:p/x@h/d",
]  # fmt: skip


@pytest.mark.parametrize("url", FAR_DATABASES)
def test_a_database_off_this_machine_without_proof_needs_a_word(url):
    with pytest.raises(SettingsError, match="sslmode=verify-full") as refused:
        database_url(url, Path(), insecure=False)
    assert "u:p" not in str(refused.value)
    assert database_url(url, Path(), insecure=True).startswith("postgresql+psycopg://")


@pytest.mark.parametrize(
    ("name", "value"), [("PGHOST", "h"), ("PGHOSTADDR", "10.0.0.1"), ("PGSERVICE", "far")]
)
def test_what_stands_around_libpq_leads_off_this_machine_too(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match="leads off this machine"):
        database_url("postgresql:///d", Path(), insecure=False)


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:6379/0",
        "redis://user:p@localhost/0?socket_timeout=3",
        "redis://[::1]:6379",
        "redis://:p@:6379",
        "rediss://u:p@h:6380/0",
        "rediss://h?ssl_cert_reqs=required",
        "rediss://h?ssl_ca_certs=/etc/ca.pem&ssl_certfile=/c&ssl_keyfile=/k",
    ],
)
def test_a_redis_on_this_machine_or_one_that_proves_itself_is_taken(url):
    assert redis_url(url, insecure=False) == url


@pytest.mark.parametrize(
    "url",
    [
        "redis://:p@h:6379/0",
        "redis://127.0.0.1@h",
        "redis://localhost.h",
        "redis:///0?host=h",
        "redis://localhost?host=h",
        "redis:///0?host=h&host=127.0.0.1",
        "rediss://h?ssl_cert_reqs=required&ssl_cert_reqs=none",
        *(f"rediss://h?ssl_cert_reqs={said}" for said in ("none", "optional")),
        "rediss://h?ssl_check_hostname=false",
        "rediss://h?ssl_ciphers=NULL",
    ],
)
def test_a_redis_off_this_machine_without_proof_needs_a_word(url):
    with pytest.raises(SettingsError, match="rediss://") as refused:
        redis_url(url, insecure=False)
    assert ":p@" not in str(refused.value)
    assert redis_url(url, insecure=True) == url


@pytest.mark.parametrize("insecure", [False, True])
@pytest.mark.parametrize(
    "url",
    [
        "h:6379",
        "unix:///run/redis.sock",
        "memory://",
        "sentinel://h",
        # Celery goes on to the second one when the first is away.
        "redis://127.0.0.1:6379;redis://h:6379/0",
        "redis://:pa/ss@h:6379",
        "redis://[::1",
    ],
)
def test_what_is_no_single_address_of_a_redis_is_refused(url, insecure):
    with pytest.raises(SettingsError, match="REDIS_URL"):
        redis_url(url, insecure=insecure)


@pytest.mark.parametrize("insecure", [False, True])
@pytest.mark.parametrize("url", ["mysql://h/d", "h:5432", "postgresql://u@h:port/d"])
def test_what_is_no_address_of_a_database_is_refused(url, insecure):
    with pytest.raises(SettingsError, match="DATABASE_URL"):
        database_url(url, Path(), insecure=insecure)


def test_redis_py_and_celery_check_certificate_and_name_of_host():
    url = redis_url("rediss://h:6380/0", insecure=False)
    connection = Redis.from_url(url).connection_pool.make_connection()
    assert isinstance(connection, SSLConnection)
    assert (connection.cert_reqs, connection.check_hostname) == (ssl.CERT_REQUIRED, True)
    told = "from tasks import app; print(app.connection().ssl)"
    done = _python(told, REDIS_URL=url)
    assert "CERT_REQUIRED" in done.stdout, done.stderr
    assert "'ssl_check_hostname': True" in done.stdout


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"REDIS_URL": "redis://far/0"}, "REDIS_INSECURE=1"),
        ({"DATABASE_URL": "postgresql://far/d"}, "DATABASE_INSECURE=1"),
    ],
)
@pytest.mark.parametrize(
    "command", [("-m", "cli", "orders", "list"), ("-m", "celery", "-A", "tasks", "worker")]
)
def test_every_start_is_refused_with_one_sentence_and_exit_code_2(tmp_path, command, given, said):
    near = {"REDIS_URL": "redis://127.0.0.1:1/0", "ORDERBRIDGE_DATA": str(tmp_path)}
    done = _run(command, **(near | given))
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_insecure_is_read_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("ORDERBRIDGE_DATA", str(tmp_path))
    monkeypatch.setenv("REDIS_URL", "redis://far/0")
    monkeypatch.setenv("DATABASE_URL", "postgresql://far/d")
    monkeypatch.setenv("REDIS_INSECURE", "1")
    monkeypatch.setenv("DATABASE_INSECURE", "1")
    chosen = settings.load(tmp_path / ".env")
    assert (chosen.broker, chosen.database_url) == ("redis://far/0", "postgresql+psycopg://far/d")
    monkeypatch.setenv("REDIS_INSECURE", "0")
    with pytest.raises(SettingsError, match="REDIS_URL"):
        settings.load(tmp_path / ".env")


def _python(code, **environment):
    return _run(("-c", code), **environment)


def _run(arguments, **environment):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "ORDERBRIDGE_DOTENV": os.devnull,
            "PYTHONPATH": str(ROOT),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
