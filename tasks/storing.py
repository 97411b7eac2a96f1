"""What becomes of one page of a shop's list: stored in the ledger, kept aside, or known already.

In: a page as read. Out: the orders to ring for, and what the page listed. Fails with `LedgerUnavailable`;
nothing that stands in the list stops the rest of it. Called by tasks/polling.
Source: docs/contracts/okliving.md, "Polling rules"; docs/architecture.md, "One order's way, through five
files".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import structlog
from redis.exceptions import RedisError

from connection import EVERYTHING
from connectors.ports import Page, Snapshot
from ledger import orders
from ledger.faults import LedgerUnavailable
from ledger.orders import Arrived, Due, Known, Wanted
from tasks.resources import Remote, Resources
from tasks.slices import Mark
from tasks.wanting import wanted

# How long a dedupe key is remembered; forgetting it costs one SQL statement, no more.
REMEMBERED = timedelta(days=8)

log = structlog.get_logger()


@dataclass(slots=True)
class Polled:
    """What a poll did. A page that is read again and holds nothing new is not counted again, nor are its
    orders. `seen` are the content hashes of what this poll has stored or knows.
    """

    pages: int = 0
    orders: int = 0
    known: int = 0
    stored: int = 0
    aside: int = 0
    newest: datetime | None = None
    seen: set[str] = field(default_factory=set, repr=False)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a poll goes by: whether it may believe what Redis says of known orders, and from when orders
    count, whatever the source lists.
    """

    trust_keys: bool
    counts_from: datetime

    def count(self, one: Snapshot, read_at: datetime) -> bool:
        placed = one.placed_at(read_at)
        # Sources tell seconds; of one that tells nothing nobody knows that it is old.
        return placed is None or placed >= self.counts_from.replace(microsecond=0)


@dataclass(slots=True)
class Sorted:
    """A page, told apart: orders by id, what is no order as (hash, text), and all that it listed."""

    found: dict[str, Snapshot] = field(default_factory=dict)
    aside: list[tuple[str, str]] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)


def sort_out(listed: Sequence[Snapshot]) -> Sorted:
    """Tell orders from what is none; of two copies of one order the newer counts."""
    page = Sorted()
    for one in sorted(listed, key=lambda one: one.stamp or EVERYTHING):
        page.marks.append((one.order_id or one.content_hash, one.stamp))
        if one.order_id is None:
            page.aside.append((one.content_hash, one.text()))
        else:
            page.found[one.order_id] = one
    return page


def store_page(
    r: Resources,
    source: Remote,
    page: Page,
    polled: Polled,
    read_at: datetime,
    terms: Terms,
) -> tuple[list[Due], list[Mark]]:
    """Store what is new on this page; return whom to ring for, and what was listed."""
    listed = sort_out(page.found)
    unseen = {
        i: one.content_hash
        for i, one in listed.found.items()
        if one.content_hash not in polled.seen
    }
    known = _known(r, source.name, unseen) if terms.trust_keys else set()
    arrived = [
        Arrived(
            order_id=order_id,
            external_id=r.external_id(source.name, order_id),
            source=one.text(),
            content_hash=one.content_hash,
            shop_updated_at=_possible(one.stamp, read_at),
            latest=one.latest_stamp(read_at),
            counts=terms.count(one, read_at),
        )
        for order_id, one in listed.found.items()
        if order_id in unseen and order_id not in known
    ]
    pks = _store(r, source, arrived, read_at)
    scraps = [(digest, text) for digest, text in listed.aside if digest not in polled.seen]
    kept = orders.keep_aside(r.ledger, source.name, scraps, read_at)
    if kept:
        log.warning("not_an_order", connection=source.name, kept_aside=kept)
    # One of the future says nothing about how far the shop was read.
    stamps = [
        one.stamp for one in listed.found.values() if one.stamp is not None and one.stamp <= read_at
    ]
    polled.newest = max((*stamps, polled.newest or EVERYTHING)) if stamps else polled.newest
    polled.pages += bool(unseen or scraps or not polled.pages)
    polled.orders += len(unseen) + len(scraps)
    polled.known += len(known)
    polled.stored += len(pks)
    polled.aside += len(scraps)
    polled.seen.update(unseen.values(), dict(scraps))
    return [Due(pk, source.name) for pk in pks], listed.marks


def _possible(stamp: datetime | None, read_at: datetime) -> datetime | None:
    """What was read by then was changed by then, whatever the shop's clock says: a stamp of the future would
    have every later change refused as older.
    """
    return None if stamp is None else min(stamp, read_at)


def _store(r: Resources, source: Remote, arrived: list[Arrived], now: datetime) -> list[int]:
    """Store all at once; when one of them breaks that, each alone, and what breaks is kept aside."""
    try:
        pks = _store_these(r, source, arrived, now)
    except LedgerUnavailable:
        raise
    except Exception as exc:  # noqa: BLE001  whatever it is, one order must not stop the others
        if len(arrived) > 1:
            return [pk for one in arrived for pk in _store(r, source, [one], now)]
        (broken,) = arrived
        log.warning("order_not_stored", order_id=broken.order_id, error=type(exc).__name__)
        orders.keep_aside(r.ledger, source.name, [(broken.content_hash, broken.source)], now)
        return []
    _remember(r, source.name, arrived)
    return pks


def _store_these(
    r: Resources, source: Remote, arrived: Sequence[Arrived], now: datetime
) -> list[int]:
    target = source.connection.target or ""
    return orders.store(
        r.ledger,
        source.name,
        source.connection.target or "",
        arrived,
        now,
        partial(_wanted, r, source.name, target),
    )


def _wanted(
    r: Resources, connection: str, target: str, order_id: str, text: str, known: Known | None
) -> Wanted:
    """What cannot be mapped is found, and told, when the order's turn comes, and must not stop a poll."""
    try:
        return wanted(r, connection, target, order_id, text, known)
    except LedgerUnavailable:
        raise
    except Exception as exc:  # noqa: BLE001  whatever it is, it is this order's own
        log.warning("order_not_mapped", connection=connection, error=type(exc).__name__)
        return Wanted(None)


# --- the dedupe keys: the fast way to know that nothing is new ---------------------------------------


def _dedupe_key(r: Resources, connection: str, order_id: str) -> str:
    return f"ob:{r.ledger_id}:seen:{connection}:{order_id}"


def _known(r: Resources, connection: str, hashes: dict[str, str]) -> set[str]:
    """The orders that the ledger holds with this very content; none when Redis cannot be asked."""
    if not hashes:
        return set()
    try:
        seen = r.redis.mget([_dedupe_key(r, connection, order_id) for order_id in hashes])
    except RedisError:
        return set()
    return {
        order_id
        for (order_id, digest), value in zip(hashes.items(), seen, strict=True)
        if value == digest.encode()
    }


def _remember(r: Resources, connection: str, arrived: Sequence[Arrived]) -> None:
    """Only after the ledger has committed them."""
    try:
        pipeline = r.redis.pipeline(transaction=False)
        for order in arrived:
            key = _dedupe_key(r, connection, order.order_id)
            pipeline.set(key, order.content_hash, ex=REMEMBERED)
        pipeline.execute()
    except RedisError:
        log.warning("dedupe_keys_not_kept", connection=connection, orders=len(arrived))
