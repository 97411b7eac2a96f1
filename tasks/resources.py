"""What a task needs, built once per process: the ledger, Redis, and every remote with its guards.

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
from connectors.ports import Connector, Means, Own
from connectors.registry import kind_of
from ledger.database import Ledger, open_ledger
from ledger.identity import identify
from ledger.tides import Bounds
from mapping import profile
from mapping.profile import Mapped, Profile
from tasks.gate import Gate
from tasks.memory import RedisMemory

# Connections to Redis of one process, in its own right: two for each thread of a large worker.
REDIS_CONNECTIONS = 128
# Messages that may wait in a queue, at 1 kB each: enough for minutes of work, bounded after an outage.
MOST_WAITING = 5000
# So many may always be put there.
LEAST_ROOM = 20
# Reads of one remote in flight: less than any lane has threads, so that hanging ones leave room.
MOST_READS = 2


@dataclass(frozen=True, slots=True)
class Remote:
    """A connection: what it can do, its own settings, and what guards it by direction. Calls that change
    something there have the gate, those that only read the read gate. Both have places among `slots`, reads
    among `read_slots` too, so that reads that hang leave places to the rest.
    """

    name: str
    connector: Connector
    settings: Own
    gate: Gate
    read_gate: Gate
    slots: Slots
    read_slots: Slots
    rate: Rate

    @property
    def client(self) -> Any:
        """Its wire: for updates, until they have a port of their own."""
        return self.connector.client


@dataclass(frozen=True, slots=True)
class Resources:
    """All of it."""

    settings: settings.Settings
    ledger: Ledger
    ledger_id: str
    redis: redis.Redis
    sources: dict[str, Remote]
    targets: dict[str, Remote]
    profiles: dict[str, Profile]
    # Whether what Redis says of known orders may be believed: only once the ledger was compared with it.
    trusts_keys: bool = True

    def room(self, queue: str, parked: int = 0) -> int:
        """How many messages may still be put into this queue, when so many orders are `parked` beside it.
        For what is left over the sweeper rings. Raises RedisError.
        """
        return max(MOST_WAITING - self.redis.llen(queue) - parked, LEAST_ROOM)

    @property
    def feeds(self) -> dict[str, Remote]:
        """The sources that are asked for their orders."""
        return {
            n: remote for n, remote in self.sources.items() if remote.connector.feed is not None
        }

    def target_of(self, connection: str) -> Remote:
        return self.targets[self.settings.shop(connection).target]

    def map(self, connection: str, target: str, text: str) -> Mapped:
        """What this target is sent for an order of this source, as the source's JSON text says it."""
        source, composed = self.sources[connection].connector.source, self.targets[target]
        if source is None or composed.connector.target is None:
            raise ValueError(f"no orders go from {connection} to {target}")
        return composed.connector.target.compose(source.read(text), source.prefix)

    def external_id(self, connection: str, order_id: str) -> str:
        """The key by which every target knows this source's order."""
        source = self.sources[connection].connector.source
        return order_id if source is None else source.prefix + order_id

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
    profiles = {
        name: load_profile(chosen, name)
        for name, source in chosen.shops.items()
        if kind_of(source).by_profile
    }

    def remote(own: Own, profile: Profile | None) -> Remote:
        return Remote(
            name=own.name,
            connector=kind_of(own).open(own, Means(store, chosen.secret_key, profile)),
            settings=own,
            gate=Gate(ledger, own.name),
            read_gate=Gate(ledger, own.name, "read"),
            slots=Slots(store, own.name, own.concurrency, own.lease),
            read_slots=Slots(store, f"{own.name}:read", MOST_READS, own.lease),
            rate=Rate(store, own.name, own.rate),
        )

    return Resources(
        settings=chosen,
        ledger=ledger,
        ledger_id=ledger_id,
        redis=store,
        sources={name: remote(own, profiles.get(name)) for name, own in chosen.shops.items()},
        targets={
            name: remote(own, _profile_of_target(chosen, name, profiles))
            for name, own in chosen.boxes.items()
        },
        profiles=profiles,
    )


def _profile_of_target(
    chosen: settings.Settings, target: str, profiles: dict[str, Profile]
) -> Profile | None:
    """The mapping to this target: that of the sources whose orders go there, all alike."""
    going = [name for name, shop in chosen.shops.items() if shop.target == target]
    return next((profiles[name] for name in going if name in profiles), None)


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
    """The mapping of one source, with the ids that its target, or another `target`, gave us."""
    own = chosen.box(target or chosen.shop(connection).target)
    return profile.load(chosen.profile, parameters=kind_of(own).parameters(own))
