"""What an OK Living shop is told next, and what is known of an order there; without a drain."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from clients.errors import IllegalTransition, NotFound, Rejected
from connectors.feedback import Asks, Ends, Send
from connectors.okliving_feedback import Known, OklivingFeedback
from mapping.statuses import MACHINES

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
NUMBER = "20450000000001"
AGES = {
    "note": timedelta(hours=6),
    "status": timedelta(hours=48),
    "tracking_number": timedelta(hours=48),
}


def feedback(planner="check", seen=None):
    rules = SimpleNamespace(machines=MACHINES, planner=planner, greatest_age=AGES)
    return OklivingFeedback(None, rules, lambda _: seen)


def order(status="open", delivery="open", number=None):
    shipping = SimpleNamespace(tracking_number=number)
    return SimpleNamespace(status=status, delivery_status=delivery, shipping=shipping)


def asks(**values):
    return Asks(values, tuple(values))


def plan(values, known, *, trust=True, ours=(), planner="check", **options):
    wanted = Asks(values, tuple(values), options)
    return feedback(planner).plan(wanted, tuple(values), known, trust=trust, ours=lambda _: ours)


def certainly(**states):
    return Known(states, frozenset(states))


def test_its_parts_and_what_the_drain_must_know_of_them():
    parts = feedback().parts
    assert list(parts) == ["tracking_number", "order", "delivery", "note"]
    assert [name for name, rule in parts.items() if rule.ordered] == ["order", "delivery"]
    assert [name for name, rule in parts.items() if rule.maybe_doubled] == ["note"]
    assert parts["order"].field == "statuses.order"


@pytest.mark.parametrize(
    ("known", "trust", "following"),
    [
        (Known(), True, Send({"order": "complete"}, ("order",))),
        (
            certainly(order="open"),
            True,
            Ends("order", "parked", "update_illegal", detail="order.process, order.cancel"),
        ),
        (certainly(order="open"), False, Send({"order": "complete"}, ("order",))),
        (certainly(order="completed"), True, Ends("order", "sent", "update_nothing_to_do")),
        (Known({"order": "completed"}), True, Send({"order": "complete"}, ("order",))),
    ],
)
def test_only_what_is_certain_and_trusted_spares_a_call_or_refuses_one(known, trust, following):
    assert plan({"order": "complete"}, known, trust=trust) == following


def test_a_way_of_several_steps_completes_nothing_until_its_last():
    values = {"order": "complete", "note": "n"}
    first = plan(values, Known({"order": "open"}), planner="plan")
    assert first == Send({"order": "process"})
    then = feedback("plan").learned(Known(), first)
    assert plan(values, then, planner="plan") == Send(values, ("order", "note"))


@pytest.mark.parametrize(
    ("theirs", "ours", "replace", "goes"),
    [
        (None, (), False, True),
        (NUMBER, (), False, True),
        ("59", (), False, False),
        ("59", ("59",), False, True),
        ("59", (), True, True),
    ],
)
def test_a_number_that_is_not_ours_is_overwritten_only_when_asked(theirs, ours, replace, goes):
    known = Known(tracking_number=theirs)
    following = plan({"tracking_number": NUMBER}, known, ours=ours, replace=replace)
    parked = Ends("tracking_number", "parked", "update_ttn_differs", theirs, NUMBER)
    assert following == (
        Send({"tracking_number": NUMBER}, ("tracking_number",)) if goes else parked
    )


@pytest.mark.parametrize(
    ("minutes", "seen_after", "state", "certain"),
    [
        (1, None, "in_progress", True),
        (61, None, "in_progress", False),
        (1, -5, "in_progress", True),
        (1, -0.5, "in_progress", False),
        (1, 5, "cancelled", False),
    ],
)
def test_what_calls_taught_counts_until_it_is_old_or_the_shop_was_seen_to_be_otherwise(
    minutes, seen_after, state, certain
):
    at = NOW - timedelta(minutes=minutes)
    stored = {"states": {"order": "in_progress"}, "certain": ["order"], "tracking_number": None}
    shop = None if seen_after is None else order("cancelled", number=NUMBER)
    seen = None if shop is None else ("text", at + timedelta(seconds=seen_after))
    known = feedback(seen=shop).first_known(stored, at, seen, NOW)
    assert (known.states["order"], "order" in known.certain) == (state, certain)
    assert known.tracking_number == (NUMBER if shop else None)


def test_what_the_shop_lists_that_no_table_has_is_no_state():
    known = feedback(seen=order("mislaid")).first_known(None, None, ("text", NOW), NOW)
    assert known == Known({"delivery": "open"})


def test_what_is_kept_is_certain_only_where_it_was_taught_now():
    port = feedback()
    known = port.learned(certainly(order="open"), Send({"delivery": "ship"}, ("delivery",)))
    assert known.certain == {"order", "delivery"}
    assert port.kept(known)["certain"] == ["delivery"]
    assert port.kept(port.doubted(known))["certain"] == []
    assert port.learned(known, Send({"note": "n"}, ("note",))) is known


def test_a_refusal_is_judged_where_it_says_something():
    port, known = feedback(), certainly(order="open")
    wanted, send = asks(order="process"), Send({"order": "process"}, ("order",))
    assert port.judged(Rejected("no"), wanted, send, known) is None
    there = port.judged(
        IllegalTransition("x", possible=("complete", "cancel")), wanted, send, known
    )
    assert (there.outcome, there.ends[0].code) == ("already_there", "update_nothing_to_do")
    assert there.known.states == {"order": "in_progress"}
    no = port.judged(IllegalTransition("x", possible=("reopen",)), wanted, send, known)
    assert no.ends == (Ends("order", "parked", "update_illegal", detail="order.reopen"),)
    both = Send({"order": "process", "note": "n"}, ("order", "note"))
    assert port.judged(IllegalTransition("x"), asks(**both.values), both, known) is None
    gone = port.judged(NotFound("who"), asks(**both.values), both, known)
    assert [(one.part, one.code) for one in gone.ends] == [
        ("order", "update_unknown_order"),
        ("note", "update_unknown_order"),
    ]


def test_a_step_of_a_wrong_guess_is_planned_anew():
    step = Send({"order": "process"})
    judged = feedback().judged(
        IllegalTransition("x"), asks(order="complete"), step, certainly(order="open")
    )
    assert (judged.ends, judged.known) == ((), Known())


@pytest.mark.parametrize(
    ("newer", "older", "part", "code"),
    [
        ({"tracking_number": "2"}, {"tracking_number": "1"}, "tracking_number", "update_replaced"),
        ({"delivery": "cancel"}, {"delivery": "ship"}, "delivery", "update_withdrawn"),
        ({"delivery": "cancel"}, {"delivery": "retour"}, "delivery", None),
        ({"delivery": "retour"}, {"delivery": "ship"}, "delivery", None),
        ({"order": "cancel"}, {"delivery": "ship"}, "delivery", None),
        ({"note": "b"}, {"note": "a"}, "note", None),
    ],
)
def test_what_a_later_update_takes_over(newer, older, part, code):
    assert feedback().takes_over(asks(**newer), asks(**older), part) == code


@pytest.mark.parametrize(
    ("newer", "why", "code"),
    [
        ({"order": "process"}, "update_illegal", "update_superseded"),
        ({"order": "process"}, "update_refused", None),
        ({"order": "complete"}, "update_illegal", "update_superseded"),
        ({"order": "process"}, "update_too_old", None),
        ({"delivery": "ship"}, "update_illegal", None),
        ({"note": "n"}, "update_illegal", None),
    ],
)
def test_what_a_later_action_does_to_a_parked_one(newer, why, code):
    parked = replace(asks(order="complete"), left=(), parked={"order": why})
    assert feedback().takes_over(asks(**newer), parked, "order") == code
