"""Updates of orders that tenants place with us: each tenant is told at an address of its own, signed.

In: what is asked, and whom an order's updates are for. Out: the next call, or that nobody is told. Nothing
need be known of the order: what was decided is told in the order in which it was. Called by tasks through
connectors/feedback.py. Source: docs/decisions/callbacks-as-updates.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from clients.callback import Callbacks
from clients.errors import Rejected
from connection import is_address, is_loopback
from connections_file import SettingsError
from connectors.feedback import Asks, Ends, Judged, Later, PartRule, Send
from connectors.ports import Addressee
from mapping.request import Errors, UpdateRequest
from mapping.source import from_text
from mapping.source_profile import SourceUpdates
from mapping.updates import PARTS, from_flat, read_update

EVENT = "order.updated"
FIELDS = {"order": "statuses.order", "delivery": "statuses.delivery"}
# By which word an action is told: how the order stands once it is done. Those of orders are the source
# text's own (docs/contracts/createorder.md, "Request"), as far as it has them.
WORDS: Mapping[str, Mapping[str, str]] = {
    "order": {
        "reopen": "Draft",
        "process": "In Progress",
        "complete": "Completed",
        "cancel": "Cancelled",
    },
    "delivery": {
        "reopen": "Open",
        "ship": "Shipped",
        "ship_partially": "Partially Shipped",
        "cancel": "Cancelled",
        "retour": "Returned",
        "retour_partially": "Partially Returned",
    },
}


@dataclass(frozen=True, slots=True)
class Known:
    """The number that the order was answered with, while its text is kept."""

    order_num: int | None = None


@dataclass(frozen=True, slots=True)
class Telling(Send):
    """A call: whom it tells, and the id by which the receiver knows a repeat of it."""

    id: str = ""
    order_num: int | None = None
    addressee: Addressee | None = field(default=None, repr=False)


class CreateOrderFeedback:
    """How tenants are told. `addressee` gives who is told of an order, if anyone."""

    def __init__(
        self,
        callbacks: Callbacks,
        rules: SourceUpdates,
        addressee: Callable[[str], Addressee | None],
        *,
        is_sandbox: bool,
    ) -> None:
        self._callbacks = callbacks
        self._addressee = addressee
        self._is_sandbox = is_sandbox
        self.parts: Mapping[str, PartRule] = {
            name: PartRule(
                field=FIELDS.get(name, name),
                greatest_age=rules.greatest_age["status" if name in FIELDS else name],
                ordered=True,
            )
            for name in PARTS
        }

    def validate(
        self, raw: Mapping[str, object], *, flat: bool = False
    ) -> tuple[UpdateRequest | None, Errors]:
        return from_flat(raw) if flat else read_update(raw)

    def shown(self, part: str, value: Any) -> str | None:
        if part in WORDS:
            return f"{part}.{value}"
        return None if part == "note" else str(value)

    def takes_over(self, newer: Asks, older: Asks, part: str) -> str | None:  # noqa: ARG002  the port's
        """Each telling is of its own moment: a later one makes none of them untrue."""
        return None

    # --- what is next -----------------------------------------------------------------------------

    def plan(
        self,
        asks: Asks,
        sendable: tuple[str, ...],
        known: Known,
        *,
        trust: bool,
        ours: Callable[[str], Collection[Any]],  # noqa: ARG002  the port's
    ) -> Ends | Send | Later:
        """All at once, to whoever is told now; without anyone each part is over. Of an order that is not in
        the ledger nobody is told, unless a person asks for it who knows that it was erased.
        """
        part = sendable[0]
        try:
            addressee = self._addressee(asks.order_id)
        except SettingsError as exc:
            return Ends(part, "parked", "update_cannot_be_told", detail=str(exc))
        if addressee is None:
            return Ends(part, "withdrawn", "update_nobody_to_tell")
        if known.order_num is None and trust:
            return Ends(part, "parked", "update_unknown_order")
        fault = self._fault(addressee.url)
        if fault:
            return Ends(part, "parked", "update_cannot_be_told", detail=fault)
        if not self._callbacks.has_place(addressee.name):
            return Later()
        values = {name: asks.values[name] for name in sendable}
        return Telling(
            values,
            sendable,
            id=_id(asks.order_id, asks.update_id, values),
            order_num=known.order_num,
            addressee=addressee,
        )

    def send(self, order_id: str, send: Send) -> None:
        if not isinstance(send, Telling) or send.addressee is None:
            raise TypeError("a tenant is told by what was planned for it")
        to = send.addressee
        self._callbacks.tell(
            to.name, to.url, to.secret, _body(order_id, send, to, datetime.now(UTC))
        )

    def _fault(self, url: str) -> str:
        """Why this address is never called, for a person."""
        if not is_address(url):
            return "Its callback_url is no address."
        if self._is_sandbox and not is_loopback(url):
            return "This is a sandbox, and its callback_url leads off this machine."
        if url.startswith("http:") and not self._is_sandbox:
            return "Its callback_url must begin with https://."
        return ""

    # --- what answers teach -----------------------------------------------------------------------

    def first_known(
        self,
        stored: Mapping[str, Any] | None,  # noqa: ARG002  the port's
        stored_at: datetime | None,  # noqa: ARG002  the port's
        seen: tuple[str, datetime | None] | None,
        now: datetime,  # noqa: ARG002  the port's
    ) -> Known:
        placed = None if seen is None else from_text(seen[0])
        order = placed.get("order") if isinstance(placed, dict) else None
        number = order.get("order_num") if isinstance(order, dict) else None
        return Known(number if isinstance(number, int) else None)

    def kept(self, known: Known) -> Mapping[str, Any]:  # noqa: ARG002  the port's
        return {}

    def learned(self, known: Known, send: Send) -> Known:  # noqa: ARG002  the port's
        return known

    def doubted(self, known: Known, send: Send | None = None) -> Known:  # noqa: ARG002  the port's
        return known

    def judged(
        self,
        refused: Rejected,
        asks: Asks,  # noqa: ARG002  the port's
        send: Send,
        known: Known,
        later: Sequence[Asks] = (),  # noqa: ARG002  the port's
    ) -> Judged[Known]:
        """What is refused is refused whole: the receiver's fault is in none of its parts."""
        said = refused.excerpt or str(refused)
        return Judged(
            known,
            tuple(
                Ends(part, "parked", "update_receiver_refused", detail=said)
                for part in send.completes
            ),
        )


def _id(order_id: str, update_id: int, values: Mapping[str, Any]) -> str:
    """32 hex digits, the same for a repeat and for nothing else; also where a ledger that was restored gives
    a number again.
    """
    said = json.dumps([order_id, update_id, values], sort_keys=True, ensure_ascii=True)
    return blake2b(said.encode(), digest_size=16).hexdigest()


def _body(order_id: str, send: Telling, to: Addressee, now: datetime) -> dict[str, Any]:
    number = order_id.removeprefix(f"{to.name}-")
    values = send.values
    told = {
        "event": EVENT,
        "id": send.id,
        "tenant": to.name,
        "order_id": int(number) if number.isdecimal() else number,
        "order_num": send.order_num,
        **{f"{name}_status": WORDS[name][values[name]] for name in WORDS if name in values},
        "tracking_number": values.get("tracking_number"),
        "note": values.get("note"),
        "sent_at": now.isoformat(timespec="seconds"),
    }
    return {name: value for name, value in told.items() if value is not None}
