"""Places an order that a tenant asks for: it has its number and is in the ledger before this returns.

In: the order as asked for, how its source's text is made once it has its number, and who asks. Out: the
placed order, or why it is not; what was answered before, where the request is a repeat. Fails with
`LedgerUnavailable`. Called by the gateway's door for orders.
Source: docs/contracts/createorder.md, "Account resolution".
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from ledger.orders import Due
from ledger.tenants import AskedOrder, Placed, Refused, Repeated
from tasks.resources import Resources


def place(
    r: Resources,
    asked: AskedOrder,
    text: Callable[[Placed], str],
    *,
    now: datetime,
    ring: Callable[[list[Due]], object],
) -> Placed | Refused | Repeated:
    """Place it. `text` gives the source's JSON text of the order, from which it is mapped like any other; it
    is called within the transaction, and perhaps more than once.
    """
    raise NotImplementedError
