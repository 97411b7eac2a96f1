"""How an update stands after a step: parts that are sent, over or in doubt, and what a clerk is told of it.

In: an update as it stood, and what came of a part. Out: the same as it stands then; pure. Called by
tasks/draining, which records it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from connectors.feedback import Asks, Ends, PartRule
from ledger.updates import RETRIED, Told, Update, moved

Rules = Mapping[str, PartRule]


def asks(update: Update) -> Asks:
    """The update as its source's connector sees it."""
    parked = {
        told["part"]: told.get("code", "")
        for told in update.fates
        if told.get("part") in update.parts_parked and told.get("fate") == "parked"
    }
    return Asks(
        update.values, update.parts_left, update.options, parked, update.order_id, update.id
    )


def sent(update: Update, parts: Iterable[str], rules: Rules) -> Update:
    """These parts were taken by the source."""
    names = tuple(parts)
    told = [Told(part=name, fate="sent") for name in names]
    after = replace(
        update,
        parts=moved(update.parts, names, "sent"),
        fates=[*update.fates, *told],
        in_doubt=False,
    )
    return _settled(after, rules)


def ended(
    update: Update, ends: Ends, rules: Rules, shown: str | None, *, called: bool = False
) -> Update:
    """One part is over: by the answer of a call (`called`) or without one. `shown` is what it asks for, as a
    clerk is shown it.
    """
    told = Told(
        part=ends.part,
        fate=ends.fate,
        code=ends.code,
        level="held" if ends.fate == "parked" else "fixed",
        field=rules[ends.part].field,
        before=shown if ends.before is None else ends.before,
        after=ends.after,
        detail=ends.detail,
    )
    was_parked = update.parts[ends.part].state == "parked"
    earlier = [t for t in update.fates if not was_parked or t.get("part") != ends.part]
    after = replace(
        update,
        parts=moved(update.parts, (ends.part,), ends.fate),
        fates=[*earlier, told],
    )
    in_doubt = update.in_doubt and not called and bool(after.parts_left)
    return _settled(replace(after, in_doubt=in_doubt), rules)


def doubled(update: Update, parts: Iterable[str], rules: Rules) -> Update:
    """A call with these parts may have arrived and is made again: where that may double something, a clerk
    is told.
    """
    fates = list(update.fates)
    for name in parts:
        code = rules[name].maybe_doubled
        told = Told(part=name, code=code or "", level="warning", field=rules[name].field)
        if code is not None and told not in fates:
            fates.append(told)
    return replace(update, fates=fates)


def _settled(update: Update, rules: Rules) -> Update:
    """With parts left an update is queued; without, it is as its worst part is."""
    left, parked = update.parts_left, update.parts_parked
    if left:
        state = "queued"
    elif parked:
        state = "parked"
    else:
        was_sent = any(told.get("fate") == "sent" for told in update.fates)
        state = "sent" if was_sent else "withdrawn"
    retried = update.retried and bool(left)
    # What a person asked for stays said until it is done.
    codes = [RETRIED] if retried else []
    codes += [t["code"] for t in update.fates if t.get("part") in parked and t.get("fate")]
    return replace(
        update,
        state=state,
        reason=", ".join(dict.fromkeys(codes)),
        retried=retried,
        blocks=any(rules[name].ordered for name in parked),
    )
