"""`pause` and `resume`: what they do, what they refuse, and what a person reads."""

from __future__ import annotations

import json

import pytest
from cli_orders import give

from desk.gates import LONGEST_REASON
from ledger import connections

BOX = "onebox"
PAUSE = ("pause", BOX, "--write", "--reason", "the box moves", "--as", "anna")


@pytest.fixture
def run(run, process_environment):
    """Commands of a sandbox whose two connections are named; nobody answers at any address."""
    process_environment["ORDERBRIDGE_SANDBOX"] = "1"
    for name in ("OKLIVING_URL", "ONEBOX_URL"):
        process_environment[name] = "http://127.0.0.1:1"
    for name in ("OKLIVING_CLIENT_ID", "OKLIVING_CLIENT_SECRET", "ONEBOX_LOGIN", "ONEBOX_PASSWORD"):
        process_environment[name] = "x"
    process_environment |= {"ONEBOX_WORKFLOW_ID": "1", "ONEBOX_STATUS_ID": "2"}
    return run


def by(ledger, direction="write"):
    return connections.gate(ledger, BOX, direction).closed_by


def test_pause_and_resume_say_what_is_done_and_how_it_goes_on(run, ledger):
    code, said, _ = run(*PAUSE)
    assert code == 0
    words = " ".join(said.split())
    assert words == (
        "Writes to onebox are paused by anna: the box moves. "
        "To go on: `orderbridge resume onebox --write`."
    )
    assert by(ledger) == "person"
    code, said, _ = run("resume", BOX, "--write")
    assert code == 0
    assert said.startswith("onebox: writes go on.")
    assert by(ledger) is None


def test_an_order_says_that_a_pause_keeps_it_and_no_time_that_will_not_be(run, ledger):
    give(ledger)
    assert "Next try 2026" in run("orders", "show", "1")[1]
    run("pause", BOX, "--read", "--reason", "reads keep no order")
    assert "Next try 2026" in run("orders", "show", "1")[1]
    run(*PAUSE)
    shown = run("orders", "show", "1")[1]
    assert (
        "are paused by anna: the box moves. To go on: `orderbridge resume onebox --write`" in shown
    )
    assert "Next try" not in shown


def test_the_command_that_is_shown_is_the_one_that_resumes(run, ledger):
    _, said, _ = run("pause", BOX, "--read", "--reason", "x")
    shown = said.split("`")[1].removeprefix("orderbridge ")
    assert run(*shown.split())[0] == 0
    assert by(ledger, "read") is None


def test_both_directions_and_json(run, ledger):
    code, said, _ = run(*PAUSE, "--read", "--json")
    assert code == 0
    told = json.loads(said)
    assert [(one["connection"], one["direction"], one["who"]) for one in told] == [
        (BOX, "read", "anna"),
        (BOX, "write", "anna"),
    ]
    code, said, _ = run("resume", BOX, "--read", "--write", "--json")
    assert json.loads(said) == {"connection": BOX, "resumed": ["read", "write"], "rung": False}
    assert (by(ledger), by(ledger, "read")) == (None, None)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("pause", BOX, "--reason", "x"), 2, "--read, --write or both"),
        (("resume", BOX), 2, "--read, --write or both"),
        (("pause", "onebx", "--write", "--reason", "x"), 2, "onebox"),
        (("pause", BOX, "--write", "--reason", "  "), 2, "--reason"),
        (("pause", BOX, "--write", "--reason", "\x1b\u200b"), 2, "--reason"),
        (("pause", BOX, "--write", "--reason", "x" * (LONGEST_REASON + 1)), 2, "are kept"),
        (("pause", BOX, "--write"), 2, "--reason"),
        (("resume", BOX, "--write"), 4, "Writes to onebox are not paused."),
    ],
)
def test_what_makes_no_sense_changes_nothing(run, ledger, arguments, code, told):
    found, said, complained = run(*arguments)
    assert (found, said) == (code, "")
    assert told in complained
    assert (by(ledger), by(ledger, "read")) == (None, None)


def test_a_second_pause_is_told_whose_the_first_one_is(run, ledger):
    run(*PAUSE)
    code, _, complained = run("pause", BOX, "--write", "--reason", "mine")
    assert code == 4
    assert "paused by anna: the box moves" in complained


def test_resume_does_not_open_what_closed_by_itself(run, ledger):
    connections.close(ledger, BOX, "fault", ledger.now(), 15, "403")
    code, _, complained = run("resume", BOX, "--write")
    assert code == 4
    assert "orderbridge check --connection onebox" in complained
    assert by(ledger) == "fault"


def test_a_reason_is_only_text(run, ledger):
    _, said, _ = run("pause", BOX, "--write", "--reason", "a\n\x1b[31m[b]red[/b]\u202e")
    assert "a [31m[b]red[/b]" in " ".join(said.split())
    assert connections.gate(ledger, BOX).reason == "a [31m[b]red[/b]"
