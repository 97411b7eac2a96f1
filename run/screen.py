"""What a person sees of a running system beside the live screen: who looks, and the lines for pipes.

In: snapshots of the ledger, the programs' statuses, queue lengths. Out: what was last seen, for run/frame,
and lines that name orders by their ids alone, never by who ordered. A ledger or broker that cannot be read is
shown as such and stops nothing. Called by run/system.py.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from redis import Redis
from redis.exceptions import RedisError

from desk.naming import as_called
from lanes import QUEUES, unserved
from plain_text import line
from run.views import LatestOrder, Snapshot, View, clock, offset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from run.processes import Status


class Watch:
    """Reads the ledger and the queues each `every` seconds, in a thread of its own: a database that
    hangs must not keep the supervisor from its work.
    """

    def __init__(
        self, read: Callable[[], Snapshot], broker_url: str, *, every: float = 1.0
    ) -> None:
        self._read = read
        self._broker = Redis.from_url(broker_url, socket_connect_timeout=1, socket_timeout=1)
        self._every = every
        self._stopped = threading.Event()
        self.view = View()

    def start(self) -> None:
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self.view = View(self._snapshot(), self._queue_lengths(), self._unserved())
            self._stopped.wait(self._every)

    def _snapshot(self) -> Snapshot | None:
        try:
            return self._read()
        except Exception:  # noqa: BLE001  whatever is wrong with the ledger, the screen goes on
            return None

    def _queue_lengths(self) -> dict[str, int] | None:
        try:
            pipeline = self._broker.pipeline(transaction=False)
            for name in QUEUES:
                pipeline.llen(name)
            return dict(zip(QUEUES, map(int, pipeline.execute()), strict=True))
        except RedisError:
            return None

    def _unserved(self) -> list[str]:
        try:
            return unserved(self._broker)
        except RedisError:
            return []


class Lines:
    """Plain lines, for pipes and CI: one for each order that arrives or changes, for each update that is
    parked, for each connection to which calls stop or go on, and for each program that had to be started
    again.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, datetime]] = {}
        self._restarts: dict[str, int] = {}
        self._parked: set[str] = set()
        self._stopped: set[str] = set()

    def new(self, snapshot: Snapshot | None, statuses: Iterable[Status]) -> list[str]:
        """The lines for what changed since the last call, oldest first."""
        found = self._of_programs(statuses)
        if snapshot is not None:
            found += [
                *self._of_connections(snapshot),
                *self._of_orders(snapshot),
                *self._of_updates(snapshot),
            ]
        return found

    def _of_programs(self, statuses: Iterable[Status]) -> list[str]:
        lines = []
        for status in statuses:
            if status.restarts > self._restarts.get(status.name, 0):
                why = status.said or "its log says why"
                lines.append(f"{status.name} ended and was started again: {why}")
            self._restarts[status.name] = status.restarts
        return lines

    def _of_connections(self, snapshot: Snapshot) -> list[str]:
        stopped = {
            f"{line(one.why)} {as_called(one.how_it_opens)}": one.name for one in snapshot.stopped
        }
        went_on = self._stopped - set(stopped.values())
        lines = [text for text, name in stopped.items() if name not in self._stopped]
        lines += [f"{name} go on" for name in sorted(went_on)]
        self._stopped = set(stopped.values())
        return lines

    def _of_updates(self, snapshot: Snapshot) -> list[str]:
        parked = {one.name: one for one in snapshot.for_people if one.state == "parked"}
        lines = [
            f"{one.since.astimezone():%H:%M:%S}  {line(name)}  parked  {line(one.reason)}".rstrip()
            for name, one in reversed(parked.items())
            if name not in self._parked
        ]
        self._parked = set(parked)
        return lines

    def _of_orders(self, snapshot: Snapshot) -> list[str]:
        lines = [
            plain_line(order)
            for order in reversed(snapshot.latest)
            if self._seen.get(order.order_id) != (order.state, order.changed_at)
        ]
        # What is no longer shown needs no memory: a change brings it to the top again.
        self._seen = {o.order_id: (o.state, o.changed_at) for o in snapshot.latest}
        return lines


def plain_line(order: LatestOrder) -> str:
    at = f"{clock(order.changed_at)} {offset(order.changed_at)}"
    return f"{at}  order {order.order_id}  {order.state}{_after(order)}"


def _after(order: LatestOrder) -> str:
    if order.target_id:
        return f"  CRM {order.target_id}"
    return f"  {order.reason}" if order.reason else ""


def utc_now() -> datetime:
    return datetime.now(UTC)
