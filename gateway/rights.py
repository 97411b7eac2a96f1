"""What the key of this request may do, and for which connections (docs/http.md, Keys).

In: `g.key`, which the door's authentication left there. Out: answers, or a Refusal with 403. The rule: a key
does what its scopes say, for its connections; what it wrote itself it may read, what others wrote only with
`updates:read`. What it may not read is not there for it. Called by the views of gateway/updates.py.
"""

from __future__ import annotations

from typing import Any

from flask import g

from default_pair import default_of
from gateway.errors import Refusal
from ledger.updates import Update


def demand(*scopes: str) -> None:
    """Refuse a key that has none of these scopes."""
    if not g.key.scopes.intersection(scopes):
        raise Refusal(403, f"This key needs the scope {' or '.join(scopes)} for that.")


def demand_connection(name: str) -> None:
    """Refuse a key that is for other connections."""
    if not g.key.is_for(name):
        raise Refusal(403, "This key is not for that connection.")


def naming_a_connection(raw: dict[str, Any]) -> dict[str, Any]:
    """An update as it is sent; one that names no connection means, by the rule for all, one of those that its
    key is for. Raises SettingsError with the choices.
    """
    named = raw.get("connection")
    if isinstance(named, str):
        demand_connection(named)
    if g.key.connections is None or "connection" in raw:
        return raw
    return raw | {"connection": default_of(sorted(g.key.connections))}


def origin() -> str:
    """What the ledger keeps of who wrote an update here; a key's name is short enough to stand whole."""
    return f"http:{g.key.name}"


def may_read(row: Update) -> bool:
    """Whether this update is there for the key."""
    mine = row.origin == origin() and "updates:write" in g.key.scopes
    return g.key.is_for(row.connection) and (mine or "updates:read" in g.key.scopes)
