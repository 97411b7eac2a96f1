"""`check` says good, bad or not checked, to people, to machines and by its exit code."""

from __future__ import annotations

import json

import pytest

from tasks import checking, resources
from tasks.checking import Line

CLOCK = Line("ledger", "clock", "good", "+0.0 s from the database's")
GOOD = Line("onebox", "log in", "good", "")
ADVISED = Line("onebox", "table payment", "good", "empty, while 3 orders say card", "Fill it.")
BAD = Line("onebox", "stage", "bad", "[bold]999[/bold] is none of: 71.", "Check the stage id.")
UNCHECKED = Line("onebox", "stage", "unchecked", "because the box does not list them.", "Look.")


@pytest.fixture
def check(run, monkeypatch):
    def check(*lines, arguments=()):
        monkeypatch.setattr(resources, "build", lambda _: None)
        monkeypatch.setattr(checking, "check", lambda *_, **__: [CLOCK, *lines])
        return run("check", *arguments)

    return check


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ((GOOD,), 0),
        ((GOOD, ADVISED), 0),
        ((GOOD, UNCHECKED), 5),
        ((UNCHECKED, ADVISED), 5),
        ((GOOD, BAD), 1),
        ((UNCHECKED, BAD), 1),
        ((), 0),
    ],
)
@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_the_exit_code_tells_the_worst_answer(check, lines, code, arguments):
    assert check(*lines, arguments=arguments)[0] == code


def test_machines_get_each_answer_and_whether_it_is_good(check):
    told = json.loads(check(GOOD, BAD, UNCHECKED, arguments=["--json"])[1])
    assert [(one["answer"], one["good"]) for one in told] == [
        ("good", True),
        ("good", True),
        ("bad", False),
        ("unchecked", None),
    ]
    assert set(told[0]) == {"connection", "what", "answer", "good", "result", "mend"}


def test_people_see_that_good_is_not_all_and_that_unchecked_is_not_good(check):
    out = check(GOOD, ADVISED, UNCHECKED, BAD)[1]
    said = " ".join(out.split())
    assert "good, but empty" in said
    assert "not checked because" in said
    assert "bad [bold]999[/bold]" in said
