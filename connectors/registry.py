"""Which kinds of systems there are. A new kind is its own modules and one line here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from connectors import okliving, onebox
from connectors.ports import Connector, Means, Own


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of system. `is_read`: its orders are asked for. `by_profile`: a profile says how its orders are
    read, or its bodies composed; `parameters` are what a profile may name of its own settings.
    """

    open: Callable[[Any, Means], Connector]
    is_read: bool = False
    by_profile: bool = True
    parameters: Callable[[Any], Mapping[str, Any]] = lambda _: {}


KINDS = {
    "okliving": Kind(okliving.connect, is_read=True),
    "onebox": Kind(onebox.connect, parameters=onebox.parameters),
}


def kind_of(own: Own) -> Kind:
    return KINDS[own.kind]


def read_names(connections: Iterable[Own]) -> list[str]:
    """Of these connections those whose orders are asked for."""
    return [one.name for one in connections if kind_of(one).is_read]
