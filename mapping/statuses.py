"""The shop's state machines, as data: what an action does from a state, and which to send.

A shop that edited its machines is written into the profile, not here; the tables here are what a
profile without its own has. Everything is pure: what is known of an order is passed in.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

__all__ = [
    "ACTIONS",
    "MACHINES",
    "PLANNERS",
    "Illegal",
    "Known",
    "Machine",
    "MachineError",
    "Move",
    "Moves",
    "NoOp",
    "Plan",
    "Planner",
    "actions",
    "after",
    "compile_machine",
    "goal",
    "is_known_action",
    "plan",
    "read_machines",
    "resolve",
    "states_on_the_way",
    "states_with",
]

SAME = "same"
Planner = Literal["off", "check", "plan"]
PLANNERS: tuple[str, ...] = get_args(Planner)

# The enums of update-order. Source: docs/contracts/okliving.md, "Statuses are actions on two state machines".
ACTIONS: Mapping[str, tuple[str, ...]] = {
    "order": ("reopen", "process", "cancel", "complete"),
    "delivery": ("reopen", "ship", "ship_partially", "cancel", "retour", "retour_partially"),
}


class MachineError(ValueError):
    """A table is no state machine; the message names the state and the action."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One state machine: from each state, where each action leads, `same` for nowhere.

    An action that a state does not list is illegal there.
    """

    name: str
    start: str
    transitions: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class NoOp:
    """The action is legal and changes nothing: the order stands there already."""


@dataclass(frozen=True, slots=True)
class Moves:
    """The action leads to another state."""

    to: str


@dataclass(frozen=True, slots=True)
class Illegal:
    """The shop will refuse the action; `allowed` are the actions that move from here."""

    allowed: tuple[str, ...]


Move = NoOp | Moves | Illegal


@dataclass(frozen=True, slots=True)
class Known:
    """What we know of a state: None is nothing.

    `certain` when the shop itself told it and no call of ours without an answer came after.
    """

    state: str | None = None
    certain: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do for a wanted action.

    Either these actions are sent, in this order; or it is `done` without a call; or it is
    refused, with the actions that would be allowed.
    """

    send: tuple[str, ...] = ()
    done: bool = False
    refused: Illegal | None = None


def compile_machine(name: str, start: str, states: Mapping[str, Mapping[str, str]]) -> Machine:
    """Build a machine from a profile's table.

    Raises MachineError when a state is not in the table, when the shop's API has no such action,
    or when an action leads to two states: then nobody could say what it is meant to reach.
    """
    for state in (start, *(to for row in states.values() for to in row.values() if to != SAME)):
        if state not in states:
            raise MachineError(f"{name}: the table has no state {state!r}")
    for action in {action for row in states.values() for action in row}:
        if action not in ACTIONS[name]:
            raise MachineError(f"{name}: the shop has no action {action!r}")
        goals = {state if to == SAME else to for state, to in _uses(states, action)}
        if len(goals) > 1:
            raise MachineError(f"{name}: {action!r} leads to {' and to '.join(sorted(goals))}")
    return Machine(name, start, {state: dict(row) for state, row in states.items()})


def _uses(states: Mapping[str, Mapping[str, str]], action: str) -> list[tuple[str, str]]:
    return [(state, row[action]) for state, row in states.items() if action in row]


# Source: docs/contracts/okliving.md, "Statuses are actions on two state machines".
MACHINES: Mapping[str, Machine] = {
    "order": compile_machine(
        "order",
        "open",
        {
            "open": {"process": "in_progress", "cancel": "cancelled", "reopen": SAME},
            "in_progress": {"process": SAME, "complete": "completed", "cancel": "cancelled"},
            "completed": {"complete": SAME, "reopen": "open"},
            "cancelled": {"cancel": SAME, "reopen": "open"},
        },
    ),
    "delivery": compile_machine(
        "delivery",
        "open",
        {
            "open": {
                "ship": "shipped",
                "ship_partially": "shipped_partially",
                "cancel": "cancelled",
                "reopen": SAME,
            },
            "shipped": {
                "ship": SAME,
                "cancel": "cancelled",
                "retour": "returned",
                "retour_partially": "returned_partially",
                "reopen": "open",
            },
            "shipped_partially": {
                "ship": "shipped",
                "ship_partially": SAME,
                "cancel": "cancelled",
                "retour": "returned",
                "retour_partially": "returned_partially",
                "reopen": "open",
            },
            "returned": {"retour": SAME, "reopen": "open"},
            "returned_partially": {
                "retour": "returned",
                "retour_partially": SAME,
                "reopen": "open",
            },
            "cancelled": {"cancel": SAME, "reopen": "open"},
        },
    ),
}


def actions(machine: Machine) -> tuple[str, ...]:
    """Give the actions that this machine's table uses, in the order of the shop's enum."""
    used = {action for row in machine.transitions.values() for action in row}
    return tuple(action for action in ACTIONS[machine.name] if action in used)


def is_known_action(machine: Machine, action: str) -> bool:
    """Tell whether the machine's table uses the action."""
    return action in actions(machine)


def goal(machine: Machine, action: str) -> str:
    """Give the one state the action leads to, from wherever it is legal.

    Raises KeyError for an action that the table does not use.
    """
    for state, to in _uses(machine.transitions, action):
        return state if to == SAME else to
    raise KeyError(action)


def after(machine: Machine, state: str, action: str) -> Move:
    """Tell what the action does from the state.

    Raises KeyError for a state that the table does not have.
    """
    row = machine.transitions[state]
    to = row.get(action)
    if to is None:
        return Illegal(_moving(state, row))
    return NoOp() if to in (SAME, state) else Moves(to)


def _moving(state: str, row: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(action for action, to in row.items() if to not in (SAME, state))


def plan(machine: Machine, known: Known, wanted_action: str, mode: Planner) -> Plan:
    """Decide what to send for a wanted action; nothing fails. Called before each update is sent.

    `off` sends what was asked. `check` refuses what is certainly illegal, and calls nothing for
    what is certainly reached. `plan` goes to where the wanted action leads by the shortest legal
    way; a way through `reopen` is legal too. What is not certain, or not in the table, is sent
    as asked: a path from a wrong guess would make real moves, each with mail to the customer,
    while a wrong action is refused. Source: docs/contracts/okliving.md, "Statuses are actions on two state
    machines".
    """
    asked = Plan(send=(wanted_action,))
    state = known.state if known.certain else None
    if mode == "off" or state is None or state not in machine.transitions:
        return asked
    wanted = goal(machine, wanted_action) if is_known_action(machine, wanted_action) else None
    if state == wanted:
        return Plan(done=True)
    move = after(machine, state, wanted_action)
    if not isinstance(move, Illegal):
        return asked
    path = _shortest(machine, state, wanted) if mode == "plan" else None
    return Plan(refused=move) if path is None else Plan(send=path)


def _shortest(machine: Machine, start: str, wanted: str | None) -> tuple[str, ...] | None:
    """Search breadth first; of equally short paths the table's order decides."""
    seen = {start}
    waiting: deque[tuple[str, tuple[str, ...]]] = deque([(start, ())])
    while waiting:
        state, path = waiting.popleft()
        if state == wanted:
            return path
        for action, to in machine.transitions[state].items():
            if to != SAME and to not in seen:
                seen.add(to)
                waiting.append((to, (*path, action)))
    return None


def states_on_the_way(machine: Machine, start: str, action: str, mode: Planner) -> tuple[str, ...]:
    """Give the state to which a known action leads, and where steps are planned those between."""
    sent = plan(machine, Known(start, certain=True), action, mode).send
    return tuple(goal(machine, step) for step in (*sent, action))


def resolve(
    machine: Machine, action: str, state_now: str | None, possible: tuple[str, ...]
) -> Literal["already_there", "refused"]:
    """Say what an illegal-transition answer means; nothing fails.

    In: the state as read again after the answer, or None, and the actions that the answer called
    possible; with or without those that change nothing. If they fit one state alone, it is that.
    """
    if state_now not in machine.transitions:
        fitting = states_with(machine, possible)
        state_now = fitting[0] if len(fitting) == 1 else None
    if state_now is None or not is_known_action(machine, action):
        return "refused"
    return "already_there" if state_now == goal(machine, action) else "refused"


def states_with(machine: Machine, possible: tuple[str, ...]) -> list[str]:
    """The states from which just these actions are possible, with or without those that change nothing."""
    return [s for s, row in machine.transitions.items() if _fits(s, row, set(possible))]


def _fits(state: str, row: Mapping[str, str], possible: set[str]) -> bool:
    return possible in (set(row), set(_moving(state, row)))


def read_machines(tables: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Machine]:
    """Give the machines of a profile: its own tables, the contract's where it has none.

    Raises MachineError, see compile_machine.
    """
    return {
        name: compile_machine(name, tables[name]["start"], tables[name]["states"])
        if name in tables
        else default
        for name, default in MACHINES.items()
    }
