"""Who did what to an order: the commands say so, and take the name of who acts."""

from __future__ import annotations

import getpass
import json
import os
from dataclasses import replace
from datetime import datetime

import pytest
from cli_orders import NOW, end, give

from ledger import enqueueing, hearing, history, orders, queues
from ledger.enqueueing import Asked
from ledger.transitions import Process, Stand
from ledger.updates import Due, moved


@pytest.fixture
def held(ledger):
    pk = give(ledger)
    end(ledger, pk, "held", reason="total_mismatch")
    return pk


@pytest.fixture
def parked(ledger):
    row = enqueueing.accept(
        ledger, Asked("okliving", "1", digest="d", origin="t", parts={"note": "n"}), NOW
    )
    queue, (row,), _ = queues.claim(ledger, Due("okliving", "1"), NOW, 60)
    parts = moved(row.parts, ("note",), "parked")
    after = replace(row, parts=parts, state="parked", reason="update_too_old")
    queues.record(ledger, queue, after, NOW)
    queues.rest(ledger, queue, NOW)
    return row.id


def acts(ledger):
    return [(act.who, act.what) for act in history.of_order(ledger, "okliving", "1")]


def mending(parked):
    """Each command that mends, and what the history calls it."""
    yield ("orders", "release", "1"), "order_released"
    yield ("orders", "ignore", "1"), "order_ignored"
    yield ("orders", "retry", "1"), "order_retried"
    yield ("updates", "retry", str(parked)), "update_retried"
    yield ("updates", "cancel", str(parked)), "update_cancelled"


def test_an_order_says_what_was_last_heard_of_it(run, ledger):
    end(ledger, give(ledger), "created")
    stand = Stand("В роботі\x1b[31m", "20450000000000", None, ("k",))
    process = Process("okliving", "1", "okliving-1")
    hearing.hear(ledger, process, [stand], NOW, through=frozenset(), read=True)
    code, out, _ = run("orders", "show", "1")
    assert code == 0
    assert "Last heard from there: stage В роботі" in out
    assert "tracking number 20450000000000" in out
    assert "\x1b" not in out


def test_every_command_that_mends_takes_the_name_of_who_acts(run, ledger, held, parked):
    for command, _ in mending(parked):
        assert run(*command, "--as", " Олена ")[0] == 0
    assert acts(ledger) == [("Олена", what) for _, what in mending(parked)]


@pytest.mark.parametrize("given", [(), ("--as", " ")])
def test_without_a_name_it_is_the_login(run, ledger, held, monkeypatch, given):
    monkeypatch.setattr(getpass, "getuser", lambda: "petro")
    run("orders", "retry", "1", *given)
    assert acts(ledger) == [("petro", "order_retried")]


def test_a_user_without_a_name_is_told_by_the_number(run, ledger, held, monkeypatch):
    def nobody():
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(getpass, "getuser", nobody)
    run("orders", "retry", "1")
    assert acts(ledger) == [(f"user {os.getuid()}", "order_retried")]


def test_show_tells_who_did_what_when_and_what_it_changed(run, ledger, held, parked):
    run("orders", "release", "1", "--as", "[b]olena")
    run("updates", "retry", str(parked), "--as", "petro")
    out = " ".join(run("orders", "show", "1")[1].split())
    assert "[b]olena order released held (total_mismatch) → waiting" in out
    assert f"petro update retried ({parked})" in out
    first, second = json.loads(run("orders", "show", "1", "--json")[1])["history"]
    at = datetime.fromisoformat(first.pop("at"))
    assert at.utcoffset() is not None
    assert first == {
        "who": "[b]olena",
        "what": "order_released",
        "about": "order",
        "connection": "okliving",
        "order_id": "1",
        "update_id": None,
        "before": {"state": "held", "reason": "total_mismatch"},
        "after": {"state": "waiting", "reason": "released"},
    }
    assert (second["about"], second["update_id"], second["who"]) == ("update", parked, "petro")


def test_an_order_that_nobody_touched_has_no_history(run, ledger, held):
    assert json.loads(run("orders", "show", "1", "--json")[1])["history"] == []
    assert "who" not in run("orders", "show", "1")[1]


def test_what_was_not_possible_is_no_act(run, ledger):
    end(ledger, give(ledger), "created")
    assert run("orders", "ignore", "1")[0] == 4
    assert acts(ledger) == []
    assert orders.listing(ledger, NOW)[0].state == "created"
