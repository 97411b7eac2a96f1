"""A service that speaks CreateOrder, as the target of any source's orders, and how its address is tested.

In: a client, the profile that composes the command, the connection's own settings. Out: the port's target
and inspector. Fails as the client does. Called by connectors/createorder.py. Source:
docs/contracts/createorder.md, docs/decisions/a-target-that-cannot-be-asked.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from clients.createorder import CreateOrder
from connectors.ports import Found, Inspector, NextTurn, NotTold, Target
from mapping.source_profile import ReadOrder
from mapping.target_profile import Mapped, TargetProfile

# An address that knows no reading may answer so, and one that does not exist does.
NOT_FOUND: Final = 404
_DIGEST_BYTES: Final = 16


class Own(Protocol):
    """What of a service's own settings this needs."""

    @property
    def tenant(self) -> str: ...
    @property
    def token(self) -> str | None: ...
    @property
    def honours_idempotency(self) -> bool: ...


def target_of(client: CreateOrder, profile: TargetProfile, own: Own) -> Target:
    """Where its orders arrive."""
    return ServiceTarget(client, profile, takes_repeats=own.honours_idempotency)


def inspector_of(client: CreateOrder, own: Own) -> Inspector:
    """How its connection is tested."""
    return ServiceInspector(client, own)


@dataclass(frozen=True, slots=True)
class ServiceTarget:
    """An order for each command. `takes_repeats`: the service is said to know a command that it had before by
    its key; the key itself always goes along.
    """

    client: CreateOrder
    profile: TargetProfile
    takes_repeats: bool

    def compose(self, read: ReadOrder, prefix: str) -> Mapped:
        return self.profile.compose(read, prefix)

    def put(self, external_id: str, body: Mapping[str, Any], next_turn: NextTurn) -> str:  # noqa: ARG002  one call is all
        return self.client.create(body, key_of(external_id))


def key_of(external_id: str) -> str:
    """What a header can carry of an order's external id: the id itself, else its digest. The same for the
    same order, however it is changed, and another one for each other.
    """
    is_carried = external_id.isascii() and external_id.isprintable()
    # Blanks at its ends are not the header's.
    if is_carried and external_id == external_id.strip():
        return external_id
    return hashlib.blake2b(external_id.encode(), digest_size=_DIGEST_BYTES).hexdigest()


@dataclass(frozen=True, slots=True)
class ServiceInspector:
    """The tests of a service's connection: it has no call that creates nothing."""

    client: CreateOrder
    own: Own

    def tests(self, *, read_orders: bool) -> Iterator[tuple[str, Callable[[], Found]]]:  # noqa: ARG002  the port's
        yield "address", self._address
        yield "order", self._order

    def _address(self) -> Found:
        status = self.client.touch()
        if status == NOT_FOUND:
            raise NotTold(
                f"{self.client.address} answers a read with HTTP 404, as an address that takes only orders "
                "may, and one that is wrong."
            )
        return Found(f"{self.client.address} answers")

    def _order(self) -> Found:
        token = "" if self.own.token is None else " with this token"
        raise NotTold(
            f"only an order would show whether the tenant {self.own.tenant} is taken{token}: the command "
            "has no call that creates nothing."
        )
