"""A person's pause: it stays as it is until a person ends it, whatever the machinery finds out meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from ledger import connections, waking
from ledger.connections import AsItIs
from ledger.tables import HISTORY

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
BY_OTHERS = ("breaker", "fault", "remote")


def pause(ledger, *directions, at=NOW, reason="the box moves", who="anna"):
    return connections.pause(ledger, "box", directions or ["write"], at, reason=reason, who=who)


def resume(ledger, *directions, at=LATER, who="olena"):
    connections.resume(ledger, "box", directions or ["write"], at, who=who)


def acts(ledger):
    with ledger.read() as db:
        rows = db.execute(select(HISTORY).order_by(HISTORY.c.id)).all()
    return [(row.who, row.what, row.connection, row.before, row.after) for row in rows]


def close_by(ledger, by):
    if by == "remote":
        connections.ask_to_wait(ledger, "box", LATER, NOW, "429")
    else:
        connections.close(ledger, "box", by, NOW, 5, "down")


# What the machinery does to a gate by itself.
MACHINERY = {
    "the breaker counts to its limit": lambda ledger: connections.count_failure(
        ledger, "box", LATER, 1, 5, "down"
    ),
    "three orders met its fault": lambda ledger: [
        connections.suspect(ledger, "box", LATER, str(n), "403", (1, 1)) for n in range(3)
    ],
    "a fault of the connection": lambda ledger: connections.close(
        ledger, "box", "fault", LATER, 5, "403"
    ),
    "the remote asks to wait": lambda ledger: connections.ask_to_wait(
        ledger, "box", LATER, LATER, "429"
    ),
    "a call under way goes through": lambda ledger: connections.open_gate(ledger, "box"),
    "a probe is given back": lambda ledger: connections.give_probe_back(ledger, "box", LATER),
}


@pytest.mark.parametrize("before", [None, *BY_OTHERS])
@pytest.mark.parametrize("meanwhile", MACHINERY.values(), ids=MACHINERY)
def test_nothing_but_a_person_ends_or_rewrites_a_pause(ledger, before, meanwhile):
    if before:
        close_by(ledger, before)
    pause(ledger)
    meanwhile(ledger)
    row = connections.gate(ledger, "box")
    assert (row.closed_by, row.who, row.reason) == ("person", "anna", "the box moves")
    assert (row.closed_at, row.probe_at) == (NOW, None)
    assert not connections.take_probe(ledger, "box", NOW + timedelta(days=400), 5)


def test_one_direction_of_one_connection_is_paused_and_no_other(ledger):
    connections.close(ledger, "other", "breaker", NOW, 5, "down")
    pause(ledger)
    assert connections.gate(ledger, "box", "read").closed_by is None
    assert connections.gate(ledger, "other").closed_by == "breaker"
    resume(ledger)
    assert connections.gate(ledger, "other").closed_by == "breaker"


def test_resumed_gate_is_open_and_what_waited_is_to_be_woken(ledger):
    close_by(ledger, "breaker")
    pause(ledger)
    resume(ledger)
    assert connections.gate(ledger, "box") == connections.GateRow("box")
    assert [(one.connection, one.opened_at) for one in waking.gates_waking(ledger)] == [
        ("box", LATER)
    ]
    connections.close(ledger, "box", "breaker", LATER, 5, "down again")
    assert connections.gate(ledger, "box").closed_by == "breaker"


def test_two_who_pause_are_one_pause_and_the_second_is_told_whose(ledger):
    pause(ledger)
    with pytest.raises(AsItIs) as told:
        pause(ledger, at=LATER, reason="mine", who="olena")
    assert told.value.row.who == "anna"
    assert connections.gate(ledger, "box").reason == "the box moves"


@pytest.mark.parametrize("by", [None, *BY_OTHERS])
def test_what_no_person_closed_no_person_opens(ledger, by):
    if by:
        close_by(ledger, by)
    with pytest.raises(AsItIs):
        resume(ledger)
    assert connections.gate(ledger, "box").closed_by == by
    assert acts(ledger) == []


def test_both_directions_or_none(ledger):
    pause(ledger, "read")
    with pytest.raises(AsItIs):
        pause(ledger, "write", "read")
    assert connections.gate(ledger, "box").closed_by is None
    with pytest.raises(AsItIs):
        resume(ledger, "read", "write")
    assert connections.gate(ledger, "box", "read").closed_by == "person"


def test_the_history_says_who_and_why_and_nothing_that_a_remote_said(ledger):
    connections.close(ledger, "box", "fault", NOW, 5, "the remote's own words")
    pause(ledger)
    resume(ledger)
    by_person = {"gate": "write", "state": "closed by person", "reason": "the box moves"}
    assert acts(ledger) == [
        (
            "anna",
            "connection_paused",
            "box",
            {"gate": "write", "state": "closed by fault"},
            by_person,
        ),
        ("olena", "connection_resumed", "box", by_person, {"gate": "write", "state": "open"}),
    ]


def test_of_many_who_resume_at_once_one_does(ledger, together):
    pause(ledger)

    def try_it(_):
        try:
            resume(ledger)
        except AsItIs:
            return False
        return True

    assert sum(together(try_it, 8)) == 1


def test_a_name_that_no_store_holds_is_kept_as_text(ledger):
    (row,) = pause(ledger, who="an\x00na\ud800" + "x" * 100)
    assert row.who == ("anna" + "x" * 100)[:64]
