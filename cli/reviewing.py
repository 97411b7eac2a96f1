"""Whose an order is, what it says and what of it was changed; and the commands `orders find`, `acknowledge`.

In: what the desk gives. Out: tables and lines for people, JSON for machines. It may be personal data: it goes
to who runs the command, and never into a log. Used by cli/orders.py, which has the other commands of orders.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

import settings
from cli.answers import (
    As,
    Connection,
    Json,
    Of,
    OrderId,
    acting,
    complain,
    moment,
    out,
    plain,
    print_json,
    tell,
)
from connections_file import SettingsError
from desk import finding
from desk.errors import DeskError
from desk.naming import named
from desk.opening import opened
from desk.zones import Zones

if TYPE_CHECKING:
    from rich.text import Text

    from cli.tables import Table
    from desk.finding import Match
    from desk.orders import Row
    from desk.reviewing import Difference, Person, Review
    from desk.updates import Update
    from ledger.database import Ledger
    from settings import Settings


def find_orders(
    text: Annotated[list[str], typer.Argument(help="What you have of it.", metavar="TEXT")],
    connection: Of = None,
    *,
    as_json: Json = False,
) -> None:
    """Find orders by any id or number, a tracking number, a phone or its last digits, or a surname in any
    spelling.
    """
    chosen = settings.load()
    with opened(chosen) as ledger:
        found = finding.find(ledger, " ".join(text), connection)
    if as_json:
        print_json([as_dict(one.order) | {"found_by": one.by} for one in found])
    else:
        print_found(found, Zones(chosen))


def acknowledge_order(
    order_id: OrderId, connection: Connection = None, who: As = None, *, as_json: Json = False
) -> None:
    """Take note that an order was changed in the shop: the mark goes until it is changed again."""
    from desk.reviewing import acknowledge

    chosen = settings.load()
    with opened(chosen) as ledger:
        row, noted = acknowledge(chosen, ledger, order_id, connection, who=acting(who))
    if as_json:
        print_json(as_dict(row) | {"changes": _changes_as_dicts(noted)})
        return
    out().print(f"Noted: order {row.order_id} is marked again once it is changed again.")
    if noted:
        out().print(_changes_table(noted))


def reviewed(chosen: Settings, ledger: Ledger, row: Row) -> Review | None:
    """Whose an order is and what it says; without its profile, which is said, the rest is shown all the
    same.
    """
    from desk.reviewing import review
    from mapping.profile import ProfileError

    try:
        return review(chosen, ledger, row)
    except (DeskError, SettingsError, ProfileError) as exc:
        complain(f"What order {row.order_id} says cannot be shown. {exc}")
        return None


# --- for machines ---------------------------------------------------------------------------------------


def as_dict(row: Row) -> dict[str, Any]:
    """An order."""
    return {key: value for key, value in plain(dataclasses.asdict(row)).items() if key != "pk"}


def review_as_dict(seen: Review | None) -> dict[str, Any]:
    """What an order says; nothing is known of one whose profile cannot be had."""
    if seen is None:
        return {}
    return {
        "recipient": _person_as_dict(seen.recipient),
        "buyer": _person_as_dict(seen.buyer),
        "comment": seen.comment,
        "changes": _changes_as_dicts(seen.changes),
    }


def _changes_as_dicts(changes: Sequence[Difference] | None) -> list[dict[str, Any]] | None:
    return None if changes is None else [dataclasses.asdict(one) for one in changes]


def _person_as_dict(person: Person | None) -> dict[str, str] | None:
    if person is None:
        return None
    return {"name": person.full, "phone": person.phone, "email": person.email}


# --- for people -----------------------------------------------------------------------------------------


def standing(row: Row) -> Text:
    """An order's state in its colour, and whether it was changed since."""
    from cli.console import coloured

    colour = {"created": "green", "held": "red", "waiting": "yellow", "ignored": "dim"}.get(
        row.state, "cyan"
    )
    changed = " (changed in the shop since)" if row.changed else ""
    return coloured(row.state, colour).append(changed, style="default")


def print_found(found: Sequence[Match], zones: Zones) -> None:
    """Orders that were found, and by what."""
    from cli.tables import Table

    table = Table("order", "found by", "state", "CRM", "received")
    several = len({one.order.connection for one in found}) > 1
    for one in found:
        row = one.order
        table.add_row(
            f"{row.connection} {row.order_id}" if several else row.order_id,
            one.by if one.is_whole else f"{one.by}, in part",
            standing(row),
            row.target_id or "",
            moment(row.received_at, zones.of(row.connection)),
        )
    out().print(table)
    if len(found) == finding.MOST:
        out().print(f"These are the newest {finding.MOST}; there may be more. Give more of it.")


def print_review(row: Row, seen: Review) -> None:
    """Recipient and buyer, who may be one, the comment, and what was changed."""
    if seen.buyer is not None and _are_one(seen):
        out().print("Buyer and recipient:", _person(seen.buyer))
    else:
        for whose, person in (("Recipient:", seen.recipient), ("Buyer:", seen.buyer)):
            if person is not None:
                out().print(whose, _person(person))
    if seen.comment:
        out().print("Comment:", seen.comment)
    if row.changed:
        _print_changes(row, seen.changes)


def _are_one(seen: Review) -> bool:
    """Whether both have one name and phone: shops often leave the recipient's e-mail out."""
    people = (seen.recipient, seen.buyer)
    return len({(one.full, one.phone) for one in people if one is not None}) == 1


def print_comments(updates: Sequence[Update]) -> None:
    """What the customer may have read: the comments of updates, which their table does not repeat."""
    for one in updates:
        part = one.parts.get("note")
        if part is not None and part.value:
            out().print(f"Comment of update {one.id}, {part.state}:", str(part.value))


def _person(person: Person) -> str:
    return ", ".join(filter(None, (person.full, person.phone, person.email))) or "nobody is named"


def _print_changes(row: Row, changes: Sequence[Difference] | None) -> None:
    if changes:
        out().print(f"Changed in the shop since; {row.target} has it as before:")
        out().print(_changes_table(changes))
    else:
        unknown = f"Changed in the shop since; what {row.target} has of it is not kept here."
        out().print(unknown)
    tell(
        [
            "Once it is seen to:",
            f"orderbridge orders acknowledge {named(row.order_id, row.connection)}",
        ]
    )


def _changes_table(changes: Sequence[Difference]) -> Table:
    from cli.tables import Table

    table = Table("field", "before", "now", texts={"before", "now"})
    for one in changes:
        table.add_row(one.field, one.before or "", one.after or "")
    return table
