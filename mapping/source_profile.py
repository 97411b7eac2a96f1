"""A source's profile: how its orders are read, and what each milestone sends back to it.

In: a path, loaded and checked once; then a source's JSON of any kind. Out: orders as read, whose recipient
is prepared and whose problems are named. Loading raises ProfileError, reading never fails. Called by the
polls, and by profile.py for the tasks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from mapping.fields import MISSING, instant, latest_instant, plain_money
from mapping.milestones import Reply
from mapping.order import Order
from mapping.order_reading import CENT, NO_LINES, read_order
from mapping.own_writes import Brought, without_ours
from mapping.places import Places, compile_places
from mapping.poll import Poll, compile_poll
from mapping.problems import Problem, shown
from mapping.profile_file import checked, read_profile
from mapping.recipient import Prepared, prepare
from mapping.recipient_rules import Rules
from mapping.source import canonical
from mapping.source_schema import SourceProfileSchema
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


def load_source(path: Path) -> SourceProfile:
    """Load and check a source's profile. Raises ProfileError, which names the file and the key."""
    with checked(path):
        data = read_profile(path, SourceProfileSchema())
        places = compile_places(data["order"], data["empty_order_line"])
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
