"""What the screen and the lines say."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from run.processes import Status
from run.screen import LatestOrder, Lines, Snapshot, View, Watch, age, frame

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def order(order_id="10001", state="created", reason="", target_id="501", seconds=0):
    changed = NOW + timedelta(seconds=seconds)
    return LatestOrder(order_id, state, reason, target_id, NOW, changed)


def snapshot(*orders, last_poll=NOW, **counts):
    return Snapshot(counts, orders, last_poll)


def drawn(view, statuses=(), height=24, width=100):
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    console.print(frame("SANDBOX", view, statuses, NOW, height))
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s ago"),
        (-3, "0 s ago"),
        (59, "59 s ago"),
        (60, "1 min ago"),
        (7_300, "2 h ago"),
        (90_000, "1 d ago"),
    ],
)
def test_ages_have_one_unit(seconds, words):
    assert age(NOW - timedelta(seconds=seconds), NOW) == words


def test_a_poll_that_never_was_is_said_so():
    assert age(None, NOW) == "not yet"


def test_the_screen_tells_state_reason_and_where_the_order_stands():
    held = order("10002", "held", "phone missing", None)
    text = drawn(View(snapshot(order(), held, created=7, held=1), {"create": 3}))
    assert "7 created" in text
    assert "1 needs a person" in text
    assert "create 3" in text
    [line] = [line for line in text.splitlines() if "10002" in line]
    assert "needs a person" in line
    assert "phone missing" in line


@pytest.mark.parametrize("height", [5, 14, 24, 60])
def test_the_screen_fits_the_terminal(height):
    text = drawn(View(snapshot(*(order(str(n)) for n in range(50))), {}), height=height)
    assert len(text.splitlines()) <= max(height, 13)


def test_markup_in_an_id_is_only_text():
    assert "[red]1[/]" in drawn(View(snapshot(order("[red]1[/]")), {}))


def test_what_cannot_be_read_is_said_and_not_shown_as_nought():
    text = drawn(View())
    assert "the ledger cannot be read" in text
    assert "the broker does not answer" in text
    assert "0 created" not in text


def test_a_program_that_is_down_says_when_it_comes_back():
    text = drawn(View(), [Status("create", None, 2, 3.4), Status("rest", 7, 1, None)])
    assert "create down, again in 3 s" in text.replace("\xa0", " ")
    assert "rest (1× restarted)" in text.replace("\xa0", " ")


def test_a_program_that_does_not_start_says_why_as_text_alone():
    why = "FLOWER_BASIC_AUTH must be [red]user:password[/red]\x1b[2J."
    statuses = [Status("flower", None, 3, 3.4, why), Status("create", 7, 0, None)]
    text = drawn(View(), statuses)
    assert "flower: FLOWER_BASIC_AUTH must be [red]user:password[/red]" in text
    assert "\x1b[2J" not in text
    assert Lines().new(None, statuses) == [f"flower ended and was started again: {why}"]


def test_each_change_of_an_order_is_one_line_the_oldest_first():
    lines = Lines()
    first = lines.new(snapshot(order("2", seconds=1), order("1", "received", target_id=None)), [])
    assert [line.split("  ", 1)[1] for line in first] == [
        "order 1  received",
        "order 2  created  CRM 501",
    ]
    held = order("1", "held", "phone missing", None, seconds=2)
    again = snapshot(held, order("2", seconds=1))
    [line] = lines.new(again, [])
    assert line.endswith("order 1  needs a person  phone missing")
    assert lines.new(again, []) == []
    assert lines.new(None, []) == []


def test_each_restart_is_one_line():
    lines = Lines()
    assert lines.new(None, [Status("beat", 1, 0, None)]) == []
    assert len(lines.new(None, [Status("beat", 2, 1, None)])) == 1
    assert lines.new(None, [Status("beat", 2, 1, None)]) == []


def test_a_broken_ledger_and_a_dead_broker_do_not_end_the_watch(until):
    answers = [snapshot(created=1), RuntimeError("the database is away")]

    def read():
        answer = answers.pop()
        if isinstance(answer, Exception):
            answers.append(snapshot(created=1))
            raise answer
        answers.append(answer)
        return answer

    watch = Watch(read, "redis://127.0.0.1:1/0", every=0.01)
    watch.start()
    until(lambda: watch.view.snapshot is not None)
    assert watch.view.queues is None
    watch.stop()


def test_counts_of_a_while_ago_are_told_as_such():
    now = drawn(View(Snapshot({"created": 7}, (), NOW, NOW)))
    ago = drawn(View(Snapshot({"created": 7_000_000}, (), NOW, NOW - timedelta(seconds=90))))
    assert "counted" not in now
    assert "orders counted 1 min ago" in ago


def test_each_source_has_its_own_last_poll_where_there_are_several():
    polls = {"north": NOW, "south": None}
    assert "last poll: north 0 s ago, south not yet" in drawn(
        View(Snapshot({"created": 7}, (), NOW, NOW, polls))
    )


def test_a_lane_that_nobody_serves_or_that_is_late_is_named():
    seen = Snapshot({}, (), NOW, late=("updates",))
    text = drawn(View(seen, {"create": 0, "updates": 3}, unserved=("create",)))
    assert "create 0 nobody serves it" in text
    assert "updates 3 late" in text
