"""Finds an order by whatever a person has of it: an id of any system, a tracking number, a phone, a surname.

In: the open ledger and what was typed. Out: the orders that fit, the newest first. Fails with `Absent` where
none does, with `Several` where one order is meant and more fit, and with `LedgerUnavailable`. Called by cli.
"""

from __future__ import annotations

from collections.abc import Sequence

from desk import orders as desk_orders
from desk.errors import Absent, Wrong
from ledger import orders
from ledger.database import Ledger
from ledger.orders import Match, Row, Typed
from mapping.search import LONGEST, names_typed, phone_typed

__all__ = ["MOST", "Match", "Several", "find", "meant"]

# So many are shown; who sees as many gives more of the order.
MOST = 50


class Several(Wrong):
    """Several orders fit, which are `found`."""

    def __init__(self, text: str, found: Sequence[Match]) -> None:
        super().__init__(f"Several orders fit “{text}”: say which of them by its id.")
        self.found = list(found)


def find(ledger: Ledger, text: str, connection: str | None = None, most: int = MOST) -> list[Match]:
    """The orders that fit, of this connection only where one is given."""
    # As pasted from a letter or a table, with blanks of all kinds and what nobody sees.
    typed = "".join(filter(str.isprintable, " ".join(text.split()))).lstrip("#№ ")
    if not typed or len(typed) > 2 * LONGEST:
        raise Absent(_nothing(text))
    asked = Typed(typed, phone_typed(typed), names_typed(typed))
    found = orders.search(ledger, asked, ledger.now(), most if connection is None else 10 * most)
    here = [one for one in found if connection in (None, one.order.connection)][:most]
    if not here:
        raise Absent(_nothing(text))
    return here


def meant(ledger: Ledger, text: str, connection: str | None = None) -> Row:
    """The order of this id; where there is none the one order that fits, as a whole before in part."""
    try:
        return desk_orders.find(ledger, text, connection)
    except Absent as absent:
        try:
            found = find(ledger, text, connection)
        except Absent:
            raise absent from None
    whole = [one for one in found if one.is_whole] or found
    if len(whole) > 1:
        raise Several(text, whole)
    return whole[0].order


def _nothing(text: str) -> str:
    return (
        f"No order fits “{text}”. It was looked for as an id or number, a tracking number, a phone or its "
        "last digits (four or more), and a name that begins so."
    )
