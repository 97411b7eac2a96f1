"""The shop's machines are the contract's, and what is planned on them is legal, shortest, certain."""

import itertools
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping.statuses import (
    ACTIONS,
    MACHINES,
    Illegal,
    Known,
    MachineError,
    Moves,
    NoOp,
    Plan,
    actions,
    after,
    compile_machine,
    goal,
    is_known_action,
    plan,
    resolve,
)

# Copied from docs/contracts/okliving.md, "Statuses are actions on two state machines", to the letter.
ORDER = """
| from \\ action | process | complete | cancel | reopen |
|---|---|---|---|---|
| open | in_progress | illegal | cancelled | no-op |
| in_progress | no-op | completed | cancelled | illegal |
| completed | illegal | no-op | illegal | open |
| cancelled | illegal | illegal | no-op | open |
"""
DELIVERY = """
| from \\ action | ship | ship_partially | cancel | retour | retour_partially | reopen |
|---|---|---|---|---|---|---|
| open | shipped | shipped_partially | cancelled | illegal | illegal | no-op |
| shipped | no-op | illegal | cancelled | returned | returned_partially | open |
| shipped_partially | shipped | no-op | cancelled | returned | returned_partially | open |
| returned | illegal | illegal | illegal | no-op | illegal | open |
| returned_partially | illegal | illegal | illegal | returned | no-op | open |
| cancelled | illegal | illegal | no-op | illegal | illegal | open |
"""


def cells(table):
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in table.strip().splitlines()]
    header = rows[0][1:]
    return [(row[0], a, c) for row in rows[2:] for a, c in zip(header, row[1:], strict=True)]


TABLES = {"order": cells(ORDER), "delivery": cells(DELIVERY)}
CELLS = [(name, *cell) for name, table in TABLES.items() for cell in table]
order, delivery = MACHINES["order"], MACHINES["delivery"]
# Every machine, state, wanted action: 16 + 36, so that laws are tried on all of them.
SPOTS = [
    (machine, state, action)
    for machine in MACHINES.values()
    for state in machine.transitions
    for action in actions(machine)
]


def ways(machine, start, path):
    """The states on the way, or None when a step is illegal or moves nothing."""
    states = [start]
    for action in path:
        move = after(machine, states[-1], action)
        if not isinstance(move, Moves):
            return None
        states.append(move.to)
    return states


# The tables


@pytest.mark.parametrize(("name", "state", "action", "cell"), CELLS)
def test_the_machines_are_the_contracts_tables(name, state, action, cell):
    move = after(MACHINES[name], state, action)
    if cell == "illegal":
        assert isinstance(move, Illegal)
    else:
        assert move == (NoOp() if cell == "no-op" else Moves(cell))


@pytest.mark.parametrize("name", MACHINES)
def test_the_machines_have_nothing_beside_the_contracts_tables(name):
    machine = MACHINES[name]
    assert (machine.name, machine.start) == (name, "open")
    assert set(machine.transitions) == {state for state, _, _ in TABLES[name]}
    assert set(actions(machine)) == {action for _, action, _ in TABLES[name]} == set(ACTIONS[name])


def test_the_shipped_profile_has_these_tables_and_checks(profile):
    assert profile.updates.machines == MACHINES
    assert profile.updates.planner == "check"


def test_the_actions_are_the_source_texts_enums():
    assert ACTIONS["order"] == ("reopen", "process", "cancel", "complete")
    assert ACTIONS["delivery"] == (
        "reopen",
        "ship",
        "ship_partially",
        "cancel",
        "retour",
        "retour_partially",
    )


@pytest.mark.parametrize(
    ("machine", "action", "state"),
    [
        (order, "process", "in_progress"),
        (order, "complete", "completed"),
        (order, "cancel", "cancelled"),
        (order, "reopen", "open"),
        (delivery, "ship", "shipped"),
        (delivery, "ship_partially", "shipped_partially"),
        (delivery, "cancel", "cancelled"),
        (delivery, "retour", "returned"),
        (delivery, "retour_partially", "returned_partially"),
        (delivery, "reopen", "open"),
    ],
)
def test_an_action_has_one_goal(machine, action, state):
    assert goal(machine, action) == state


def test_an_illegal_action_says_which_would_move():
    assert after(order, "open", "complete") == Illegal(("process", "cancel"))
    assert after(delivery, "returned", "ship") == Illegal(("reopen",))


def test_unknown_actions_and_states_are_told():
    assert is_known_action(order, "process")
    assert not is_known_action(order, "ship")
    with pytest.raises(KeyError):
        goal(order, "ship")
    with pytest.raises(KeyError):
        after(order, "pending", "process")


@pytest.mark.parametrize(
    ("start", "states", "told"),
    [
        ("new", {"open": {}}, "'new'"),
        ("open", {"open": {"process": "nowhere"}}, "'nowhere'"),
        ("open", {"open": {"ship": "same"}}, "'ship'"),
        ("open", {"open": {"process": "b"}, "b": {"process": "open"}}, "to b and to open"),
        ("open", {"open": {"process": "b"}, "b": {}, "c": {"process": "same"}}, "to b and to c"),
    ],
)
def test_a_table_that_is_no_machine_is_refused(start, states, told):
    with pytest.raises(MachineError, match=told):
        compile_machine("order", start, states)


# The planner

CERTAIN_OPEN = Known("open", certain=True)
REFUSED = Plan(refused=Illegal(("process", "cancel")))


@pytest.mark.parametrize(
    ("known", "action", "mode", "planned"),
    [
        (CERTAIN_OPEN, "complete", "off", Plan(("complete",))),
        (CERTAIN_OPEN, "complete", "check", REFUSED),
        (CERTAIN_OPEN, "complete", "plan", Plan(("process", "complete"))),
        (CERTAIN_OPEN, "process", "check", Plan(("process",))),
        (CERTAIN_OPEN, "process", "plan", Plan(("process",))),
        (CERTAIN_OPEN, "reopen", "check", Plan(done=True)),
        (CERTAIN_OPEN, "reopen", "plan", Plan(done=True)),
        (CERTAIN_OPEN, "reopen", "off", Plan(("reopen",))),
        (Known("open"), "complete", "check", Plan(("complete",))),
        (Known("open"), "complete", "plan", Plan(("complete",))),
        (Known("open"), "reopen", "check", Plan(("reopen",))),
        (Known(), "complete", "plan", Plan(("complete",))),
        (Known("pending", certain=True), "complete", "check", Plan(("complete",))),
        (Known(None, certain=True), "complete", "plan", Plan(("complete",))),
        (Known("cancelled", certain=True), "process", "plan", Plan(("reopen", "process"))),
    ],
)
def test_the_planner(known, action, mode, planned):
    assert plan(order, known, action, mode) == planned


@pytest.mark.parametrize("mode", ["check", "plan"])
def test_an_action_that_an_edited_table_dropped_is_refused_where_the_state_is_certain(mode):
    states = {"open": {"process": "in_progress"}, "in_progress": {}}
    edited = compile_machine("order", "open", states)
    assert plan(edited, CERTAIN_OPEN, "cancel", mode) == Plan(refused=Illegal(("process",)))
    assert plan(edited, Known("open"), "cancel", mode) == Plan(("cancel",))


def test_plan_refuses_what_no_way_leads_to():
    states = {"open": {"cancel": "cancelled"}, "cancelled": {}, "b": {"process": "c"}, "c": {}}
    edited = compile_machine("order", "open", states)
    assert plan(edited, CERTAIN_OPEN, "process", "plan").refused == Illegal(("cancel",))


@pytest.mark.parametrize(("machine", "state", "action"), SPOTS)
def test_a_planned_way_is_legal_ends_in_the_goal_and_none_is_shorter(machine, state, action):
    planned = plan(machine, Known(state, certain=True), action, "plan")
    if planned.done:
        assert state == goal(machine, action)
        return
    states = ways(machine, state, planned.send)
    assert states is not None
    assert states[-1] == goal(machine, action)
    shorter = (
        path
        for length in range(len(planned.send))
        for path in itertools.product(actions(machine), repeat=length)
    )
    assert not [p for p in shorter if (ways(machine, state, p) or [None])[-1] == states[-1]]


@pytest.mark.parametrize(("machine", "state", "action"), SPOTS)
def test_check_refuses_exactly_what_is_illegal_and_sends_nothing_but_what_was_asked(
    machine, state, action
):
    planned = plan(machine, Known(state, certain=True), action, "check")
    move = after(machine, state, action)
    assert (
        planned
        == {
            NoOp: Plan(done=True),
            Moves: Plan((action,)),
            Illegal: Plan(refused=move),
        }[type(move)]
    )


@given(
    st.sampled_from(SPOTS),
    st.sampled_from(["off", "check", "plan"]),
    st.sampled_from([None, "pending", ""]),
)
def test_what_is_not_certain_is_sent_as_asked(spot, mode, strange):
    machine, state, action = spot
    for known in (Known(state), Known(strange), Known(strange, certain=True)):
        assert plan(machine, known, action, mode) == Plan((action,))


@st.composite
def machines(draw):
    """Any machine with one goal for each action: a shop may have edited its own."""
    states = draw(st.lists(st.sampled_from("abcdef"), min_size=1, unique=True))
    goals = {a: draw(st.sampled_from(states)) for a in ACTIONS["delivery"]}
    table: Mapping[str, Mapping[str, str]] = {
        state: {
            action: "same" if to == state else to
            for action, to in goals.items()
            if draw(st.booleans())
        }
        for state in states
    }
    return compile_machine("delivery", states[0], table)


@given(machines(), st.sampled_from(ACTIONS["delivery"]))
def test_on_any_machine_a_plan_is_legal_or_refused(machine, action):
    for state in machine.transitions:
        planned = plan(machine, Known(state, certain=True), action, "plan")
        if planned.send:
            assert ways(machine, state, planned.send)[-1] == goal(machine, action)
        else:
            assert planned.done or planned.refused == after(machine, state, action)


# After an illegal-transition answer


@pytest.mark.parametrize(
    ("action", "state", "possible", "verdict"),
    [
        ("ship", "shipped", (), "already_there"),
        ("ship", "cancelled", (), "refused"),
        ("ship", None, ("cancel", "retour", "retour_partially", "reopen"), "already_there"),
        ("ship", None, ("reopen", "retour_partially", "retour", "cancel", "ship"), "refused"),
        # Of returned_partially what moves, of returned all that is legal: no telling.
        ("retour_partially", None, ("retour", "reopen"), "refused"),
        ("cancel", None, ("reopen",), "refused"),  # returned as well as cancelled
        ("cancel", None, ("cancel", "reopen"), "already_there"),  # with what moves nothing
        ("ship", None, (), "refused"),
        ("ship", None, ("no_such_action",), "refused"),
        ("ship", "pending", ("cancel", "retour", "retour_partially", "reopen"), "already_there"),
        ("no_such_action", "shipped", (), "refused"),
    ],
)
def test_what_an_illegal_transition_answer_means(action, state, possible, verdict):
    assert resolve(delivery, action, state, possible) == verdict


@pytest.mark.parametrize(("machine", "state", "action"), SPOTS)
def test_a_verdict_without_the_state_never_says_more_than_one_with_it(machine, state, action):
    move = after(machine, state, action)
    if isinstance(move, Illegal):
        assert resolve(machine, action, None, move.allowed) == "refused"
        assert resolve(machine, action, state, ()) == "refused"
