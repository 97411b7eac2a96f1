"""In which time zone a person reads the times of a connection's orders and updates: its shop's.

In: the settings. Out: the zone by the connection's name. A connection that says none, such as one that is
configured no more, has the zone of this machine; so has one whose profile cannot be read, which `check` and
every start complain of. Nothing fails. Called by cli and run.
Source: `source.time_zone` of a source's profile (docs/configuration.md).
"""

from __future__ import annotations

from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo

from connection import PROFILES, Connection
from settings import Settings


class Zones:
    """The zones of the configured connections; a profile is read when the first time of its is shown."""

    def __init__(self, chosen: Settings) -> None:
        self._connections = chosen.connections
        self._known: dict[str, tzinfo | None] = {}

    def of(self, connection: str) -> tzinfo | None:
        """None is the machine's, as `datetime.astimezone` has it."""
        if connection not in self._known:
            one = self._connections.get(connection)
            self._known[connection] = None if one is None else _zone(one)
        return self._known[connection]

    def local(self, moment: datetime, connection: str) -> datetime:
        """The same moment by the connection's clock."""
        return moment.astimezone(self.of(connection))


def _zone(one: Connection) -> tzinfo | None:
    import yaml  # noqa: PLC0415  a list without times does without it

    from mapping.yamlfile import read_yaml  # noqa: PLC0415  as above

    try:
        said = read_yaml(one.profile or PROFILES / f"{one.kind}.yaml")
        return ZoneInfo(said["source"]["time_zone"])
    except (OSError, ValueError, LookupError, TypeError, yaml.YAMLError):
        return None
