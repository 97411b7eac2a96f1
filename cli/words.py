"""Says in English why an order or an update stands as it does: codes of the ledger as sentences for a person.

In: rows as the desk gives them. Out: text, which may hold what a remote sent: for lists without commands, in
full as text and command in turn. Used by cli/orders.py, cli/updates.py, cli/hooks.py and
cli/previewing.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from desk.naming import named

if TYPE_CHECKING:
    from ledger import orders, updates
    from ledger.history import Act
    from mapping.hook_findings import Finding
    from mapping.problems import Problem


def why(row: orders.Row, *, is_read: bool) -> str:
    """The reasons of an order, for a line of a list; `is_read`: its source is asked for what has changed."""
    from mapping.problems import summary

    return " ".join(
        summary(_problem(told), "en", is_read=is_read, order=row.order_id)
        for told in reasons_of_order(row)
    )


def why_update(row: updates.Update, wait: updates.Told | None) -> str:
    """The reasons of an update, for a line of a list; `wait` is why it has not gone yet."""
    from mapping.problems import summary

    return " ".join(
        summary(_problem(told), "en", order=row.order_id) for told in reasons_of_update(row, wait)
    )


def reasons_of_order(row: orders.Row) -> list[Mapping[str, Any]]:
    """What it is held or waits for; what the ledger knows more of is told with its details."""
    known = {problem["code"]: problem for problem in row.problems}
    return [known.get(code, {"code": code}) for code in row.reason.split(", ") if code]


def reasons_of_update(row: updates.Update, wait: updates.Told | None) -> list[Mapping[str, Any]]:
    """What it is parked or waits for, with the details."""
    told: list[Mapping[str, Any]] = []
    for code in filter(None, row.reason.split(", ")):
        told += [fate for fate in row.fates if fate.get("code") == code] or [{"code": code}]
    return [*told, wait] if wait is not None else told


def of_order(
    told: Mapping[str, Any], order_id: str | None, connection: str | None = None, *, is_read: bool
) -> list[str]:
    """A finding about an order in full: text and command in turn. What was never read has no id; `is_read` as
    in `why`.
    """
    from mapping.problems import parts

    meant = {} if order_id is None else {"named": named(order_id, connection)}
    return parts(_problem(told), "en", is_read=is_read, order=order_id or "?", **meant)


def of_update(told: Mapping[str, Any], row: updates.Update) -> list[str]:
    """What is told of an update in full: text and command in turn."""
    from mapping.problems import parts

    return parts(
        _problem(told),
        "en",
        order=row.order_id,
        named=named(row.order_id, row.connection),
        update=row.id,
    )


def _problem(told: Mapping[str, Any]) -> Problem:
    """A finding or a fate as it is kept."""
    from mapping.problems import Problem

    given = {name: told.get(name) for name in ("before", "after") if told.get(name) is not None}
    return Problem(
        told["code"],
        told.get("level", "held"),
        told.get("field", ""),
        detail=told.get("detail") or "",
        **given,
    )


def sentence(problem: Problem, order_id: str) -> str:
    """A finding about an order that need not be in the ledger."""
    from mapping.problems import explain

    return explain(problem, lang="en", order=order_id)


def once(said: Iterable[str], told: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """What a remote said, each text where it stands first; `told` are findings that quote it already."""
    known = {one.get("detail") for one in told}
    for text in said:
        yield "as above" if text and text in known else text
        known.add(text)


def of_hook(found: Finding, order_id: str) -> str:
    """What there is to say of a call of a hook."""
    from mapping.hook_findings import sentence

    return sentence(found, "en", order_id)


def would(parts: Mapping[str, object], order_id: str) -> str:
    """The update that a call would become."""
    from mapping.hook_findings import Finding

    asked = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in parts.items())
    return of_hook(Finding("hook_would", detail=asked), order_id)


def settled(found: Mapping[str, Any]) -> str:
    """What an order was held for once, now that nothing is to be done about it."""
    told = " → ".join(value for value in (found.get("before"), found.get("after")) if value)
    what = found["code"].replace("_", " ")
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
    # What a person let go says so by the act's own name, be it a retry or a release.
    if reason and reason not in {state, "released"}:
        more.insert(0, reason)
    return f"{state} ({', '.join(more)})" if state and more else state or ", ".join(more)


def _listed(value: object) -> str:
    return " and ".join(map(str, value)) if isinstance(value, list) else str(value)
