"""Resources built by hand: a real ledger, a fake Redis, a shop and a CRM that are plain objects."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fakeredis
import pytest
from pair_of_nowhere import PAIR

import settings
from clients.limits import Rate, Slots
from connectors import okliving, onebox, registry
from ledger.database import Ledger
from ledger.migrate import upgrade

# The app of tasks reads its settings once, when it first needs them: a sandbox in an empty folder, without a
# broker.
SURROUNDINGS = PAIR | {
    "ORDERBRIDGE_DATA": tempfile.mkdtemp(),
    "ONEBOX_WORKFLOW_ID": "2",
    "ONEBOX_STATUS_ID": "7",
}
_before = dict(os.environ)
os.environ.update(SURROUNDINGS)
try:
    from tasks import app, memory, resources

    assert app.conf.broker_url
finally:
    os.environ.clear()
    os.environ.update(_before)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Clock:
    """What creating, polling and a test take for now."""

    now = NOW

    def __call__(self):
        return self.now

    def go(self, seconds):
        self.now += timedelta(seconds=seconds)


class FakeBox:
    """A CRM client that does what its script says, one entry for each call; then it is honest."""

    def __init__(self):
        self.processes = {}
        self.cards = {}
        self.script = {}
        self.calls = []

    def _play(self, name, given):
        self.calls.append((name, given))
        played = self.script.get(name)
        if played:
            step = played.pop(0)
            if isinstance(step, Exception):
                raise step
            return step
        return None

    def set_order(self, process):
        played = self._play("set_order", process)
        return played or self.processes.setdefault(
            process["externalid"], str(100 + len(self.processes))
        )

    def find_orders(self, external_ids):
        played = self._play("find_orders", list(external_ids))
        if played is not None:
            return played
        return {i: [self.processes[i]] for i in external_ids if i in self.processes}

    def find_contact(self, phone):
        return self._play("find_contact", phone) or self.cards.get(phone)

    def sent(self):
        return [given for name, given in self.calls if name == "set_order"]

    def looked_up(self):
        return [given for name, given in self.calls if name == "find_orders"]


class FakeShop:
    """A shop client: `answer` is a function of the body, `bodies` what it was asked."""

    def __init__(self):
        self.bodies = []
        self.answer = lambda _: {"orders": []}

    def get_orders(self, body):
        self.bodies.append(body)
        answer = self.answer(body)
        if isinstance(answer, Exception):
            raise answer
        return answer


# What a test may change of both connections at once.
OF_CONNECTIONS = ("mode", "start_from", "poll_overlap", "poll_lag")


def with_own(chosen, name, **own):
    """The settings with other keys of this connection."""
    one = chosen.connections[name]
    changed = replace(one, own={**one.own, **{key: str(value) for key, value in own.items()}})
    return replace(chosen, connections={**chosen.connections, name: changed})


def chosen_settings(folder, **changes):
    """The settings of a sandbox with both systems, but for `changes`."""
    of_each = {key: changes.pop(key) for key in OF_CONNECTIONS if key in changes}
    with pytest.MonkeyPatch.context() as patched:
        for name, value in SURROUNDINGS.items():
            patched.setenv(name, value)
        chosen = settings.load(folder / "no .env")
    for name, one in chosen.connections.items():
        changed = replace(one, **of_each)
        chosen = replace(chosen, connections={**chosen.connections, name: changed})
        chosen = with_own(chosen, name, rate=0, concurrency=0)
    return replace(chosen, **{"database_url": f"sqlite:///{folder / 'ledger.db'}"} | changes)


@pytest.fixture
def clock(monkeypatch):
    moved = Clock()
    monkeypatch.setattr(Ledger, "now", lambda _: moved())
    return moved


@pytest.fixture
def store():
    return fakeredis.FakeRedis(server=fakeredis.FakeServer())


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("migrated") / "ledger.db"
    upgrade(f"sqlite:///{path}", sandbox=True)
    return path


@pytest.fixture(scope="session")
def profile():
    chosen = chosen_settings(Path(SURROUNDINGS["ORDERBRIDGE_DATA"]))
    shop, box = (chosen.connections[name] for name in ("okliving", "onebox"))
    return registry.joined(shop, box)


@pytest.fixture
def make(tmp_path, migrated_file, store, profile, monkeypatch):
    """Builds resources with changed settings, `box` those of the CRM, and with these sources; both remotes
    are played.
    """
    built = []
    shutil.copy(migrated_file, tmp_path / "ledger.db")
    # The real ones take a second to read the machine's certificates, and the profile half of one.
    monkeypatch.setattr(okliving, "OkLiving", lambda *_, **__: FakeShop())
    monkeypatch.setattr(onebox, "OneBox", lambda *_, **__: FakeBox())
    monkeypatch.setattr(okliving, "load_source", lambda *_: profile.source)
    monkeypatch.setattr(onebox, "load_target", lambda *_: profile.target)
    remembered = fakeredis.FakeRedis(server=fakeredis.FakeServer())
    monkeypatch.setattr(
        resources, "RedisMemory", lambda _, name: memory.RedisMemory(remembered, name)
    )

    def build(*, box=None, redis=None, names=("okliving",), **changes):
        chosen = chosen_settings(tmp_path, **changes)
        real = resources.build(with_own(chosen, "onebox", **box or {}))
        onebox = real.targets["onebox"].settings
        built.append(real)
        # No Redis of its own answers here.
        sources = {
            name: replace(
                source,
                slots=Slots(store, name, source.settings.concurrency, source.settings.lease),
                read_slots=Slots(store, f"{name}:read", 2, source.settings.lease),
            )
            for name, source in real.sources.items()
            if name in names
        }
        target = replace(
            real.targets["onebox"],
            slots=Slots(store, "onebox", onebox.concurrency, onebox.lease),
            read_slots=Slots(store, "onebox:read", resources.MOST_READS, onebox.lease),
            rate=Rate(store, "onebox", onebox.rate, sleep=lambda _: None),
        )
        profiles = {name: real.profiles[name] for name in sources}
        return replace(
            real,
            redis=redis or store,
            sources=sources,
            targets={"onebox": target},
            profiles=profiles,
        )

    yield build
    for real in built:
        real.ledger.close()
        real.redis.close()


@pytest.fixture
def r(make):
    return make()
