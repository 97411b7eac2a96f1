"""Reads one shop: pages through get-orders and stores every order before the cursor moves.

In: the connection's name; for a back-fill its own window, which moves no cursor and trusts no dedupe key.
Out: a `Polled` count, and the orders to ring for as they are stored. Fails with `PollRunning` when another
poll of the shop is under way, and with `PollFailed` when the shop or our stores do not answer as they
should: then nothing has moved, and the next tick reads the same window. Called by tasks/orders.fetch and by
the command line.
Source: contract okliving, Polling rules; design, "A task's life".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import structlog
from redis.exceptions import RedisError

from clients.errors import ClientError
from ledger import connections, orders
from ledger.connections import Poll
from ledger.database import LedgerUnavailable
from ledger.orders import Arrived, Due
from mapping.profile import Page, Profile, UnknownShape
from mapping.source import from_text, to_text
from settings import EVERYTHING
from tasks.resources import Resources, Source

# The overlap around a clock change, when the shop's stamps jump by an hour or repeat one.
CLOCK_CHANGE_OVERLAP = timedelta(minutes=75)
NEAR = timedelta(hours=3)
# How long a dedupe key is remembered; forgetting it costs one SQL statement, no more.
REMEMBERED = timedelta(days=8)
# A shop that never ends its list is a fault, not a long list.
MOST_PAGES = 10_000

log = structlog.get_logger()


class PollRunning(Exception):  # noqa: N818  it says what is, as the errors of clients do
    """Another poll of this shop is under way."""


class PollFailed(Exception):  # noqa: N818  as above
    """The shop could not be read to the end; the cursor stands where it stood."""


@dataclass(frozen=True, slots=True)
class Window:
    """What is asked for: orders changed from `start` to `end`, both aware."""

    start: datetime
    end: datetime


@dataclass(slots=True)
class Polled:
    """What a poll did."""

    pages: int = 0
    orders: int = 0
    known: int = 0
    stored: int = 0
    aside: int = 0
    newest: datetime | None = None


def poll(
    r: Resources,
    connection: str,
    ring: Callable[[list[Due]], object],
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    window: Window | None = None,
) -> Polled:
    """One poll of one shop. `ring` is called with the new orders of each page once they are stored."""
    source = r.sources[connection]
    lease = source.settings.lease
    held = connections.begin_poll(r.ledger, connection, clock(), lease)
    if held is None:
        raise PollRunning(f"A poll of {connection} is running already.")
    now = kept_at = clock()
    polled = Polled()
    try:
        asked = window or next_window(r, connection, held, now)
        for page in _pages(source, r.profiles[connection], asked):
            if (clock() - kept_at).total_seconds() > lease / 2:
                kept_at = clock()
                _require_turn(connections.keep_poll(r.ledger, held, kept_at, lease), connection)
            ring(_store_page(r, source, page, polled, now, trust_keys=window is None))
    except (ClientError, UnknownShape) as exc:
        connections.fail_poll(r.ledger, held, clock(), str(exc))
        raise PollFailed(f"{connection} could not be read: {exc}") from exc
    except LedgerUnavailable as exc:
        # A moment's outage must not cost the polls of a whole lease.
        with suppress(LedgerUnavailable):
            connections.fail_poll(r.ledger, held, clock(), str(exc))
        raise PollFailed(f"{connection} was not read: {exc}") from exc
    except BaseException:
        connections.fail_poll(r.ledger, held, clock(), "interrupted")
        raise
    watermark = held.watermark if window else next_watermark(r, held, polled, now)
    _require_turn(connections.end_poll(r.ledger, held, clock(), watermark), connection)
    return polled


def _require_turn(kept: bool, connection: str) -> None:
    if not kept:
        raise PollFailed(f"The poll of {connection} took too long and lost its turn.")


def poll_after(
    r: Resources,
    connection: str,
    ring: Callable[[list[Due]], object],
    *,
    patience: float,
    window: Window | None = None,
) -> Polled:
    """As `poll`, but waits up to `patience` seconds for a poll that is under way."""
    until = time.monotonic() + patience
    while True:
        try:
            return poll(r, connection, ring, window=window)
        except PollRunning:
            if time.monotonic() >= until:
                raise
            time.sleep(0.2)


def backfill(
    r: Resources,
    connection: str,
    ring: Callable[[list[Due]], object],
    first: date,
    last: date,
    *,
    on_day: Callable[[], object],
) -> Polled:
    """Read past days one by one, in the shop's time, so that live polls find their turn between them."""
    zone = r.profiles[connection].zone
    total = Polled()
    day = first
    while day <= last:
        start = datetime.combine(day, datetime.min.time(), zone)
        window = Window(start, start + timedelta(days=1))
        polled = poll_after(r, connection, ring, patience=120.0, window=window)
        total.pages += polled.pages
        total.orders += polled.orders
        total.stored += polled.stored
        total.aside += polled.aside
        day += timedelta(days=1)
        on_day()
    return total


def next_window(r: Resources, connection: str, held: Poll, now: datetime) -> Window:
    """From the watermark, less the overlap, to the clock, less the lag."""
    end = now - timedelta(seconds=r.settings.poll_lag)
    if held.watermark is None:
        return Window(r.settings.start_from or end, end)
    zone = r.profiles[connection].zone
    back = overlap(held.watermark, now, zone, timedelta(seconds=r.settings.poll_overlap))
    return Window(max(held.watermark - back, EVERYTHING), end)


def overlap(watermark: datetime, now: datetime, zone: ZoneInfo, usual: timedelta) -> timedelta:
    """How far before the watermark to read: more around a clock change of the shop's zone, since its
    stamps carry no offset.
    """
    before = (watermark - NEAR).astimezone(zone).utcoffset()
    after = (now + NEAR).astimezone(zone).utcoffset()
    return usual if before == after else max(usual, CLOCK_CHANGE_OVERLAP)


def next_watermark(r: Resources, held: Poll, polled: Polled, now: datetime) -> datetime | None:
    """The newest stamp seen, no earlier than before, and never later than the poll's clock less the lag."""
    limit = now - timedelta(seconds=r.settings.poll_lag)
    seen = [moment for moment in (held.watermark, polled.newest) if moment is not None]
    if not seen:
        return limit if r.settings.start_from is None else None
    return min(max(seen), limit)


def _pages(source: Source, profile: Profile, window: Window) -> Iterator[Page]:
    """Every page of the list, as the shop's own paging fields or a short page say where it ends."""
    before: list[object] = []
    for number in range(1, MOST_PAGES + 1):
        body = profile.poll_body(window.start, window.end, number)
        page = profile.page(source.client.get_orders(body))
        if number > 1 and page.orders == before:
            return  # a shop that ignores the page number gives the same list for ever
        yield page
        before = page.orders
        if _is_last(page, number, profile.limit):
            return
    raise PollFailed(f"{source.name} lists more than {MOST_PAGES} pages.")


def _is_last(page: Page, number: int, limit: int) -> bool:
    """Source: contract okliving, Calls: until `pages` is reached, or a short page; one page without
    paging fields, unless it is as long as a full page is: then the shop may page without saying so.
    """
    if page.pages is not None:
        return number >= page.pages or not page.orders
    if page.page is None and page.total is None:
        return len(page.orders) != limit
    return len(page.orders) < limit


def _store_page(
    r: Resources, source: Source, page: Page, polled: Polled, now: datetime, *, trust_keys: bool
) -> list[Due]:
    """Store what is new on this page; return whom to ring for."""
    profile = r.profiles[source.name]
    hashes: dict[str, str] = {}
    found: dict[str, object] = {}
    stamps: dict[str, datetime | None] = {}
    aside: list[tuple[str, str]] = []
    # Of two copies on one page the newer one counts, so it comes last.
    stamped = sorted(
        ((profile.stamp(raw), raw) for raw in page.orders), key=lambda pair: pair[0] or EVERYTHING
    )
    for stamp, raw in stamped:
        digest = profile.content_hash(raw)
        order_id = profile.key(raw)
        if order_id is None:
            aside.append((digest, to_text(raw)))
            continue
        hashes[order_id] = digest
        found[order_id] = raw
        stamps[order_id] = stamp
        if stamp is not None and (polled.newest is None or stamp > polled.newest):
            polled.newest = stamp
    known = _known(r, source.name, hashes) if trust_keys else set()
    arrived = [
        Arrived(
            order_id=order_id,
            external_id=profile.external_id(order_id),
            source=to_text(found[order_id]),
            content_hash=digest,
            shop_updated_at=stamps[order_id],
        )
        for order_id, digest in hashes.items()
        if order_id not in known
    ]
    pks = orders.store(
        r.ledger,
        source.name,
        source.settings.target,
        arrived,
        now,
        lambda before, after: _differs(profile, before, after),
    )
    _remember(r, source.name, {o.order_id: o.content_hash for o in arrived})
    if aside:
        new = orders.keep_aside(r.ledger, source.name, aside, now)
        if new:
            log.warning("not_an_order", connection=source.name, kept_aside=new)
    polled.pages += 1
    polled.orders += len(page.orders)
    polled.known += len(known)
    polled.stored += len(pks)
    polled.aside += len(aside)
    return [Due(pk, source.name) for pk in pks]


def _differs(profile: Profile, before: str, now: str) -> bool:
    """Whether the CRM would get another order than before: a new status or stamp alone, such as our own
    updates leave behind, concerns nobody. What was purged cannot be compared, so it counts as other.
    """
    drafts = [profile.map(from_text(text)).draft for text in (before, now) if text]
    return len(drafts) < 2 or drafts[0] != drafts[1]


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


def _remember(r: Resources, connection: str, hashes: dict[str, str]) -> None:
    """Only after the ledger has committed them."""
    try:
        pipeline = r.redis.pipeline(transaction=False)
        for order_id, digest in hashes.items():
            pipeline.set(_dedupe_key(r, connection, order_id), digest, ex=REMEMBERED)
        pipeline.execute()
    except RedisError:
        log.warning("dedupe_keys_not_kept", connection=connection, orders=len(hashes))
