"""An update as a door took it and its source's rules found it good, whatever kind of source that is.

Made by a source's own reading (mapping/updates.py for Shopware), accepted by tasks/accepting.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from mapping.problems import Problem

__all__ = ["Errors", "UpdateRequest", "by_field", "digest"]

# What is wrong, by field.
Errors = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class UpdateRequest:
    """A valid update: the value of each part that is meant, in the order in which they are sent apart.

    Without a `connection` the only one that fits is meant. The values of the `personal` parts are blanked in
    time, and never logged.
    """

    order_id: str
    parts: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    connection: str | None = None
    key: str | None = None
    warnings: tuple[Problem, ...] = ()
    personal: frozenset[str] = field(default=frozenset(), compare=False)


def digest(request: UpdateRequest) -> str:
    """Give 32 hex digits that are equal when two updates ask for the same, whatever their keys."""
    said = [request.connection, request.order_id, dict(request.options), dict(request.parts)]
    return blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=16).hexdigest()


def by_field(messages: Any, place: str = "") -> Errors:
    """Nested messages by path: a field of a field is `statuses.order`, the whole is `_schema`."""
    if not isinstance(messages, dict):
        return {place or "_schema": [str(message) for message in messages]}
    flat: Errors = {}
    for name, inner in messages.items():
        at = place if place and name == "_schema" else f"{place}.{name}" if place else str(name)
        flat |= by_field(inner, at)
    return flat
