"""Says of which source's order a target speaks: by the external id's prefix, by the process, by the order.

In: a target and the fields of a call of its hook. Out: the source's name, or None, and what was read of the
fields. Raises `LedgerUnavailable` where the ledger must be asked. Called by tasks/accepting,
tasks/listening and tasks/judging.
"""

from __future__ import annotations

from collections.abc import Mapping

from ledger import orders
from mapping.hook import HookResult
from mapping.profile import Profile
from tasks.resources import Resources


def whose(r: Resources, target: str, fields: Mapping[str, object]) -> tuple[str | None, HookResult]:
    """The source whose order is meant. An external id tells by its prefix, the number of a process by the
    ledger; an order's own number means the only source of this target, or the only one that has it there.
    """
    found = {name: _read(r, name, target, fields) for name in _by_nearness(r, target)}
    ours = [name for name, said in found.items() if said.order_id is not None]
    if len(ours) > 1:
        ours = _narrowed(r, target, ours, found)
    if len(ours) == 1:
        return ours[0], found[ours[0]]
    return None, _refused(found)


def says_nothing(r: Resources, fields: Mapping[str, object]) -> bool:
    """Whether no worker can make anything of it, without asking the ledger. One with the number of the
    process alone can look that up, and a stage that is said by its id may get its name from the target.
    """
    found = [(r.profiles[name], r.profiles[name].hook_update(fields)) for name in r.sources]
    return bool(found) and all(_is_idle(profile, said, fields) for profile, said in found)


def _is_idle(profile: Profile, said: HookResult, fields: Mapping[str, object]) -> bool:
    if said.nothing_to_do == "no_order":
        return said.process_id is None
    hook = profile.updates.hook
    return said.nothing_to_do is not None and not hook.needs_name(hook.said(fields))


def odd_ids(r: Resources, fields: Mapping[str, object]) -> list[str]:
    """The ids in a call that are none to any source, by the names of what they should say."""
    found = [set(r.profiles[name].updates.hook.odd_ids(fields)) for name in r.sources]
    return sorted(set.intersection(*found)) if found else []


def _by_nearness(r: Resources, target: str) -> list[str]:
    """The sources whose orders go there now, then those whose orders may have gone there before."""
    return sorted(r.sources, key=lambda name: r.target_name(name) != target)


def _read(r: Resources, name: str, target: str, fields: Mapping[str, object]) -> HookResult:
    return r.profiles[name].hook_update(
        fields, lambda number: orders.by_process(r.ledger, target, number, name)
    )


def _narrowed(
    r: Resources, target: str, ours: list[str], found: Mapping[str, HookResult]
) -> list[str]:
    """Of sources that all may have an order of this number those that have it in this target; where the
    ledger has none, the only one whose orders go there and are asked for: those that come by themselves are
    in the ledger before anyone has their number.
    """
    known = [
        name for name in ours if orders.is_in(r.ledger, target, name, found[name].order_id or "")
    ]
    return known or [n for n in ours if r.target_name(n) == target and n in r.feeds]


def _refused(found: Mapping[str, HookResult]) -> HookResult:
    """Of several readings the one that says most: one by a prefix that is not theirs says least."""
    if not found:
        return HookResult(nothing_to_do="no_order")
    return next(
        (s for s in found.values() if s.nothing_to_do != "not_ours"), next(iter(found.values()))
    )
