"""A connection: a configured remote system with a name, and how it stands to the others.

In: entries of the connections file, or of the environment. Out: `Connection` objects, checked as far as no
kind must be known: names, targets, prefixes, modes, addresses. What a kind's own keys must be says its
connector (connectors/registry.py). Fails with `SettingsError`. Called by settings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, cast
from urllib.parse import urlsplit

from connections_file import ENVIRONMENT, Entry, SettingsError, Text, suggestion
from references import filled

EVERYTHING = datetime(2000, 1, 1, tzinfo=UTC)
END_OF_TIME = 2100
# What leads to this machine and nowhere else.
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
PROFILES = Path(__file__).resolve().parent / "mapping" / "profiles"

Mode = Literal["shadow", "live"]
MODES = ("shadow", "live")
# The keys that a connection of any kind may have; those of the second line only with a target.
OF_ALL = ("kind", "target", "profile", "mode")
OF_SOURCES = ("external_id_prefix", "start_from", "poll_overlap", "poll_lag")
COMMON = (*OF_ALL, *OF_SOURCES)

# Rows, logs and keys in Redis carry it; with a dash it is the prefix, for which 32 characters are kept.
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,29}[A-Za-z0-9])?")
LONGEST_PREFIX = 32
# Seconds: a week. More is a slip, and much more no clock reckons with.
LONGEST_WAIT = 604_800
# A name's letters may be of any language; an address of IPv6 has colons. RFC 1035, 2.3.4: 63 octets a label.
_HOST = re.compile(r"[\w.-]+|[0-9a-f:.]+")
_SECONDS = re.compile(r"[0-9]{1,9}")
LONGEST_LABEL = 63
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9]+")
_PREFIX = re.compile(r"[!-~]{1,32}")


@dataclass(frozen=True, slots=True)
class Connection:
    """One remote system. `own` are its kind's keys as text; `lines` where the keys stand in the file."""

    name: str
    kind: str
    target: str | None
    profile: Path | None
    prefix: str
    mode: Mode
    own: Mapping[str, Text] = field(repr=False)
    place: str
    lines: Mapping[str, int]
    start_from: datetime | None
    poll_overlap: int
    poll_lag: int

    def where(self, key: str) -> str:
        """What a message about this key begins with: file, line and key, or the variable's name."""
        if self.place == ENVIRONMENT:
            return f"{self.kind}_{key}".upper()
        line = self.lines.get(key, self.lines.get("kind", 1))
        return f"{self.place}, line {line}: {key} of {self.name}"


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the environment says for all connections that do not say it themselves; one that is not called may
    lack what it says by reference.
    """

    mode: Mode
    start_from: datetime | None
    poll_overlap: int
    poll_lag: int
    calls_remotes: bool


def connect(entries: Sequence[Entry], defaults: Defaults) -> dict[str, Connection]:
    """The connections of these entries. Raises SettingsError for the first one that is wrong."""
    for entry in entries:
        _demand_name(entry)
    made = {entry.name: _connection(entry, defaults) for entry in entries}
    for entry in entries:
        _demand_target(entry, made)
    _demand_prefixes(entries, made)
    return made


def _connection(entry: Entry, defaults: Defaults) -> Connection:
    values = filled(entry, may_lack=not defaults.calls_remotes)
    own = {key: value for key, value in values.items() if key not in COMMON}
    common = {key: _single(entry, key, values[key]) for key in COMMON if key in values}
    if "kind" not in common:
        raise SettingsError(f"{entry.where('kind')} is missing: say which system it is.")
    if "target" not in common:
        _demand_no_source_keys(entry, common)
    if "url" in own:
        own["url"] = _url(entry, own["url"])
    number = {
        key: _whole(entry, key, common[key])
        for key in ("poll_overlap", "poll_lag")
        if key in common
    }
    return Connection(
        name=entry.name,
        kind=common["kind"],
        target=common.get("target"),
        profile=_profile(entry, common["profile"]) if "profile" in common else None,
        prefix=_prefix(entry, common.get("external_id_prefix", f"{entry.name}-")),
        mode=_mode(entry, common["mode"]) if "mode" in common else defaults.mode,
        own=own,
        place=entry.place,
        lines=entry.lines,
        start_from=(
            start_from(entry.where("start_from"), common["start_from"])
            if "start_from" in common
            else defaults.start_from
        ),
        poll_overlap=number.get("poll_overlap", defaults.poll_overlap),
        poll_lag=number.get("poll_lag", defaults.poll_lag),
    )


def _demand_name(entry: Entry) -> None:
    if not _NAME.fullmatch(entry.name):
        better = _NOT_IN_A_NAME.sub("-", entry.name).strip("-")[:31].strip("-")
        raise SettingsError(
            f"{entry.place}, line {entry.line}: {entry.name!r} is no name for a connection: letters, "
            f"digits and dashes between them, 31 at most.{f' Did you mean {better}?' if better else ''}"
        )


def _single(entry: Entry, key: str, value: Text) -> str:
    if isinstance(value, tuple):
        raise SettingsError(f"{entry.where(key)} must be one value, no list.")
    return value


def _demand_no_source_keys(entry: Entry, common: Mapping[str, str]) -> None:
    for key in OF_SOURCES:
        if key in common:
            raise SettingsError(
                f"{entry.where(key)} is for a connection that brings orders: give it a target, or "
                "remove this line."
            )


def _url(entry: Entry, value: Text) -> str:
    text = _single(entry, "url", value).strip().rstrip("/")
    where = entry.where("url")
    if not is_address(text) or "?" in text or "#" in text:
        raise SettingsError(f"{where} must be a URL such as https://www.example.com.")
    if text.startswith("http:") and not is_loopback(text):
        raise SettingsError(f"{where} must begin with https:// (http is for this machine only).")
    return text


def is_address(text: str) -> bool:
    """Whether a server can be called at this address."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    host = parts.hostname or ""
    return (
        text.startswith(("http://", "https://"))
        and text.isprintable()
        and bool(_HOST.fullmatch(host))
        and all(0 < len(label) <= LONGEST_LABEL for label in host.removesuffix(".").split("."))
        and port != 0
        and "\\" not in text
        and " " not in text
    )


def is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in LOOPBACK


def demand_loopback(one: Connection) -> None:
    """A connection of a sandbox stays on this machine. Raises SettingsError."""
    url = one.own.get("url", "")
    if isinstance(url, str) and url and not is_loopback(url):
        raise SettingsError(
            f"This is a sandbox (ORDERBRIDGE_SANDBOX is set, or `sandbox` in the connections file), but "
            f"the address of {one.name} leads off this machine. Simulated and real systems are never "
            "mixed: unset that to work with the real ones."
        )


def _mode(entry: Entry, text: str) -> Mode:
    if text not in MODES:
        raise SettingsError(
            f"{entry.where('mode')} must be shadow or live. {suggestion(text, MODES)}"
        )
    return cast("Mode", text)


def _whole(entry: Entry, key: str, text: str) -> int:
    if not _SECONDS.fullmatch(text) or int(text) > LONGEST_WAIT:
        raise SettingsError(
            f"{entry.where(key)} must be a whole number of seconds from 0 to {LONGEST_WAIT}."
        )
    return int(text)


def _profile(entry: Entry, named: str) -> Path:
    """Below mapping/profiles/, or a path from the file's own folder."""
    path = next((p for p in (PROFILES / named, entry.folder / named) if p.is_file()), None)
    if path is None:
        there = sorted(p.name for p in PROFILES.glob("*.yaml"))
        raise SettingsError(
            f"{entry.where('profile')} names {named}, which is neither in mapping/profiles/ nor a path "
            f"from {entry.folder}. {suggestion(named, there)}"
        )
    return path


def _prefix(entry: Entry, text: str) -> str:
    if not _PREFIX.fullmatch(text):
        raise SettingsError(
            f"{entry.where('external_id_prefix')} must be 1 to {LONGEST_PREFIX} characters without blanks."
        )
    return text


def start_from(where: str, text: str) -> datetime | None:
    """The moment from which orders count; `now` is None: the first attempt to read them."""
    if text == "now":
        return None
    if text == "all":
        return EVERYTHING
    try:
        read = datetime.fromisoformat(text)
        moment = (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        moment = None
    # As the stamps of orders are read (mapping/fields.instant).
    if moment is None or not EVERYTHING.year <= moment.year < END_OF_TIME:
        raise SettingsError(f"{where} must be `all`, `now` or a date such as 2026-11-21.")
    return moment


# --- how they stand to each other ---------------------------------------------------------------------


def _demand_target(entry: Entry, made: Mapping[str, Connection]) -> None:
    """The target is there, and going on from it never comes back here."""
    seen, name = [entry.name], made[entry.name].target
    while name is not None:
        if name not in made:
            others = [other for other in made if other != seen[-1]]
            raise SettingsError(
                f"{made[seen[-1]].where('target')}: there is no connection called {name}. "
                f"{suggestion(name, others)}"
            )
        if name == entry.name:
            raise SettingsError(
                f"{entry.where('target')}: orders would go in a circle: {' → '.join([*seen, name])}."
            )
        if name in seen:
            return  # a circle further on, of which this one is no part: its own turn tells it
        seen.append(name)
        name = made[name].target


def _demand_prefixes(entries: Sequence[Entry], made: Mapping[str, Connection]) -> None:
    """No external id may be read as two connections' orders."""
    sources = [entry for entry in entries if made[entry.name].target is not None]
    for place, later in enumerate(sources):
        for earlier in sources[:place]:
            one, other = made[earlier.name].prefix, made[later.name].prefix
            if one.startswith(other) or other.startswith(one):
                raise SettingsError(
                    f"{later.where('external_id_prefix')}: {other} and {one} of {earlier.name} begin alike, "
                    f"so that an order in the target could be either's. Give {later.name} another prefix, "
                    f"such as {_other_prefix(later.name, sources, made)}"
                )


def _other_prefix(name: str, sources: Sequence[Entry], made: Mapping[str, Connection]) -> str:
    taken = [made[entry.name].prefix for entry in sources]
    for candidate in (f"{name}-", *(f"{n}{name}-" for n in range(1, 100))):
        if not any(candidate.startswith(t) or t.startswith(candidate) for t in taken):
            return candidate[:LONGEST_PREFIX]
    return f"x{name}-"
