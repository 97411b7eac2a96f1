"""The gateway's application over a real SQLite ledger and a fake Redis; no doorbell leaves the process."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import fakeredis
import pytest
import redis
from gateway_calls import KEY, OTHER_KEY
from pair_of_nowhere import PAIR

import settings
from connectors import okliving, registry
from connectors.ports import Means
from ledger.database import open_ledger
from ledger.migrate import upgrade

# Celery's application reads its broker's address once, when it first needs it; nothing here connects there.
with pytest.MonkeyPatch.context() as _patch:
    _patch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    settings.current.cache_clear()
    from gateway.app import create_app
    from tasks.app import app
    from tasks.resources import Resources

    assert app.conf.broker_url
settings.current.cache_clear()


@pytest.fixture(scope="session")
def migrated(tmp_path_factory):
    """A migrated ledger to copy: migrating one for each test would take most of the time."""
    path = tmp_path_factory.mktemp("migrated") / "ledger.db"
    upgrade(f"sqlite:///{path}", sandbox=True)
    return path


@pytest.fixture
def read_settings(monkeypatch, tmp_path):
    """Settings of an environment that is the sandbox's pair and what the test adds."""

    def read(**environment):
        with monkeypatch.context() as patch:
            for name, value in (PAIR | environment).items():
                patch.setenv(name, value)
            patch.setenv("ORDERBRIDGE_DATA", str(tmp_path))
            chosen = settings.load(tmp_path / "no.env")
            registry.check(chosen)
            return chosen

    return read


@pytest.fixture
def rung(monkeypatch):
    """What was rung for."""
    rings = []
    bell = SimpleNamespace(
        ring_orders=rings.extend, ring_updates=rings.extend, ring_hook=rings.append
    )
    monkeypatch.setattr("gateway.app.Bell", lambda: bell)
    return rings


def inbox(chosen):
    """The connector of the orders that are placed with us: it calls nothing."""
    one = chosen.connection("createorder")
    return registry.connect(one, registry.own_settings(one), Means(redis.Redis(), None))


@pytest.fixture
def gateway(migrated, read_settings, tmp_path, rung):
    """Builds a gateway: its app, a client, its ledger and its Redis."""
    opened = []

    def build(**environment):
        path = tmp_path / f"ledger-{len(opened)}.db"
        shutil.copy(migrated, path)
        ledger = open_ledger(f"sqlite:///{path}")
        opened.append(ledger)
        chosen = read_settings(**environment)
        server = fakeredis.FakeServer()
        box = chosen.connection("onebox")
        joined = {n: registry.joined(chosen.connection(n), box) for n in chosen.source_names}
        connectors = {
            "okliving": okliving.join(None, joined["okliving"].source, "okl-"),
            "createorder": inbox(chosen),
        }
        resources = Resources(
            settings=chosen,
            ledger=ledger,
            ledger_id="test",
            redis=fakeredis.FakeRedis(server=server),
            sources={
                n: SimpleNamespace(
                    connector=connectors[n],
                    settings=registry.own_settings(chosen.connection(n)),
                )
                for n in chosen.source_names
            },
            targets=dict.fromkeys(chosen.target_names),
            profiles=joined,
        )
        app = create_app(resources)
        return SimpleNamespace(
            app=app,
            client=app.test_client(),
            ledger=ledger,
            redis=resources.redis,
            redis_server=server,
            resources=resources,
        )

    yield build
    for ledger in opened:
        ledger.close()


@pytest.fixture
def keyed(gateway):
    """A gateway with two keys; `client` sends the first one's."""
    made = gateway(ORDERBRIDGE_API_KEYS=f"erp:{KEY},desk:{OTHER_KEY}")
    made.client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {KEY}"
    return made
