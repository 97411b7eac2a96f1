"""What a OneBox tells of its processes: stages by id or by name, whose names only the box knows.

In: the fields of a call of its hook, or external ids to be read. Out: what is said, the names of stages
beside their ids. Reading raises as the client does. Source: docs/contracts/onebox.md, "order/get".
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from clients.errors import ConnectionFault, Rejected
from clients.onebox import OneBox
from connectors.ports import NextTurn
from mapping.hook import HookReader, Said
from mapping.source import storable

# The names of stages are asked for again when an id is unknown, but not more often than this, in seconds;
# nor, after the box refused to tell them, than the second.
NAMES_KEPT = 300.0
NAMES_REFUSED = 15.0

_NEVER_ASKED = float("-inf")

log = structlog.get_logger()


@dataclass(slots=True)
class BoxListener:
    """Hears one box. It remembers what the box calls its stages, as last asked, and from when on they may be
    asked for anew; thread-safe.
    """

    client: OneBox
    hook: HookReader
    name: str
    ask_at: float = _NEVER_ASKED
    names: dict[str, str] = field(default_factory=dict)
    asking: threading.Lock = field(default_factory=threading.Lock)

    def heard(self, fields: Mapping[str, object]) -> Said:
        return self.named(self.hook.said(fields))

    def read(
        self, external_ids: Sequence[str], told: Sequence[Said], next_turn: NextTurn
    ) -> dict[str, Said]:
        asked = ["externalid", "statusid", *self.hook.names["tracking_number"]]
        # No word of the box may be one that a database refuses.
        rows = [storable(row) for row in self.client.get_orders(external_ids, asked)]
        said = {str(row["externalid"]): replace(self.hook.said(row), note=None) for row in rows}
        self._ask_names([*said.values(), *told], next_turn)
        return {
            external_id: self.named(one)
            for external_id, one in said.items()
            if not self.is_nameless(one)
        }

    def named(self, said: Said) -> Said:
        return said.named(self.names)

    def needs_names(self, told: Sequence[Said]) -> bool:
        return self.ask_at == _NEVER_ASKED and self._is_strange(told)

    def is_nameless(self, said: Said) -> bool:
        """Whether a stage is said by an id that nobody has named, while the table goes by names: it may be
        any of them, the one last heard too.
        """
        return self.hook.needs_name(said) and not any(s in self.names for s in said.stages)

    def _ask_names(self, said: Sequence[Said], next_turn: NextTurn) -> None:
        """Ask for them anew when a stage is said of which the profile's table has no row and no name is
        known. A box that does not tell them has no names: then only ids can match.
        """
        with self.asking:
            if not self._is_strange(said) or time.monotonic() <= self.ask_at:
                return
            again = NAMES_KEPT
            next_turn()
            try:
                self.names = _names(self.client.workflows())
            except (Rejected, ConnectionFault) as exc:
                again = NAMES_REFUSED
                log.warning("stages_not_named", target=self.name, because=type(exc).__name__)
            # Not after an outage: then the read has failed, and the next one asks again.
            self.ask_at = time.monotonic() + again

    def _is_strange(self, said: Sequence[Said]) -> bool:
        """Whether one says a stage of which neither the profile's table nor the box's names tell anything."""
        return any(
            one.stages
            and not self.hook.has_row(one)
            and not any(stage in self.names for stage in one.stages)
            for one in said
        )


def workflows_by_id(workflows: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The business processes that a box lists, by their ids."""
    return _by_id(workflows, "workflowid")


def stages_by_id(workflow: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The stages of a business process, by their ids."""
    stages = workflow.get("statuses")
    if isinstance(stages, dict):
        stages = list(stages.values())
    return _by_id(stages if isinstance(stages, list) else [], "statusid")


def _by_id(rows: Sequence[Any], other: str) -> dict[str, Mapping[str, Any]]:
    """Rows by their `id`, or by this other name of it; what has none is none."""
    told = [storable(row) for row in rows if isinstance(row, dict)]
    numbered = ((row.get("id", row.get(other)), row) for row in told)
    return {str(number): row for number, row in numbered if number not in (None, "")}


def _names(workflows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What the stages of all of them are called: their ids are the box's own, so no two are equal."""
    return {
        number: str(stage["name"]).strip()
        for workflow in workflows
        for number, stage in stages_by_id(workflow).items()
        if stage.get("name")
    }
