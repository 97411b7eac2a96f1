"""Says in English why an order or an update stands as it does: codes of the ledger as sentences for a person.

In: rows as the desk gives them. Out: plain text, which may hold what a remote sent. Used by cli/orders.py,
cli/updates.py and cli/previewing.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ledger import orders, updates
    from ledger.history import Act
    from mapping.problems import Problem


def why(row: orders.Row) -> str:
    """The reasons in words; what the ledger knows more of is told with its details."""
    known = {problem["code"]: problem for problem in row.problems}
    codes = [code for code in row.reason.split(", ") if code]
    return " ".join(explained(known.get(code, {"code": code}), row.order_id) for code in codes)


def why_update(row: updates.Update) -> str:
    """The reasons of an update, with their details."""
    codes = row.reason.split(", ")
    told = [fate for fate in row.fates or [] if fate.get("code") in codes]
    return " ".join(explained(fate, row.order_id) for fate in told)


def explained(told: Mapping[str, Any], order_id: str) -> str:
    """A finding or a fate as it is kept."""
    from mapping.problems import Problem, explain

    given = {name: told.get(name) for name in ("before", "after") if told.get(name) is not None}
    problem = Problem(
        told["code"],
        told.get("level", "held"),
        told.get("field", ""),
        detail=told.get("detail") or "",
        **given,
    )
    return explain(problem, lang="en", order=order_id)


def sentence(problem: Problem) -> str:
    """A finding about something that is not an order yet."""
    from mapping.problems import explain

    return explain(problem, lang="en")


def finding(found: Problem, order_id: str) -> str:
    """A finding about an order: its field, and the sentence."""
    from mapping.problems import explain

    return f"{found.field}: {explain(found, lang='en', order=order_id)}"


def settled(found: Problem) -> str:
    """What an order was held for once, now that nothing is to be done about it."""
    told = " → ".join(value for value in (found.before, found.after) if value)
    what = found.code.replace("_", " ")
    return f"was held for: {what}" + (f" ({told})" if told else "")


def maybe_there(row: orders.Row) -> str:
    """What has to be known of an order that is given up while nobody knows whether its target has it."""
    return (
        f"It may be in {row.target} already: a call that carried it got no answer. Look there for the "
        f"external id {row.external_id}, and delete it there if it is not wanted."
    )


def done(act: Act) -> str:
    """What a person did."""
    what = act.what.replace("_", " ")
    return what if act.update_id is None else f"{what} ({act.update_id})"


def difference(act: Act) -> str:
    """How it stood before and after."""
    return " → ".join(filter(None, (_standing(act.before), _standing(act.after))))


def _standing(told: dict[str, Any] | None) -> str:
    """A state with its reason and parts; what has no state by its names."""
    told = dict(told or {})
    state, reason = told.pop("state", ""), told.pop("reason", "")
    more = [f"{name} {_listed(value)}" for name, value in told.items()]
    if reason and reason != state:
        more.insert(0, reason)
    return f"{state} ({', '.join(more)})" if state and more else state or ", ".join(more)


def _listed(value: object) -> str:
    return " and ".join(map(str, value)) if isinstance(value, list) else str(value)
