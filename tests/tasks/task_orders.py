"""Orders in a state, as tests of tasks need them."""

from __future__ import annotations

from mapped_as import mapped_as

from ledger import orders
from ledger.orders import Arrived, Outcome


def hold(r, count, reason, now, first=1):
    """So many orders of the shop that are held for this reason since then."""
    numbers = range(first, first + count)
    arrived = [Arrived(str(n), f"okl-{n}", "{}", "a" * 32, now) for n in numbers]
    pks = orders.store(r.ledger, "okliving", "onebox", arrived, now, mapped_as())
    for pk in pks:
        claim = orders.claim(r.ledger, pk, now, 70)
        orders.record(r.ledger, claim, Outcome("held", reason), None, now)
    return pks
