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
from connectors.onebox_stages import BoxListener
from connectors.ports import Connector, Means, NextTurn
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

    def compose(self, read: ReadOrder, prefix: str) -> Mapped:
        return self.profile.compose(read, prefix)

    def put(self, body: Mapping[str, Any], next_turn: NextTurn) -> str:
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

    def tests(self, *, read_orders: bool) -> Iterator[tuple[str, Callable[[], str]]]:  # noqa: ARG002  the port's
        yield "log in", self._log_in
        yield "workflow and stage", self._workflow

    def _log_in(self) -> str:
        self.client.login()
        return ""

    def _workflow(self) -> str:
        """The configured workflow and stage are among those that the box lists, as far as it lists them."""
        own, listed = self.own, self.client.workflows()
        ours = [w for w in listed if str(w.get("id", w.get("workflowid"))) == own.workflow_id]
        if listed and not ours:
            known = [str(w.get("id", w.get("workflowid"))) for w in listed]
            raise self._none_of("workflow_id", own.workflow_id, known)
        stages = [s for w in ours for s in w.get("statuses", []) or [] if isinstance(s, dict)]
        stage_ids = [str(stage.get("id", stage.get("statusid"))) for stage in stages]
        if stage_ids and own.status_id not in stage_ids:
            raise self._none_of("status_id", own.status_id, stage_ids)
        return f"{len(listed)} workflows"

    def _none_of(self, key: str, given: str, known: Sequence[str]) -> Misconfigured:
        told = masked(", ".join(one[:LONGEST_SHOWN] for one in known[:MOST_SHOWN]))
        return Misconfigured(f"{self.one.where(key)} {given} is none of: {told}.")


KIND = Kind(
    name="onebox",
    schema=OneBoxSchema,
    open=connect,
    mapping=mapping,
    receives=True,
    stand_in="crm",
    profile="onebox.yaml",
)
