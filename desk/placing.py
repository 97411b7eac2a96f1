"""Places an order that a tenant asks for: it has its number and is in the ledger before this returns.

In: the order as asked for, how its source's text is made once it has its number, and who asks. Out: the
placed order, or why it is not; what was answered before, where the request is a repeat. Fails with
`LedgerUnavailable`. Called by the gateway's door for orders.
Source: docs/contracts/createorder.md, "Account resolution".
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog

from ledger import tenants
from ledger.orders import NO_KEYS, Due, Keys
from ledger.tenants import AskedOrder, Placed, Refused, Repeated, Route, Tenant
from tasks.resources import Resources
from tasks.wanting import keys

log = structlog.get_logger()


def place(
    r: Resources,
    asked: AskedOrder,
    text: Callable[[Placed], str],
    *,
    now: datetime,
    ring: Callable[[list[Due]], object],
    admit: Callable[[Tenant], object],
) -> Placed | Refused | Repeated:
    """Place it. `admit` raises where the tenant is not the caller's, before anything else is told of it.
    `text` gives the source's JSON text of the order, from which it is mapped like any other; it is called
    within the transaction, and perhaps more than once.
    """

    def route_of(tenant: Tenant) -> Route | None:
        admit(tenant)
        return _route(r, tenant)

    # Most of what is refused never takes the writer's turn; what is placed is read before it does.
    found = tenants.look(r.ledger, asked, route_of)
    if isinstance(found, Refused | Repeated):
        return found
    found_by = _found_by(r, found.tenant, text(found.provisional()))
    entered = tenants.place(r.ledger, asked, text, found_by, route_of, now)
    if isinstance(entered, Refused | Repeated):
        return entered
    if entered.due is not None:
        ring([entered.due])
    return entered.placed


def _route(r: Resources, tenant: Tenant) -> Route | None:
    """The tenant's own connection, else the only one whose orders tenants place; None: which is not said."""
    taking = [name for name, remote in r.sources.items() if remote.connector.has_tenants]
    named = [name for name in taking if tenant.connection in {None, name}]
    if len(named) != 1:
        return None
    (name,) = named
    return Route(name, r.target_name(name), r.external_id(name, ""))


def _found_by(r: Resources, tenant: Tenant, text: str) -> Keys:
    """What cannot be read is found, and told, when the order's turn comes, and must not refuse it."""
    route = _route(r, tenant)
    if route is None:  # its connection is not ours to read: the writer refuses it
        return NO_KEYS
    source = r.sources[route.connection].connector.source
    try:
        return NO_KEYS if source is None else keys(source.read(text))
    except Exception as exc:  # noqa: BLE001  whatever it is, it is this order's own
        log.warning("order_not_mapped", connection=route.connection, error=type(exc).__name__)
        return NO_KEYS
