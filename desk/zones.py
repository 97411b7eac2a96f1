"""In which time zone a person reads the times of a connection's orders and updates: its shop's.

In: the settings. Out: the zone by the connection's name. A connection that says none, such as one that is
configured no more, has the zone of this machine; so has one whose profile cannot be read, which `check` and
every start complain of. Nothing fails. Called by cli and run.
It is `source.time_zone` of the source's profile.
"""

from __future__ import annotations

from datetime import datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from connection import PROFILES
from default_pair import PREFIXES, SOURCE
from settings import Settings


class Zones:
    """The zones of the configured connections; a profile is read when the first time of its is shown."""

    def __init__(self, chosen: Settings) -> None:
        self._connections = chosen.connections
        self._known: dict[str, tzinfo | None] = {}

    def of(self, connection: str) -> tzinfo | None:
        """None is the machine's, as `datetime.astimezone` has it."""
        if connection not in self._known:
            self._known[connection] = self._read(connection)
        return self._known[connection]

    def of_target(self, connection: str) -> tzinfo | None:
        """Of what receives orders: the one zone of its shops, else the machine's."""
        sources = [name for name, one in self._connections.items() if one.target == connection]
        zones = {self.of(name) for name in sources or [SOURCE]}
        return zones.pop() if len(zones) == 1 else None

    def local(self, moment: datetime, connection: str) -> datetime:
        """The same moment by the connection's clock."""
        return moment.astimezone(self.of(connection))

    def _read(self, connection: str) -> tzinfo | None:
        one = self._connections.get(connection)
        if one is not None:
            return _zone(one.profile or PROFILES / f"{one.kind}.yaml")
        # A sandbox that is stopped has no connections; its orders keep their clock.
        return _zone(PROFILES / f"{connection}.yaml") if connection in PREFIXES else None


def _zone(profile: Path) -> tzinfo | None:
    import yaml  # noqa: PLC0415  a list without times does without it

    from mapping.yamlfile import read_yaml  # noqa: PLC0415  as above

    try:
        said = read_yaml(profile)
        return ZoneInfo(said["source"]["time_zone"])
    except (OSError, ValueError, LookupError, TypeError, yaml.YAMLError):
        return None
