"""What a task needs, built once per process: the ledger, Redis, and of each connection its client, its gates
and its mapping, all under the connection's name.

In: the settings. Out: one `Resources`, shared by all threads. Built on first use, so after a fork.
Fails as its parts do, on first use. Called by tasks, the command line and the gateway.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache

import redis

import settings
from clients.limits import Rate, Slots
from clients.okliving import OkLiving
from clients.onebox import OneBox
from clients.tokens import cipher_for
from connection import Connection
from connectors import kinds
from connectors.okliving_settings import OkLivingSettings
from connectors.onebox_settings import OneBoxSettings
from ledger.database import Ledger, open_ledger
from ledger.identity import identify
from ledger.tides import Bounds
from mapping import profile
from mapping.profile import Profile
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

    connection: Connection
    client: OkLiving
    settings: OkLivingSettings
    gate: Gate
    read_gate: Gate
    slots: Slots
    rate: Rate

    @property
    def name(self) -> str:
        return self.connection.name


@dataclass(frozen=True, slots=True)
class Target:
    """A CRM, with what guards it. A read has a place among `read_slots`, so that reads that hang leave
    places to the rest.
    """

    connection: Connection
    client: OneBox
    settings: OneBoxSettings
    gate: Gate
    read_gate: Gate
    slots: Slots
    read_slots: Slots
    rate: Rate

    @property
    def name(self) -> str:
        return self.connection.name


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
        return self.targets[self.target_name(connection)]

    def target_name(self, connection: str) -> str:
        """Where the orders of this source go."""
        return self.settings.connection(connection).target or ""

    def is_live(self, connection: str, target: str) -> bool:
        """Whether orders of this source may be written to this target: neither is in shadow mode."""
        source, box = self.sources.get(connection), self.targets.get(target)
        return all(one is not None and one.connection.mode == "live" for one in (source, box))

    def profile_of(self, connection: str, target: str) -> Profile:
        """The mapping of a source's orders for this target: for another one than it has today, made when
        it is first needed.
        """
        if target == self.target_name(connection):
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
    kinds.check(chosen)
    store = redis.Redis.from_url(
        chosen.broker,
        socket_timeout=5,
        socket_connect_timeout=5,
        max_connections=REDIS_CONNECTIONS,
    )
    ledger = open_ledger(chosen.database_url)
    ledger_id = identify(ledger, sandbox=chosen.sandbox)
    ledger.watch(RedisMemory(_impatient(chosen), ledger_id), bounds(chosen))
    named = chosen.connections
    return Resources(
        settings=chosen,
        ledger=ledger,
        ledger_id=ledger_id,
        redis=store,
        sources={name: _source(named[name], store, chosen, ledger) for name in chosen.source_names},
        targets={
            name: _target(named[name], store, chosen, ledger)
            for name in kinds.receiving_names(chosen)
        },
        profiles={name: load_profile(chosen, name) for name in chosen.source_names},
    )


def _impatient(chosen: settings.Settings) -> redis.Redis:
    """A client that tries once and not for long: writers of the ledger may wait for its answer."""
    return redis.Redis.from_url(
        chosen.broker, socket_timeout=1, socket_connect_timeout=1, retry=None, max_connections=8
    )


def bounds(chosen: settings.Settings) -> Bounds:
    """What a ledger that went back must reckon with: no call outlives the longest lease."""
    leases = [kinds.own_settings(one).lease for one in chosen.connections.values()]
    return Bounds(
        sources=kinds.read_names(chosen),
        call=timedelta(seconds=max(leases, default=0.0)),
        effect=timedelta(seconds=chosen.uncertain_wait),
    )


def load_profile(chosen: settings.Settings, connection: str, target: str = "") -> Profile:
    """The mapping of one source, with the ids that its target, or another `target`, gave us."""
    source = chosen.connection(connection)
    goes_to = chosen.connection(target or source.target or "")
    box: OneBoxSettings = kinds.own_settings(goes_to)
    parameters = {
        "workflow_id": box.workflow_id,
        "status_id": box.status_id,
        "source_id": box.source_id,
    }
    return profile.join(
        profile.load_source(kinds.profile_of(source)),
        profile.load_target(kinds.profile_of(goes_to), parameters),
        source.prefix,
    )


def _source(
    one: Connection, store: redis.Redis, chosen: settings.Settings, ledger: Ledger
) -> Source:
    own: OkLivingSettings = kinds.own_settings(one)
    client = OkLiving(
        own.url,
        own.client_id,
        own.client_secret,
        redis=store,
        cipher=cipher_for(chosen.secret_key, own.client_secret),
        name=one.name,
        timeout=own.timeout,
        login_style=own.login_style,
    )
    return Source(
        connection=one,
        client=client,
        settings=own,
        gate=Gate(ledger, one.name),
        read_gate=Gate(ledger, one.name, "read"),
        slots=Slots(store, one.name, own.concurrency, own.lease),
        rate=Rate(store, one.name, own.rate),
    )


def _target(
    one: Connection, store: redis.Redis, chosen: settings.Settings, ledger: Ledger
) -> Target:
    own: OneBoxSettings = kinds.own_settings(one)
    client = OneBox(
        own.url,
        own.login,
        own.password,
        redis=store,
        cipher=cipher_for(chosen.secret_key, own.password),
        name=one.name,
        timeout=own.timeout,
        password_form=own.password_form,
        body_shape=own.body_shape,
    )
    return Target(
        connection=one,
        client=client,
        settings=own,
        gate=Gate(ledger, one.name),
        read_gate=Gate(ledger, one.name, "read"),
        slots=Slots(store, one.name, own.concurrency, own.lease),
        read_slots=Slots(store, f"{one.name}:read", MOST_READS, own.lease),
        rate=Rate(store, one.name, own.rate),
    )
