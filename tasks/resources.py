"""What a task needs, built once per process: the ledger, Redis, the profile, clients and their gates.

In: the settings. Out: one `Resources`, shared by all threads. Built on first use, so after a fork.
Fails as its parts do, on first use. Called by tasks, the command line and the gateway.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from typing import Any

import redis

import settings
from clients.limits import Rate, Slots
from clients.okliving import OkLiving
from clients.onebox import OneBox
from clients.tokens import cipher_for
from connectors.feedback import Feedback
from connectors.okliving_feedback import OklivingFeedback
from ledger.database import Ledger, open_ledger
from ledger.identity import identify
from ledger.tides import Bounds
from mapping import profile
from mapping.profile import Profile
from mapping.source import from_text
from tasks.gate import Gate
from tasks.memory import RedisMemory

# Connections to Redis of one process, in its own right: two for each thread of a large worker.
REDIS_CONNECTIONS = 128
# Messages that may wait in a queue, at 1 kB each: enough for minutes of work, bounded after an outage.
MOST_WAITING = 5000
# So many may always be put there.
LEAST_ROOM = 20
# Reads of one CRM in flight: less than any lane has threads, so that hanging ones leave room.
MOST_READS = 2


@dataclass(frozen=True, slots=True)
class Source:
    """A shop, with what guards it: calls that change something there, and those that only read."""

    name: str
    client: OkLiving
    feedback: Feedback[Any]
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
    # Whether what Redis says of known orders may be believed: only once the ledger was compared with it.
    trusts_keys: bool = True

    def room(self, queue: str, parked: int = 0) -> int:
        """How many messages may still be put into this queue, when so many orders are `parked` beside it.
        For what is left over the sweeper rings. Raises RedisError.
        """
        return max(MOST_WAITING - self.redis.llen(queue) - parked, LEAST_ROOM)

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

    def in_this_epoch(self) -> Resources:
        """The same, by the name that the ledger has in the epoch it is in now: what Redis knows of its lost
        future is not believed. For work that began under a lease, which a new epoch ends. Raises
        LedgerUnavailable.
        """
        standing = self.ledger.look_back()
        if standing is None:
            return replace(self, ledger_id=f"{self.ledger_id}.")
        name = f"{self.ledger_id}.{standing.epoch}"
        return replace(self, ledger_id=name, trusts_keys=standing.is_compared)


_building = threading.Lock()


def resources() -> Resources:
    """The resources of this process; built once, also when all its threads ask at the same time."""
    with _building:
        return _resources()


@cache
def _resources() -> Resources:
    return build(settings.current())


def build(chosen: settings.Settings) -> Resources:
    """Open everything that `chosen` names; raises WrongLedger when the ledger is of the other world."""
    store = redis.Redis.from_url(
        chosen.broker,
        socket_timeout=5,
        socket_connect_timeout=5,
        max_connections=REDIS_CONNECTIONS,
    )
    ledger = open_ledger(chosen.database_url)
    ledger_id = identify(ledger, sandbox=chosen.sandbox)
    ledger.watch(RedisMemory(_impatient(chosen), ledger_id), bounds(chosen))
    profiles = {name: load_profile(chosen, name) for name in chosen.shops}
    return Resources(
        settings=chosen,
        ledger=ledger,
        ledger_id=ledger_id,
        redis=store,
        sources={
            name: _source(shop, store, chosen, ledger, profiles[name])
            for name, shop in chosen.shops.items()
        },
        targets={name: _target(box, store, chosen, ledger) for name, box in chosen.boxes.items()},
        profiles=profiles,
    )


def _impatient(chosen: settings.Settings) -> redis.Redis:
    """A client that tries once and not for long: writers of the ledger may wait for its answer."""
    return redis.Redis.from_url(
        chosen.broker, socket_timeout=1, socket_connect_timeout=1, retry=None, max_connections=8
    )


def bounds(chosen: settings.Settings) -> Bounds:
    """What a ledger that went back must reckon with: no call outlives the longest lease."""
    leases = [shop.lease for shop in chosen.shops.values()]
    leases += [box.lease for box in chosen.boxes.values()]
    return Bounds(
        sources=tuple(chosen.shops),
        call=timedelta(seconds=max(leases)),
        effect=timedelta(seconds=chosen.uncertain_wait),
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
    shop: settings.Shop,
    store: redis.Redis,
    chosen: settings.Settings,
    ledger: Ledger,
    mapped: Profile,
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
        feedback=feedback(client, mapped),
        settings=shop,
        gate=Gate(ledger, shop.name),
        read_gate=Gate(ledger, shop.name, "read"),
        slots=Slots(store, shop.name, shop.concurrency, shop.lease),
        rate=Rate(store, shop.name, shop.rate),
    )


def feedback(client: OkLiving, mapped: Profile) -> Feedback[Any]:
    """How updates go back to one shop, by its profile."""
    return OklivingFeedback(client, mapped.updates, lambda text: mapped.map(from_text(text)).order)


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
