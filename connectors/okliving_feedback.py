"""Updates of orders of an OK Living shop (Shopware): tracking number, order and delivery actions, note.

In: what is asked, and what is known of the order's two state machines. Out: the next call, or why a part
needs none. What our own calls taught counts for an hour, and less than what the shop was seen to do since.
Called by tasks through connectors/feedback.py. Source: docs/contracts/okliving.md, "Calls" and "Statuses are
actions on two state machines".
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from clients.errors import IllegalTransition, NotFound, Rejected
from clients.okliving import OkLiving
from connectors.feedback import Asks, Ends, Judged, PartRule, Send
from mapping import statuses
from mapping.order import Order
from mapping.request import Errors, UpdateRequest
from mapping.source_profile import SourceUpdates
from mapping.statuses import Machine
from mapping.updates import PARTS, body, from_flat, read_update

MACHINES = ("order", "delivery")
NUMBER = "tracking_number"
FIELDS = {"order": "statuses.order", "delivery": "statuses.delivery"}
SHIPPING = ("ship", "ship_partially")
# What our own calls taught us is certain for so long: the shop's people change states too, and a shop that
# gives each order only once never tells.
CERTAIN_FOR = timedelta(hours=1)
# The shop's times are whole seconds.
SECOND = timedelta(seconds=1)
# What is kept of a tracking number.
LONGEST_NUMBER = 64


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an order in the shop: the state of each machine, which of them for certain, and of
    these which by calls just made; and its tracking number.
    """

    states: Mapping[str, str] = field(default_factory=dict)
    certain: frozenset[str] = frozenset()
    taught: frozenset[str] = frozenset()
    tracking_number: str | None = None

    def with_state(self, name: str, state: str | None, *, certain: bool) -> Known:
        """Another state of one machine, None for an unknown one; a certain one was taught just now."""
        others = {other: known for other, known in self.states.items() if other != name}
        return replace(
            self,
            states=others if state is None else others | {name: state},
            certain=self.certain | {name} if certain else self.certain - {name},
            taught=self.taught | {name} if certain else self.taught - {name},
        )


class OklivingFeedback:
    """How one shop takes updates. `read` gives the order of a text as polls keep it."""

    def __init__(
        self, client: OkLiving, rules: SourceUpdates, read: Callable[[str], Order | None]
    ) -> None:
        self._client = client
        self._rules = rules
        self._read = read
        self.parts: Mapping[str, PartRule] = {name: self._rule(name) for name in PARTS}

    def _rule(self, name: str) -> PartRule:
        return PartRule(
            field=FIELDS.get(name, name),
            greatest_age=self._rules.greatest_age["status" if name in MACHINES else name],
            ordered=name in MACHINES,
            maybe_doubled="update_note_maybe_doubled" if name == "note" else None,
        )

    def validate(
        self, raw: Mapping[str, object], *, flat: bool = False
    ) -> tuple[UpdateRequest | None, Errors]:
        return from_flat(raw) if flat else read_update(raw)

    def shown(self, part: str, value: Any) -> str | None:
        if part in MACHINES:
            return f"{part}.{value}"
        return value if part == NUMBER else None

    def takes_over(self, newer: Asks, older: Asks, part: str) -> str | None:
        """A newer tracking number replaces an unsent one; a cancel withdraws an unsent shipping. What the
        shop does not allow is parked with the actions that it allows: the one that is chosen takes its place.
        """
        if part not in newer.left:
            return None
        if part == NUMBER:
            return "update_replaced"
        if part not in MACHINES:
            return None
        cancels = part == "delivery" and newer.values[part] == "cancel"
        if cancels and older.values[part] in SHIPPING:
            return "update_withdrawn"
        return "update_superseded" if older.parked.get(part) == "update_illegal" else None

    def send(self, order_id: str, send: Send) -> None:
        self._client.update_order(body(order_id, send.values))

    # --- what is next -----------------------------------------------------------------------------

    def plan(
        self,
        asks: Asks,
        sendable: tuple[str, ...],
        known: Known,
        *,
        trust: bool,
        ours: Callable[[str], Collection[Any]],
    ) -> Ends | Send:
        if NUMBER in sendable and self._is_not_ours(asks, known, ours):
            after = asks.values[NUMBER]
            return Ends(NUMBER, "parked", "update_ttn_differs", known.tracking_number, after)
        values = {name: asks.values[name] for name in sendable}
        for name in MACHINES:
            if name not in sendable:
                continue
            way = self._way(name, asks.values[name], known, trust=trust)
            if way.refused is not None:
                return _illegal(name, way.refused.allowed)
            if way.done:
                return Ends(name, "sent", "update_nothing_to_do")
            if len(way.send) > 1:
                return Send({name: way.send[0]})
            values[name] = way.send[0]
        return Send(values, sendable)

    def _is_not_ours(
        self, asks: Asks, known: Known, ours: Callable[[str], Collection[Any]]
    ) -> bool:
        """Whether the shop has a tracking number that we did not send, and replacing was not asked."""
        theirs = known.tracking_number
        if asks.options.get("replace") or not theirs or theirs == asks.values[NUMBER]:
            return False
        return theirs not in ours(NUMBER)

    def _way(self, name: str, action: str, known: Known, *, trust: bool) -> statuses.Plan:
        """What the last poll saw is good enough to find a path, not to spare a call or refuse one."""
        state = known.states.get(name)
        # Who sends again what was parked, or in doubt, knows better than we do.
        certain = name in known.certain and trust
        guess = self._rules.planner == "plan" and state is not None
        of_state = statuses.Known(state, certain=certain or guess)
        way = statuses.plan(self._machine(name), of_state, action, self._rules.planner)
        return way if certain or way.send else statuses.Plan(send=(action,))

    def _machine(self, name: str) -> Machine:
        return self._rules.machines[name]

    # --- what answers teach -----------------------------------------------------------------------

    def learned(self, known: Known, send: Send) -> Known:
        """A success means that each action's goal is reached; of an action that is in no table, none."""
        for name in MACHINES:
            if name not in send.values:
                continue
            machine, action = self._machine(name), send.values[name]
            found = statuses.is_known_action(machine, action)
            reached = statuses.goal(machine, action) if found else None
            known = known.with_state(name, reached, certain=found)
        if NUMBER in send.completes:
            known = replace(known, tracking_number=send.values[NUMBER])
        return known

    def doubted(self, known: Known, send: Send | None = None) -> Known:
        doubtful = frozenset(MACHINES if send is None else send.values)
        return replace(known, certain=known.certain - doubtful, taught=known.taught - doubtful)

    def judged(
        self,
        refused: Rejected,
        asks: Asks,
        send: Send,
        known: Known,
        later: Sequence[Asks] = (),
    ) -> Judged[Known] | None:
        if isinstance(refused, NotFound):
            ends = tuple(Ends(part, "parked", "update_unknown_order") for part in asks.left)
            return Judged(known, ends)
        name = next((name for name in MACHINES if name in send.values), None)
        if not isinstance(refused, IllegalTransition) or name is None or len(send.completes) > 1:
            return None
        if self._went_further(name, refused, later):
            done = Ends(name, "sent", "update_nothing_to_do")
            return Judged(known.with_state(name, None, certain=False), (done,), "already_there")
        return self._illegal(name, refused, asks, send, known)

    def _went_further(self, name: str, refused: IllegalTransition, later: Sequence[Asks]) -> bool:
        """Whether the shop may stand where a later update leads that may have arrived too: then so did this
        one, and a ledger that went back has forgotten it. If the shop stands elsewhere, that later one is
        refused in its turn.
        """
        machine = self._machine(name)
        actions = (asks.values.get(name) for asks in later)
        goals = {
            statuses.goal(machine, a) for a in actions if a and statuses.is_known_action(machine, a)
        }
        return not goals.isdisjoint(statuses.states_with(machine, refused.possible))

    def _illegal(
        self, name: str, refused: IllegalTransition, asks: Asks, send: Send, known: Known
    ) -> Judged[Known]:
        """What we knew was wrong: learn from the answer, and see whether the goal is reached."""
        known = known.with_state(name, None, certain=False)
        machine, action = self._machine(name), asks.values[name]
        if action != send.values[name]:
            # A step of a plan that was made for another state: what was asked goes as it is.
            return Judged(known)
        if statuses.resolve(machine, action, None, refused.possible) == "already_there":
            known = known.with_state(name, statuses.goal(machine, action), certain=True)
            done = Ends(name, "sent", "update_nothing_to_do")
            return Judged(known, (done,), "already_there")
        return Judged(known, (_illegal(name, refused.possible),))

    # --- what is known ----------------------------------------------------------------------------

    def kept(self, known: Known) -> Mapping[str, Any]:
        """Certain is only what was taught now, or it would never grow old."""
        return {
            "states": dict(known.states),
            "certain": sorted(known.certain & known.taught),
            "tracking_number": known.tracking_number,
        }

    def first_known(
        self,
        stored: Mapping[str, Any] | None,
        stored_at: datetime | None,
        seen: tuple[str, datetime | None] | None,
        now: datetime,
    ) -> Known:
        """What our own calls taught us, unless the shop was seen to be otherwise since."""
        shop, seen_at = self._seen(seen)
        if stored is None or stored_at is None:
            return shop
        ours = Known(
            stored["states"],
            frozenset(stored["certain"]) if now - stored_at < CERTAIN_FOR else frozenset(),
            tracking_number=stored["tracking_number"],
        )
        return _merged(ours, stored_at, shop, seen_at or stored_at - 2 * SECOND)

    def _seen(self, seen: tuple[str, datetime | None] | None) -> tuple[Known, datetime | None]:
        """The order as the last poll saw it, and the shop's time of that: states, but no certain ones."""
        order = None if seen is None else self._read(seen[0])
        if seen is None or order is None:
            return Known(), None
        found = {"order": order.status, "delivery": order.delivery_status}
        number = (order.shipping.tracking_number or "")[:LONGEST_NUMBER] or None
        # A state that the machine's table does not have is none.
        states = {
            name: state for name, state in found.items() if state in self._machine(name).transitions
        }
        return Known(states, tracking_number=number), seen[1]


def _merged(ours: Known, known_at: datetime, shop: Known, seen_at: datetime) -> Known:
    """What counts where both know something: the later one, and what differs is not certain. What was seen
    at about the time of our call may be from before it.
    """
    later, about_then = seen_at > known_at, seen_at + SECOND > known_at
    states, certain = dict(ours.states), ours.certain
    for name, theirs in shop.states.items():
        if theirs == states.get(name):
            continue
        if later:
            states[name] = theirs
        if later or about_then:
            certain -= {name}
    first, second = (shop, ours) if later else (ours, shop)
    return Known(states, certain, tracking_number=first.tracking_number or second.tracking_number)


def _illegal(machine: str, allowed: tuple[str, ...]) -> Ends:
    detail = ", ".join(f"{machine}.{action}" for action in allowed)
    return Ends(machine, "parked", "update_illegal", detail=detail)
