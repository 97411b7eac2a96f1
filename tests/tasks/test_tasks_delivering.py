"""One drain of one order's queue: what is sent, parked or dropped, and what each answer makes of it."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from mapped_as import mapped_as

from clients import errors
from clients.errors import IllegalTransition, NotFound, Rejected, StoreUnavailable
from clients.limits import Rate, Slots
from connectors import okliving
from ledger import attempts, connections, enqueueing, orders, queues, tides, updates, waking
from ledger.enqueueing import Asked
from ledger.orders import Arrived, NotPossible
from ledger.tides import Bounds
from ledger.updates import Due
from mapping.updates import PARTS
from simulator.samples import reference_order
from simulator.shop import next_state
from tasks import accepting, delivering, draining, gate, queue_lease
from tasks.gate import SUSPECTS

SHOP = "okliving"
DUE = Due(SHOP, "1")
WAIT = 120.0
LEASE = 70.0


class FakeShop:
    """A shop client that plays its script, one entry for each call; then it takes everything."""

    def __init__(self):
        self.sent = []
        self.script = []

    def update_order(self, body):
        self.sent.append({name: value for name, value in body.items() if name != "id"})
        step = self.script.pop(0) if self.script else None
        if callable(step):
            step = step()
        if isinstance(step, Exception):
            raise step


class StatefulShop(FakeShop):
    """One that keeps the order's states, and refuses as the real one does, all or nothing."""

    def __init__(self):
        super().__init__()
        self.states = {"order": "open", "delivery": "open"}

    def update_order(self, body):
        super().update_order(body)
        after = {}
        for name, action in body.get("statuses", {}).items():
            try:
                after[name] = next_state(name, self.states[name], action)
            except Exception as exc:
                raise illegal(*_possible(exc)) from exc
        self.states |= after


def _possible(refused):
    said = json.loads(refused.answer.body)
    return said["errors"][0]["meta"]["parameters"]["possibleTransitions"]


def illegal(*possible):
    return IllegalTransition("illegal", status=400, excerpt="illegal", possible=possible)


@pytest.fixture
def with_shop(make, clock, store):
    """Builds resources whose shop is played; `planner` as the profile would have it."""

    def build(planner="check", shop=None, **changes):
        built = make(mode=changes.pop("mode", "live"), uncertain_wait=WAIT, **changes)
        profile = built.profiles[SHOP]
        source = profile.source
        source = replace(source, updates=replace(source.updates, planner=planner))
        profile = replace(profile, source=source)
        client = shop or FakeShop()
        source = replace(
            built.sources[SHOP],
            connector=okliving.join(client, profile.source, "okl-"),
            slots=Slots(store, SHOP, 2, LEASE),
            rate=Rate(store, SHOP, 0),
        )
        assert source.settings.lease == LEASE
        return replace(built, sources={SHOP: source}, profiles={SHOP: profile})

    return build


@pytest.fixture
def r(with_shop):
    return with_shop()


def ask(r, *, order_id="1", **parts):
    """Accept an update now; its key."""
    meant = {name: parts[name] for name in PARTS if name in parts}
    options = {"replace": True} if parts.get("replace") else {}
    digest = f"{sorted(parts.items())}"[:60]
    asked = Asked(SHOP, order_id, digest, "test", meant, options=options)
    return enqueueing.accept(r.ledger, asked, r.ledger.now()).id


def drain(r):
    return delivering.deliver(r, DUE, "task-1")


def shop(r):
    return r.sources[SHOP].connector.client


def row(r, update_id):
    return updates.find(r.ledger, update_id)


def state(r, update_id):
    found = row(r, update_id)
    return found.state, found.reason


def codes(r, update_id):
    return [fate.get("code") for fate in row(r, update_id).fates]


def outcomes(r, update_id):
    return [(call.parts, call.outcome) for call in attempts.of_update(r.ledger, update_id)]


def see(r, *, at, ttn=None, **states):
    """Put the order into the ledger as a poll saw it at that moment of the shop."""
    raw = reference_order(id="1", **states)
    raw["shipping"]["tracking_number"] = ttn
    arrived = Arrived("1", "okl-1", json.dumps(raw), f"{hash(str(raw)):x}"[:32], at)
    orders.store(r.ledger, SHOP, "onebox", [arrived], r.ledger.now(), mapped_as())


def statuses(r):
    return [body.get("statuses") for body in shop(r).sent]


# --- the plain way ----------------------------------------------------------------------------------


def test_updates_go_in_the_order_of_acceptance(r):
    ids = [ask(r, note=f"note {n}") for n in range(20)]
    assert drain(r).wait is None
    assert shop(r).sent == [{"note": f"note {n}"} for n in range(20)]
    assert {state(r, i) for i in ids} == {("sent", "")}


def test_a_drained_queue_has_nothing_left_to_drain(r):
    ask(r, note="n")
    drain(r)
    drain(r)
    assert len(shop(r).sent) == 1
    assert queues.due(r.ledger, SHOP, r.ledger.now(), 10) == []


def test_all_parts_of_one_update_go_in_one_call(r):
    update = ask(
        r,
        tracking_number="20450000000001",
        order="process",
        delivery="ship",
        note="n",
    )
    drain(r)
    assert shop(r).sent == [
        {
            "tracking_number": "20450000000001",
            "statuses": {"delivery": "ship", "order": "process"},
            "note": "n",
        }
    ]
    assert outcomes(r, update) == [("tracking_number,order,delivery,note", "sent")]


def test_what_came_in_during_the_drain_is_rung_for(r):
    ask(r, note="first")
    shop(r).script = [lambda: ask(r, note="second") and None]
    assert drain(r).wait == 0.0
    drain(r)
    assert [body["note"] for body in shop(r).sent] == ["first", "second"]


def test_one_drain_at_a_time(r):
    ask(r, note="n")
    shop(r).script = [lambda: drain(r) and None]
    drain(r)
    assert len(shop(r).sent) == 1


@pytest.mark.parametrize("mode", ["shadow"])
def test_shadow_mode_sends_nothing_and_keeps_all(with_shop, mode):
    r = with_shop(mode=mode)
    update = ask(r, note="n")
    assert drain(r).wait is None
    assert (shop(r).sent, state(r, update)) == ([], ("queued", ""))


# --- what a later update does to an earlier one ----------------------------------------------------


def test_a_newer_tracking_number_replaces_an_unsent_one(r):
    old = ask(r, tracking_number="20450000000001", note="kept")
    new = ask(r, tracking_number="20450000000002")
    drain(r)
    assert shop(r).sent == [{"note": "kept"}, {"tracking_number": "20450000000002"}]
    assert (state(r, old)[0], state(r, new)[0]) == ("sent", "sent")
    assert codes(r, old)[0] == "update_replaced"


def test_an_update_whose_every_part_was_taken_over_is_withdrawn(r):
    old = ask(r, tracking_number="20450000000001")
    ask(r, tracking_number="20450000000002")
    drain(r)
    assert state(r, old)[0] == "withdrawn"


@pytest.mark.parametrize("ship", ["ship", "ship_partially"])
def test_a_cancel_withdraws_an_unsent_ship(r, ship):
    shipped = ask(r, delivery=ship)
    ask(r, delivery="cancel")
    drain(r)
    assert statuses(r) == [{"delivery": "cancel"}]
    assert state(r, shipped)[0] == "withdrawn"


def test_a_cancel_withdraws_a_ship_that_waits_for_a_person(r):
    """Else it would wait behind it, and the parcel of a refused order would still be asked for."""
    shop(r).script = [illegal("reopen"), illegal("reopen")]
    shipped = ask(r, delivery="ship", note="on its way")
    drain(r)
    assert state(r, shipped)[0] == "parked"
    cancelled = ask(r, delivery="cancel")
    drain(r)
    assert statuses(r)[-1] == {"delivery": "cancel"}
    assert (state(r, shipped), state(r, cancelled)) == (("sent", ""), ("sent", ""))
    assert [(t["part"], t["fate"]) for t in row(r, shipped).fates if "fate" in t] == [
        ("note", "sent"),
        ("delivery", "withdrawn"),
    ]


@pytest.mark.parametrize("at_once", [False, True], ids=["after it was parked", "accepted before"])
@pytest.mark.parametrize(
    ("start", "first", "then"),
    [
        ("open", "complete", "process"),
        ("open", "complete", "cancel"),
        ("open", "complete", "complete"),
        ("completed", "process", "reopen"),
    ],
)
def test_an_action_takes_the_place_of_one_that_the_shop_does_not_allow(
    with_shop, start, first, then, at_once
):
    """What a clerk was advised to choose goes, whatever waited behind the parked one goes with it."""
    r = with_shop(shop=StatefulShop())
    shop(r).states["order"] = start
    parked = ask(r, order=first)
    if not at_once:
        drain(r)
        assert state(r, parked) == ("parked", "update_illegal")
    waits = ask(r, delivery="ship")
    chosen = ask(r, order=then)
    drain(r)
    assert (state(r, parked), codes(r, parked)) == (("withdrawn", ""), ["update_superseded"])
    told = row(r, parked).fates[0]
    assert (told["before"], told["after"]) == (f"order.{first}", f"order.{then}")
    assert state(r, waits)[0] == "sent"
    assert state(r, chosen)[0] == ("parked" if then == "complete" else "sent")


def test_what_was_chosen_may_be_chosen_again_until_the_goal_is_reached(with_shop):
    r = with_shop(shop=StatefulShop())
    first = ask(r, order="complete")
    drain(r)
    ask(r, order="process")
    drain(r)
    last = ask(r, order="complete")
    drain(r)
    assert shop(r).states["order"] == "completed"
    assert (state(r, first)[0], state(r, last)) == ("withdrawn", ("sent", ""))


@pytest.mark.parametrize("other", ["reopen", "cancel"])
def test_an_action_of_the_other_machine_takes_no_place(r, other):
    shop(r).script = [illegal("process")]
    parked = ask(r, order="complete")
    drain(r)
    waits = ask(r, delivery=other)
    drain(r)
    assert (state(r, parked)[0], state(r, waits)[0]) == ("parked", "queued")


def test_what_is_parked_for_another_reason_is_not_given_up_for_what_comes_later(r):
    """It may be sent yet, and then what comes later is legal."""
    shop(r).script = [Rejected("locked", status=400, excerpt="locked")]
    parked = ask(r, order="process")
    drain(r)
    waits = ask(r, order="complete")
    drain(r)
    assert (state(r, parked), state(r, waits)) == (("parked", "update_refused"), ("queued", ""))
    updates.retry(r.ledger, parked, r.ledger.now(), who="olena")
    drain(r)
    assert (state(r, parked)[0], state(r, waits)[0]) == ("sent", "sent")


def test_a_newer_number_replaces_one_that_waits_for_a_person(r, clock):
    see(r, at=clock.now, ttn="59000000000009")
    old = ask(r, tracking_number="20450000000001")
    drain(r)
    assert state(r, old) == ("parked", "update_ttn_differs")
    new = ask(r, tracking_number="20450000000002", replace=True)
    drain(r)
    assert (state(r, old), state(r, new)) == (("withdrawn", ""), ("sent", ""))
    assert codes(r, old) == ["update_replaced"]


def test_a_cancel_of_the_order_withdraws_no_ship(r):
    ask(r, delivery="ship")
    ask(r, order="cancel")
    drain(r)
    assert statuses(r) == [{"delivery": "ship"}, {"order": "cancel"}]


def test_a_replaced_number_that_may_have_arrived_is_ours(r, clock):
    """Its call was lost, so that the shop's next answer shows it: no reason to ask a person."""
    ask(r, tracking_number="20450000000001")
    shop(r).script = [errors.TimedOut("no answer")]
    drain(r)
    see(r, at=clock.now, ttn="20450000000001")
    new = ask(r, tracking_number="20450000000002")
    clock.go(WAIT + 1)
    drain(r)
    assert state(r, new) == ("sent", "")
    assert shop(r).sent[-1] == {"tracking_number": "20450000000002"}


# --- what is certain --------------------------------------------------------------------------------


@pytest.mark.parametrize(("minutes", "calls"), [(59, 1), (61, 2)])
def test_what_our_own_call_taught_us_is_certain_for_an_hour(r, clock, minutes, calls):
    ask(r, order="process")
    drain(r)
    clock.go(minutes * 60)
    again = ask(r, order="process")
    drain(r)
    assert (len(shop(r).sent), state(r, again)) == (calls, ("sent", ""))


@pytest.mark.parametrize("other", [{"note": "n"}, {"tracking_number": "20450000000001"}])
def test_certainty_grows_old_although_other_calls_go_on(r, clock, other):
    """A person reopens the order in a shop that does not tell: a later status is not taken for done."""
    ask(r, order="process")
    drain(r)
    for _ in range(2):
        clock.go(30 * 60)
        ask(r, **other)
        drain(r)
    clock.go(30 * 60)
    before = len(shop(r).sent)
    ask(r, order="process")
    drain(r)
    assert statuses(r)[before:] == [{"order": "process"}]


# --- age --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "hours"),
    [
        ({"note": "n"}, 6),
        ({"order": "process"}, 48),
        ({"delivery": "ship"}, 48),
        ({"tracking_number": "20450000000001"}, 48),
    ],
)
def test_what_is_too_old_waits_for_a_person(r, clock, parts, hours):
    update = ask(r, **parts)
    clock.go(hours * 3600 + 1)
    drain(r)
    assert (shop(r).sent, state(r, update)) == ([], ("parked", "update_too_old"))


def test_the_young_parts_of_an_old_update_are_sent(r, clock):
    update = ask(r, note="n", order="process")
    clock.go(7 * 3600)
    drain(r)
    assert shop(r).sent == [{"statuses": {"order": "process"}}]
    assert row(r, update).parts_parked == ("note",)
    assert state(r, update) == ("parked", "update_too_old")


def test_what_a_person_retries_is_sent_however_old(r, clock):
    update = ask(r, note="n", order="process", tracking_number="20450000000001")
    clock.go(49 * 3600)
    drain(r)
    updates.retry(r.ledger, update, clock.now, who="olena")
    # Also when it takes more than one try, and when one of its parts is refused on the way.
    shop(r).script = [Rejected("no", status=400), Rejected("bad number", status=400)]
    shop(r).script += [errors.Unreachable("down")]
    drain(r)
    clock.go(60)
    drain(r)
    assert shop(r).sent[-2:] == [{"statuses": {"order": "process"}}, {"note": "n"}]
    assert state(r, update) == ("parked", "update_refused")
    assert row(r, update).parts_parked == ("tracking_number",)


# --- tracking numbers that are not ours -----------------------------------------------------------


def test_a_number_that_is_not_ours_is_not_overwritten(r, clock):
    see(r, at=clock.now, ttn="59000000000009")
    update = ask(r, tracking_number="20450000000001", note="n")
    drain(r)
    assert shop(r).sent == [{"note": "n"}]
    assert state(r, update) == ("parked", "update_ttn_differs")
    (told,) = [fate for fate in row(r, update).fates if fate.get("code")]
    assert (told["before"], told["after"]) == ("59000000000009", "20450000000001")


@pytest.mark.parametrize("changes", [{"replace": True}, {}])
def test_it_is_with_leave_to_replace_or_if_it_is_the_same(r, clock, changes):
    see(r, at=clock.now, ttn="59000000000009")
    number = "20450000000001" if changes else "59000000000009"
    update = ask(r, tracking_number=number, **changes)
    drain(r)
    assert (shop(r).sent, state(r, update)) == ([{"tracking_number": number}], ("sent", ""))


def test_ours_may_be_replaced_also_after_many_polls(r, clock):
    for number in range(3):
        ask(r, tracking_number=f"2045000000000{number}")
        drain(r)
        clock.go(60)
        see(r, at=clock.now, ttn=f"2045000000000{number}")
        clock.go(60)
    assert len(shop(r).sent) == 3


def test_a_replaced_one_that_an_older_poll_saw_is_no_hindrance(r, clock):
    """We replaced the shop's own number; the ledger still has the order as it was before."""
    see(r, at=clock.now, ttn="59000000000009")
    clock.go(60)
    ask(r, tracking_number="20450000000001", replace=True)
    drain(r)
    clock.go(60)
    update = ask(r, tracking_number="20450000000002")
    drain(r)
    assert state(r, update) == ("sent", "")


def test_one_that_the_shop_set_after_ours_is_not_ours(r, clock):
    ask(r, tracking_number="20450000000001")
    drain(r)
    clock.go(60)
    see(r, at=clock.now, ttn="59000000000009")
    update = ask(r, tracking_number="20450000000002")
    drain(r)
    assert state(r, update) == ("parked", "update_ttn_differs")


# --- what is refused is parked, and what it holds up ------------------------------------------------


def test_a_refused_note_is_parked_and_holds_up_nothing(r):
    bad = ask(r, note="bad")
    good = ask(r, tracking_number="20450000000001", order="process", note="good")
    shop(r).script = [Rejected("too long", status=400, excerpt="too long")]
    drain(r)
    assert (state(r, bad), state(r, good)) == (("parked", "update_refused"), ("sent", ""))
    assert row(r, bad).fates[0]["detail"] == "too long"


def test_a_parked_status_holds_up_later_statuses_and_nothing_else(r):
    bad = ask(r, order="complete")
    later = ask(r, delivery="ship", tracking_number="20450000000001", note="n")
    shop(r).script = [illegal("process", "cancel")]
    drain(r)
    assert state(r, bad) == ("parked", "update_illegal")
    assert shop(r).sent[1:] == [{"tracking_number": "20450000000001", "note": "n"}]
    assert (state(r, later), row(r, later).parts_left) == (("queued", ""), ("delivery",))


def test_a_queue_that_only_waits_behind_a_parked_status_costs_nothing(r, clock):
    bad = ask(r, order="complete")
    later = ask(r, delivery="ship")
    shop(r).script = [illegal("process")]
    assert drain(r).wait is None
    clock.go(600)
    assert queues.due(r.ledger, SHOP, clock.now, 10) == []
    # What comes in later is sent all the same,
    ask(r, note="n")
    drain(r)
    assert shop(r).sent[-1] == {"note": "n"}
    # and a person's word opens it.
    updates.cancel(r.ledger, bad, clock.now, who="olena")
    drain(r)
    assert (state(r, bad)[0], state(r, later)[0]) == ("cancelled", "sent")


def test_a_refused_combined_call_is_made_part_by_part(r):
    update = ask(
        r,
        tracking_number="20450000000001",
        order="process",
        delivery="ship",
        note="n",
    )
    no = Rejected("bad note", status=400, excerpt="bad note")
    shop(r).script = [no, None, None, None, no]
    drain(r)
    assert shop(r).sent[1:] == [
        {"tracking_number": "20450000000001"},
        {"statuses": {"order": "process"}},
        {"statuses": {"delivery": "ship"}},
        {"note": "n"},
    ]
    assert (state(r, update), row(r, update).parts_parked) == (
        ("parked", "update_refused"),
        ("note",),
    )
    assert "update_note_maybe_doubled" in codes(r, update)


def test_an_unknown_order_is_parked_whole_in_one_call(r):
    update = ask(r, tracking_number="20450000000001", order="process", note="n")
    shop(r).script = [NotFound("no such order", status=404)]
    drain(r)
    assert state(r, update) == ("parked", "update_unknown_order")
    assert row(r, update).parts_parked == ("tracking_number", "order", "note")
    assert outcomes(r, update) == [("tracking_number,order,note", "refused")]


# --- illegal transitions ----------------------------------------------------------------------------


def test_an_illegal_answer_that_says_already_there_is_success(r):
    """Only a shop that edited its machines says so: here `process` is refused in the state it leads to."""
    update = ask(r, order="process")
    shop(r).script = [illegal("complete", "cancel")]
    drain(r)
    assert state(r, update) == ("sent", "")
    assert outcomes(r, update) == [("order", "already_there")]
    # And now we know for certain.
    ask(r, order="process")
    drain(r)
    assert len(shop(r).sent) == 1


def test_else_it_is_parked_with_what_is_allowed(r):
    update = ask(r, order="complete")
    shop(r).script = [illegal("process", "cancel")]
    drain(r)
    assert state(r, update) == ("parked", "update_illegal")
    assert row(r, update).fates[0]["detail"] == "order.process, order.cancel"


def test_an_action_that_no_table_has_is_sent_and_done(with_shop, clock):
    """A shop whose table leaves an action out: what it answers counts."""
    r = with_shop()
    profile = r.profiles[SHOP].source
    machine = profile.updates.machines["delivery"]
    table = {
        state: {a: to for a, to in moves.items() if a != "retour"}
        for state, moves in machine.transitions.items()
    }
    machines = {**profile.updates.machines, "delivery": replace(machine, transitions=table)}
    rules = replace(profile, updates=replace(profile.updates, machines=machines))
    source = replace(r.sources[SHOP], connector=okliving.join(shop(r), rules, "okl-"))
    r = replace(r, sources={SHOP: source})
    update = ask(r, delivery="retour")
    drain(r)
    assert state(r, update) == ("sent", "")


# --- the planner ------------------------------------------------------------------------------------


def test_plan_goes_from_the_known_state_to_the_wanted_one(with_shop, clock):
    r = with_shop(planner="plan", shop=StatefulShop())
    see(r, at=clock.now, status="open")
    update = ask(r, order="complete", note="n")
    drain(r)
    assert shop(r).sent == [
        {"statuses": {"order": "process"}},
        {"statuses": {"order": "complete"}, "note": "n"},
    ]
    assert state(r, update) == ("sent", "")


def test_a_step_that_a_stale_guess_made_illegal_falls_back_to_what_was_asked(with_shop, clock):
    r = with_shop(planner="plan", shop=StatefulShop())
    see(r, at=clock.now, status="open")
    shop(r).states["order"] = "completed"
    update = ask(r, order="complete")
    drain(r)
    assert statuses(r) == [{"order": "process"}, {"order": "complete"}]
    assert state(r, update) == ("sent", "")


@pytest.mark.parametrize("planner", ["off", "check", "plan"])
def test_of_an_unknown_order_it_is_sent_as_asked(with_shop, planner):
    r = with_shop(planner=planner)
    ask(r, order="complete")
    drain(r)
    assert statuses(r) == [{"order": "complete"}]


def test_check_refuses_only_what_is_certainly_illegal(r, clock):
    see(r, at=clock.now - timedelta(seconds=5), status="open")
    ask(r, order="complete")  # what a poll saw is not certain
    drain(r)
    assert statuses(r) == [{"order": "complete"}]
    update = ask(r, order="process")  # what the shop answered is
    drain(r)
    assert len(shop(r).sent) == 1
    assert state(r, update) == ("parked", "update_illegal")
    assert row(r, update).fates[0]["detail"] == "order.reopen"


def test_check_spares_the_call_whose_goal_is_certainly_reached(r):
    ask(r, order="process")
    again = ask(r, order="process")
    drain(r)
    assert len(shop(r).sent) == 1
    assert (state(r, again), codes(r, again)) == (("sent", ""), ["update_nothing_to_do"])


def test_off_sends_what_is_asked(with_shop):
    r = with_shop(planner="off")
    ask(r, order="process")
    ask(r, order="process")
    drain(r)
    assert len(shop(r).sent) == 2


@pytest.mark.parametrize("seen", ["later", "in the same second"])
def test_what_the_shop_did_since_ends_our_certainty(r, clock, seen):
    clock.go(0.5)
    ask(r, order="process")
    drain(r)
    see(r, at=clock.now + timedelta(seconds=30 if seen == "later" else -0.5), status="cancelled")
    clock.go(60)
    ask(r, order="process")
    drain(r)
    assert len(shop(r).sent) == 2


def test_a_poll_from_before_our_call_does_not(r, clock):
    see(r, at=clock.now - timedelta(hours=1), status="open")
    ask(r, order="process")
    drain(r)
    ask(r, order="process")
    drain(r)
    assert len(shop(r).sent) == 1


# --- answers that are lost --------------------------------------------------------------------------


def test_a_lost_answer_is_repeated_alone_and_the_next_update_waits_until_it_is_settled(r, clock):
    first, second = ask(r, order="process", note="one"), ask(r, note="two")
    shop(r).script = [errors.TimedOut("no answer")]
    step = drain(r)
    assert 0 < step.wait < 2
    clock.go(step.wait)
    step = drain(r)
    assert (state(r, first)[0], state(r, second)[0]) == ("sent", "queued")
    assert len(shop(r).sent) == 2
    assert WAIT - 5 < step.wait <= WAIT
    drain(r)
    assert len(shop(r).sent) == 2
    clock.go(step.wait)
    drain(r)
    assert state(r, second)[0] == "sent"
    assert "update_note_maybe_doubled" in codes(r, first)
    assert codes(r, second) == [None]


def test_nothing_overtakes_it_even_if_everything_is_woken(r, clock):
    first = ask(r, note="one")
    shop(r).script = [errors.Dropped("gone")]
    drain(r)
    updates.cancel(r.ledger, first, clock.now, who="olena")
    ask(r, note="two")
    waking.wake(r.ledger, waking.Waking(SHOP, clock.now), 1)
    drain(r)
    assert len(shop(r).sent) == 1
    clock.go(WAIT + 1)
    drain(r)
    assert len(shop(r).sent) == 2


def test_a_note_that_was_not_in_the_lost_call_is_not_marked(r, clock):
    update = ask(r, order="process")
    shop(r).script = [errors.ServerError("500", status=500)]
    drain(r)
    clock.go(5)
    drain(r)
    assert "update_note_maybe_doubled" not in codes(r, update)


def test_after_a_lost_answer_nothing_is_certain(r, clock):
    ask(r, order="process")
    drain(r)
    lost = ask(r, order="complete")
    shop(r).script = [errors.Garbled("?")]
    drain(r)
    updates.cancel(r.ledger, lost, clock.now, who="olena")
    ask(r, order="process")  # certain no more that it stands there
    clock.go(WAIT + 1)
    drain(r)
    assert len(shop(r).sent) == 3


def test_tries_wait_longer_and_longer_until_one_succeeds(r, clock):
    ask(r, note="one")
    waits = []
    for _ in range(8):
        shop(r).script = [errors.Unreachable("down")]
        step = drain(r)
        waits.append(step.wait)
        clock.go(step.wait)
    assert all(later > earlier * 1.3 for earlier, later in pairwise(waits))
    assert waits[-1] > 90
    drain(r)
    ask(r, note="two")
    shop(r).script = [errors.Unreachable("down")]
    assert drain(r).wait <= 1.0


def test_a_shop_that_asks_for_time_gets_it(r):
    ask(r, note="n")
    shop(r).script = [errors.RateLimited("slowly", status=429, retry_after=30)]
    assert 30 <= drain(r).wait < 32


# --- a holder that vanished -------------------------------------------------------------------------


def vanish(r):
    """A worker takes the queue, and is gone."""
    claimed = queues.claim(r.ledger, DUE, r.ledger.now(), LEASE)
    assert claimed is not None
    return claimed


def test_what_a_vanished_worker_may_have_sent_is_repeated_alone(r, clock):
    first, second = ask(r, note="one"), ask(r, note="two")
    vanish(r)
    drain(r)
    assert shop(r).sent == []
    clock.go(LEASE + 1)
    step = drain(r)
    assert shop(r).sent == [{"note": "one"}]
    assert WAIT - 5 < step.wait <= WAIT
    assert codes(r, first)[0] == "update_note_maybe_doubled"
    clock.go(WAIT)
    drain(r)
    assert (state(r, second), codes(r, second)) == (("sent", ""), [None])


def test_also_what_is_accepted_after_the_repeat_waits(r, clock):
    """The first call may take effect behind its repeat."""
    ask(r, note="one")
    vanish(r)
    clock.go(LEASE + 1)
    drain(r)
    ask(r, note="two")
    drain(r)
    assert len(shop(r).sent) == 1
    clock.go(WAIT + 1)
    drain(r)
    assert len(shop(r).sent) == 2


def test_the_doubt_falls_on_the_update_that_could_be_sent(r, clock):
    """The first one waits behind a parked status: the vanished call was for the next."""
    ask(r, order="complete")
    shop(r).script = [illegal("process")]
    blocked = ask(r, delivery="ship")
    drain(r)
    note = ask(r, note="n")
    vanish(r)
    clock.go(LEASE + 1)
    drain(r)
    assert "update_note_maybe_doubled" in codes(r, note)
    assert not row(r, blocked).in_doubt


def test_updates_that_a_ledger_has_forgotten_to_have_sent_hold_nothing_up(with_shop, clock):
    """All were sent; a ledger that went back has them in the queue again, and the shop is further by then."""
    r = with_shop(shop=StatefulShop())
    first = ask(r, order="process", note="1")
    last = ask(r, order="complete", note="2")
    shop(r).states = {"order": "completed", "delivery": "open"}
    r.ledger.write(lambda db: tides.begin_anew(db, tides.standing(db), clock.now, Bounds()))
    clock.go(2 * WAIT + 1)
    for _ in range(4):
        drain(r)
    assert [row(r, one).state for one in (first, last)] == ["sent", "sent"]
    assert shop(r).states["order"] == "completed"


def test_update_that_was_never_sent_is_not_taken_for_one_that_was(with_shop):
    """As above, but nothing is in doubt: somebody else has completed the order."""
    r = with_shop(shop=StatefulShop())
    first = ask(r, order="process")
    ask(r, order="complete")
    shop(r).states = {"order": "completed", "delivery": "open"}
    drain(r)
    assert (state(r, first)[0], codes(r, first)) == ("withdrawn", ["update_superseded"])


def test_after_a_vanished_worker_nothing_is_certain(r, clock):
    ask(r, order="process")
    drain(r)
    ask(r, order="complete")
    vanish(r)
    clock.go(LEASE + 1)
    shop(r).script = [errors.Unreachable("down")]
    drain(r)
    ask(r, order="process")
    clock.go(WAIT + 1)
    shop(r).script = [None, illegal("reopen")]
    drain(r)
    # The repeat of `complete` taught us for certain where it stands.
    assert statuses(r) == [{"order": "process"}, {"order": "complete"}, {"order": "complete"}]


def test_what_nobody_thought_of_is_tried_ever_more_rarely_and_then_seen(r, clock):
    shop(r).script = [ValueError("what is this")] * 10_000
    update, started = ask(r, note="one"), clock()
    while state(r, update)[0] == "queued" and clock() - started < timedelta(days=1):
        step = None
        with suppress(ValueError):
            step = drain(r)
        clock.go(step.wait if step and step.wait else 1)
    assert state(r, update) == ("parked", "update_too_old")
    assert len(shop(r).sent) < 60


def test_after_the_ledger_went_back_every_queued_note_may_come_twice(r, clock):
    """Any call may have been made for what is queued, and what was taught may be wrong."""
    ask(r, order="process")
    drain(r)
    first, second = ask(r, order="process", note="one"), ask(r, note="two")

    def went_back(db):
        db.execute(queues.QUEUES.update().values(doubted=True, settled_at=clock.now))
        db.execute(queues.UPDATES.update().values(in_doubt=True))

    r.ledger.write(went_back)
    fresh = ask(r, note="three")
    drain(r)
    assert statuses(r) == [{"order": "process"}, {"order": "process"}, None, None]
    assert [codes(r, i)[0] for i in (first, second)] == ["update_note_maybe_doubled"] * 2
    assert codes(r, fresh) == [None]


def test_what_was_sent_of_an_update_stays_sent_when_a_later_call_of_it_fails_oddly(r, clock):
    update = ask(r, tracking_number="20450000000001", note="n")
    shop(r).script = [Rejected("no", status=400), None, ValueError("what is this")]
    drain(r)
    clock.go(60)
    drain(r)
    numbers = [body for body in shop(r).sent if "tracking_number" in body]
    assert (len(numbers), state(r, update)) == (2, ("sent", ""))


def test_who_wakes_up_after_its_lease_changes_nothing(r, clock):
    """The other drain has marked the note; the sleeper must not wipe that out, nor send more."""
    first = ask(r, note="one")
    ask(r, note="two")

    def sleep():
        clock.go(LEASE + 1)
        claimed = queues.claim(r.ledger, DUE, clock.now, LEASE)
        other = draining.Drain(r, r.sources[SHOP], claimed[0], claimed[1], "task-2")
        other.doubt()

    shop(r).script = [sleep]
    assert drain(r).wait is None
    assert len(shop(r).sent) == 1
    assert state(r, first) == ("queued", "")
    assert codes(r, first) == ["update_note_maybe_doubled"]
    assert outcomes(r, first) == [("note", "sent")]


def test_no_call_is_begun_that_could_outlive_the_lease(r, clock, monkeypatch):
    ask(r, note="n")
    real = queues.claim

    def slowly(*given):
        claimed = real(*given)
        clock.go(LEASE - 59)
        return claimed

    monkeypatch.setattr(queues, "claim", slowly)
    assert drain(r).wait == 0.0
    assert shop(r).sent == []


# --- our own stores, and the connection ------------------------------------------------------------


def test_our_own_redis_away_counts_no_try_and_doubts_nothing(r, clock):
    update = ask(r, note="n")
    shop(r).script = [StoreUnavailable("redis")]
    assert drain(r).wait == delivering.STORE_PAUSE
    assert outcomes(r, update) == []
    clock.go(delivering.STORE_PAUSE)
    drain(r)
    assert (state(r, update), codes(r, update)) == (("sent", ""), [None])


def test_what_was_in_doubt_stays_so_when_redis_is_away(r, clock):
    ask(r, note="one")
    vanish(r)
    clock.go(LEASE + 1)
    shop(r).script = [StoreUnavailable("redis")]
    drain(r)
    clock.go(delivering.STORE_PAUSE)
    drain(r)
    ask(r, note="two")
    drain(r)
    assert len(shop(r).sent) == 2


def test_a_connection_fault_pauses_the_gate_and_parks_nothing(r, clock):
    ids = [ask(r, note="one"), ask(r, note="two")]
    shop(r).script = [errors.AuthFailed("wrong secret", status=401) for _ in range(2)]
    drain(r)
    assert connections.gate(r.ledger, SHOP).closed_by == "fault"
    assert [state(r, i) for i in ids] == [("queued", "")] * 2
    clock.go(16)
    drain(r)
    assert [state(r, i) for i in ids] == [("queued", "")] * 2
    clock.go(1)
    assert drain(r).wait is None
    assert len(shop(r).sent) == 2


def test_a_fault_of_one_update_parks_it_and_closes_nothing(r, clock):
    bad = ask(r, note="one that a firewall dislikes")
    for number in range(4):
        assert state(r, bad)[0] == "queued"
        shop(r).script = [errors.Forbidden("HTTP 403", status=403, excerpt="firewall")]
        drain(r)
        assert connections.gate(r.ledger, SHOP).closed_by is None
        clock.go(1)
        good = ask(r, order_id=f"good-{number}", note="n")
        delivering.deliver(r, Due(SHOP, f"good-{number}"), "t")
        assert state(r, good) == ("sent", "")
        clock.go(25)
    assert state(r, bad) == ("parked", "update_refused")
    assert row(r, bad).fates[-1]["detail"] == "firewall"


def test_updates_that_are_parked_for_their_own_fault_close_nothing(r, clock):
    """The last of them would close it for the good ones that come after."""
    past = clock.now - timedelta(seconds=60)
    connections.close(r.ledger, SHOP, "fault", past, 15, "HTTP 403")
    ask(r, order_id="good", note="n")
    assert delivering.deliver(r, Due(SHOP, "good")).woke
    names = [f"bad-{number}" for number in range(SUSPECTS[1])]
    bad = [ask(r, order_id=name, note="n") for name in names]
    for number in range(4):
        for name in names:
            shop(r).script = [errors.Forbidden("HTTP 403", status=403)]
            delivering.deliver(r, Due(SHOP, name), "t")
        shop(r).script = []
        if number < 3:
            clock.go(20)
            ask(r, order_id=f"good-{number}", note="n")
            delivering.deliver(r, Due(SHOP, f"good-{number}"), "t")
            clock.go(40)
    assert {state(r, one) for one in bad} == {("parked", "update_refused")}
    assert connections.gate(r.ledger, SHOP).closed_by is None


def test_a_gate_that_bad_updates_closed_is_tried_at_once_with_another(r, clock):
    ask(r, order_id="good", note="n")
    for number in range(3):
        ask(r, order_id=f"bad-{number}", note="n")
        shop(r).script = [errors.Forbidden("HTTP 403", status=403)]
        step = delivering.deliver(r, Due(SHOP, f"bad-{number}"), "t")
    assert connections.gate(r.ledger, SHOP).closed_by == "fault"
    assert step.ring == [Due(SHOP, "good")]
    assert delivering.deliver(r, Due(SHOP, "good"), "t").woke


def test_what_the_shop_asks_to_wait_binds_all_its_calls(r, clock):
    ask(r, note="n")
    ask(r, order_id="2", note="n")
    shop(r).script = [errors.RateLimited("x", retry_after=60.0)]
    drain(r)
    delivering.deliver(r, Due(SHOP, "2"), "t")
    assert len(shop(r).sent) == 1
    assert connections.gate(r.ledger, SHOP, "read").closed_by == "remote"
    clock.go(61)
    assert delivering.deliver(r, Due(SHOP, "2"), "t").woke


def test_without_a_free_place_a_queue_rests_a_moment(r, clock):
    ask(r, note="n")
    slots = r.sources[SHOP].slots
    assert slots.acquire("a")
    assert slots.acquire("b")
    assert drain(r) == queue_lease.Step(wait=delivering.NO_PLACE)
    slots.release("a")
    assert drain(r) == queue_lease.Step()
    assert (slots.in_use(), slots.in_line()) == (1, 0)


@pytest.mark.parametrize(
    ("error", "counted"),
    [
        (errors.Unreachable("x"), 1),
        (errors.TimedOut("x"), 1),
        (errors.ServerError("x"), 1),
        (errors.TokenLost("x"), 0),
        (Rejected("x"), 0),
    ],
)
def test_the_breaker_counts_what_says_that_the_shop_is_unwell(r, error, counted):
    ask(r, note="n")
    shop(r).script = [error]
    drain(r)
    assert connections.gate(r.ledger, SHOP).failures == counted


def test_the_end_of_an_outage_makes_everything_due(r, clock):
    other = ask(r, order_id="2", note="n")
    shop(r).script = [errors.Unreachable("x")]
    delivering.deliver(r, Due(SHOP, "2"), "t")
    ask(r, note="n")
    connections.close(r.ledger, SHOP, "fault", datetime(2020, 1, 1, tzinfo=clock.now.tzinfo), 1, "")
    r.sources[SHOP].gate._read_at = float("-inf")
    step = drain(r)
    assert step.woke
    assert row(r, other).state == "queued"
    (waking_gate,) = waking.gates_waking(r.ledger)
    assert waking.wake(r.ledger, waking_gate, 1)
    assert Due(SHOP, "2") in queues.due(r.ledger, SHOP, clock.now, 10)


# --- people ------------------------------------------------------------------------------------------


def test_a_retried_status_is_sent_though_we_think_it_illegal(r, clock):
    """Who retries has put the order right in the shop by hand, and we have not seen it yet."""
    ask(r, order="complete")
    drain(r)
    update = ask(r, order="process")
    drain(r)
    assert state(r, update) == ("parked", "update_illegal")
    updates.retry(r.ledger, update, clock.now, who="olena")
    drain(r)
    assert statuses(r) == [{"order": "complete"}, {"order": "process"}]
    assert state(r, update) == ("sent", "")


def test_a_cancelled_one_is_not_sent(r, clock):
    update, other = ask(r, note="one"), ask(r, note="two")
    updates.cancel(r.ledger, update, clock.now, who="olena")
    drain(r)
    assert shop(r).sent == [{"note": "two"}]
    assert (state(r, update)[0], state(r, other)[0]) == ("cancelled", "sent")


@pytest.mark.parametrize("change", [updates.cancel, updates.retry])
def test_nobody_changes_what_is_being_sent(r, clock, change):
    update = ask(r, note="one")
    raised = []

    def meddle():
        with pytest.raises(NotPossible, match="being sent"):
            change(r.ledger, update, clock.now, who="olena")
        raised.append(True)

    shop(r).script = [meddle]
    drain(r)
    assert raised
    assert state(r, update) == ("sent", "")
    with pytest.raises(NotPossible, match="is sent"):
        change(r.ledger, update, clock.now, who="olena")


def test_a_person_mends_during_the_drain_and_it_is_rung_for(r, clock):
    bad = ask(r, order="complete")
    shop(r).script = [illegal("process")]
    ask(r, delivery="ship")
    drain(r)
    ask(r, note="n")
    shop(r).script = [lambda: updates.cancel(r.ledger, bad, clock.now, who="olena") and None]
    assert drain(r).wait == 0.0
    drain(r)
    assert statuses(r)[-1] == {"delivery": "ship"}


# --- how updates come in: the door that cannot answer, and what OneBox says --------------------------


@pytest.fixture
def silent(monkeypatch):
    """No doorbell leaves the process."""
    monkeypatch.setattr(accepting, "ring_updates", lambda _: 0)


@pytest.mark.parametrize(
    "fields",
    [
        {"order_id": "1\0\ud800", "note": 5},
        {"order_id": "x" * 300, "note": "n"},
        {"order_id": "1"},
        {"order_id": "1", "order": "explode"},
        {"order_id": "1", "note": "n", "connection": "nobody"},
        {"order_id": "1", "note": "n", "surprise\0": 1},
        {},
    ],
)
@pytest.mark.usefixtures("silent")
def test_what_the_celery_door_refuses_is_seen(r, fields):
    assert accepting.accept_flat(r, fields, origin="celery", key="message") is None
    (found,) = updates.listing(r.ledger)
    assert (found.state, found.reason) == ("refused", "update_invalid")
    assert len(found.order_id) <= 64
    assert found.order_id.isprintable()


@pytest.mark.usefixtures("silent")
def test_a_door_has_its_own_keys_also_long_ones(r):
    fields = {"order_id": "1", "note": "n", "key": "k" * 200}
    first = accepting.accept_flat(r, fields, origin="celery", key="message")
    assert accepting.accept_flat(r, fields, origin="celery", key="other") == first
    assert len(first.key) <= 200
    accepting.accept_flat(r, {"order_id": "1", "note": "n"}, origin="celery", key="k")
    asked = Asked(SHOP, "1", "x", "http:a", {"note": "n"}, key="http:a:k")
    assert enqueueing.accept(r.ledger, asked, r.ledger.now()).seq == 3


def test_a_drain_stops_before_its_next_call_when_a_person_pauses_the_shop(r, clock, monkeypatch):
    monkeypatch.setattr(gate, "FRESH", -1.0)
    ask(r, note="first")
    ask(r, note="second")

    def pause():
        connections.pause(r.ledger, SHOP, ["write"], r.ledger.now(), reason="moving", who="anna")

    shop(r).script = [pause]
    drain(r)
    drain(r)
    assert len(shop(r).sent) == 1
    connections.resume(r.ledger, SHOP, ["write"], r.ledger.now(), who="anna")
    clock.go(60)
    drain(r)
    assert len(shop(r).sent) == 2
