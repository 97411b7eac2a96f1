"""What a task needs, built once per process: the ledger, Redis, the profile, clients and their gates.

In: the settings. Out: one `Resources`, shared by all threads. Built on first use, so after a fork.
Fails as its parts do, on first use. Called by tasks, the command line and the gateway.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cache

import redis

import settings
from clients.limits import Rate, Slots
from clients.okliving import OkLiving
from clients.onebox import OneBox
from clients.tokens import cipher_for
from ledger.database import Ledger, open_ledger
from ledger.identity import identify
from mapping import profile
from mapping.profile import Profile
from tasks.gate import Gate

# Connections to Redis of one process, in its own right: two for each thread of a large worker.
REDIS_CONNECTIONS = 128
# Reads of one CRM in flight: less than any lane has threads, so that hanging ones leave room.
MOST_READS = 2


@dataclass(frozen=True, slots=True)
class Source:
    """A shop, with what guards it: calls that change something there, and those that only read."""

    name: str
    client: OkLiving
    settings: settings.Shop
    gate: Gate
    read_gate: Gate
    slots: Slots
    rate: Rate


@dataclass(frozen=True, slots=True)
class Target:
    """A CRM, with what guards it. A read has a place among `read_slots`, so that reads that hang leave
    places to the rest.
    """

    name: str
    client: OneBox
    settings: settings.Box
    gate: Gate
    read_gate: Gate
    slots: Slots
    read_slots: Slots
    rate: Rate


@dataclass(frozen=True, slots=True)
class Resources:
    """All of it."""

    settings: settings.Settings
    ledger: Ledger
    ledger_id: str
    redis: redis.Redis
    sources: dict[str, Source]
    targets: dict[str, Target]
    profiles: dict[str, Profile]

    def target_of(self, connection: str) -> Target:
        return self.targets[self.settings.shop(connection).target]

    def profile_of(self, connection: str, target: str) -> Profile:
        """The mapping of a shop's orders for this target: for another one than it has today, made when it
        is first needed.
        """
        if target == self.settings.shop(connection).target:
            return self.profiles[connection]
        name = f"{connection} to {target}"
        if name not in self.profiles:
            self.profiles[name] = load_profile(self.settings, connection, target)
        return self.profiles[name]


_building = threading.Lock()


def resources() -> Resources:
    """The resources of this process; built once, also when all its threads ask at the same time."""
    with _building:
        return _resources()


@cache
def _resources() -> Resources:
    return build(settings.current())


def build(chosen: settings.Settings, *, durable: bool = False) -> Resources:
    """Open everything that `chosen` names; raises WrongLedger when the ledger is of the other world."""
    store = redis.Redis.from_url(
        chosen.broker,
        socket_timeout=5,
        socket_connect_timeout=5,
        max_connections=REDIS_CONNECTIONS,
    )
    ledger = open_ledger(chosen.database_url, durable=durable)
    ledger_id = identify(ledger, sandbox=chosen.sandbox)
    return Resources(
        settings=chosen,
        ledger=ledger,
        ledger_id=ledger_id,
        redis=store,
        sources={name: _source(shop, store, chosen, ledger) for name, shop in chosen.shops.items()},
        targets={name: _target(box, store, chosen, ledger) for name, box in chosen.boxes.items()},
        profiles={name: load_profile(chosen, name) for name in chosen.shops},
    )


def load_profile(chosen: settings.Settings, connection: str, target: str = "") -> Profile:
    """The mapping of one shop, with the ids that its CRM, or another `target`, gave us."""
    box = chosen.box(target or chosen.shop(connection).target)
    return profile.load(
        chosen.profile,
        parameters={
            "workflow_id": box.workflow_id,
            "status_id": box.status_id,
            "source_id": box.source_id,
        },
    )


def _source(
    shop: settings.Shop, store: redis.Redis, chosen: settings.Settings, ledger: Ledger
) -> Source:
    client = OkLiving(
        shop.url,
        shop.client_id,
        shop.client_secret,
        redis=store,
        cipher=cipher_for(chosen.secret_key, shop.client_secret),
        name=shop.name,
        timeout=shop.timeout,
        login_style=shop.login_style,
    )
    return Source(
        name=shop.name,
        client=client,
        settings=shop,
        gate=Gate(ledger, shop.name),
        read_gate=Gate(ledger, shop.name, "read"),
        slots=Slots(store, shop.name, shop.concurrency, shop.lease),
        rate=Rate(store, shop.name, shop.rate),
    )


def _target(
    box: settings.Box, store: redis.Redis, chosen: settings.Settings, ledger: Ledger
) -> Target:
    client = OneBox(
        box.url,
        box.login,
        box.password,
        redis=store,
        cipher=cipher_for(chosen.secret_key, box.password),
        name=box.name,
        timeout=box.timeout,
        password_form=box.password_form,
        body_shape=box.body_shape,
    )
    return Target(
        name=box.name,
        client=client,
        settings=box,
        gate=Gate(ledger, box.name),
        read_gate=Gate(ledger, box.name, "read"),
        slots=Slots(store, box.name, box.concurrency, box.lease),
        read_slots=Slots(store, f"{box.name}:read", MOST_READS, box.lease),
        rate=Rate(store, box.name, box.rate),
    )
