"""What a person may see of calls of a target's hook and do about them: list, show, replay, test.

In: the open ledger and a call's number, and who acts; to test, the resources of the process and the fields of
a call. Out: rows, with their fields as a person may see them. Fails with `Absent`, `Impossible` and `Wrong`,
each with a sentence for the person, and with `LedgerUnavailable`. Called by cli.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from connectors import registry
from desk.errors import Absent, Impossible, Wrong
from ledger import hook_listing, updates
from ledger.database import Ledger
from ledger.history import Act
from ledger.hook_listing import KNOWN_OUTCOMES, Row
from ledger.orders import NotPossible
from ledger.updates import Update
from mapping.hook import HookReader, compile_reader
from mapping.hook_findings import Finding, finding, seen
from mapping.target_profile import TargetProfile
from settings import Settings

if TYPE_CHECKING:
    from tasks.resources import Remote, Resources

__all__ = ["KNOWN_OUTCOMES", "Row"]


@dataclass(frozen=True, slots=True)
class Shown:
    """One call with what is told of it, the updates as they stand now, and who replayed it."""

    call: Row
    found: list[Finding]
    updates: list[Update] = field(default_factory=list)
    replays: list[Act] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Trial:
    """What a call would become: `parts` of an update of `order_id`, or nothing. `faults` keep it from
    arriving, `demands` are what it must have besides.
    """

    target: str
    found: list[Finding]
    source: str | None
    order_id: str | None
    parts: Mapping[str, object]
    faults: list[str]
    demands: list[str]

    @property
    def hangs_on_a_name(self) -> bool:
        """Whether only the target can say what it would become."""
        return any(found.code == "hook_stage_by_id" for found in self.found)

    @property
    def is_good(self) -> bool:
        """Whether it would arrive, and may become something."""
        return not self.faults and (bool(self.parts) or self.hangs_on_a_name)


def listing(
    chosen: Settings,
    ledger: Ledger,
    *,
    connection: str | None = None,
    outcome: str | None = None,
    limit: int,
) -> list[Shown]:
    """Calls, the newest first."""
    rows = hook_listing.listing(ledger, connection=connection, outcome=outcome, limit=limit)
    readers = _Readers(chosen)
    return [_shown(readers, row) for row in rows]


def show(chosen: Settings, ledger: Ledger, hook_id: int) -> Shown:
    """One call: what it said, what it became, and who acted on it."""
    row = _find(ledger, hook_id)
    shown = _shown(_Readers(chosen), row)
    made = [updates.find(ledger, number) for number in row.updates]
    return replace(
        shown,
        updates=[one for one in made if one is not None],
        replays=hook_listing.replays(ledger, row),
    )


def replay(ledger: Ledger, hook_id: int, *, who: str, ring: Callable[[int], object]) -> None:
    """Act on a call again. What it made before is not made twice; what is past by now is not sent."""
    _find(ledger, hook_id)
    try:
        hook_listing.replay(ledger, hook_id, ledger.now(), who=who)
    except NotPossible as exc:
        raise Impossible(str(exc)) from exc
    ring(hook_id)


def trial(
    r: Resources, connection: str | None, fields: Mapping[str, str], address: str | None
) -> Trial:
    """What a call with these fields would become; nothing is kept, sent or asked of the target."""
    from tasks import judging  # noqa: PLC0415  Celery, which only who tests needs

    target = _target_of(r, connection)
    doorbell = target.connector.doorbell
    judged = judging.judge(r, target.name, fields)
    return Trial(
        target.name,
        judged.findings,
        judged.source,
        judged.order_id,
        judged.parts or {},
        [] if doorbell is None else doorbell.faults(address),
        [] if doorbell is None else doorbell.demands(),
    )


def _find(ledger: Ledger, hook_id: int) -> Row:
    row = hook_listing.find(ledger, hook_id)
    if row is None:
        raise Absent(f"No call {hook_id} of a hook is in the ledger.")
    return row


def _target_of(r: Resources, connection: str | None) -> Remote:
    """The target whose hook is meant: the one that is named, else the only one that has a hook."""
    calling = {name: one for name, one in r.targets.items() if one.connector.listener is not None}
    if connection is None and len(calling) == 1:
        return next(iter(calling.values()))
    if connection in calling:
        return calling[connection]
    named = (
        f"{connection!r} has no hook." if connection else "Say which one is meant (--connection)."
    )
    raise Wrong(f"{named} There are: {', '.join(calling) or 'none'}.")


def _shown(readers: _Readers, row: Row) -> Shown:
    found = [finding(told) for told in row.told] or [Finding("hook_waiting")]
    reader = readers.of(row.connection)
    return Shown(replace(row, fields=dict(seen(reader, row.fields))), found)


class _Readers:
    """How the calls of each target are read, each profile loaded once; of one that is configured no more by
    the names that every hook has by default.
    """

    def __init__(self, chosen: Settings) -> None:
        self._chosen = chosen
        self._known: dict[str, HookReader] = {}

    def of(self, name: str) -> HookReader:
        if name not in self._known:
            one = self._chosen.connections.get(name)
            mapping = None if one is None else registry.mapping_of(one)
            self._known[name] = (
                mapping.hook if isinstance(mapping, TargetProfile) else compile_reader({}, [])
            )
        return self._known[name]
