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
    """`brings` and `receives` orders; `is_read`: its orders are asked for. `schema` makes its own settings of
    its keys, `open` a connector of these, `mapping` the profile of kinds that map by one. `stand_in` is what
    `python -m simulator` calls its double, `profile` the file that it is shipped with.
    """

    name: str
    schema: type[Schema]
    open: Callable[[Connection, Any, Means], Connector]
    mapping: Callable[[Connection, Any], SourceProfile | TargetProfile] | None = None
    brings: bool = False
    receives: bool = False
    is_read: bool = False
    stand_in: str = ""
    profile: str = ""

    @property
    def keys(self) -> Mapping[str, Any]:
        """Its own keys: the schema's fields."""
        return self.schema().fields

    def profile_of(self, one: Connection) -> Path:
        """The connection's own profile, else the one that its kind is shipped with."""
        return one.profile or PROFILES / self.profile
