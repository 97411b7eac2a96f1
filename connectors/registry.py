"""Which kinds of systems there are, and what their connections must say.

In: connections as the settings have them. Out: a connection's own settings, typed. Fails with
`SettingsError`, which names file, line and key (or the variable) and what was probably meant. Called by
everything that starts, before it opens anything. A new kind is its own modules and one line in KINDS.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from marshmallow import ValidationError

from connection import COMMON, Connection
from connections_file import SettingsError, suggestion
from connectors import createorder, okliving, onebox
from connectors.kind import Kind
from connectors.ports import Connector, Means
from mapping.profile import Profile, join
from mapping.source_profile import SourceProfile
from mapping.target_profile import TargetProfile
from settings import Settings

KINDS: dict[str, Kind] = {
    "okliving": okliving.KIND,
    "onebox": onebox.KIND,
    "createorder": createorder.KIND,
}


def check(chosen: Settings) -> None:
    """Every connection says what its kind needs, and orders go where they can. Raises SettingsError."""
    for one in chosen.connections.values():
        own_settings(one)
        _demand_target(one, chosen)


def own_settings(one: Connection) -> Any:
    """The own settings of this connection, as its kind's dataclass. Raises SettingsError."""
    kind = kind_of(one)
    try:
        return kind.schema_of(one.target).load(one.own)
    except ValidationError as exc:
        key, said = _first(exc, one, kind)
        raise SettingsError(f"{one.where(key)} {said}") from None


def read_names(chosen: Settings) -> tuple[str, ...]:
    """The sources that are asked for their orders; the others bring them by themselves."""
    return tuple(name for name in chosen.source_names if kind_of(chosen.connections[name]).is_read)


def tenant_names(chosen: Settings) -> tuple[str, ...]:
    """The sources whose orders tenants place with us; as in `unread_names`."""
    return tuple(name for name, kind in _bringing(chosen) if kind.has_tenants)


def unread_names(chosen: Settings) -> tuple[str, ...]:
    """The sources that are asked for nothing: what is wrong with an order of theirs is corrected by nobody.
    Of a sandbox that does not run, those that are written down.
    """
    return tuple(name for name, kind in _bringing(chosen) if not kind.is_read)


def _bringing(chosen: Settings) -> list[tuple[str, Kind]]:
    kinds = {name: one.kind for name, one in chosen.connections.items() if one.target is not None}
    for entry in chosen.unfilled:
        if "target" in entry.values:
            kinds[entry.name] = str(entry.values.get("kind", ""))
    known = [(name, KINDS[kind]) for name, kind in kinds.items() if kind in KINDS]
    return [(name, kind) for name, kind in known if kind.brings]


def receiving_names(chosen: Settings) -> tuple[str, ...]:
    """Those that can receive orders, also where none go now: some may have gone there before."""
    return tuple(name for name, one in chosen.connections.items() if kind_of(one).may_receive(one))


def kind_of(one: Connection) -> Kind:
    """Raises SettingsError for a kind that nobody knows."""
    if one.kind not in KINDS:
        raise SettingsError(
            f"{one.where('kind')}: there is no kind {one.kind}. {suggestion(one.kind, KINDS)}"
        )
    return KINDS[one.kind]


def profile_of(one: Connection) -> Path:
    """Its own profile, else the one that its kind is shipped with."""
    return kind_of(one).profile_of(one)


def mapping_of(one: Connection) -> SourceProfile | TargetProfile | None:
    """The profile by which this connection maps, if its kind does. Raises ProfileError."""
    kind = kind_of(one)
    return None if kind.mapping is None else kind.mapping(one, own_settings(one))


def joined(source: Connection, target: Connection) -> Profile | None:
    """Both sides of a flow, where both map by a profile. Raises ProfileError."""
    reads, composes = mapping_of(source), mapping_of(target)
    if not isinstance(reads, SourceProfile) or not isinstance(composes, TargetProfile):
        return None
    return join(reads, composes, source.prefix)


def connect(one: Connection, own: Any, means: Means) -> Connector:
    """What this connection, with these own settings, can do."""
    return kind_of(one).open(one, own, means)


def _first(exc: ValidationError, one: Connection, kind: Kind) -> tuple[str, str]:
    """The first mistake, what is misspelt before what is missing for it."""
    messages: Any = exc.messages
    unknown = [key for key in messages if key not in kind.keys]
    if unknown:
        known = [*kind.keys, *COMMON]
        return unknown[0], f"is no key of {one.kind}. {suggestion(unknown[0], known)}"
    key = min(messages, key=lambda key: one.lines.get(key, 0))
    value = one.own.get(key)
    if isinstance(value, tuple) and "must be" not in str(messages[key][0]):
        return key, "must be one value, no list."
    return key, str(messages[key][0])


def _demand_target(one: Connection, chosen: Settings) -> None:
    kind = kind_of(one)
    if kind.brings and one.target is None and not kind.may_receive(one):
        there = suggestion("", receiving_names(chosen))
        raise SettingsError(f"{one.where('target')} is missing: say where its orders go. {there}")
    if one.target is None:
        return
    if not kind.brings:
        raise SettingsError(f"{one.where('target')} must go: a {one.kind} brings no orders.")
    target = chosen.connections[one.target]
    kind = kind_of(target)
    if not kind.may_receive(target):
        why = (
            "which as configured receives no orders"
            if kind.receives
            else "which receives no orders"
        )
        raise SettingsError(
            f"{one.where('target')}: {target.name} is a {target.kind}, {why}. "
            f"{suggestion(target.name, receiving_names(chosen))}"
        )
