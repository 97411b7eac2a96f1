"""What a person, or a caller with a name, may see of updates and do to them: list, show, retry, cancel, send.

In: the open ledger, an update's number, and who acts; to send, the resources of the process. Out: the
ledger's rows. Fails with `Absent`, `Impossible` and `Wrong`, each with a sentence for the person, and with
`LedgerUnavailable`. Called by cli and gateway.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from desk.errors import Absent, Impossible, KeyTaken, Wrong
from desk.ringing import Bells
from ledger import attempts, tallies, updates
from ledger.attempts import Try
from ledger.database import Ledger
from ledger.enqueueing import KeyReused
from ledger.orders import NotPossible
from ledger.tallies import Total
from ledger.updates import Due, Part, Told, Update

if TYPE_CHECKING:
    from mapping.request import UpdateRequest
    from tasks.resources import Resources

__all__ = ["STATES", "Part", "Told", "Try", "Update"]

STATES = updates.STATES
# What the command line calls the fields of an update; a fault of the whole names none.
OPTIONS = {
    "tracking_number": "--ttn:",
    "statuses.order": "--order:",
    "statuses.delivery": "--delivery:",
    "note": "--note:",
    "key": "--key:",
    "_schema": "",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """One update and every call that was made for it, the oldest first."""

    update: Update
    calls: list[Try]


class _Change(Protocol):
    def __call__(self, ledger: Ledger, update_id: int, now: datetime, *, who: str) -> Due: ...


def listing(
    ledger: Ledger,
    *,
    state: str | None = None,
    connection: str | None = None,
    order_id: str | None = None,
    limit: int,
) -> list[Update]:
    """Updates, the newest first."""
    return updates.listing(
        ledger, state=state, connection=connection, order_id=order_id, limit=limit
    )


def total(
    ledger: Ledger,
    *,
    state: str | None = None,
    connection: str | None = None,
    order_id: str | None = None,
) -> Total:
    """How many updates such a list has without its limit."""
    of = {"state": state, "connection": connection, "order_id": order_id}
    return tallies.total(ledger, tallies.UPDATES, ledger.now(), **of)


def find(ledger: Ledger, update_id: int) -> Update:
    row = updates.find(ledger, update_id)
    if row is None:
        raise absent(update_id)
    return row


def absent(update_id: int) -> Absent:
    """There is none with this number, or none for who asks."""
    return Absent(
        f"No update {update_id} is in the ledger. Those that are: `orderbridge updates list`."
    )


def show(ledger: Ledger, update_id: int) -> Shown:
    """One update: what was asked, what became of each part, and every call."""
    return Shown(find(ledger, update_id), attempts.of_update(ledger, update_id))


def retry(ledger: Ledger, update_id: int, *, who: str, bells: Bells) -> Update:
    """Send what is parked after all, however old it is."""
    return _mend(ledger, update_id, updates.retry, who, bells)


def cancel(ledger: Ledger, update_id: int, *, who: str, bells: Bells) -> Update:
    """Never send what is not sent yet."""
    return _mend(ledger, update_id, updates.cancel, who, bells)


def _mend(ledger: Ledger, update_id: int, change: _Change, who: str, bells: Bells) -> Update:
    find(ledger, update_id)
    try:
        due = change(ledger, update_id, ledger.now(), who=who)
    except NotPossible as exc:
        seen = f"How it stands: `orderbridge updates show {update_id}`."
        raise Impossible(f"{exc} {seen}") from exc
    bells.updates([due])
    return find(ledger, update_id)


def asked(r: Resources, fields: Mapping[str, object]) -> UpdateRequest:
    """An update in the flat form of the command line, checked by the rules of its source."""
    from tasks import accepting  # noqa: PLC0415  Celery, which only who sends needs

    request, errors = accepting.read(r, fields, flat=True)
    if request is None:
        told = " ".join(
            f"{OPTIONS.get(field, f'{field}:')} {' '.join(texts)}".strip()
            for field, texts in errors.items()
        )
        raise Wrong(f"The update is refused. {told}", errors)
    return request


def send(
    r: Resources,
    request: UpdateRequest,
    *,
    who: str,
    origin: str,
    key: str | None = None,
    ring: Callable[[list[Due]], object] | None = None,
) -> Update:
    """Write the update behind the others of its order, and ring. Raises KeyTaken, and Wrong for a shop that
    nobody configured.
    """
    from tasks import accepting  # noqa: PLC0415  Celery, as above

    try:
        return accepting.accept(r, request, origin=origin, key=key, ring=ring, who=who)
    except KeyReused as exc:
        raise KeyTaken(str(exc)) from exc
    except accepting.UnknownConnection as exc:
        raise Wrong(str(exc), {"connection": [str(exc)]}) from exc
