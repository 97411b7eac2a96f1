"""What a system may be able to do for the pipeline, as protocols: the flows know systems by these alone.

A connector has what its kind can do, and None for the rest. Whatever is peculiar to a system stays behind
these. Methods that call the remote raise `ClientError` as the clients do; the others are pure and never fail.
Called by tasks; made by the modules of the kinds (connectors/registry.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import redis

from connectors.feedback import Feedback
from mapping.hook import Said
from mapping.own_writes import Brought
from mapping.source import to_text
from mapping.source_profile import ReadOrder, SourceProfile
from mapping.target_profile import Mapped, TargetProfile

# What is called before each further call of the same work: its turn under the rate, and time enough.
NextTurn = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Something that a source listed: an order, or, without an id, what is none. `stamp` is when it was
    changed, aware.
    """

    order_id: str | None
    content_hash: str
    stamp: datetime | None
    raw: object

    def text(self) -> str:
        """It as JSON text, for the ledger."""
        return to_text(self.raw)

    def latest_stamp(self, _read_at: datetime) -> datetime | None:
        """The last moment that its stamp may mean, when it was read at that moment."""
        return self.stamp

    def placed_at(self, read_at: datetime) -> datetime | None:
        """When it was placed, at the latest; of one that does not say so, when it was changed."""
        return self.latest_stamp(read_at)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a source's list; without paging fields these are None."""

    found: Sequence[Snapshot]
    page: int | None = None
    pages: int | None = None
    total: int | None = None


class Feed(Protocol):
    """A source that is asked for what has changed."""

    @property
    def zone(self) -> ZoneInfo:
        """Where its stamps are at home."""

    @property
    def limit(self) -> int:
        """How many orders a page is asked to have."""

    def page(self, start: datetime, end: datetime, number: int) -> Page:
        """One call: what changed between these aware times. Raises also UnknownShape."""


class Source(Protocol):
    """A connection that brings orders."""

    @property
    def prefix(self) -> str:
        """What makes an order's id the key by which every target knows it."""

    def read(self, text: str) -> ReadOrder:
        """The order that this JSON text holds, with what is wrong with it."""

    def without_ours(self, read: ReadOrder, known: ReadOrder | None, ours: Brought) -> ReadOrder:
        """The order as it would be had updates not brought `ours`: where it has such a value, that of the
        order that its target knows, if that is kept, stands in its place.
        """


class Target(Protocol):
    """A connection that receives orders."""

    def compose(self, read: ReadOrder, prefix: str) -> Mapped:
        """What is sent for an order of a source with this prefix, or why it is held."""

    @property
    def takes_repeats(self) -> bool:
        """Whether the same order sent again is known there as the same, so that what got no answer may be
        sent again without asking.
        """

    def put(self, external_id: str, body: Mapping[str, Any], next_turn: NextTurn) -> str:
        """Create or update the order of this key there; its id. After an Uncertain error it may be there.
        What `next_turn` raises is let through, so it comes only while nothing is there yet.
        """


class Finder(Protocol):
    """A target that can be asked what it has. Without it an unanswered create waits for a person."""

    def find(self, external_ids: Sequence[str]) -> dict[str, list[str]]:
        """The ids of what it has under each of these keys, ascending."""


class Listener(Protocol):
    """A target that tells how its processes go on, by its hook and when it is read."""

    def heard(self, fields: Mapping[str, object]) -> Said:
        """What the fields of a call of its hook say, stages named as far as names are known."""

    def read(
        self, external_ids: Sequence[str], told: Sequence[Said], next_turn: NextTurn
    ) -> dict[str, Said]:
        """What these processes say, of those that it has. Afterwards stages are named, also of what was
        `told`, if it names any.
        """

    def named(self, said: Said) -> Said:
        """The same with each stage's name beside its id, as far as names are known."""

    def needs_names(self, told: Sequence[Said]) -> bool:
        """Whether a stage is said that only the target can name, which was not asked yet."""

    def is_nameless(self, said: Said) -> bool:
        """Whether a stage is said that nobody has named: it may be any, so that it says nothing."""


class Doorbell(Protocol):
    """How a target reaches us with its calls: an address of ours, guarded as its settings say."""

    def faults(self, address: str | None) -> list[str]:
        """Why no call can arrive as it is set, or at this address, in sentences for people; an address is
        never repeated, for the secret in it.
        """

    def demands(self) -> list[str]:
        """What a call must have besides, in sentences for people."""


class NotTold(Exception):  # noqa: N818  it says what is, as the errors of clients do
    """The remote does not tell what a test asks for: that is neither good nor bad."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a good test found, for people; with `advice` where something may still not be as it is meant."""

    result: str = ""
    advice: str = ""


class Inspector(Protocol):
    """A connection that can be tested without writing anything there."""

    def tests(self, *, read_orders: bool) -> Iterator[tuple[str, Callable[[], Found]]]:
        """What is tested, and the test; each rests on those before it. A test raises what the client does
        where it is bad, also UnknownShape, and NotTold.
        """


class Wire(Protocol):
    """A client, of which only its own connector knows more."""

    def close(self) -> None:
        """Nothing is called any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector:
    """What one connection can do. `client` is its wire, to be closed with it; `profile` says how its orders
    are read, or its bodies composed, for kinds that map by one. `has_tenants`: its orders are placed with us
    by tenants (ledger/tenants). `knock` is a call without effect, for a target that nobody can ask
    what it has.
    """

    client: Wire
    profile: SourceProfile | TargetProfile | None = None
    feed: Feed | None = None
    source: Source | None = None
    feedback: Feedback[Any] | None = None
    target: Target | None = None
    finder: Finder | None = None
    listener: Listener | None = None
    doorbell: Doorbell | None = None
    inspector: Inspector | None = None
    has_tenants: bool = False
    knock: Callable[[], object] | None = None


class Own(Protocol):
    """What the own settings of every kind have, see connectors/own_settings."""

    @property
    def timeout(self) -> float: ...
    @property
    def rate(self) -> float: ...
    @property
    def concurrency(self) -> int: ...
    @property
    def lease(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Addressee:
    """Who is told of an order, where a source's orders have each their own: `secret` signs what is told."""

    name: str
    url: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Means:
    """What a connector is made with. `addressee` gives who is told of this order, if anyone; it fails as the
    ledger does. `is_sandbox`: nothing may be called that is not on this machine.
    """

    redis: redis.Redis
    secret_key: str | None
    addressee: Callable[[str], Addressee | None] = lambda _: None
    is_sandbox: bool = False
