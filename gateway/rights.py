"""What the key of this request may do, and for which connections (docs/http.md, Keys).

In: `g.key`, which the door's authentication left there. Out: answers, or a Refusal with 403. The rule: a key
does what its scopes say, for its connections, and of those that have tenants for its tenants alone, if it
names any; what it wrote itself it may read, what others wrote only with `updates:read`. What it may not read
is not there for it. Called by the views of gateway/updates.py and gateway/createorder.py.
"""

from __future__ import annotations

import re
from typing import Any

from flask import current_app, g

from api_keys import TENANT_NAME
from default_pair import default_of
from gateway.errors import Refusal
from ledger.updates import Update
from tasks.resources import Resources

# An order's id after its tenant's name.
_NUMBER = re.compile(rf"(?P<tenant>{TENANT_NAME.pattern})-[0-9]{{1,19}}")


def demand(*scopes: str) -> None:
    """Refuse a key that has none of these scopes."""
    if not g.key.scopes.intersection(scopes):
        raise Refusal(403, f"This key needs the scope {' or '.join(scopes)} for that.")


def demand_connection(name: str) -> None:
    """Refuse a key that is for other connections."""
    if not g.key.is_for(name):
        raise Refusal(403, "This key is not for that connection.")


def placing_names(r: Resources) -> list[str]:
    """The connections by which tenants place orders."""
    return [name for name, remote in r.sources.items() if remote.connector.has_tenants]


def may_place_for(tenant: str) -> bool:
    """Whether the key is for orders of this tenant."""
    is_its_own: bool = g.key.is_for_tenant(tenant)
    return is_its_own


def may_place() -> bool:
    """Whether the key is for a connection by which tenants place orders, if it names any."""
    return g.key.connections is None or bool(_own_placing())


def connections_of(order_id: str) -> frozenset[str] | None:
    """Those of which this key may know an order with this id; None: all."""
    if g.key.tenants is None:
        limited: frozenset[str] | None = g.key.connections
        return limited
    found = _NUMBER.fullmatch(order_id)
    if found is None or not may_place_for(found["tenant"]):
        return frozenset()
    return frozenset(_own_placing())


def knows(connection: str | None, order_id: str) -> bool:
    """Whether this order may be there for the key."""
    among = connections_of(order_id)
    return among is None or connection in among


def _own_placing() -> list[str]:
    return [n for n in placing_names(current_app.config["RESOURCES"]) if g.key.is_for(n)]


def naming_a_connection(raw: dict[str, Any]) -> dict[str, Any]:
    """An update as it is sent; one that names no connection means, by the rule for all, one of those that its
    key is for. Raises SettingsError with the choices.
    """
    named = raw.get("connection")
    if isinstance(named, str):
        demand_connection(named)
    if (g.key.connections is None and g.key.tenants is None) or "connection" in raw:
        return raw
    own = sorted(g.key.connections) if g.key.tenants is None else _own_placing()
    if not own:
        raise Refusal(
            403, "This key is for tenants, and no connection of its own takes their orders."
        )
    return raw | {"connection": default_of(own)}


def origin() -> str:
    """What the ledger keeps of who wrote an update here; a key's name is short enough to stand whole."""
    return f"http:{g.key.name}"


def may_read(row: Update) -> bool:
    """Whether this update is there for the key."""
    mine = row.origin == origin() and "updates:write" in g.key.scopes
    return knows(row.connection, row.order_id) and (mine or "updates:read" in g.key.scopes)
