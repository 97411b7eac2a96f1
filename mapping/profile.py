"""A source's and a target's profile, joined by milestones: the whole mapping of one flow of orders.

In: both profiles, loaded, and the prefix by which the target knows the source's orders. Out: a Profile.
Raises ProfileError when the two do not fit. Called by tasks/resources.py and the command line.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from mapping.hook import Hook, HookResult
from mapping.milestones import MILESTONES
from mapping.poll import Page, UnknownShape
from mapping.profile_file import ProfileError
from mapping.source_profile import SourceProfile, load_source
from mapping.statuses import Machine, Planner
from mapping.target_profile import Mapped, TargetProfile, load_target

__all__ = [
    "Mapped",
    "Page",
    "Profile",
    "ProfileError",
    "UnknownShape",
    "UpdateRules",
    "join",
    "load_source",
    "load_target",
]


@dataclass(frozen=True, slots=True)
class UpdateRules:
    """How updates go back to the source: its own rules, and what this target's hooks ask of it."""

    machines: Mapping[str, Machine]
    planner: Planner
    greatest_age: Mapping[str, timedelta]
    hook: Hook


@dataclass(frozen=True)
class Profile:
    """Both sides of a flow; everything here is pure and thread-safe."""

    source: SourceProfile
    target: TargetProfile
    external_id_prefix: str
    updates: UpdateRules

    @property
    def zone(self) -> ZoneInfo:
        """The source's time zone."""
        return self.source.zone

    @property
    def limit(self) -> int:
        """How many orders are on a page."""
        return self.source.poll.limit

    def poll_body(self, start: datetime, end: datetime, page: int) -> dict[str, Any]:
        """Give the body of a get-orders call, see Poll.body."""
        return self.source.poll.body(start, end, page)

    def page(self, answer: object) -> Page:
        """Find the orders in a get-orders answer; raises UnknownShape, see Poll.page."""
        return self.source.poll.page(answer)

    def key(self, raw: object) -> str | None:
        """Give the order's id as text, or None when there is none to keep it by."""
        return self.source.key(raw)

    def stamp(self, raw: object) -> datetime | None:
        """Give when the order was changed, see SourceProfile.stamp."""
        return self.source.stamp(raw)

    def latest_stamp(self, raw: object, read_at: datetime) -> datetime | None:
        """Give when the order was changed at the latest, see SourceProfile.latest_stamp."""
        return self.source.latest_stamp(raw, read_at)

    def content_hash(self, raw: object) -> str:
        """Give what is equal when the JSON is, see SourceProfile.content_hash."""
        return self.source.content_hash(raw)

    def external_id(self, order_id: str) -> str:
        """Give the key under which the target knows the order. Source: docs/contracts/onebox.md,
        "order/set".
        """
        return self.external_id_prefix + order_id

    def map(self, raw: object) -> Mapped:
        """Turn a source's order into the target's body.

        In: any JSON value; this never raises. Out: see Mapped; held when it cannot be read, does
        not add up, or its recipient cannot be delivered to. Called by orders.create and preview.
        """
        return self.target.compose(self.source.read(raw), self.external_id_prefix)

    def hook_update(
        self,
        fields: Mapping[str, object],
        order_of: Callable[[str], str | None] | None = None,
    ) -> HookResult:
        """Say what a OneBox process action asks of the shop; nothing fails.

        In: the hook's fields, and a look-up from the CRM's process id to the order's id, asked
        only when the hook names neither our external id nor the shop's order. Out: see
        HookResult. As a note only the hook's own comment travels, or the stage's template.
        Called by the hook's door, and by the reconcile with what order/get answered.
        """
        return self.updates.hook.read(fields, order_of)


def join(source: SourceProfile, target: TargetProfile, prefix: str) -> Profile:
    """Join a source and a target; the target knows the source's orders by `prefix` and their id.

    Raises ProfileError for a stage whose milestone is none that every source has, and none of this one's.
    """
    known = {*MILESTONES, *source.updates.milestones}
    for stage in target.hook.stages.values():
        if stage.milestone is not None and stage.milestone not in known:
            raise ProfileError(
                f"{target.path}: stages: {stage.stage!r} is the milestone {stage.milestone!r}, which is "
                f"none of {', '.join(MILESTONES)}. Give {source.path} a row {stage.milestone!r} under "
                "updates.milestones; an empty one, {}, sends nothing back."
            )
    rules = source.updates
    hook = Hook(
        names=target.hook.names,
        stages=target.hook.stages,
        prefix=prefix,
        milestones=rules.milestones,
    )
    return Profile(
        source=source,
        target=target,
        external_id_prefix=prefix,
        updates=UpdateRules(rules.machines, rules.planner, rules.greatest_age, hook),
    )
