"""A source's profile: how its orders are read, and what each milestone sends back to it.

In: a path, loaded and checked once; then a source's JSON of any kind. Out: orders as read, whose recipient
is prepared and whose problems are named. Loading raises ProfileError, reading never fails. Called by the
polls, and by profile.py for the tasks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from mapping.fields import MISSING, instant, latest_instant, order_key, plain_money
from mapping.milestones import Reply
from mapping.order import Order
from mapping.order_reading import CENT, NO_LINES, read_order
from mapping.own_writes import Brought, without_ours
from mapping.paths import Getter
from mapping.poll import Poll, compile_poll
from mapping.problems import Problem, shown
from mapping.profile_file import checked, read_profile
from mapping.recipient import Prepared, prepare
from mapping.recipient_rules import Rules
from mapping.source import canonical
from mapping.source_schema import GROUPS, SourceProfileSchema
from mapping.statuses import Machine, Planner, read_machines

__all__ = ["ReadOrder", "SourceProfile", "SourceUpdates", "load_source"]


@dataclass(frozen=True, slots=True)
class ReadOrder:
    """An order as a source's profile reads it; without `order` it could not be read.

    `recipient` and `buyer` are prepared, `note` has what was cut from phone and name. `source` is the
    source's name and `zone` its time, as a target may show them.
    """

    order_id: str | None
    source: str
    zone: ZoneInfo
    problems: tuple[Problem, ...]
    order: Order | None = None
    recipient: Prepared | None = None
    buyer: Prepared | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class SourceUpdates:
    """How updates go back to a source; an update older than `greatest_age` waits for a person.

    The keys of `greatest_age` are note, status and tracking_number.
    """

    machines: Mapping[str, Machine]
    planner: Planner
    greatest_age: Mapping[str, timedelta]
    milestones: Mapping[str, Reply]


@dataclass(frozen=True, slots=True)
class Group:
    """Where a group of the order's fields lies and how each of them is found there."""

    at: Getter
    getters: Mapping[str, Getter]

    def read(self, found: dict[str, Any]) -> dict[str, Any]:
        """Give what is there, without what is null: absent and null are one."""
        read = {}
        for name, get in self.getters.items():
            value = get(found)
            if value is not None:
                read[name] = value
        return read


@dataclass(frozen=True, slots=True)
class Places:
    """Where a source keeps what the order's schema reads. `empty_order_line` stands for the positions of an
    order without any.
    """

    flat: Group
    groups: Mapping[str, Group]
    is_other: Getter
    empty_order_line: Mapping[str, Any] | None = None

    def value(self, raw: object, name: str) -> object:
        """Give one of the order's own fields, such as its id."""
        get = self.flat.getters.get(name)
        return get(raw) if get is not None and isinstance(raw, dict) else None

    def key(self, raw: object) -> str | None:
        """Give the order's id as text, or None when there is none to keep it by."""
        return order_key(self.value(raw, "id"))

    def extract(self, raw: dict[str, Any]) -> dict[str, Any]:
        """Take what the order's schema reads from where this source keeps it."""
        values = self.flat.read(raw)
        for name, group in self.groups.items():
            found = group.at(raw)
            if name == "lines":
                values[name] = _items(found, group)
            elif isinstance(found, dict):
                values[name] = group.read(found)
            else:
                # PHP writes an empty object as [] or false.
                values[name] = found or {}
        if self.empty_order_line is not None and not values["lines"]:
            values["lines"] = [self.empty_order_line]
        found = self.groups["recipient"].at(raw)
        values["recipient_is_blank"] = _is_blank(found, values["recipient"])
        is_other = self.is_other(found)
        if is_other is not None:
            values["recipient_is_other"] = is_other
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class SourceProfile:
    """A loaded profile of a source; everything here is pure and thread-safe.

    `name` is what a target's texts may call the source; `path` its file, for messages. `asked` is how it is
    asked for its orders; None: they come by themselves.
    """

    name: str
    path: Path
    zone: ZoneInfo
    note_max: int
    rules: Rules
    asked: Poll | None
    places: Places
    updates: SourceUpdates

    @property
    def poll(self) -> Poll:
        """How it is asked for its orders; raises ValueError for a source that is not read."""
        if self.asked is None:
            raise ValueError(
                f"{self.path}: source.poll is missing, so its orders cannot be asked for"
            )
        return self.asked

    def key(self, raw: object) -> str | None:
        """Give the order's id as text, or None when there is none to keep it by."""
        return self.places.key(raw)

    def stamp(self, raw: object) -> datetime | None:
        """Give the order's `updated_at` in UTC, see fields.instant, or None."""
        return instant(self.places.value(raw, "updated_at"), self.zone)

    def latest_stamp(self, raw: object, read_at: datetime) -> datetime | None:
        """Give the last moment that the order's `updated_at` may mean, when it was read at `read_at`.

        In the hour that clocks repeat a stamp means either of two; `stamp` is the earlier one.
        """
        return latest_instant(self.places.value(raw, "updated_at"), self.zone, read_at)

    def placed_at(self, raw: object, read_at: datetime) -> datetime | None:
        """Give the last moment that the order's `created_at` may mean, see latest_stamp, or None."""
        return latest_instant(self.places.value(raw, "created_at"), self.zone, read_at)

    def content_hash(self, raw: object) -> str:
        """Give 32 hex digits that are equal when the JSON is, whatever the order of its keys."""
        try:
            packed = orjson.dumps(raw, option=orjson.OPT_SORT_KEYS)
        except TypeError:  # an integer over 64 bits, a lone surrogate, very deep
            packed = canonical(raw).encode()
        return blake2b(packed, digest_size=16).hexdigest()

    def read(self, raw: object) -> ReadOrder:
        """Read an order: any JSON value, this never raises.

        Its problems of level held say that it cannot be read, does not add up, or that its
        recipient cannot be delivered to.
        """
        order, problems = read_order(
            raw,
            self.places.extract,
            zone=self.zone,
            note_max=self.note_max,
            no_lines=MISSING if self.asked else NO_LINES,
        )
        if order is None:
            return ReadOrder(self.key(raw), self.name, self.zone, tuple(problems))
        recipient = prepare(order.recipient, self.rules)
        problems += recipient.problems
        buyer = recipient if order.buyer == order.recipient else self._buyer(order, problems)
        problems += _total_problems(order)
        note = _whole_note(order, recipient)
        return ReadOrder(
            order.id, self.name, self.zone, tuple(problems), order, recipient, buyer, note
        )

    def without_ours(self, read: ReadOrder, known: ReadOrder | None, ours: Brought) -> ReadOrder:
        """Give the order as it would be had updates not brought `ours`, see own_writes.without_ours; `known`
        is what its target knows.
        """
        if read.order is None or read.recipient is None:
            return read
        rules = self.updates
        before = None if known is None else known.order
        order = without_ours(read.order, before, ours, rules.machines, rules.planner)
        return replace(read, order=order, note=_whole_note(order, read.recipient))

    def _buyer(self, order: Order, problems: list[Problem]) -> Prepared:
        """Prepare the buyer, whose card is a courtesy: a bad phone leaves it out, no more."""
        buyer = prepare(order.buyer, self.rules)
        if order.buyer.phone and not buyer.person.phone:
            before = shown(order.buyer.phone)
            problems.append(
                Problem("buyer_phone_unusable", "warning", "buyer.phone", before=before)
            )
        return buyer


def _whole_note(order: Order, recipient: Prepared) -> str:
    """The comment, and what was cut from phone and name."""
    return "\n".join(text for text in (order.note, recipient.note_extra) if text)


def _total_problems(order: Order) -> list[Problem]:
    """Compare lines and shipping with the total. Source: docs/contracts/recipient.md, "Totals"."""
    summed = sum((line.total for line in order.lines), order.shipping.cost)
    if abs(summed - order.total) <= CENT:
        return []
    total, counted = plain_money(order.total), plain_money(summed)
    return [
        Problem(
            "total_mismatch",
            "held",
            "total",
            before=total,
            after=counted,
            detail=f"{total} ≠ {counted}",
        )
    ]


def _items(found: object, group: Group) -> object:
    if isinstance(found, dict) and all(isinstance(item, dict) for item in found.values()):
        found = list(found.values())
    if not isinstance(found, list):
        return found
    return [group.read(item) if isinstance(item, dict) else item for item in found]


def _is_blank(found: object, values: object) -> bool:
    """Tell whether the shop names no recipient: no value at all, in fields we know or not."""
    if not isinstance(found, dict):
        return not found
    known = values.values() if isinstance(values, dict) else ()
    words = [v for v in found.values() if isinstance(v, str | dict | list) and v]
    return not any(v for v in known) and not [
        w for w in words if not isinstance(w, str) or w.strip()
    ]


def load_source(path: Path) -> SourceProfile:
    """Load and check a source's profile. Raises ProfileError, which names the file and the key."""
    with checked(path):
        data = read_profile(path, SourceProfileSchema())
        places = _places(data["order"], data["empty_order_line"])
        asked = data["source"]["poll"]
        return SourceProfile(
            name=data["name"],
            path=path,
            zone=data["source"]["time_zone"],
            note_max=data["source"]["note_max"],
            rules=data["recipient"],
            asked=None if asked is None else compile_poll(data["source"], places.key),
            places=places,
            updates=_updates(data["updates"]),
        )


def _updates(updates: dict[str, Any]) -> SourceUpdates:
    return SourceUpdates(
        machines=read_machines(updates["machines"]),
        planner=updates["planner"],
        greatest_age={
            part: timedelta(hours=hours) for part, hours in updates["greatest_age_hours"].items()
        },
        milestones=updates["milestones"],
    )


def _places(order: dict[str, Any], empty_order_line: dict[str, str] | None) -> Places:
    recipient = order.get("recipient", {})
    is_other: Callable[[object], object] = recipient.pop("is_other", _nothing)
    stands = {"quantity": 1, "price": 0, "total": 0}
    return Places(
        flat=Group(_itself, {n: get for n, get in order.items() if n not in GROUPS}),
        groups={name: _group(order.get(name, {"at": _nothing})) for name in GROUPS},
        is_other=is_other,
        empty_order_line=None if empty_order_line is None else empty_order_line | stands,
    )


def _group(paths: dict[str, Getter]) -> Group:
    at = paths.get("at", _itself)
    return Group(at, {name: get for name, get in paths.items() if name != "at"})


def _itself(value: object) -> object:
    return value


def _nothing(_: object) -> None:
    return None
