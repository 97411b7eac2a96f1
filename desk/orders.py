"""What a person may see of orders and do to them: list, show, retry, release, ignore, adopt.

In: the open ledger, an order's id, its connection where several have that id, and who acts. Out: the ledger's
rows. Fails with `Absent`, `Impossible` and `Wrong`, each with a sentence for the person, and with
`LedgerUnavailable`. Called by cli and gateway.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol

from connections_file import SettingsError
from default_pair import default_of
from desk.errors import Absent, Impossible, Wrong
from desk.naming import named
from desk.ringing import Bells
from ledger import attempts, history, orders, tallies, updates
from ledger.attempts import Try
from ledger.database import Ledger
from ledger.history import Act
from ledger.orders import OPEN, Due, NotPossible, Row
from ledger.tallies import Total

__all__ = ["OPEN", "STATES", "Row", "Try"]

STATES = orders.STATES
# Of an order's updates, the newest that are shown.
MOST_UPDATES = 1000
# What the ledger keeps of an order's id and of a connection's name.
LONGEST_ID = 64
# What people write before a number.
MARKS = "#№ "
NEITHER = "There is no order with this id, and no update of one."


@dataclass(frozen=True, slots=True)
class Shown:
    """One order with all that is known of it: tries and acts the oldest first, updates the newest first."""

    order: Row
    attempts: list[Try]
    updates: list[updates.Update]
    history: list[Act]


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger knows by an order's id: the order, its newest updates, or both."""

    order: Row | None
    updates: list[updates.Update]


@dataclass(frozen=True, slots=True)
class Mended:
    """An order after an act. `rung` is whether the broker took the ring for it."""

    order: Row
    rung: bool


class _Change(Protocol):
    def __call__(self, ledger: Ledger, pk: int, now: datetime, *, who: str) -> None: ...


def listing(
    ledger: Ledger,
    *,
    state: str | None = None,
    connection: str | None = None,
    changed: bool = False,
    limit: int,
) -> list[Row]:
    """Orders, the newest first; `changed` only those that were changed since they were created."""
    return orders.listing(
        ledger, ledger.now(), state=state, connection=connection, changed=changed, limit=limit
    )


def total(
    ledger: Ledger,
    *,
    state: str | None = None,
    connection: str | None = None,
    changed: bool = False,
) -> Total:
    """How many orders such a list has without its limit."""
    if changed:
        return orders.changed_total(ledger, state=state, connection=connection)
    return tallies.total(ledger, tallies.ORDERS, ledger.now(), state=state, connection=connection)


def find(ledger: Ledger, order_id: str, connection: str | None = None) -> Row:
    """The one order with this id: of this connection, else of the only one that fits, else the default
    pair's.
    """
    rows = orders.listing(ledger, ledger.now(), order_id=order_id, connection=connection)
    if not rows:
        raise Absent(
            f"No order {order_id} is in the ledger. Those that are: `orderbridge orders list`."
        )
    names = [row.connection for row in rows]
    try:
        meant = default_of(names)
    except SettingsError:
        each = ", ".join(f"`orderbridge orders show {named(order_id, name)}`" for name in names)
        raise Wrong(
            f"Several connections have an order {order_id}: name yours, as in {each}."
        ) from None
    return next(row for row in rows if row.connection == meant)


def show(ledger: Ledger, order_id: str, connection: str | None = None) -> Shown:
    """One order with its tries, its updates and what people did to it."""
    row = find(ledger, order_id, connection)
    of = {"connection": row.connection, "order_id": row.order_id}
    return Shown(
        row,
        attempts.of_order(ledger, row.pk),
        updates.listing(ledger, **of, limit=MOST_UPDATES),
        history.of_order(ledger, **of),
    )


def known(
    ledger: Ledger,
    connection: str | None,
    order_id: str,
    most: int,
    *,
    among: Collection[str] | None = None,
    readable: Callable[[updates.Update], bool] = lambda _: True,
) -> tuple[str, Known]:
    """Which connection's order is meant, as in `find`, the order and its newest updates; updates may be known
    without their order. Who asks knows only of the connections `among`, and of updates that are `readable`.
    """
    if not (_may_be_kept(order_id) and _may_be_kept(connection or "")):
        raise Absent(NEITHER)
    found = orders.listing(ledger, ledger.now(), order_id=order_id, connection=connection)
    found = [row for row in found if among is None or row.connection in among]
    if connection is None:
        connection = _meant(ledger, order_id, found, most, among)
    order = next((row for row in found if row.connection == connection), None)
    asked = updates.listing(ledger, connection=connection, order_id=order_id, limit=most)
    asked = [row for row in asked if readable(row)]
    if order is None and not asked:
        raise Absent(NEITHER)
    return connection, Known(order, asked)


def _meant(
    ledger: Ledger, order_id: str, found: list[Row], most: int, among: Collection[str] | None
) -> str:
    names = list(dict.fromkeys(row.connection for row in found))
    if not names:
        asked = updates.listing(ledger, order_id=order_id, limit=most)
        names = list(dict.fromkeys(row.connection for row in asked))
        names = [name for name in names if among is None or name in among]
    try:
        return default_of(names) if names else ""
    except SettingsError as exc:
        raise Wrong(str(exc)) from None


def retry(
    ledger: Ledger, order_id: str, connection: str | None = None, *, who: str, bells: Bells
) -> Mended:
    """Try it now, whatever it waits for or is held for."""
    row = _mend(ledger, order_id, connection, orders.retry, who)
    return Mended(row, _rings(bells.orders, row))


def release(
    ledger: Ledger, order_id: str, connection: str | None = None, *, who: str, bells: Bells
) -> Mended:
    """Accept the doubts for which it is held, and send it."""
    row = _mend(ledger, order_id, connection, orders.release, who)
    return Mended(row, _rings(bells.orders, row))


def ignore(ledger: Ledger, order_id: str, connection: str | None = None, *, who: str) -> Row:
    """Never send it."""
    return _mend(ledger, order_id, connection, orders.ignore, who)


def adopt(
    ledger: Ledger, order_id: str, number: str, connection: str | None = None, *, who: str
) -> Row:
    """Its target has it under this number: it is created, and never sent."""
    there = number.strip().lstrip(MARKS)
    if not there or not _may_be_kept(there):
        raise Wrong(
            f"A number under which an order is there has 1 to {LONGEST_ID} printable characters.",
            {"target_id": ["Not a number that a system gives."]},
        )
    return _mend(ledger, order_id, connection, partial(orders.adopt, target_id=there), who)


def _mend(ledger: Ledger, order_id: str, connection: str | None, change: _Change, who: str) -> Row:
    row = find(ledger, order_id, connection)
    try:
        change(ledger, row.pk, ledger.now(), who=who)
    except NotPossible as exc:
        seen = f"How it stands: `orderbridge orders show {named(order_id, row.connection)}`."
        raise Impossible(f"{exc} {seen}") from exc
    return find(ledger, order_id, row.connection)


def _rings(ring: Callable[[list[Due]], int], row: Row) -> bool:
    return bool(ring([Due(row.pk, row.connection)]))


def _may_be_kept(text: str) -> bool:
    """Whether this may be an id in the ledger; PostgreSQL takes no NUL."""
    return len(text) <= LONGEST_ID and text.isprintable()
