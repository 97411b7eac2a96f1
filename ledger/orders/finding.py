"""Finds orders by what a person has of one: any of its ids, its tracking number, a phone, a name.

In: what was typed, and the keys that mapping/search makes of it. Out: orders, the newest first, each with
what it was found by. Every look is one at an index, however many orders there are. Raises
`LedgerUnavailable`. Called, by its package, by desk/finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from ledger.database import Ledger
from ledger.orders.listing import ROW, to_row
from ledger.orders.rows import Row
from ledger.tables import ORDERS

# Of one key so many are looked at: what fits more orders is no way to find one.
MOST_LOOKED_AT = 1000
# No text is greater: the end of what begins alike.
_LAST = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Typed:
    """What a person has of an order: `id` as it stands, and what keys of phones and names begin with."""

    id: str
    phone: str | None = None
    names: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """An order and what it was found by; `is_whole`: by all of that, not by how it begins or ends."""

    order: Row
    by: str
    is_whole: bool


def search(ledger: Ledger, typed: Typed, now: datetime, most: int) -> list[Match]:
    """The newest orders that fit, so many at most; one that fits in several ways comes once."""
    with ledger.read() as db:
        ways: dict[int, tuple[str, bool]] = {}
        for by, is_whole, found in _looks(db, typed):
            for pk in found:
                if not ways.get(pk, ("", False))[1]:
                    ways[pk] = (by, is_whole)
        newest = sorted(ways, reverse=True)[:most]
        rows = db.execute(ROW.where(ORDERS.c.id.in_(newest)).order_by(ORDERS.c.id.desc())).all()
    return [Match(to_row(row, now), *ways[row.id]) for row in rows]


def _looks(db: Connection, typed: Typed) -> Iterator[tuple[str, bool, list[int]]]:
    """What it may be found by, whether whole, and the keys of the orders."""
    for by, column in _IDS:
        yield by, True, _keys(db, column == typed.id)
    # The index begins with the target, of which there are few.
    for target in _targets(db):
        here = (ORDERS.c.target == target, ORDERS.c.external_id == typed.id)
        yield "external id", True, _keys(db, *here)
    if typed.phone is not None:
        for by, column in _PHONES:
            yield by, len(typed.phone) >= WHOLE_PHONE, _keys(db, *_begins(column, typed.phone))
    for name in typed.names:
        for by, column in _NAMES:
            yield by, True, _keys(db, column == name)
            yield by, True, _keys(db, *_begins(column, f"{name} "))
            yield by, False, _keys(db, *_begins(column, name))


# The digits of a phone without its country.
WHOLE_PHONE = 9
_IDS = (
    ("order id", ORDERS.c.order_id),
    ("number", ORDERS.c.number),
    ("CRM id", ORDERS.c.target_id),
    ("tracking number", ORDERS.c.tracking),
    ("tracking number", ORDERS.c.heard_number),
)
_PHONES = (("recipient's phone", ORDERS.c.phone), ("buyer's phone", ORDERS.c.buyer_phone))
_NAMES = (("recipient", ORDERS.c.name), ("buyer", ORDERS.c.buyer_name))


def _begins(column: Any, text: str) -> tuple[Any, Any]:
    return column >= text, column < text + _LAST


def _keys(db: Connection, *where: Any) -> list[int]:
    return list(db.execute(select(ORDERS.c.id).where(*where).limit(MOST_LOOKED_AT)).scalars())


def _targets(db: Connection) -> Iterator[str]:
    """Every target that an order has gone to: one step in the index for each."""
    after = ""
    while True:
        following = select(ORDERS.c.target).where(ORDERS.c.target > after)
        found = db.execute(following.order_by(ORDERS.c.target).limit(1)).scalar_one_or_none()
        if found is None:
            return
        yield found
        after = found
