"""What would be sent for an order: its source, the recipient before and after, the target's body, problems.

In: an order of the ledger or a file of JSON, and the connection whose mapping counts. Out: a `Preview`;
nothing is sent or written. Fails with `Absent` for an order that is not kept, with `Wrong` for a file that is
no JSON, and with `ProfileError`. Called by cli.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from desk import orders as desk_orders
from desk.errors import Absent, Wrong
from ledger import orders
from ledger.database import Ledger
from mapping import profile
from mapping.problems import Problem
from mapping.source import from_text
from settings import PAIR_PREFIX, Settings


@dataclass(frozen=True, slots=True)
class Preview:
    """An order as it would be sent. `before` and `after` are the recipient, None where there is none."""

    order_id: str | None
    external_id: str | None
    held: bool
    reasons: list[str]
    problems: list[Problem]
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    target: dict[str, object] | None
    source: object


def preview(chosen: Settings, connection: str, source: object) -> Preview:
    """Map what a source sent, without sending it."""
    mapped = _profile(chosen, connection).map(source)
    return Preview(
        mapped.order_id,
        mapped.external_id,
        mapped.held,
        mapped.reasons,
        mapped.problems,
        asdict(mapped.order.recipient) if mapped.order else None,
        asdict(mapped.recipient.person) if mapped.recipient else None,
        mapped.target if mapped.target is not None else mapped.draft,
        source,
    )


def read_file(name: str) -> object:
    """An order as JSON in a file."""
    try:
        return from_text(Path(name).read_text())
    except (ValueError, OSError, RecursionError) as exc:
        raise Wrong(f"{name} cannot be read as JSON: {exc}") from exc


def read_order(ledger: Ledger, order_id: str) -> object:
    """An order of the ledger as its source sent it."""
    text = orders.source(ledger, desk_orders.find(ledger, order_id).pk)
    if not text:
        raise Absent(f"Order {order_id} was purged: its data is not kept any more.")
    return from_text(text)


def _profile(chosen: Settings, connection: str) -> profile.Profile:
    if chosen.shops:
        from tasks.resources import load_profile  # noqa: PLC0415  Celery, which no sandbox file needs

        return load_profile(chosen, connection)
    parameters = {"workflow_id": "1", "status_id": "1", "source_id": None}
    return profile.join(
        profile.load_source(chosen.source_profile),
        profile.load_target(chosen.target_profile, parameters),
        PAIR_PREFIX,
    )
