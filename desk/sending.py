"""Sends one order for real while its connection is in shadow mode, for a person who has looked at it twice.

In: the resources, an order's id, and who acts. Out: a `Proposal` to be shown and agreed to, then how the
order stands. A worker sends it, by the same claim, guards and record as any other; here it is only let
through, as it was shown and no other way, and taken back when no worker takes it. Fails with `Absent`,
`Impossible` and `Wrong`, each with a sentence for the person, and with `LedgerUnavailable`. Called by cli.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from decimal import Decimal

from desk import orders as desk_orders
from desk.errors import Impossible
from desk.ringing import Bells
from ledger import connections, orders
from ledger.orders import Due, NotPossible, Row
from mapping.problems import DOUBTS
from tasks import closings
from tasks.resources import Resources

# Seconds between two looks at an order that is on its way.
LOOK = 0.2
# What a state that is not open asks for first.
FIRST = {
    "created": "it is there already.",
    "held": "see what for: `orderbridge orders show {id}`.",
    "ignored": "take that back first: `orderbridge orders retry {id}`.",
}


@dataclass(frozen=True, slots=True)
class Proposal:
    """What would be created where: `address` is the target's, `city` and `total` are the order's, as sent."""

    order: Row
    address: str
    number: str
    city: str
    total: Decimal
    currency: str
    lines: int
    content_hash: str


def propose(r: Resources, order_id: str, connection: str | None) -> Proposal:
    """What would be sent if a person let it through. Nothing is changed."""
    row = desk_orders.find(r.ledger, order_id, connection)
    if row.connection not in r.sources or row.target not in r.targets:
        raise Impossible(f"Order {order_id} goes to {row.target}, which is not configured.")
    if r.is_live(row.connection, row.target):
        raise Impossible(
            f"{row.connection} and {row.target} are live: their orders are sent without this. "
            f"To try one now: `orderbridge orders retry {order_id}`."
        )
    if row.state not in orders.OPEN:
        raise Impossible(f"Order {order_id} is {row.state}: {FIRST[row.state].format(id=order_id)}")
    gate = connections.gate(r.ledger, row.target)
    if gate.closed_by is not None:
        raise Impossible(closings.told(gate))
    content = orders.content(r.ledger, row.pk)
    mapped = r.map(row.connection, row.target, content.source)
    accepted = content.accepted and set(mapped.reasons) <= DOUBTS
    order = mapped.order
    if order is None or (mapped.held and not accepted):
        raise Impossible(
            f"Order {order_id} would be held. See why: `orderbridge preview {order_id}`."
        )
    return Proposal(
        order=row,
        address=str(r.targets[row.target].connection.own.get("url", "")),
        number=order.number,
        city=order.shipping.city,
        total=order.total,
        currency=order.currency,
        lines=len(order.lines),
        content_hash=content.content_hash,
    )


def send(r: Resources, proposal: Proposal, *, who: str, bells: Bells, patience: float) -> Row:
    """Let it through, and wait until it is there or will not be for now. Raises Impossible when it has
    changed since it was proposed, and when nobody takes it for so long: then it is taken back.
    """
    row = proposal.order
    try:
        orders.let_through(r.ledger, row.pk, proposal.content_hash, r.ledger.now(), who=who)
    except NotPossible as exc:
        raise Impossible(str(exc)) from exc
    try:
        bells.orders([Due(row.pk, row.connection)])
        return _awaited(r, row, patience)
    finally:
        # Also when the person breaks it off: what nobody has begun with is not to go next week.
        _take_back(r, row, who)


def _awaited(r: Resources, row: Row, patience: float) -> Row:
    until = time.monotonic() + patience
    while True:
        now = desk_orders.find(r.ledger, row.order_id, row.connection)
        is_on_its_way = now.being_worked_on or now.reason == "released"
        if not is_on_its_way or time.monotonic() >= until:
            return now
        time.sleep(LOOK)


def _take_back(r: Resources, row: Row, who: str) -> None:
    if not orders.take_back(r.ledger, row.pk, r.ledger.now(), who=who):
        return
    kept = f"order {row.order_id}, so it is not sent and stays in shadow mode."
    gate = connections.gate(r.ledger, row.target)
    if gate.closed_by is not None:
        raise Impossible(f"No worker may send {kept} {closings.told(gate)}")
    raise Impossible(f"No worker took {kept} Does the system run?")
