"""A kind of system: what its connections must say, what they can do, and how one is opened.

Each module of a kind has one; connectors/registry.py lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marshmallow import Schema

from connection import PROFILES, Connection
from connectors.ports import Connector, Means
from mapping.source_profile import SourceProfile
from mapping.target_profile import TargetProfile


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """`brings` and `receives` orders, the second perhaps as each connection says; `is_read`: its orders are
    asked for; `has_tenants`: they are placed with us. `schema` makes its own settings of its keys, `open` a
    connector of these, `mapping` the profile of kinds that map by one. `stand_in` is what `python -m
    simulator` calls its double, `profile` the file that it is shipped with. `target_profile` and
    `target_schema` are those of connections that bring no orders, where they are others.
    """

    name: str
    schema: type[Schema]
    open: Callable[[Connection, Any, Means], Connector]
    mapping: Callable[[Connection, Any], SourceProfile | TargetProfile] | None = None
    brings: bool = False
    receives: bool | Callable[[Connection], bool] = False
    is_read: bool = False
    has_tenants: bool = False
    stand_in: str = ""
    profile: str = ""
    target_profile: str = ""
    target_schema: type[Schema] | None = None

    @property
    def keys(self) -> Mapping[str, Any]:
        """Its own keys: the schema's fields."""
        return self.schema().fields

    def schema_of(self, target: object) -> Schema:
        """What makes own settings of keys, of a connection whose orders go to this target; None: nowhere."""
        other = self.target_schema if target is None else None
        return (other or self.schema)()

    def profile_of(self, one: Connection) -> Path:
        """The connection's own profile, else the one that its kind is shipped with."""
        of_target = self.target_profile if one.target is None else ""
        return one.profile or PROFILES / (of_target or self.profile)

    def may_receive(self, one: Connection) -> bool:
        """Whether this connection receives orders."""
        return self.receives(one) if callable(self.receives) else self.receives
