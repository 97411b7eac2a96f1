"""What an order says, for the person who works on it: its people, its comment, and what was changed.

In: the settings, the open ledger and an order. Out: a `Review`, made anew from what is kept; it holds
personal data and is for a person's eyes, never for a log. Fails with `Wrong`, `SettingsError` and
`ProfileError` where the order's profile cannot be had, and with `LedgerUnavailable`; `acknowledge` also with
`Impossible`. Called by cli.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from desk import orders as desk_orders
from desk.errors import Impossible
from desk.previewing import profile_of
from ledger import orders
from ledger.database import Ledger
from ledger.orders import NotPossible, Row
from ledger.ours import brought
from mapping.differences import Difference, differences
from mapping.order import Person
from mapping.profile import Profile
from mapping.source import from_text
from mapping.source_profile import ReadOrder
from settings import Settings

__all__ = ["Difference", "Person", "Review", "acknowledge", "review"]


@dataclass(frozen=True, slots=True)
class Review:
    """An order as it is kept; without people it was purged, or cannot be read. `comment` is what goes to the
    target. `changes` are of the target's body, None where it is not kept what that was.
    """

    recipient: Person | None = None
    buyer: Person | None = None
    comment: str = ""
    changes: list[Difference] | None = field(default_factory=list)


def review(chosen: Settings, ledger: Ledger, row: Row) -> Review:
    """What there is to read of an order."""
    text = orders.source(ledger, row.pk)
    if not text:
        return Review(changes=None if row.changed else [])
    profile = profile_of(chosen, row.connection)
    read = profile.source.read(from_text(text))
    changes = _changes(ledger, profile, row, read) if row.changed else []
    if read.order is None or read.recipient is None or read.buyer is None:
        return Review(changes=changes)
    recipient = _as_known(read.recipient.person, read.order.recipient)
    buyer = _as_known(read.buyer.person, read.order.buyer)
    return Review(recipient, buyer, read.note, changes)


def acknowledge(
    chosen: Settings, ledger: Ledger, order_id: str, connection: str | None = None, *, who: str
) -> tuple[Row, list[Difference] | None]:
    """A person takes note of how the order was changed; the order, and what there was to note. What changes
    while it is looked at is not noted unseen.
    """
    row = desk_orders.find(ledger, order_id, connection)
    seen = orders.content(ledger, row.pk).content_hash
    noted = review(chosen, ledger, row).changes
    fields = [one.field for one in noted or []]
    try:
        orders.acknowledge(ledger, row.pk, ledger.now(), who=who, seen=seen, fields=fields)
    except NotPossible as exc:
        raise Impossible(str(exc)) from exc
    return desk_orders.find(ledger, order_id, row.connection), noted


def _changes(
    ledger: Ledger, profile: Profile, row: Row, read: ReadOrder
) -> list[Difference] | None:
    text = orders.before_change(ledger, row.pk)
    if text is None:
        return None
    before = profile.source.read(from_text(text))
    ours = brought(ledger, row.connection, row.order_id)
    after = profile.source.without_ours(read, before, ours)
    prefix = profile.external_id_prefix
    bodies = [profile.target.compose(one, prefix).draft for one in (before, after)]
    return differences(*bodies)


def _as_known(prepared: Person, typed: Person) -> Person:
    """A person as prepared, with what was typed where that is unusable: a clerk may read it."""
    full = prepared.full or " ".join(filter(None, (typed.last, typed.first, typed.middle)))
    return Person(
        full=full or typed.full,
        phone=prepared.phone or typed.phone,
        email=prepared.email or typed.email,
    )
