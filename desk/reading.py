"""What a person may read of the sources now: a poll between two ticks, and past days.

In: the resources, a connection, and who asks for past days. Out: what was read. Fails with `Wrong` for a
connection that brings no orders, and with `Failed` when it could not be read. Called by cli.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from desk.errors import Failed, Wrong
from ledger import history
from ledger.history import Act
from tasks import backfilling, polling
from tasks.doorbell import ring
from tasks.resources import Resources
from tasks.storing import Polled

# Seconds that a person waits for a poll that is under way.
PATIENCE = 30.0


def fetch(r: Resources, connection: str) -> Polled:
    """Poll it once, now, after a poll that is under way."""
    _require_source(r, connection)
    return _read(lambda: backfilling.poll_after(r, connection, ring, patience=PATIENCE))


def backfill(
    r: Resources,
    connection: str,
    first: date,
    last: date,
    *,
    who: str,
    on_day: Callable[[], object],
) -> Polled:
    """Read the orders of these days, both included; `on_day` is called after each."""
    _require_source(r, connection)
    days = {"from": first.isoformat(), "to": last.isoformat()}
    # Before the first call: whoever breaks it off has read some days all the same.
    act = Act(r.ledger.now(), who, "backfill_run", "connection", connection, after=days)
    history.write(r.ledger, act)
    return _read(lambda: backfilling.backfill(r, connection, ring, first, last, on_day=on_day))


def _require_source(r: Resources, connection: str) -> None:
    if connection not in r.sources:
        raise Wrong(f"There is no shop called {connection!r}.")
    if connection not in r.feeds:
        raise Wrong(f"Nothing is read from {connection}: its orders come by themselves.")


def _read(work: Callable[[], Polled]) -> Polled:
    try:
        return work()
    except (polling.PollFailed, polling.PollRunning, polling.PollPaused) as exc:
        raise Failed(str(exc)) from exc
