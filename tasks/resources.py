"""What a task needs, built once per process: the ledger, Redis, and every remote with its guards.

In: the settings. Out: one `Resources`, shared by all threads. Built on first use, so after a fork.
Fails as its parts do, on first use. Called by tasks, the command line and the gateway.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache, partial

import redis

import settings
from clients.limits import Rate, Slots
from connection import Connection
from connectors import registry
from connectors.ports import Connector, Means, Own, Source, Target
from ledger.database import Ledger, open_ledger
from ledger.identity import identify
from ledger.tides import Bounds
from mapping.own_writes import Brought
from mapping.profile import Profile, join
from mapping.source_profile import ReadOrder, SourceProfile
from mapping.target_profile import Mapped, TargetProfile
from tasks import addressing
from tasks.gate import BREAKER_LIMIT, Gate
from tasks.knocking import FEW, Knocking
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
class Remote:
    """A connection: what it can do, its own settings, and what guards it by direction. Calls that change
    something there have the gate, those that only read the read gate. Both have places among `slots`, reads
    among `read_slots` too, so that reads that hang leave places to the rest. `knocking` is there for a target
    that nobody can ask what it has.
    """

    connection: Connection
    connector: Connector
    settings: Own
    gate: Gate
    read_gate: Gate
    slots: Slots
    read_slots: Slots
    rate: Rate
    knocking: Knocking | None = None

    @property
    def name(self) -> str:
        return self.connection.name


@dataclass(frozen=True, slots=True)
class Flow:
    """A source's reading and a target's composing, joined."""

    source: Source
    target: Target

    def read(self, text: str) -> ReadOrder:
        return self.source.read(text)

    def without_ours(self, read: ReadOrder, known: ReadOrder | None, ours: Brought) -> ReadOrder:
        return self.source.without_ours(read, known, ours)

    def compose(self, read: ReadOrder) -> Mapped:
        return self.target.compose(read, self.source.prefix)


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

    def room(self, queue: str, waiting: int = 0) -> int:
        """How many messages may still be put into this queue, when so many orders are `waiting` in line
        beside it. For what is left over the sweeper rings. Raises RedisError.
        """
        return max(MOST_WAITING - self.redis.llen(queue) - waiting, LEAST_ROOM)

    @property
    def feeds(self) -> dict[str, Remote]:
        """The sources that are asked for their orders."""
        return {
            n: remote for n, remote in self.sources.items() if remote.connector.feed is not None
        }

    def is_asked_again(self, connection: str) -> bool:
        """Whether what is corrected in the source comes here by itself; of one that is configured no more it
        is not known otherwise.
        """
        return connection in self.feeds or connection not in self.sources

    def target_of(self, connection: str) -> Remote:
        return self.targets[self.target_name(connection)]

    def target_name(self, connection: str) -> str:
        """Where the orders of this source go."""
        return self.settings.connection(connection).target or ""

    def is_live(self, connection: str, target: str) -> bool:
        """Whether orders of this source may be written to this target: neither is in shadow mode."""
        source, box = self.sources.get(connection), self.targets.get(target)
        return all(one is not None and one.connection.mode == "live" for one in (source, box))

    def flow(self, connection: str, target: str) -> Flow:
        """How orders of this source become bodies for this target."""
        source, composed = self.sources[connection].connector.source, self.targets[target]
        if source is None or composed.connector.target is None:
            raise ValueError(f"no orders go from {connection} to {target}")
        return Flow(source, composed.connector.target)

    def map(self, connection: str, target: str, text: str) -> Mapped:
        """What this target is sent for an order of this source, as the source's JSON text says it."""
        flow = self.flow(connection, target)
        return flow.compose(flow.read(text))

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
    registry.check(chosen)
    store = redis.Redis.from_url(
        chosen.broker,
        socket_timeout=5,
        socket_connect_timeout=5,
        max_connections=REDIS_CONNECTIONS,
    )
    ledger = open_ledger(chosen.database_url)
    ledger_id = identify(ledger, sandbox=chosen.sandbox)
    ledger.watch(RedisMemory(_impatient(chosen), ledger_id), bounds(chosen))
    means = Means(
        store, chosen.secret_key, partial(addressing.addressee, ledger, chosen), chosen.sandbox
    )
    remotes = {name: _remote(one, means, ledger) for name, one in chosen.connections.items()}
    return Resources(
        settings=chosen,
        ledger=ledger,
        ledger_id=ledger_id,
        redis=store,
        sources={name: remotes[name] for name in chosen.source_names},
        targets={name: remotes[name] for name in registry.receiving_names(chosen)},
        profiles=_profiles(remotes),
    )


def _remote(one: Connection, means: Means, ledger: Ledger) -> Remote:
    own = registry.own_settings(one)
    connector = registry.connect(one, own, means)
    knocking = knocking_of(connector)
    return Remote(
        connection=one,
        connector=connector,
        settings=own,
        gate=Gate(ledger, one.name, limit=BREAKER_LIMIT if knocking is None else FEW),
        knocking=knocking,
        read_gate=Gate(ledger, one.name, "read"),
        slots=Slots(means.redis, one.name, own.concurrency, own.lease),
        read_slots=Slots(means.redis, f"{one.name}:read", MOST_READS, own.lease),
        rate=Rate(means.redis, one.name, own.rate),
    )


def knocking_of(connector: Connector) -> Knocking | None:
    """For a target that cannot be asked, and knows no repeat."""
    if connector.knock is None or connector.target is None:
        return None
    can_be_asked = connector.finder is not None or connector.target.takes_repeats
    return None if can_be_asked else Knocking(connector.knock)


def _profiles(remotes: dict[str, Remote]) -> dict[str, Profile]:
    """Of each source that maps by a profile, as its target does, both sides joined."""
    joined = {}
    for name, remote in remotes.items():
        target = remotes.get(remote.connection.target or "")
        reads = remote.connector.profile
        composes = None if target is None else target.connector.profile
        if isinstance(reads, SourceProfile) and isinstance(composes, TargetProfile):
            joined[name] = join(reads, composes, remote.connection.prefix)
    return joined


def _impatient(chosen: settings.Settings) -> redis.Redis:
    """A client that tries once and not for long: writers of the ledger may wait for its answer."""
    return redis.Redis.from_url(
        chosen.broker, socket_timeout=1, socket_connect_timeout=1, retry=None, max_connections=8
    )


def bounds(chosen: settings.Settings) -> Bounds:
    """What a ledger that went back must reckon with: no call outlives the longest lease."""
    leases = [registry.own_settings(one).lease for one in chosen.connections.values()]
    return Bounds(
        sources=registry.read_names(chosen),
        call=timedelta(seconds=max(leases, default=0.0)),
        effect=timedelta(seconds=chosen.uncertain_wait),
    )
