"""One try at one order: what each answer of the CRM makes of its row, and what is never sent."""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import update
from task_remotes import with_client

from clients import errors
from clients.errors import PhoneTaken, Rejected, StoreUnavailable
from ledger import attempts, connections, orders, waking
from ledger.faults import LedgerUnavailable
from ledger.orders import Arrived, Due
from ledger.tables import ORDERS
from simulator.samples import reference_order
from tasks import creating, storing, verdicts
from tasks import outcomes as recording
from tasks.calling import NoTimeLeft
from tasks.doorbell import due_of
from tasks.gate import SUSPECTS, Gate
from tasks.outcomes import Step
from tasks.verdicts import ALIKE

BOX = "onebox"


def give(r, order_id="1", **changes):
    """Put an order into the ledger, as a poll would; its key."""
    raw = reference_order(id=order_id, **changes)
    arrived = Arrived(
        order_id, f"okl-{order_id}", json.dumps(raw), f"{hash(str(raw)):x}"[:32], r.ledger.now()
    )
    wanted = partial(storing._wanted, r, "okliving", "onebox")
    (pk,) = orders.store(r.ledger, "okliving", BOX, [arrived], r.ledger.now(), wanted)
    return pk


def carry(r, pk):
    return creating.create(r, pk, "okliving", "task-1")


def row(r, order_id="1"):
    (found,) = orders.listing(r.ledger, r.ledger.now(), order_id=order_id)
    return found


def outcomes(r, pk):
    return [(t.kind, t.outcome) for t in attempts.of_order(r.ledger, pk)]


def box(r):
    return r.targets[BOX].connector.client


def gate(r):
    return connections.gate(r.ledger, BOX)


def seconds_until_next(r, clock):
    return (row(r).next_try_at - clock.now).total_seconds()


# --- what each answer makes of the row --------------------------------------------------------------


def test_good_order_goes_through(r, clock):
    pk = give(r)
    assert carry(r, pk) == Step()
    assert (row(r).state, row(r).target_id, row(r).reason, row(r).tries) == (
        "created",
        "100",
        "",
        1,
    )
    assert outcomes(r, pk) == [("create", "created")]
    (sent,) = box(r).sent()
    assert (sent["externalid"], sent["workflowid"], sent["statusid"]) == ("okl-1", "2", "7")
    assert carry(r, pk) == Step()
    assert len(box(r).calls) == 1


ANSWERS = [
    # error, state, reason, seconds until the next try, uncertain, counted, outcome, gate failures
    (errors.Unreachable("x"), "waiting", "crm_unavailable", (0.75, 1), False, 1, "failed", 1),
    (errors.RateLimited("x"), "waiting", "crm_unavailable", (0.75, 1), False, 1, "failed", 1),
    (
        errors.RateLimited("x", retry_after=40.0),
        "waiting",
        "crm_unavailable",
        (40, 41),
        False,
        1,
        "failed",
        1,
    ),
    (errors.TokenLost("x"), "waiting", "crm_unavailable", (0.75, 1), False, 1, "failed", 0),
    (errors.TimedOut("x"), "waiting", "uncertain", (2, 2), True, 1, "uncertain", 1),
    (errors.Dropped("x"), "waiting", "uncertain", (2, 2), True, 1, "uncertain", 1),
    (errors.ServerError("x", status=500), "waiting", "uncertain", (2, 2), True, 1, "uncertain", 1),
    (errors.Garbled("x"), "waiting", "uncertain", (2, 2), True, 1, "uncertain", 1),
    (errors.Rejected("x"), "held", "crm_refused", None, False, 1, "refused", 0),
    (errors.NotFound("x"), "held", "crm_refused", None, False, 1, "refused", 0),
    (errors.IllegalTransition("x"), "held", "crm_refused", None, False, 1, "refused", 0),
    (
        errors.AuthFailed("x"),
        "waiting",
        "connection_paused",
        (2, 2),
        False,
        0,
        "connection_fault",
        0,
    ),
    (
        errors.Forbidden("x"),
        "waiting",
        "connection_paused",
        (2, 2),
        False,
        0,
        "connection_fault",
        0,
    ),
    (
        errors.Misconfigured("x"),
        "waiting",
        "connection_paused",
        (2, 2),
        False,
        0,
        "connection_fault",
        0,
    ),
]


def leaves(kind):
    below = kind.__subclasses__()
    return {kind} if not below else set().union(*map(leaves, below))


def test_table_of_answers_names_every_error_of_the_tree():
    assert leaves(errors.ClientError) - {StoreUnavailable, PhoneTaken} <= {
        type(a[0]) for a in ANSWERS
    }


@pytest.mark.parametrize(
    ("error", "state", "reason", "pause", "uncertain", "counted", "outcome", "failures"),
    ANSWERS,
    ids=[f"{type(a[0]).__name__}-{a[0].retry_after}" for a in ANSWERS],
)
def test_answer_of_the_crm(  # noqa: PLR0917  the columns of the table
    r, clock, error, state, reason, pause, uncertain, counted, outcome, failures
):
    pk = give(r)
    box(r).script["set_order"] = [error]
    step = carry(r, pk)
    found = row(r)
    assert (found.state, found.reason, found.tries) == (state, reason, counted)
    assert found.uncertain_since == (clock.now if uncertain else None)
    assert not found.being_worked_on
    assert outcomes(r, pk) == [("create", outcome)]
    assert gate(r).failures == failures
    by = "fault" if isinstance(error, errors.AuthFailed) else None
    by = "remote" if getattr(error, "retry_after", None) else by
    assert gate(r).closed_by == by
    assert gate(r).suspects == isinstance(error, errors.ConnectionFault)
    if pause is not None:
        assert pause[0] <= seconds_until_next(r, clock) <= pause[1]
        assert pause[0] <= step.wait <= pause[1]
    else:
        assert step == Step()


def test_refusal_tells_the_order_desk_what_the_crm_said(r, clock):
    pk = give(r)
    box(r).script["set_order"] = [Rejected("long message", excerpt="немає складу", status=200)]
    carry(r, pk)
    assert row(r).problems[-1] == {
        "code": "crm_refused",
        "level": "held",
        "field": "",
        "detail": "немає складу",
    }
    assert attempts.of_order(r.ledger, pk)[0].excerpt == "немає складу"


def test_waits_grow_with_the_tries(r, clock):
    pk = give(r)
    box(r).script["set_order"] = [errors.TokenLost("x") for _ in range(12)]
    waits = []
    for _ in range(12):
        waits.append(carry(r, pk).wait)
        clock.now = row(r).next_try_at
    assert row(r).tries == 12
    assert all(
        0.75 * full <= w <= full for w, full in zip(waits, [2.0**n for n in range(9)], strict=False)
    )
    assert 675 <= waits[-1] <= 900


def test_bad_order_is_held_without_a_call(r, clock):
    pk = give(r, recipient={"phone": "none"})
    assert carry(r, pk) == Step()
    assert row(r).state == "held"
    assert row(r).reason
    assert outcomes(r, pk) == [("map", "held")]
    assert box(r).calls == []


def test_released_doubt_is_sent_and_a_lack_is_held_again(r, clock):
    doubtful, lacking = give(r, total="1.00"), give(r, "2", recipient={"phone": "none"})
    for pk in (doubtful, lacking):
        carry(r, pk)
        orders.release(r.ledger, pk, clock.now, who="olena")
        carry(r, pk)
    assert (row(r).state, row(r, "2").state) == ("created", "held")
    assert len(box(r).sent()) == 1


def test_our_own_store_away_is_no_try_of_the_order(r, clock):
    pk = give(r)
    box(r).script["set_order"] = [StoreUnavailable("gone")]
    assert carry(r, pk) == Step(wait=5.0)
    found = row(r)
    assert (found.state, found.tries, found.being_worked_on) == ("received", 0, False)
    assert seconds_until_next(r, clock) == 5
    assert outcomes(r, pk) == []
    assert gate(r).failures == 0


# --- the buyer's phone is on another card -----------------------------------------------------------


def test_taken_phone_links_the_card_that_holds_it(r, clock):
    pk = give(r)
    box(r).script["set_order"] = [PhoneTaken("#12903")]
    box(r).cards["+380671234567"] = "55"
    carry(r, pk)
    first, second = box(r).sent()
    assert first["client"]["phones"] == ["+380671234567"]
    assert second == {**first, "client": {"userid": "55"}}
    assert second["clientphone"]
    assert (row(r).state, outcomes(r, pk)) == ("created", [("create", "created")])


def test_taken_phone_without_a_card_is_held(r, clock):
    pk = give(r)
    box(r).script["set_order"] = [PhoneTaken("#12903", excerpt="already registered")]
    carry(r, pk)
    assert (row(r).state, row(r).reason) == ("held", "crm_refused")
    assert len(box(r).sent()) == 1


def test_phone_taken_again_after_linking_is_held(r, clock):
    pk = give(r)
    box(r).script["set_order"] = [PhoneTaken("#12903"), PhoneTaken("#12903")]
    box(r).cards["+380671234567"] = "55"
    carry(r, pk)
    assert (row(r).state, len(box(r).sent())) == ("held", 2)


# --- shadow -----------------------------------------------------------------------------------------


def test_shadow_mode_maps_and_never_calls(make, clock):
    r = make(mode="shadow")
    good, bad = give(r), give(r, "2", recipient={"phone": "none"})
    assert (carry(r, good), carry(r, bad)) == (Step(), Step())
    assert (row(r).state, row(r).reason, row(r).tries) == ("waiting", "shadow", 0)
    assert seconds_until_next(r, clock) == creating.SHADOW_WAIT
    assert row(r, "2").state == "held"
    assert box(r).calls == []


# --- uncertain orders -------------------------------------------------------------------------------


def lose_an_answer(r, pk, *, applied):
    """The create got no answer, and may have taken effect."""
    box(r).script["set_order"] = [errors.TimedOut("no answer")]
    carry(r, pk)
    if applied:
        box(r).processes[row(r).external_id] = "900"


def test_early_look_up_adopts_what_a_lost_answer_made(r, clock):
    pk = give(r)
    lose_an_answer(r, pk, applied=True)
    clock.go(2)
    assert carry(r, pk) == Step()
    assert (row(r).state, row(r).target_id) == ("created", "900")
    assert row(r).uncertain_since is None
    assert outcomes(r, pk) == [("create", "uncertain"), ("look-up", "adopted")]
    assert (len(box(r).sent()), box(r).looked_up()) == (1, [["okl-1"]])


def test_uncertain_order_is_sent_again_only_behind_the_wait_and_after_two_empty_look_ups(r, clock):
    pk, began = give(r), clock.now
    lose_an_answer(r, pk, applied=False)
    while len(box(r).sent()) == 1:
        clock.now = row(r).next_try_at
        carry(r, pk)
        assert len(box(r).calls) < 30
    assert clock.now - began >= timedelta(seconds=r.settings.uncertain_wait)
    assert clock.now - began <= timedelta(seconds=r.settings.uncertain_wait + 1)
    assert len(box(r).looked_up()) >= 2
    assert [name for name, _ in box(r).calls][-2:] == ["find_orders", "set_order"]
    assert (row(r).state, row(r).uncertain_since) == ("created", None)


@pytest.mark.parametrize("asked_at", [3, 60, 119])
def test_person_who_retries_makes_it_looked_up_and_not_sent(r, clock, asked_at):
    pk = give(r)
    lose_an_answer(r, pk, applied=False)
    clock.go(2)
    carry(r, pk)
    clock.go(asked_at - 2)
    orders.retry(r.ledger, pk, clock.now, who="olena")
    carry(r, pk)
    assert (len(box(r).sent()), len(box(r).looked_up())) == (1, 2)


def test_one_look_up_long_after_the_wait_is_not_enough(r, clock):
    """The box may have been asked in the moment before the effect: two answers must agree."""
    pk = give(r)
    lose_an_answer(r, pk, applied=False)
    clock.go(10_000)
    assert carry(r, pk).wait == 1.0
    assert len(box(r).sent()) == 1
    clock.go(1)
    carry(r, pk)
    assert len(box(r).sent()) == 2


@pytest.mark.parametrize("error", [errors.Unreachable("x"), errors.TimedOut("x")])
def test_failed_look_up_is_repeated_and_counts_for_nothing(r, clock, error):
    pk = give(r)
    lose_an_answer(r, pk, applied=False)
    since = row(r).uncertain_since
    clock.go(200)
    box(r).script["find_orders"] = [error]
    carry(r, pk)
    assert (row(r).state, row(r).reason, row(r).uncertain_since) == ("waiting", "uncertain", since)
    assert outcomes(r, pk)[-1] == ("look-up", "failed")
    clock.now = row(r).next_try_at
    carry(r, pk)
    assert len(box(r).sent()) == 1


def test_held_uncertain_order_is_looked_up_after_its_release(r, clock):
    pk = give(r)
    lose_an_answer(r, pk, applied=False)
    clock.go(2)
    box(r).script["find_orders"] = [Rejected("no")]
    carry(r, pk)
    assert row(r).state == "held"
    assert row(r).uncertain_since is not None
    give(r, note="mended")
    box(r).processes["okl-1"] = "900"
    carry(r, pk)
    assert (row(r).state, row(r).target_id, len(box(r).sent())) == ("created", "900", 1)


def test_change_while_uncertain_is_marked_when_the_old_content_is_adopted(r, clock):
    pk = give(r)
    lose_an_answer(r, pk, applied=True)
    give(r, note="another address")
    clock.go(2)
    carry(r, pk)
    assert (row(r).state, row(r).target_id, row(r).changed) == ("created", "900", True)


def test_change_back_while_uncertain_is_no_change_to_the_crm(r, clock):
    pk = give(r)
    lose_an_answer(r, pk, applied=True)
    give(r, note="another address")
    give(r)
    clock.go(2)
    carry(r, pk)
    assert (row(r).state, row(r).changed) == ("created", False)


def test_change_while_uncertain_is_sent_when_nothing_had_arrived(r, clock):
    pk = give(r)
    lose_an_answer(r, pk, applied=False)
    give(r, note="another address")
    for _ in range(30):
        clock.now = row(r).next_try_at
        carry(r, pk)
    assert (row(r).state, row(r).changed, len(box(r).sent())) == ("created", False, 2)


def test_change_under_a_lease_that_is_lost_is_compared_too(r, clock):
    pk = give(r)
    orders.claim(r.ledger, pk, clock.now, 70)
    box(r).processes["okl-1"] = "900"
    give(r, note="another address")
    clock.go(71)
    carry(r, pk)
    assert (row(r).target_id, row(r).changed) == ("900", True)


@pytest.mark.parametrize("applied", [True, False])
def test_uncertain_order_that_became_doubtful_is_looked_up_before_it_is_held(r, clock, applied):
    pk = give(r)
    lose_an_answer(r, pk, applied=applied)
    give(r, recipient={"phone": "none"})
    for _ in range(30):
        clock.now = row(r).next_try_at
        carry(r, pk)
    assert box(r).looked_up()
    if applied:
        assert (row(r).state, row(r).target_id, row(r).changed) == ("created", "900", True)
    else:
        assert (row(r).state, row(r).uncertain_since) == ("held", None)
    assert len(box(r).sent()) == 1


@pytest.mark.parametrize("lost", ["answer", "lease"])
def test_wait_of_an_uncertain_order_counts_from_the_end_its_call_may_have_had(
    r, clock, monkeypatch, lost
):
    pk = give(r)
    if lost == "lease":
        orders.claim(r.ledger, pk, clock.now, 70)
        clock.go(70)
        ended = clock.now
        clock.go(1)
    else:
        set_order = box(r).set_order

        def slow(process):
            clock.go(30)
            return set_order(process)

        monkeypatch.setattr(box(r), "set_order", slow)
        lose_an_answer(r, pk, applied=False)
        monkeypatch.undo()
        monkeypatch.setattr(type(r.ledger), "now", lambda _: clock())
        ended = clock.now
    sent = len(box(r).sent())
    while len(box(r).sent()) == sent:
        carry(r, pk)
        clock.now = max(clock.now, row(r).next_try_at)
        assert len(box(r).calls) < 30
    assert clock.now - ended >= timedelta(seconds=r.settings.uncertain_wait)


def test_two_holders_that_record_different_ids_are_shouted_about(r, clock, monkeypatch):
    told = []
    monkeypatch.setattr(
        verdicts.log, "critical", lambda what, **more: told.append((what, more)), raising=False
    )
    pk = give(r)
    set_order = box(r).set_order

    def overtaken(process):
        clock.go(100)
        other = orders.claim(r.ledger, pk, clock.now, 70)
        orders.record(r.ledger, other, orders.Outcome("created", target_id="555"), None, clock.now)
        return set_order(process)

    monkeypatch.setattr(box(r), "set_order", overtaken)
    carry(r, pk)
    assert told == [("order_doubled", {"target_ids": ["555", "100"]})]
    assert row(r).target_id == "555"
    assert [(p["code"], p["detail"]) for p in row(r).problems if p["code"] == "order_doubled"] == [
        ("order_doubled", "555, 100")
    ]


def test_expired_lease_is_looked_up_first(r, clock):
    pk = give(r)
    orders.claim(r.ledger, pk, clock.now, 70)
    clock.go(71)
    carry(r, pk)
    assert box(r).sent() == []
    assert outcomes(r, pk) == [("create", "lost"), ("look-up", "not_found")]


def test_doubled_order_is_adopted_and_shouted_about(r, clock, monkeypatch):
    told = []
    monkeypatch.setattr(
        verdicts.log, "critical", lambda what, **more: told.append((what, more)), raising=False
    )
    pk = give(r)
    lose_an_answer(r, pk, applied=False)
    clock.go(2)
    box(r).script["find_orders"] = [{"okl-1": ["7", "8"]}]
    carry(r, pk)
    assert row(r).target_id == "7"
    assert told == [("order_doubled", {"target_ids": ["7", "8"]})]


def test_late_holder_whose_lease_runs_out_begins_no_call(r, clock, monkeypatch):
    pk = give(r)
    profile = r.profiles["okliving"].source
    read = profile.read

    def slow(_profile, raw):
        clock.go(45)
        return read(raw)

    monkeypatch.setattr(type(profile), "read", slow)
    assert carry(r, pk).wait == 5.0
    assert box(r).calls == []
    assert row(r).tries == 0


def test_no_time_left_is_no_error_of_a_client():
    assert not issubclass(NoTimeLeft, errors.ClientError)


def test_what_the_crm_said_survives_a_moment_without_the_ledger(r, clock, monkeypatch):
    monkeypatch.setattr(recording.time, "sleep", lambda _: None)
    record, away = orders.record, [LedgerUnavailable("away")] * 3

    def flaky(*given):
        if away:
            raise away.pop()
        return record(*given)

    monkeypatch.setattr(recording.orders, "record", flaky)
    carry(r, give(r))
    assert row(r).state == "created"


# --- the gate ---------------------------------------------------------------------------------------


def refuse_all(r, text="stage is closed"):
    box(r).script["set_order"] = [Rejected(text, excerpt=text) for _ in range(ALIKE)]


def test_five_alike_are_the_connections_fault(r, clock):
    pks = [give(r, str(n)) for n in range(ALIKE)]
    refuse_all(r)
    for pk in pks[:-1]:
        carry(r, pk)
    assert {row(r, str(n)).state for n in range(ALIKE - 1)} == {"held"}
    carry(r, pks[-1])
    assert {(row(r, str(n)).state, row(r, str(n)).reason) for n in range(ALIKE)} == {
        ("waiting", "connection_paused")
    }
    assert (gate(r).closed_by, gate(r).reason) == ("fault", "stage is closed")


def test_closed_gate_lets_nothing_through_and_claims_nothing(r, clock):
    pk = give(r)
    connections.close(r.ledger, BOX, "fault", r.ledger.now(), 60, "bad password")
    assert carry(r, pk) == Step()
    assert (box(r).calls, row(r).being_worked_on, row(r).state) == ([], False, "received")


def close_for_a_probe(r, by="fault", reason="bad password"):
    past = r.ledger.now() - timedelta(seconds=60)
    connections.close(r.ledger, BOX, by, past, 15, reason)


def test_good_probe_opens_the_gate_and_wakes_what_waits(r, clock):
    pk, waiting = give(r), give(r, "2")
    claim = orders.claim(r.ledger, waiting, clock.now, 70)
    later = clock.now + timedelta(hours=1)
    outcome = orders.Outcome("waiting", "crm_unavailable", next_try_at=later)
    orders.record(r.ledger, claim, outcome, None, clock.now)
    close_for_a_probe(r, "breaker", "down")
    assert carry(r, pk) == Step(woke=True)
    assert gate(r).closed_by is None
    (waking_gate,) = waking.gates_waking(r.ledger)
    assert waking.wake(r.ledger, waking_gate, 1)
    assert row(r, "2").next_try_at == clock.now


def test_bad_probe_leaves_the_gate_closed_and_only_one_goes_through(r, clock):
    pks = [give(r, str(n)) for n in range(3)]
    close_for_a_probe(r)
    box(r).script["set_order"] = [errors.AuthFailed("bad password") for _ in range(3)]
    for pk in pks:
        carry(r, pk)
    assert len(box(r).sent()) == 1
    assert gate(r).closed_by == "fault"


def test_probe_that_is_refused_with_the_text_of_the_pause_is_not_held_for_it(r, clock):
    pk = give(r)
    close_for_a_probe(r, reason="stage is closed")
    refuse_all(r)
    carry(r, pk)
    assert (row(r).state, row(r).reason) == ("waiting", "connection_paused")
    assert gate(r).closed_by == "fault"


def test_refusal_for_another_reason_shows_that_the_crm_is_back(r, clock):
    pk = give(r)
    close_for_a_probe(r, "breaker", "down")
    refuse_all(r)
    assert carry(r, pk).woke
    assert (row(r).state, gate(r).closed_by) == ("held", None)


def test_breaker_closes_after_failures_in_a_row_over_all_orders(r, clock):
    from tasks.gate import BREAKER_LIMIT  # noqa: PLC0415  beside its only use

    pks = [give(r, str(n)) for n in range(BREAKER_LIMIT + 3)]
    box(r).script["set_order"] = [errors.Unreachable("x")] * len(pks)
    for pk in pks:
        carry(r, pk)
    assert (gate(r).closed_by, len(box(r).sent())) == ("breaker", BREAKER_LIMIT)


def good_one_goes_through(r, order_id):
    assert carry(r, give(r, order_id)).wait is None
    assert row(r, order_id).state == "created"


FAULTS = [errors.Forbidden("HTTP 403"), errors.Misconfigured("HTTP 404")]


@pytest.mark.parametrize("fault", FAULTS, ids=["403", "404"])
def test_fault_of_one_order_holds_it_and_closes_nothing(r, clock, fault):
    pk = give(r, "bad")
    for number in range(4):
        assert row(r, "bad").state != "held"
        box(r).script["set_order"] = [fault]
        carry(r, pk)
        assert gate(r).closed_by is None
        clock.go(1)
        good_one_goes_through(r, str(number))
        clock.now = row(r, "bad").next_try_at + timedelta(seconds=1)
    assert (row(r, "bad").state, row(r, "bad").reason) == ("held", "crm_refused")
    assert "HTTP 40" in row(r, "bad").problems[-1]["detail"]


def test_orders_that_are_held_for_their_own_fault_close_nothing(r, clock):
    """The last of them would close it for the good ones that come after."""
    close_for_a_probe(r, reason="HTTP 403")
    good_one_goes_through(r, "which showed that 403 may be its own")
    pks = [give(r, f"bad-{number}") for number in range(SUSPECTS[1])]
    for number in range(4):
        for pk in pks:
            box(r).script["set_order"] = [errors.Forbidden("HTTP 403")]
            carry(r, pk)
        box(r).script.clear()
        if number < 3:
            clock.go(20)
            good_one_goes_through(r, f"good-{number}")
            clock.go(40)
    assert {row(r, f"bad-{number}").state for number in range(len(pks))} == {"held"}
    assert gate(r).closed_by is None


def test_fault_that_all_meet_holds_none_and_ends_by_itself(r, clock):
    pks = [give(r, str(number)) for number in range(6)]
    for _ in range(20):
        for pk in pks:
            box(r).script["set_order"] = [errors.Forbidden("HTTP 403")]
            carry(r, pk)
        clock.go(20)
    assert gate(r).closed_by == "fault"
    assert {(row(r, str(n)).state, row(r, str(n)).tries) for n in range(6)} <= {
        ("waiting", 0),
        ("received", 0),
    }
    box(r).script.clear()
    for _ in range(3):
        clock.go(20)
        for pk in pks:
            carry(r, pk)
    assert {row(r, str(n)).state for n in range(6)} == {"created"}


def test_gate_closed_by_bad_orders_is_tried_at_once_with_another(r, clock):
    bad = [give(r, str(number)) for number in range(3)]
    good = give(r, "good")
    for pk in bad:
        box(r).script["set_order"] = [errors.Forbidden("HTTP 403")]
        step = carry(r, pk)
    assert gate(r).closed_by == "fault"
    assert step.ring == [Due(good, "okliving", BOX)]
    assert carry(r, good).woke
    assert (gate(r).closed_by, gate(r).cleared) == (None, "HTTP 403")


def test_wave_of_equal_refusals_is_held_once_another_order_went_through(r, clock):
    bad = [give(r, f"bad-{number}") for number in range(ALIKE)]
    good = give(r, "good")
    refuse_all(r)
    for pk in bad:
        step = carry(r, pk)
    assert step.ring == [Due(good, "okliving", BOX)]
    assert carry(r, good).woke
    clock.go(20)
    refuse_all(r)
    for pk in bad:
        carry(r, pk)
    later = [give(r, f"later-{number}") for number in range(ALIKE)]
    refuse_all(r)
    for pk in later:
        carry(r, pk)
    states = orders.overview(r.ledger, clock.now).counts
    assert (states["held"], states["created"], gate(r).closed_by) == (2 * ALIKE, 1, None)


def test_refusals_alike_over_a_long_time_are_the_orders_own(r, clock):
    refuse_all(r)
    for number in range(ALIKE):
        carry(r, give(r, str(number)))
        clock.go(300)
    assert gate(r).closed_by is None


def test_retry_after_binds_the_connection(r, clock):
    pks = [give(r, str(number)) for number in range(5)]
    box(r).script["set_order"] = [errors.RateLimited("x", retry_after=60.0)]
    for pk in pks:
        carry(r, pk)
    assert (len(box(r).sent()), gate(r).closed_by) == (1, "remote")
    assert connections.gate(r.ledger, BOX, "read").closed_by == "remote"
    clock.go(59)
    carry(r, pks[1])
    assert len(box(r).sent()) == 1
    clock.go(2)
    assert carry(r, pks[1]).woke
    assert gate(r).closed_by is None


@pytest.mark.parametrize("others", [True, False])
def test_order_that_alone_gets_no_answer_is_seen_by_a_person_within_a_day(
    r, clock, monkeypatch, others
):
    pk, began = give(r, "poison"), clock.now
    set_order = box(r).set_order

    def poisoned(process):
        if process["externalid"] == "okl-poison":
            box(r).calls.append(("set_order", process))
            raise errors.ServerError("HTTP 500", status=500)
        return set_order(process)

    monkeypatch.setattr(box(r), "set_order", poisoned)
    number = 0
    while row(r, "poison").state != "held" and clock.now - began < timedelta(days=2):
        carry(r, pk)
        clock.now = max(clock.now, row(r, "poison").next_try_at)
        if others:
            number += 1
            good_one_goes_through(r, str(number))
    assert (row(r, "poison").state, row(r, "poison").reason) == ("held", "crm_keeps_failing")
    assert row(r, "poison").uncertain_since is not None
    assert clock.now - began < timedelta(hours=26)
    sends = [p for p in box(r).sent() if p["externalid"] == "okl-poison"]
    assert len(sends) <= (verdicts.MOST_SENDS if others else 50)
    assert len(box(r).looked_up()) <= (40 if others else 140)
    assert gate(r).closed_by is None
    orders.retry(r.ledger, pk, clock.now, who="olena")
    box(r).processes["okl-poison"] = "900"
    carry(r, pk)
    assert row(r, "poison").target_id == "900"


def test_breaker_counts_orders_and_not_the_calls_of_one(r, clock):
    pk = give(r)
    box(r).script["set_order"] = [errors.Unreachable("x")] * 40
    for _ in range(40):
        carry(r, pk)
        clock.now = row(r).next_try_at
    assert (gate(r).failures, gate(r).closed_by) == (1, None)


# --- what a second look found -----------------------------------------------------------------------


@pytest.mark.parametrize("ended", [errors.TokenLost("x"), Rejected("no"), StoreUnavailable("x")])
def test_edit_back_to_what_a_certain_failure_carried_is_still_compared_with_the_last_call(
    r, clock, monkeypatch, ended
):
    """The first call is known to have done nothing, so only the second one's content counts."""
    pk = give(r)
    set_order = box(r).set_order

    def edited_meanwhile(_process):
        monkeypatch.setattr(box(r), "set_order", set_order)
        give(r, note="another address")
        raise ended

    monkeypatch.setattr(box(r), "set_order", edited_meanwhile)
    carry(r, pk)
    clock.now = row(r).next_try_at
    lose_an_answer(r, pk, applied=True)
    give(r)
    clock.go(2)
    carry(r, pk)
    assert (row(r).target_id, row(r).changed) == ("900", True)


def test_mark_of_a_change_is_kept_when_the_adopting_holder_lost_its_lease(r, clock, monkeypatch):
    pk = give(r)
    lose_an_answer(r, pk, applied=True)
    give(r, note="another address")
    clock.go(2)
    find_orders = box(r).find_orders

    def overtaken(ids):
        clock.go(100)
        orders.claim(r.ledger, pk, clock.now, 70)
        return find_orders(ids)

    monkeypatch.setattr(box(r), "find_orders", overtaken)
    carry(r, pk)
    assert (row(r).state, row(r).target_id, row(r).changed) == ("created", "900", True)


def test_clock_that_leaps_ahead_in_mid_call_sends_nothing_a_second_time_at_once(r, clock):
    """A host's clock was set, or a server took over with another one: the call is still under way."""
    pk = give(r)
    orders.claim(r.ledger, pk, clock.now, 70)
    clock.go(3600)
    leapt = clock.now
    while not box(r).sent():
        carry(r, pk)
        clock.now = max(clock.now, row(r).next_try_at)
        assert len(box(r).calls) < 30
    assert clock.now - leapt >= timedelta(seconds=r.settings.uncertain_wait)


LIMITED = [
    errors.RateLimited("x", retry_after=60.0, status=503),
    errors.RateLimited("x", retry_after=300.0, status=429),
]


@pytest.mark.parametrize("error", LIMITED, ids=["503", "429"])
def test_order_that_alone_is_asked_to_wait_closes_the_gate_a_few_times_only(r, clock, error):
    pk, closed = give(r, "bad"), 0
    for number in range(40):
        box(r).script["set_order"] = [error]
        carry(r, pk)
        if gate(r).closed_by is not None:
            closed += 1
            clock.now = gate(r).probe_at
        clock.go(1)
        good_one_goes_through(r, str(number))
        clock.now = max(clock.now, row(r, "bad").next_try_at) + timedelta(seconds=1)
    assert closed <= 5
    assert (row(r, "bad").state, row(r, "bad").reason) in {
        ("waiting", "crm_unavailable"),
        ("held", "crm_keeps_failing"),
    }


def test_gate_that_an_order_closed_by_being_asked_to_wait_is_tried_with_another(r, clock):
    good, bad = give(r, "good"), give(r, "bad")
    box(r).script["set_order"] = [LIMITED[0]]
    carry(r, bad)
    clock.go(61)
    assert orders.probe(r.ledger, BOX, clock.now) == [Due(good, "okliving", BOX)]


def carry_beside_good_ones(r, clock, error, days=2):
    """An order that always meets this, while others go through; how long until a person sees it."""
    pk, began, number = give(r, "bad"), clock.now, 0
    while row(r, "bad").state != "held" and clock.now - began < timedelta(days=days):
        box(r).script["set_order"] = [error]
        carry(r, pk)
        box(r).script.clear()
        clock.now = max(clock.now, row(r, "bad").next_try_at) + timedelta(seconds=1)
        if (probe_at := gate(r).probe_at) is not None:
            clock.now = max(clock.now, probe_at)
        number += 1
        good_one_goes_through(r, str(number))
    return clock.now - began


@pytest.mark.parametrize("error", [errors.TokenLost("x", status=403), *LIMITED])
def test_order_that_alone_is_refused_in_passing_is_seen_by_a_person_within_a_day(r, clock, error):
    """A firewall's empty 403, or its 429, for one body says that it will pass, and never does."""
    assert carry_beside_good_ones(r, clock, error) < timedelta(hours=26)
    assert (row(r, "bad").state, row(r, "bad").reason) == ("held", "crm_keeps_failing")


@pytest.mark.parametrize("error", [errors.TokenLost("x"), *LIMITED, errors.Unreachable("x")])
def test_what_all_meet_in_passing_holds_none_however_long_it_lasts(r, clock, error):
    pks, began = [give(r, str(number)) for number in range(3)], clock.now
    while clock.now - began < timedelta(days=2):
        for pk in pks:
            box(r).script["set_order"] = [error]
            carry(r, pk)
        clock.go(600)
    assert {row(r, str(n)).state for n in range(3)} <= {"received", "waiting"}


def test_slow_rate_lets_an_uncertain_order_be_sent_again(make, clock):
    """One call in twenty seconds: the send behind the look-up waits longer than a try may last."""
    r = make(box={"rate": 0.05})
    pk = give(r)
    lose_an_answer(r, pk, applied=False)
    for _ in range(40):
        r.redis.flushall()  # its turns go by Redis's own clock
        clock.now = max(clock.now, row(r).next_try_at)
        carry(r, pk)
    assert (row(r).state, len(box(r).sent())) == ("created", 2)


def test_slow_rate_lets_an_order_be_sent_whose_buyers_phone_is_taken(make, clock):
    r = make(box={"rate": 0.05})
    pk = give(r)
    box(r).cards["+380671234567"] = "55"
    for _ in range(5):
        r.redis.flushall()
        box(r).script["set_order"] = [PhoneTaken("#12903")]
        clock.now = max(clock.now, row(r).next_try_at)
        carry(r, pk)
    assert row(r).state == "created"


def test_probe_whose_order_makes_no_call_is_passed_on_at_once(r, clock):
    good = give(r, "good")
    bad = [give(r, f"bad-{n}", recipient={"phone": "none"}) for n in range(5)]
    close_for_a_probe(r, "breaker", "down")
    step = carry(r, bad[-1])
    for _ in range(len(bad)):
        (due,) = step.ring
        step = carry(r, due.pk)
    assert (row(r, "good").state, gate(r).closed_by) == ("created", None)
    assert due.pk == good


def test_probe_that_makes_no_call_is_passed_on_to_one_that_does(r, clock):
    pk = give(r, "held", recipient={"phone": "none"})
    close_for_a_probe(r, "breaker", "down")
    assert carry(r, pk).ring == []
    later = give(r, "later")
    assert carry(r, later).woke


def test_answers_that_say_nothing_do_not_hide_a_wave_of_equal_refusals(r, clock):
    """A poison order and one that the firewall dislikes, between orders that a closed stage refuses."""
    poison = [
        errors.ServerError("HTTP 500", status=500),
        errors.Forbidden("HTTP 403"),
        errors.TokenLost("x"),
        errors.Unreachable("x"),
    ]
    for number in range(ALIKE):
        refuse_all(r)
        carry(r, give(r, str(number)))
        clock.go(1)
        if number < len(poison):
            box(r).script["set_order"] = [poison[number]]
            carry(r, give(r, f"other-{number}"))
            clock.go(1)
    assert gate(r).closed_by == "fault"
    assert {row(r, str(n)).state for n in range(ALIKE)} == {"waiting"}


def test_refused_look_up_clears_nothing_that_is_said_of_what_is_sent(r, clock):
    pk = give(r)
    lose_an_answer(r, pk, applied=False)
    for number in range(2):
        box(r).script["set_order"] = [errors.Forbidden("HTTP 403")]
        carry(r, give(r, str(number + 2)))
    clock.go(2)
    box(r).script["find_orders"] = [Rejected("no")]
    carry(r, pk)
    assert gate(r).suspects == 2


# --- its own target ---------------------------------------------------------------------------------


def test_orders_own_target_decides_where_it_goes(r, clock):
    pk = give(r)
    other = dataclasses.replace(
        with_client(r.targets[BOX], type(box(r))(), r.profiles["okliving"]),
        connection=dataclasses.replace(r.targets[BOX].connection, name="other"),
        gate=Gate(r.ledger, "other"),
    )
    r.targets["other"] = other
    move = update(ORDERS).values(target="other")
    r.ledger.write(lambda db: db.execute(move))
    step = carry(r, pk)
    assert (box(r).calls, step.ring) == ([], [Due(pk, "okliving", "other")])
    creating.create(r, pk, "okliving", "task-1", "other")
    assert (row(r).state, len(other.connector.client.sent()), box(r).calls) == ("created", 1, [])


def test_order_of_a_target_that_is_configured_no_more_is_held(r, clock):
    pk = give(r)
    move = update(ORDERS).values(target="gone")
    r.ledger.write(lambda db: db.execute(move))
    assert orders.astray(r.ledger, [BOX], 10) == [Due(pk, "okliving", "gone")]
    carry(r, pk)
    assert (row(r).state, row(r).reason, box(r).calls) == ("held", "target_not_configured", [])
    assert orders.astray(r.ledger, [BOX], 10) == []


# --- the limits -------------------------------------------------------------------------------------


def test_who_finds_no_free_place_waits_in_line_and_is_rung_for_by_who_leaves(make, clock):
    r = make(box={"concurrency": 1})
    first, second = give(r), give(r, "2")
    slots = r.targets[BOX].slots
    assert slots.acquire("someone", "x:0")
    assert carry(r, second) == Step()
    assert (slots.in_line(), row(r, "2").being_worked_on) == (1, False)
    slots.call_up(1)
    slots.release("someone")
    slots.join_line(f"okliving:{second}")
    assert carry(r, first).ring == [Due(second, "okliving")]
    assert slots.in_use() == 0


@pytest.mark.parametrize("limit", [0, 9])
def test_orders_without_a_turn_wait_in_line_and_ring_for_nobody(make, clock, limit):
    """Else they ring for each other without end, and a processor does nothing else."""
    r = make(box={"concurrency": limit, "rate": 0.05})
    pks = [give(r, str(number)) for number in range(9)]
    slots, rate = r.targets[BOX].slots, r.targets[BOX].rate
    while rate.reserve(1.0):
        pass
    assert [carry(r, pk).ring for pk in pks] == [[]] * 9
    assert (slots.in_line(), slots.in_use(), box(r).calls) == (9, 0, [])
    r.redis.delete(f"ob:{BOX}:turn")
    assert len(carry(r, give(r, "with a turn")).ring) == 2


def test_slow_rate_wastes_no_turn(make, clock):
    """Its next turn lies farther ahead than others wait."""
    r = make(box={"rate": 0.5})
    first, second = give(r), give(r, "2")
    carry(r, first)
    assert carry(r, second).ring == []
    assert row(r, "2").state == "created"


def test_probe_that_finds_no_turn_leaves_it_to_another_at_once(make, clock):
    r = make(box={"rate": 0.05})
    pk = give(r)
    close_for_a_probe(r, "breaker", "down")
    rate = r.targets[BOX].rate
    while rate.reserve(1.0):
        pass
    assert carry(r, pk) == Step()
    r.redis.delete(f"ob:{BOX}:turn")
    assert carry(r, pk).woke


def test_members_of_the_line_name_their_order():
    assert due_of("shop:with:colons:17") == Due(17, "shop:with:colons")


# --- the worker's guard -----------------------------------------------------------------------------


@pytest.mark.parametrize("supervised", [True, False])
@pytest.mark.parametrize(
    ("message", "guarded"),
    [("Couldn't ack %r, reason:%r", True), ("Couldn't reject %r", True), ("Other trouble", False)],
)
def test_failed_acknowledgement_ends_a_supervised_worker_only(
    make, monkeypatch, supervised, message, guarded
):
    module = sys.modules["tasks.app"]  # the package's `app` hides the module of that name
    killed = []
    monkeypatch.setattr(module.settings, "current", lambda: make(supervised=supervised).settings)
    monkeypatch.setattr(module.os, "kill", lambda *given: killed.append(given))
    record = logging.LogRecord(
        "celery", logging.CRITICAL, "", 0, message, (1, 2)[: message.count("%")], None
    )
    module.AckGuard().emit(record)
    assert bool(killed) is (supervised and guarded)
