"""A OneBox CRM: how orders get there and are found, what it tells of them, how its connection is tested.

In: its own settings and the profile that composes its processes. Out: a connector. Source:
docs/contracts/onebox.md, "order/set".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clients.cipher import cipher_for
from clients.errors import Misconfigured, PhoneTaken, Rejected, masked
from clients.onebox import OneBox
from connection import Connection
from connectors.kind import Kind
from connectors.onebox_doorbell import BoxDoorbell
from connectors.onebox_settings import OneBoxSchema, OneBoxSettings
from connectors.onebox_stages import BoxListener, stages_by_id, workflows_by_id
from connectors.ports import Connector, Found, Means, NextTurn, NotTold
from mapping.source_profile import ReadOrder
from mapping.target_profile import Mapped, TargetProfile, load_target

# Of the ids that a box lists, in the words of a test: so many, so long.
MOST_SHOWN, LONGEST_SHOWN = 20, 40


def connect(one: Connection, own: OneBoxSettings, means: Means) -> Connector:
    """The connector of a configured box. Raises ProfileError."""
    client = OneBox(
        own.url,
        own.login,
        own.password,
        redis=means.redis,
        cipher=cipher_for(means.secret_key, own.password, one.name, own.url),
        name=one.name,
        timeout=own.timeout,
        password_form=own.password_form,
        body_shape=own.body_shape,
    )
    return join(client, mapping(one, own), one, own)


def mapping(one: Connection, own: OneBoxSettings) -> TargetProfile:
    """How this box's processes are composed, with the ids that it gave us. Raises ProfileError."""
    parameters = {
        "workflow_id": own.workflow_id,
        "status_id": own.status_id,
        "source_id": own.source_id,
    }
    return load_target(KIND.profile_of(one), parameters)


def join(client: OneBox, profile: TargetProfile, one: Connection, own: OneBoxSettings) -> Connector:
    """The connector of a client."""
    return Connector(
        client=client,
        profile=profile,
        target=BoxTarget(client, profile),
        finder=BoxFinder(client),
        listener=BoxListener(client, profile.hook, one.name),
        doorbell=BoxDoorbell(one, own),
        inspector=BoxInspector(client, one, own),
    )


@dataclass(frozen=True, slots=True)
class BoxTarget:
    """A process for each order."""

    client: OneBox
    profile: TargetProfile
    # It is found by its external id, but two calls at once make two.
    takes_repeats: bool = False

    def compose(self, read: ReadOrder, prefix: str) -> Mapped:
        return self.profile.compose(read, prefix)

    def put(self, external_id: str, body: Mapping[str, Any], next_turn: NextTurn) -> str:  # noqa: ARG002  it is in the body
        """Where the buyer's phone is on another card, once more with that card: it never makes a second
        one, and never drops the phone. Source: docs/contracts/onebox.md, "Errors that matter".
        """
        process = dict(body)
        try:
            return self.client.set_order(process)
        except PhoneTaken as exc:
            card = self._find_card(process, next_turn)
            if card is None:
                raise Rejected(str(exc), status=exc.status, excerpt=exc.excerpt) from exc
            next_turn()
            return self.client.set_order({**process, "client": {"userid": card}})

    def _find_card(self, process: Mapping[str, Any], next_turn: NextTurn) -> str | None:
        phones = process.get("client", {}).get("phones", [])
        if not phones:
            return None
        next_turn()
        return self.client.find_contact(phones[0])


@dataclass(frozen=True, slots=True)
class BoxFinder:
    """order/get by external ids."""

    client: OneBox

    def find(self, external_ids: Sequence[str]) -> dict[str, list[str]]:
        return self.client.find_orders(external_ids)


@dataclass(frozen=True, slots=True)
class BoxInspector:
    """The tests of a box's connection."""

    client: OneBox
    one: Connection
    own: OneBoxSettings

    def tests(self, *, read_orders: bool) -> Iterator[tuple[str, Callable[[], Found]]]:  # noqa: ARG002  the port's
        yield "log in", self._log_in
        yield "workflow", self._workflow
        yield "stage", self._stage

    def _log_in(self) -> Found:
        self.client.login()
        return Found()

    def _workflow(self) -> Found:
        """The configured business process is among those that the box lists."""
        listed = workflows_by_id(self.client.workflows())
        if not listed:
            raise NotTold("the box lists no business process to this login.")
        if self.own.workflow_id not in listed:
            raise self._none_of("workflow_id", self.own.workflow_id, list(listed))
        return Found(_named(listed[self.own.workflow_id]))

    def _stage(self) -> Found:
        """The configured stage is one of this business process, and of no other."""
        listed = workflows_by_id(self.client.workflows())
        stages = stages_by_id(listed.get(self.own.workflow_id, {}))
        if not stages:
            raise NotTold("the box does not list the stages of this business process.")
        if self.own.status_id not in stages:
            raise self._none_of("status_id", self.own.status_id, list(stages))
        return Found(_named(stages[self.own.status_id]))

    def _none_of(self, key: str, given: str, known: Sequence[str]) -> Misconfigured:
        told = masked(", ".join(one[:LONGEST_SHOWN] for one in known[:MOST_SHOWN]))
        return Misconfigured(f"{self.one.where(key)} {given} is none of: {told}.")


def _named(row: Mapping[str, Any]) -> str:
    """What the box calls it, so that a person sees whether it is the one that is meant."""
    name = row.get("name")
    return masked(name[:LONGEST_SHOWN]) if isinstance(name, str) else ""


KIND = Kind(
    name="onebox",
    schema=OneBoxSchema,
    open=connect,
    mapping=mapping,
    receives=True,
    stand_in="crm",
    profile="onebox.yaml",
)
