"""What would be sent for an order: its source, the recipient before and after, the target's body, problems.

In: an order of the ledger or a file of JSON, and the connection whose mapping counts. Out: a `Preview`;
nothing is sent or written. Fails with `Absent` for an order that is not kept, with `Wrong` for a file that is
no JSON, and with `ProfileError`. Called by cli.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import default_pair
from connection import PROFILES
from connectors import registry
from desk import orders as desk_orders
from desk.errors import Absent, Wrong
from ledger import orders
from ledger.database import Ledger
from mapping import profile
from mapping.problems import Problem
from mapping.source import from_text
from settings import Settings


@dataclass(frozen=True, slots=True)
class Preview:
    """An order as it would be sent. `before` and `after` are the recipient, None where there is none;
    `is_read`: its source is asked for what has changed.
    """

    order_id: str | None
    external_id: str | None
    held: bool
    reasons: list[str]
    problems: list[Problem]
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    target: dict[str, object] | None
    source: object
    is_read: bool


def preview(chosen: Settings, connection: str | None, source: object) -> Preview:
    """Map what a source sent, without sending it."""
    profile = profile_of(chosen, connection)
    mapped = profile.map(source)
    return Preview(
        mapped.order_id,
        mapped.external_id,
        mapped.held,
        mapped.reasons,
        [*mapped.problems, *mapped.left_out],
        asdict(mapped.order.recipient) if mapped.order else None,
        asdict(mapped.recipient.person) if mapped.recipient else None,
        mapped.target if mapped.target is not None else mapped.draft,
        source,
        profile.source.asked is not None,
    )


def read_file(name: str) -> object:
    """An order as JSON in a file."""
    try:
        return from_text(Path(name).read_text())
    except (ValueError, OSError, RecursionError) as exc:
        raise Wrong(f"{name} cannot be read as JSON: {exc}") from exc


def read_order(ledger: Ledger, order_id: str, connection: str | None) -> tuple[object, str]:
    """An order of the ledger as its source sent it, and whose it is."""
    row = desk_orders.find(ledger, order_id, connection)
    text = orders.source(ledger, row.pk)
    if not text:
        raise Absent(f"Order {order_id} was purged: its data is not kept any more.")
    return from_text(text), row.connection


def profile_of(chosen: Settings, connection: str | None) -> profile.Profile:
    """How the orders of this connection are mapped. Raises Wrong, SettingsError and ProfileError."""
    if chosen.connections:
        source = chosen.connection(chosen.source(connection))
        joined = registry.joined(source, chosen.connection(source.target or ""))
        if joined is None:
            raise Wrong(f"The orders of {source.name} are not mapped by a profile.")
        return joined
    # A sandbox that is stopped has no connections; its orders keep their profile.
    name = connection if connection in default_pair.PREFIXES else default_pair.SOURCE
    parameters = {"workflow_id": "1", "status_id": "1", "source_id": None}
    return profile.join(
        profile.load_source(PROFILES / registry.KINDS[name].profile),
        profile.load_target(PROFILES / registry.KINDS[default_pair.TARGET].profile, parameters),
        default_pair.PREFIXES[name],
    )
