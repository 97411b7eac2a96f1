"""CreateOrder in both roles: a connection with `target` brings the orders that tenants place with us; one
with `url` and `tenant` receives orders of others, which we place there.

In: its own settings and a profile of its role. Out: a connector. What a service takes and answers stands in
connectors/createorder_target.py. Source: docs/contracts/createorder.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from clients.callback import Callbacks
from clients.createorder import CreateOrder
from clients.limits import Slots
from connection import Connection
from connectors.createorder_feedback import CreateOrderFeedback
from connectors.createorder_settings import CreateOrderSchema, CreateOrderSettings, ServiceSchema
from connectors.createorder_target import inspector_of, target_of
from connectors.kind import Kind
from connectors.ports import Connector, Found, Means
from mapping.own_writes import Brought
from mapping.source import from_text
from mapping.source_profile import ReadOrder, SourceProfile, load_source
from mapping.target_profile import TargetProfile, load_target

# Calls of receivers that are slow or fail, where the connection has no limit of its own.
MOST_SLOW = 8


def connect(one: Connection, own: CreateOrderSettings, means: Means) -> Connector:
    """The connector of a configured connection. Raises ProfileError."""
    profile = mapping(one, own)
    if isinstance(profile, TargetProfile):
        return _service(one, own, profile)
    slow = (own.concurrency + 1) // 2 or MOST_SLOW
    share = Slots(means.redis, f"{one.name}:slow", slow, own.lease)
    callbacks = Callbacks(timeout=own.timeout, share=share)
    return Connector(
        client=callbacks,
        profile=profile,
        source=PlacedOrders(profile, one.prefix),
        feedback=CreateOrderFeedback(
            callbacks, profile.updates, means.addressee, is_sandbox=means.is_sandbox
        ),
        inspector=InboxInspector(),
        has_tenants=KIND.has_tenants,
    )


def mapping(one: Connection, own: CreateOrderSettings) -> SourceProfile | TargetProfile:
    """How its orders are read, or composed for it. Raises ProfileError."""
    path = KIND.profile_of(one)
    if one.target is not None:
        return load_source(path)
    return load_target(path, {"tenant": own.tenant})


def receives(one: Connection) -> bool:
    """What brings orders receives none: a service has a connection of its own."""
    return one.target is None and bool(one.own.get("url"))


def _service(one: Connection, own: CreateOrderSettings, profile: TargetProfile) -> Connector:
    client = CreateOrder(own.url, token=own.token, timeout=own.timeout, name=one.name)
    return Connector(
        client=client,
        profile=profile,
        target=target_of(client, profile, own),
        knock=client.touch,
        inspector=inspector_of(client, own),
    )


@dataclass(frozen=True, slots=True)
class PlacedOrders:
    """How orders are read that are placed with us."""

    profile: SourceProfile
    prefix: str

    def read(self, text: str) -> ReadOrder:
        return self.profile.read(from_text(text))

    def without_ours(self, read: ReadOrder, known: ReadOrder | None, ours: Brought) -> ReadOrder:  # noqa: ARG002  the port's
        """Nobody changes it after it was placed: it never holds what an update brought."""
        return read


@dataclass(frozen=True, slots=True)
class InboxInspector:
    """Nothing is called to get its orders, so there is nothing that could fail."""

    def tests(self, *, read_orders: bool) -> Iterator[tuple[str, Callable[[], Found]]]:  # noqa: ARG002  the port's
        yield "orders", lambda: Found("are placed with us; nothing is called for them")


KIND = Kind(
    name="createorder",
    schema=CreateOrderSchema,
    open=connect,
    mapping=mapping,
    brings=True,
    has_tenants=True,
    receives=receives,
    stand_in="service",
    profile="createorder.yaml",
    target_profile="createorder-service.yaml",
    target_schema=ServiceSchema,
)
