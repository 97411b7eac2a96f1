"""What a call of the hook became is told with it, and acting on it again makes nothing twice."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from task_remotes import with_client
from test_tasks_listening import Box, create

from ledger import hook_listing, updates
from ledger.tables import HOOKS
from mapping.milestones import Stage
from tasks import accepting, judging, listening

BOX, SHOP = "onebox", "okliving"
OURS = {"externalid": "okl-1"}


@pytest.fixture(autouse=True)
def silent(monkeypatch):
    monkeypatch.setattr(listening, "ring_updates", lambda _: 1)
    for module in (listening, accepting):
        monkeypatch.setattr(module, "ring_hook", lambda _: 1)


@pytest.fixture
def clock(clock, r, monkeypatch):
    monkeypatch.setattr(r.ledger, "now", clock)
    return clock


@pytest.fixture
def box(r, clock):
    """The ledger knows the process, and the box says nothing of it."""
    found = Box()
    r.targets[BOX] = with_client(r.targets[BOX], found, r.profiles[SHOP])
    create(r, "1")
    return found


def call(r, **fields):
    hook_id = accepting.take_hook(r, BOX, fields)
    while (
        listening.act(r, hook_id) is None and hook_listing.find(r.ledger, hook_id).done_at is None
    ):
        pass
    return hook_listing.find(r.ledger, hook_id)


def replay(r, hook_id):
    hook_listing.replay(r.ledger, hook_id, r.ledger.now(), who="olena")
    listening.act(r, hook_id)
    if hook_listing.find(r.ledger, hook_id).done_at is None:
        listening.act(r, hook_id)
    return hook_listing.find(r.ledger, hook_id)


def codes(row):
    return [told["code"] for told in row.told]


def made(r):
    return [tuple(u.values.values()) for u in reversed(updates.listing(r.ledger, limit=1000))]


def add_row(r, stage, milestone):
    """Somebody completes the table of stages."""
    profile = r.profiles[SHOP]
    hook = profile.updates.hook
    rows = {**hook.stages, stage.casefold(): Stage(stage, milestone)}
    completed = replace(hook, stages=rows)
    r.profiles[SHOP] = replace(profile, updates=replace(profile.updates, hook=completed))


@pytest.mark.parametrize(
    ("fields", "outcome", "told"),
    [
        (OURS | {"status": "Done"}, "accepted", ["hook_update"]),
        (OURS | {"ttn": "{ttn}"}, "unfilled", ["hook_unfilled"]),
        (OURS | {"status": "Done", "ttn": "{ttn}"}, "unfilled", ["hook_unfilled", "hook_update"]),
        (OURS | {"comment": "Номер {ttn}"}, "unfilled", ["hook_unfilled"]),
        (OURS, "nothing_said", ["hook_says_nothing"]),
        (OURS | {"status": "Packed"}, "unknown_stage", ["hook_unknown_stage"]),
        (
            OURS | {"status": "Packed", "comment": "x"},
            "accepted",
            ["hook_unknown_stage", "hook_update"],
        ),
        (OURS | {"status": "Shipped", "ttn": "немає"}, "invalid", ["hook_update", "hook_refused"]),
        (OURS | {"comment": "x" * 2001}, "invalid", ["hook_refused"]),
        ({"externalid": "abc-1", "status": "Done"}, "not_ours", ["hook_not_ours"]),
        (
            {"externalid": "abc-1", "ttn": "{ttn}"},
            "not_ours",
            ["hook_unfilled", "hook_not_ours"],
        ),
        ({"orderid": "12345"}, "no_order", ["hook_process_unknown"]),
        ({"colour": "red"}, "no_order", ["hook_no_order"]),
        ({"externalid": "{externalid}"}, "unfilled", ["hook_unfilled", "hook_no_order"]),
        (
            {"externalid": "okl-999", "status": "Done"},
            "accepted",
            ["hook_update", "hook_order_unknown"],
        ),
    ],
)
def test_what_a_call_became_is_told_with_it(r, box, fields, outcome, told):
    row = call(r, **fields)
    assert (row.outcome, codes(row)) == (outcome, told)


def test_an_update_is_told_by_its_number_and_its_order(r, box):
    row = call(r, **OURS, status="Done")
    (update,) = updates.listing(r.ledger)
    assert (row.source, row.order_id, row.updates) == (SHOP, "1", [update.id])
    assert row.told[0]["detail"] == str(update.id)


def test_an_unknown_stage_names_those_that_have_a_row(r, box):
    (told,) = call(r, **OURS, status="Packed").told
    assert (told["before"], told["detail"]) == ("Packed", "In work, Shipped, Done, Refused")


def test_a_foreign_id_says_whose_prefixes_there_are(r, box):
    (told,) = call(r, externalid="abc-1").told
    assert (told["field"], told["before"], told["detail"]) == (
        "externalid",
        "abc-1",
        "okl- (okliving)",
    )


def test_an_unfilled_number_takes_no_status_down_with_it_and_reaches_no_customer(r, box):
    call(r, **OURS, status="Shipped", ttn="{ttn}", comment="Ваш номер {ttn}")
    assert made(r) == [("ship",)]


def test_a_number_that_came_with_a_stage_of_no_row_goes_when_it_comes_alone_and_once(r, box, clock):
    call(r, **OURS, status="Packed", ttn="20450000000001")
    clock.go(600)
    assert call(r, **OURS, ttn="20450000000001").outcome == "accepted"
    clock.go(600)
    assert call(r, **OURS, ttn="20450000000001").outcome == "nothing_new"
    assert made(r) == [("20450000000001",)]


def test_what_was_known_and_what_is_repeated_say_so(r, box, clock):
    first = call(r, **OURS, status="Done", comment="x")
    again = call(r, **OURS, status="Done", comment="x")
    assert (again.outcome, codes(again)) == ("repeated", ["hook_repeated"])
    assert again.told[0]["detail"] == str(first.id)
    clock.go(30)
    later = call(r, **OURS, statusname="Done", comment="x")
    assert (later.outcome, codes(later)) == (
        "nothing_new",
        ["hook_nothing_new", "hook_note_repeated"],
    )
    assert made(r) == [("complete",), ("x",)]


def test_what_was_read_behind_a_call_is_told_with_it(r, box):
    box.row = {"statusid": "74"}
    row = call(r, **OURS)
    assert (row.outcome, codes(row)) == ("accepted", ["hook_says_nothing", "hook_read_update"])
    assert row.updates == [updates.listing(r.ledger)[0].id]


# --- once more ----------------------------------------------------------------------------------------


STAGES = ("In work", "Shipped", "Done", "Refused", "Packed", None)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    said=st.lists(
        st.tuples(
            st.sampled_from(STAGES),
            st.sampled_from([None, "20450000000001", "20450000000002", "{ttn}"]),
            st.sampled_from([None, "hello", "bye"]),
        ),
        min_size=1,
        max_size=4,
    ),
    turns=st.lists(st.permutations(range(4)), min_size=2, max_size=2),
)
def test_a_replay_makes_nothing_twice_whatever_was_said_and_in_which_order(
    r, box, clock, said, turns
):
    number = str(clock.now.timestamp()).replace(".", "")  # an order of its own for each example
    create(r, number)
    clock.go(1)
    ids = []
    for stage, ttn, comment in said:
        fields = {"statusname": stage, "ttn": ttn, "comment": comment}
        told = {name: value for name, value in fields.items() if value}
        ids.append(call(r, externalid=f"okl-{number}", **told).id)
        clock.go(3600)
    before = made(r)
    for turn in turns:
        for place in turn:
            if place < len(ids):
                replay(r, ids[place])
                clock.go(60)
    assert made(r) == before


def test_a_replay_sends_what_the_mended_table_says_and_once(r, box, clock):
    row = call(r, **OURS, status="Packed")
    add_row(r, "Packed", "processing")
    clock.go(600)
    first, second = replay(r, row.id), replay(r, row.id)
    assert made(r) == [("process",)]
    assert (first.outcome, codes(first)) == ("accepted", ["hook_update"])
    assert (second.outcome, codes(second)) == ("accepted", ["hook_known"])
    assert first.updates == second.updates


NUMBER = "20450000000001"


@pytest.mark.parametrize(
    ("first", "before", "since", "more"),
    [
        ({"status": "Packed"}, [], [{"status": "Packed", "ttn": NUMBER}], []),
        (
            {"status": "Packed"},
            [],
            [{"status": "Packed", "ttn": NUMBER}, {"ttn": NUMBER[::-1]}],
            [],
        ),
        ({"status": "Packed"}, [{"status": "Done"}], [{"status": "Packed"}], []),
        ({"status": "Packed", "ttn": NUMBER}, [{"ttn": NUMBER}], [], [("process",)]),
        ({"status": "Packed"}, [{"ttn": NUMBER}], [], [("process",)]),
    ],
)
def test_a_replay_asks_for_nothing_that_a_later_change_asked_for(
    r, box, clock, first, before, since, more
):
    """`before` and `since` the table was completed by what the first call said."""
    row = call(r, **OURS, **first)
    for said in before:
        clock.go(600)
        call(r, **OURS, **said)
    add_row(r, "Packed", "processing")
    for said in since:
        clock.go(600)
        call(r, **OURS, **said)
    clock.go(600)
    asked = made(r)
    first, second = replay(r, row.id), replay(r, row.id)
    assert made(r) == [*asked, *more]
    assert codes(second) == ["hook_known"]
    assert first.updates == second.updates


def test_a_replay_of_what_is_past_sends_nothing(r, box, clock):
    row = call(r, **OURS, status="Packed")
    call(r, **OURS, status="Done")
    add_row(r, "Packed", "processing")
    again = replay(r, row.id)
    assert made(r) == [("complete",)]
    assert (again.outcome, codes(again)) == ("superseded", ["hook_superseded"])


def test_a_replay_of_a_call_that_was_foreign_is_heard_unless_something_newer_was(r, box, clock):
    early = call(r, externalid="x-1", status="In work")
    profile = r.profiles[SHOP]
    hook = replace(profile.updates.hook, prefix="x-")
    r.profiles[SHOP] = replace(
        profile, external_id_prefix="x-", updates=replace(profile.updates, hook=hook)
    )
    clock.go(60)
    late = call(r, externalid="x-1", status="Done")
    again = replay(r, early.id)
    assert (again.outcome, made(r)) == ("superseded", [("complete",)])
    assert replay(r, late.id).outcome == "accepted"
    assert made(r) == [("complete",)]


def test_a_call_of_nobody_takes_no_other_along_when_its_order_is_known(r, box):
    """Two calls that named no order that there was: each is acted on for itself."""
    ids = [
        accepting.take_hook(r, BOX, {"orderid": "91", "comment": "for 1"}),
        accepting.take_hook(r, BOX, {"colour": "red", "comment": "for nobody"}),
    ]
    for hook_id in (*ids, *ids):
        listening.act(r, hook_id)
    assert made(r) == [("for 1",)]


def test_calls_kept_under_one_name_that_are_of_two_orders_are_told_apart(r, box):
    """An order's own number meant another order when the call came in."""
    create(r, "2")
    ids = [
        accepting.take_hook(r, BOX, {"externalid": "okl-1", "comment": "for 1"}),
        accepting.take_hook(r, BOX, {"order_id": "2", "comment": "for 2"}),
        accepting.take_hook(r, BOX, {"externalid": "okl-1", "comment": "for 1 again"}),
    ]
    under_one = HOOKS.update().values(process="okl-1")
    r.ledger.write(lambda db: db.execute(under_one))
    for hook_id in ids * 2:
        listening.act(r, hook_id)
    notes = {(row.order_id, row.values["note"]) for row in updates.listing(r.ledger)}
    assert notes == {("1", "for 1"), ("2", "for 2"), ("1", "for 1 again")}


def test_a_replay_that_the_box_confirms_is_not_past_and_one_thing_with_what_was_read(r, box, clock):
    row = call(r, **OURS, status="Shipped")
    call(r, **OURS, status="Done")
    box.row = {"statusid": "73", "customorder_ttn": "20450000000009"}
    assert replay(r, row.id).outcome == "accepted"
    assert made(r) == [("ship",), ("complete",), ("20450000000009", "ship")]
    replay(r, row.id)
    assert len(made(r)) == 3


# --- before it is acted on ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "codes_told", "parts"),
    [
        (OURS | {"status": "Done"}, [], {"order": "complete"}),
        (OURS | {"statusid": "73"}, ["hook_stage_by_id"], None),
        (OURS | {"status": "Packed"}, ["hook_unknown_stage"], None),
        (OURS | {"ttn": "{ttn}"}, ["hook_unfilled"], None),
        (OURS | {"ttn": "немає"}, ["hook_refused"], None),
        ({"externalid": "okl-9", "status": "Done"}, ["hook_order_unknown"], {"order": "complete"}),
        ({"externalid": "abc-9"}, ["hook_not_ours"], None),
        ({"orderid": "91", "status": "Done"}, [], {"order": "complete"}),
        ({}, ["hook_no_order"], None),
    ],
)
def test_a_trial_says_what_a_call_would_become_and_keeps_and_asks_nothing(
    r, box, fields, codes_told, parts
):
    judged = judging.judge(r, BOX, fields)
    assert ([found.code for found in judged.findings], judged.parts) == (codes_told, parts)
    assert (made(r), box.reads) == ([], [])
    assert hook_listing.listing(r.ledger, limit=9) == []


@pytest.mark.parametrize(
    "fields",
    [
        OURS | {"status": status} | ttn
        for status in ("In work", "Shipped", "Done", "Packed")
        for ttn in ({}, {"ttn": "20450000000000"}, {"ttn": "{ttn}"})
    ],
)
def test_a_trial_says_what_the_call_then_becomes(r, box, fields):
    judged = judging.judge(r, BOX, fields)
    call(r, **fields)
    assert made(r) == ([tuple(judged.parts.values())] if judged.parts else [])
