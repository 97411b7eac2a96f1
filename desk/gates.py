"""What a person may see of a connection's gates and do to them: which are closed, pause, resume.

In: the open ledger, the names that are configured, a connection's name and a direction, and who acts. Out:
what is closed, in words. Fails with `Wrong` for a connection or a direction that there is not, with
`Impossible` where the gate stands so already, and with `LedgerUnavailable`. Called by cli, gateway and run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from connectors import registry
from desk.errors import Impossible, Wrong
from desk.ringing import Bells
from ledger import connections
from ledger.connections import AsItIs, CursorRow, Direction, GateRow
from ledger.database import Ledger
from ledger.orders import Row
from plain_text import line
from settings import Settings
from tasks import closings

# What the ledger keeps of a person's reason: a line on a screen.
LONGEST_REASON = 200


@dataclass(frozen=True, slots=True)
class Closed:
    """A closed gate: whose and which, by what and by whom, since when, why in words, and how it opens.
    `said` is what the remote answered when it closed, which is not for everyone.
    """

    connection: str
    direction: str
    by: str
    who: str
    since: datetime | None
    why: str
    how_it_opens: str
    said: str = ""


def closed(ledger: Ledger, names: Collection[str]) -> list[Closed]:
    """The closed gates of these connections, those that a person closed first."""
    rows = [row for row in connections.gates(ledger) if row.closed_by and row.connection in names]
    rows.sort(key=lambda row: not row.is_paused)
    return [_closed(row) for row in rows]


def failing(
    cursors: Iterable[CursorRow], names: Collection[str], closed_now: Collection[Closed]
) -> list[Closed]:
    """The sources of these whose last poll failed, but for those whose reads are closed and so told of."""
    told = {one.connection for one in closed_now if one.direction == "read"}
    return [
        Closed(
            connection=row.connection,
            direction="read",
            by="poll",
            who="",
            since=row.failed_at,
            why=f"The last poll of {row.connection} failed.",
            how_it_opens="It is tried at each poll. What is wrong: "
            f"`orderbridge check --connection {row.connection}`.",
            said=line(row.error),
        )
        for row in cursors
        if row.error and row.connection in names and row.connection not in told
    ]


def stopping(ledger: Ledger, order: Row) -> list[Closed]:
    """What keeps this order from its target now."""
    return [one for one in closed(ledger, [order.target]) if one.direction == "write"]


def pause(
    ledger: Ledger,
    chosen: Settings,
    connection: str,
    directions: Sequence[Direction],
    *,
    reason: str,
    who: str,
) -> list[Closed]:
    """No call of these kinds begins any more, from a second after, until a person resumes them."""
    words = line(reason).strip()
    if not words:
        raise Wrong("Say why, with --reason: whoever finds it paused wants to know.")
    if len(words) > LONGEST_REASON:
        raise Wrong(f"The reason is {len(words)} characters long; {LONGEST_REASON} are kept.")
    _demand(chosen, connection, directions)
    try:
        rows = connections.pause(
            ledger, connection, directions, ledger.now(), reason=words, who=who
        )
    except AsItIs as exc:
        raise Impossible(closings.told(exc.row)) from exc
    return [_closed(row) for row in rows]


def resume(
    ledger: Ledger,
    chosen: Settings,
    connection: str,
    directions: Sequence[Direction],
    *,
    who: str,
    bells: Bells,
) -> bool:
    """Calls go out again; what waited for them is made due. Out: whether the broker took the ring for it."""
    _demand(chosen, connection, directions)
    try:
        connections.resume(ledger, connection, directions, ledger.now(), who=who)
    except AsItIs as exc:
        raise Impossible(closings.not_paused(exc.row)) from exc
    return bool(bells.sweep())


def _demand(chosen: Settings, connection: str, directions: Sequence[Direction]) -> None:
    """Raises Wrong, and SettingsError for a name that no connection has."""
    one = chosen.connection(connection)
    kind = registry.kind_of(one)
    if not directions:
        raise Wrong("Say which calls: --read, --write or both.")
    if "read" in directions and not (kind.is_read or kind.may_receive(one)):
        raise Wrong(f"Nothing is read from {connection}: its orders come by themselves.")


def _closed(row: GateRow) -> Closed:
    return Closed(
        connection=row.connection,
        direction=row.direction,
        by=row.closed_by or "",
        who=row.who,
        since=row.closed_at,
        why=closings.why(row),
        how_it_opens=closings.how_it_opens(row),
        said="" if row.is_paused else line(row.reason),
    )
