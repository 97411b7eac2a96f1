"""What an order's target should have, as a hash, whether that is another body than it has, and what finds it.

In: an order's text as its source sent it, and what its target may have of it. Out: a `Wanted`. Fails as the
mapping does, and with `LedgerUnavailable`. Called by tasks/storing. Source:
docs/decisions/orders-as-state-transfer.md.
"""

from __future__ import annotations

from ledger.orders import NO_KEYS, Keys, Known, Wanted
from ledger.ours import brought
from mapping.digest import body_hash
from mapping.order import Person
from mapping.recipient import Prepared
from mapping.search import LONGEST, name_key, phone_key
from mapping.source_profile import ReadOrder
from tasks.resources import Resources


def wanted(
    r: Resources, connection: str, target: str, order_id: str, text: str, known: Known | None
) -> Wanted:
    """Of an order that its target may have, a new stamp, a mapping that was edited since, and whatever our
    own updates left behind make no other hash.
    """
    flow = r.flow(connection, target)
    read = flow.read(text)
    found_by = keys(read)
    if known is None:
        return Wanted(body_hash(flow.compose(read).draft), found_by)
    before = flow.read(known.source) if known.source else None
    ours = brought(r.ledger, connection, order_id)
    others = flow.compose(flow.without_ours(read, before, ours)).draft
    another = body_hash(others)
    if before is not None:
        if others == flow.compose(before).draft:
            return Wanted(known.hash, found_by)
        # As it was sent, but not as we left it: somebody took away what we wrote.
        return Wanted(another if another != known.hash else body_hash([others]), found_by)
    # Where it is not kept what the target has, its hash still tells what it is.
    is_known = known.hash in (another, body_hash(flow.compose(read).draft))
    return Wanted(known.hash if is_known else another, found_by)


def keys(read: ReadOrder) -> Keys:
    """What the order is found by: its people as they were prepared, or as they were typed."""
    order = read.order
    if order is None or read.recipient is None or read.buyer is None:
        return NO_KEYS
    phone, name = _said(order.recipient, read.recipient)
    buyer_phone, buyer_name = _said(order.buyer, read.buyer)
    return Keys(
        number=order.number[:LONGEST] if order.number != order.id else None,
        tracking=order.shipping.tracking_number[:LONGEST] or None,
        phone=phone_key(phone),
        name=name_key(*name),
        buyer_phone=phone_key(buyer_phone) if buyer_phone != phone else None,
        buyer_name=name_key(*buyer_name) if buyer_name != name else None,
    )


def _said(typed: Person, prepared: Prepared) -> tuple[str, tuple[str, ...]]:
    """A person's phone and name, the last name first: as prepared, else as typed."""
    person = prepared.person
    name = (person.last, person.first, person.middle) if person.last else (person.full,)
    return person.phone or typed.phone, name
