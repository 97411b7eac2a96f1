"""An OK Living shop: what is polled, how its orders are read, and how its connection is tested.

In: its own settings and the profile that reads its orders. Out: a connector. Source:
docs/contracts/okliving.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from clients.cipher import cipher_for
from clients.okliving import OkLiving
from connection import Connection
from connectors.kind import Kind
from connectors.okliving_feedback import OklivingFeedback
from connectors.okliving_settings import OkLivingSchema, OkLivingSettings
from connectors.ports import Connector, Found, Means, Page, Snapshot
from mapping.own_writes import Brought
from mapping.profile_file import ProfileError
from mapping.source import from_text
from mapping.source_profile import ReadOrder, SourceProfile, load_source


def connect(one: Connection, own: OkLivingSettings, means: Means) -> Connector:
    """The connector of a configured shop. Raises ProfileError."""
    client = OkLiving(
        own.url,
        own.client_id,
        own.client_secret,
        redis=means.redis,
        cipher=cipher_for(means.secret_key, own.client_secret, one.name, own.url),
        name=one.name,
        timeout=own.timeout,
        login_style=own.login_style,
    )
    return join(client, mapping(one, own), one.prefix)


def mapping(one: Connection, _own: OkLivingSettings) -> SourceProfile:
    """How this shop's orders are read. Raises ProfileError."""
    profile = load_source(KIND.profile_of(one))
    if profile.asked is None:
        raise ProfileError(f"{profile.path}: source.poll is missing: what the shop is asked")
    return profile


def join(client: OkLiving, profile: SourceProfile, prefix: str) -> Connector:
    """The connector of a client."""
    feed = ShopFeed(client, profile)
    return Connector(
        client=client,
        profile=profile,
        feed=feed,
        source=ShopOrders(profile, prefix),
        feedback=OklivingFeedback(
            client, profile.updates, lambda text: profile.read(from_text(text)).order
        ),
        inspector=ShopInspector(client, feed),
    )


@dataclass(frozen=True, slots=True)
class ShopSnapshot(Snapshot):
    """What the shop listed; in the hour that its clocks repeat a stamp means either of two moments."""

    profile: SourceProfile

    def latest_stamp(self, read_at: datetime) -> datetime | None:
        return self.profile.latest_stamp(self.raw, read_at)

    def placed_at(self, read_at: datetime) -> datetime | None:
        return self.profile.placed_at(self.raw, read_at) or self.latest_stamp(read_at)


@dataclass(frozen=True, slots=True)
class ShopFeed:
    """get-orders, page by page."""

    client: OkLiving
    profile: SourceProfile

    @property
    def zone(self) -> ZoneInfo:
        return self.profile.zone

    @property
    def limit(self) -> int:
        return self.profile.poll.limit

    def page(self, start: datetime, end: datetime, number: int) -> Page:
        profile, poll = self.profile, self.profile.poll
        listed = poll.page(self.client.get_orders(poll.body(start, end, number)))
        found = [
            ShopSnapshot(
                profile.key(raw), profile.content_hash(raw), profile.stamp(raw), raw, profile
            )
            for raw in listed.orders
        ]
        return Page(found, listed.page, listed.pages, listed.total)


@dataclass(frozen=True, slots=True)
class ShopOrders:
    """How the shop's orders are read."""

    profile: SourceProfile
    prefix: str

    def read(self, text: str) -> ReadOrder:
        return self.profile.read(from_text(text))

    def without_ours(self, read: ReadOrder, known: ReadOrder | None, ours: Brought) -> ReadOrder:
        return self.profile.without_ours(read, known, ours)


@dataclass(frozen=True, slots=True)
class ShopInspector:
    """The tests of a shop's connection; in some shops reading consumes, so that it must be asked for."""

    client: OkLiving
    feed: ShopFeed

    def tests(self, *, read_orders: bool) -> Iterator[tuple[str, Callable[[], Found]]]:
        yield "log in", self._log_in
        if read_orders:
            yield "read orders", self._read_orders

    def _log_in(self) -> Found:
        self.client.login()
        return Found()

    def _read_orders(self) -> Found:
        """The first page of the last day."""
        now = datetime.now(UTC)
        found = self.feed.page(now - timedelta(days=1), now, 1).found
        unkeyed = sum(one.order_id is None for one in found)
        return Found(
            f"{len(found)} orders on the first page"
            + (f", {unkeyed} without id" if unkeyed else "")
        )


KIND = Kind(
    name="okliving",
    schema=OkLivingSchema,
    open=connect,
    mapping=mapping,
    brings=True,
    is_read=True,
    stand_in="shop",
    profile="okliving.yaml",
)
