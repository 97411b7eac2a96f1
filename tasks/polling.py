"""Reads one shop: what changed since the watermark is stored, and only what was surely read moves it.

In: the connection's name; for a back-fill its own window, which moves no cursor and trusts no dedupe key.
Out: a `Polled` count, and the orders to ring for as they are stored. Fails with `PollRunning`, with
`PollPaused` while a person has paused the reads, and with `PollFailed` when the shop or our stores do not
answer as they should: the cursor then stands at the end of the last slice that was read for certain, and the
next tick reads on from there. Called by tasks/orders.fetch and by the command line.
Source: docs/contracts/okliving.md, "Polling rules"; docs/architecture.md, "One order's way, through five
files".
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from redis.exceptions import RedisError

from clients.errors import ClientError, RateLimited, StoreUnavailable, Transient, Uncertain
from connectors.ports import Feed, Page
from ledger import connections
from ledger.connections import Poll
from ledger.faults import LedgerUnavailable
from ledger.orders import Due
from mapping.profile import UnknownShape
from tasks import closings
from tasks.calling import Calls, NoTurn, slot, tell
from tasks.doorbell import ring_waiting
from tasks.gate import Admission
from tasks.paging import EndlessList, Unreadable, Walk
from tasks.resources import MOST_WAITING, Remote, Resources
from tasks.slices import Listed, Window
from tasks.storing import Polled, Terms, store_page
from tasks.threads import THREADS
from tasks.windows import next_watermark, next_window, overlap, slack

# Seconds before a failed page is read again, and again; then the poll has failed.
PAUSES = (0.2, 0.5, 1.0, 2.0)
# Seconds after which the poll's lease is made longer: one call takes the rest of it at most.
KEPT_FOR = 5.0
# Seconds that a page waits for its turn under the shop's rate.
TURN = 5.0
TURNS = 12

log = structlog.get_logger()

Ring = Callable[[list[Due]], object]
Clock = Callable[[], datetime]


class PollRunning(Exception):  # noqa: N818  it says what is, as the errors of clients do
    """Another poll of this shop is under way."""


class LaneFull(Exception):  # noqa: N818  as above
    """No thread of this lane is left for another poll: others hang."""


class PollPaused(Exception):  # noqa: N818  as above
    """A person has paused the reads of this shop; the message says who, and how they go on."""


class PollFailed(Exception):  # noqa: N818  as above
    """The shop could not be read to the end; the cursor stands where the reading was certain."""


def poll(
    r: Resources,
    connection: str,
    ring: Ring,
    *,
    clock: Clock | None = None,
    window: Window | None = None,
    since: datetime | None = None,
) -> Polled:
    """One poll of one source. `ring` is called with the new orders of each page once they are stored. With
    `since`, orders count from then on although the source's begin later. Raises also LaneFull, and
    SettingsError where nothing is called.
    """
    r.settings.demand_calls()
    with THREADS.entered(connection) as has_thread:
        if not has_thread:
            raise LaneFull(f"Nothing is left of the lane for a poll of {connection}.")
        return _poll(r, connection, ring, clock, window, since)


def _poll(
    r: Resources,
    connection: str,
    ring: Ring,
    clock: Clock | None,
    window: Window | None,
    since: datetime | None,
) -> Polled:
    clock = clock or r.ledger.now
    source = r.sources[connection]
    held = connections.begin_poll(
        r.ledger, connection, clock(), source.settings.lease, source.connection.start_from
    )
    if held is None:
        raise PollRunning(f"A poll of {connection} is running already.")
    r = r.in_this_epoch()
    now = clock()
    polled = Polled()
    asked = window or next_window(source.connection, feed_of(r, connection).zone, held, now)
    reading = _Reading(
        r,
        source,
        feed_of(r, connection),
        Calls(source, None, patience=TURN),
        held,
        polled,
        ring,
        clock,
        now,
        Terms(
            trust_keys=window is None and r.trusts_keys,
            counts_from=min(since or held.counts_from, held.counts_from),
        ),
    )
    try:
        _require_open(source)
        # A back-fill moves no cursor.
        certain = reading.walk().read(asked, (lambda _: None) if window else reading.reached(asked))
    except (ClientError, UnknownShape, EndlessList, Unreadable) as exc:
        connections.fail_poll(r.ledger, held, clock(), str(exc))
        raise PollFailed(f"{connection} could not be read: {exc}") from exc
    except PollFailed as exc:
        connections.fail_poll(r.ledger, held, clock(), str(exc))
        raise
    except PollPaused:
        connections.leave_poll(r.ledger, held)
        raise
    except LedgerUnavailable as exc:
        # A moment's outage must not cost the polls of a whole lease.
        with suppress(LedgerUnavailable):
            connections.fail_poll(r.ledger, held, clock(), str(exc))
        raise PollFailed(f"{connection} was not read: {exc}") from exc
    except BaseException:
        connections.fail_poll(r.ledger, held, clock(), "interrupted")
        raise
    if not certain:
        text = "orders changed all the time while they were read; the rest is read again"
        log.warning("list_never_stood_still", connection=connection, orders=polled.orders)
        connections.fail_poll(r.ledger, held, clock(), text)
        raise PollFailed(f"{connection}: {text}")
    watermark = held.watermark if window else next_watermark(held, polled, asked.end)
    ended = connections.end_poll(r.ledger, held, clock(), watermark, whole=window is None)
    _require_turn(ended, connection)
    r.ledger.close_gap()
    return polled


def _require_turn(kept: bool, connection: str) -> None:
    if not kept:
        raise PollFailed(f"The poll of {connection} took too long and lost its turn.")


def _require_no_pause(source: Remote) -> None:
    if source.read_gate.is_paused():
        raise PollPaused(closings.told(source.read_gate.row()))


def _require_open(source: Remote) -> None:
    """A shop that asked us to wait is not asked before its time."""
    _require_no_pause(source)
    if source.read_gate.admit() is Admission.CLOSED:
        row = source.read_gate.row()
        raise PollFailed(f"{source.name} is not read before {row.probe_at}: {row.reason}")


def feed_of(r: Resources, connection: str) -> Feed:
    """Raises PollFailed for a source that is not asked for its orders."""
    feed = r.sources[connection].connector.feed
    if feed is None:
        raise PollFailed(f"{connection} is not read: its orders come by themselves.")
    return feed


@dataclass(slots=True)
class _Reading:
    """One poll under way: reads page after page, stores each, and keeps its turn meanwhile."""

    r: Resources
    source: Remote
    feed: Feed
    calls: Calls
    held: Poll
    polled: Polled
    ring: Ring
    clock: Clock
    kept_at: datetime
    terms: Terms

    def walk(self) -> Walk:
        """How this shop's list is walked. An order is listed within the overlap after its stamp, or no
        watermark would be safe: what is older than that can only lose orders while it is read.
        """
        now, zone = self.clock(), self.feed.zone
        usual = timedelta(seconds=self.source.connection.poll_overlap)
        return Walk(
            self.page,
            self.feed.limit,
            now - overlap(now, now, zone, usual),
            lambda part: slack(part, zone),
        )

    def page(self, window: Window, number: int) -> Listed:
        """Read a page and store what is on it. A failed page is read again by itself, a few times, once
        the poll has read something: before that the next tick is soon enough. What fails again may be one
        order that the shop cannot write, so it is looked for: see Walk.
        """
        pauses = iter(PAUSES if self.polled.pages else ())
        while True:
            read_at = self.clock()
            try:
                page = self._ask(window, number)
                break
            except RateLimited:
                raise
            except (Transient, Uncertain, UnknownShape) as exc:
                pause = next(pauses, None)
                if pause is None:
                    again = self.polled.pages or self.held.failed
                    if again and isinstance(exc, Uncertain | UnknownShape):
                        raise Unreadable(str(exc)) from exc
                    raise
                log.warning("page_failed", page=number, error=type(exc).__name__)
                time.sleep(pause)
        due, marks = store_page(self.r, self.source, page, self.polled, read_at, self.terms)
        if due:
            self.ring(due[: self._room()])
        return Listed(marks, page.page, page.pages, page.total)

    def _room(self) -> int:
        """For how many to ring at once; for the others the sweeper does."""
        try:
            return self.r.room("create")
        except RedisError:
            return MOST_WAITING

    def reached(self, asked: Window) -> Callable[[datetime], None]:
        """Moves the cursor as far as the list was read for certain; its end is moved with the poll's own."""

        def move(moment: datetime) -> None:
            watermark = next_watermark(self.held, self.polled, moment)
            before = self.held.watermark
            if moment >= asked.end or watermark is None or (before and watermark <= before):
                return
            kept = connections.move_cursor(self.r.ledger, self.held, watermark)
            _require_turn(kept, self.source.name)

        return move

    def _ask(self, window: Window, number: int) -> Page:
        gate = self.source.read_gate
        with ExitStack() as held:
            self._take_turn(held)
            self._keep_turn()
            _require_no_pause(self.source)
            try:
                page = self.calls.run(lambda: self.feed.page(window.start, window.end, number))
            except UnknownShape:
                gate.succeeded()
                raise
            except ClientError as exc:
                tell(gate, exc)
                raise
            gate.succeeded()
            return page

    def _take_turn(self, held: ExitStack) -> None:
        """A place among the source's calls for as long as it is held, and a turn under its rate. Without
        Redis nobody counts; the source itself will.
        """
        with suppress(StoreUnavailable):
            self._patiently(lambda: held.enter_context(self._slot()))
            self._patiently(self._has_turn)

    def _patiently(self, take: Callable[[], bool]) -> None:
        for _ in range(TURNS):
            if take():
                return
            self._keep_turn()
        raise PollFailed(f"{self.source.name}: no turn under its rate or limit within a minute.")

    def _slot(self) -> AbstractContextManager[bool]:
        return slot(self.source.slots, f"poll:{self.held.token}", ring_waiting, patience=TURN)

    def _has_turn(self) -> bool:
        try:
            self.calls.begin()
        except NoTurn:
            return False
        return True

    def _keep_turn(self) -> None:
        now = self.clock()
        if (now - self.kept_at).total_seconds() > KEPT_FOR:
            self.kept_at = now
            lease = self.source.settings.lease
            kept = connections.keep_poll(self.r.ledger, self.held, now, lease)
            _require_turn(kept, self.source.name)
