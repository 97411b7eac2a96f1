"""The rows that orders are handed out as, and what a worker says of one.

Plain values, aware UTC times. Used by all of ledger/orders and, by its package, by tasks, gateway and cli.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from ledger import tallies

OPEN = ("received", "waiting")
STATES = tallies.ORDERS.states
# The hash of a body of which nobody knows what it was; it is like no other.
UNKNOWN = ""


# Why an order is ignored that is older than what counts.
BEFORE_START = "before_start"
# Why an order is ignored whose tenant's orders go no further.
NOT_DELIVERED = "tenant_not_delivered"
# Why an order is held that may be in a target which cannot be asked.
NO_LOOKUP = "uncertain_no_lookup"


class NotPossible(Exception):  # noqa: N818  it says what is, as the errors of clients do
    """The order is not in a state in which this may be done; the message says what it is."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """One order as it came from a shop. `latest` is the last moment that its stamp may mean: later than
    `shop_updated_at` in the hour that the shop's clocks repeat. One that does not count is older than what
    the ledger shall send.
    """

    order_id: str
    external_id: str
    source: str
    content_hash: str
    shop_updated_at: datetime | None
    latest: datetime | None = None
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Known:
    """What a target may have of an order, or what a person took note of since: its source's text, empty where
    that is not kept, and the hash of the body.
    """

    source: str
    hash: str | None


@dataclass(frozen=True, slots=True)
class Keys:
    """What an order is found by, as mapping/search writes it. The buyer's only where it is another person."""

    number: str | None = None
    tracking: str | None = None
    phone: str | None = None
    name: str | None = None
    buyer_phone: str | None = None
    buyer_name: str | None = None


NO_KEYS = Keys()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an order maps to: the hash of the body that its target should have, None where it cannot be
    mapped, and what it is found by.
    """

    hash: str | None
    keys: Keys = NO_KEYS


class Mapper(Protocol):
    """Maps an order's text. Of one that its target may have the hash is that of `known` where nothing else
    was changed than what we wrote ourselves.
    """

    def __call__(self, order_id: str, text: str, known: Known | None, /) -> Wanted: ...


@dataclass(frozen=True, slots=True)
class Trouble:
    """What an order has met that may be its own fault. `blamed_at`: when it last met what looks like the
    connection's; `strikes`: how often others went through all the same. `sends`: its calls that got no
    answer, since `troubled_since`.
    """

    blamed_at: datetime | None = None
    strikes: int = 0
    sends: int = 0
    troubled_since: datetime | None = None


NO_TROUBLE = Trouble()


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on one order until `lease_until`, held by `token`. `sent_hash` is of what may have
    arrived of this order: of what a call of unknown fate carried, else of what this claim sends.
    `let_through`: a person lets it go although in shadow mode. `state_at`: no call that a lost lease cut
    short began before.
    """

    pk: int
    token: str
    lease_until: datetime
    connection: str
    target: str
    order_id: str
    external_id: str
    source: str
    content_hash: str
    accepted: bool
    tries: int
    uncertain_since: datetime | None
    lookups: int
    sent_hash: str | None = None
    trouble: Trouble = NO_TROUBLE
    let_through: bool = False
    state_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where an order stands after a try. `counts` is whether the try is one in its back-off; `wanted_hash`
    is of the body as mapped for it, `sent_hash` of what the target has, where it took the order; `shadow`
    that it waits because nothing is written.
    """

    state: str
    reason: str = ""
    problems: list[dict[str, Any]] | None = None
    target_id: str | None = None
    next_try_at: datetime | None = None
    uncertain_since: datetime | None = None
    lookups: int = 0
    counts: bool = True
    wanted_hash: str | None = None
    sent_hash: str | None = None
    shadow: bool = False
    trouble: Trouble = NO_TROUBLE


@dataclass(frozen=True, slots=True)
class Due:
    """An order to ring for; without a target the one that its connection has today is meant."""

    pk: int
    connection: str
    target: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """An order as people and machines are shown it. `stage` and `tracking_number` are what its target was
    last heard to say.
    """

    pk: int
    connection: str
    order_id: str
    external_id: str
    state: str
    reason: str
    problems: list[dict[str, Any]]
    target: str
    target_id: str | None
    changed: bool
    tries: int
    received_at: datetime
    state_at: datetime
    next_try_at: datetime
    uncertain_since: datetime | None
    being_worked_on: bool
    stage: str | None = None
    tracking_number: str | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """What is sent of an order, but for its mapping: its source's text, the hash of that, and whether a
    person has accepted its doubts.
    """

    source: str
    content_hash: str
    accepted: bool


@dataclass(frozen=True, slots=True)
class Overview:
    """The ledger at a glance: orders by state as of `counted_at`, the newest ones, age of the oldest that
    is due.
    """

    counts: dict[str, int] = field(default_factory=dict)
    counted_at: datetime | None = None
    latest: list[Row] = field(default_factory=list)
    oldest_due_at: datetime | None = None
