"""What the screen and the lines say."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from run.frame import FRAME_LINES, frame
from run.processes import Status
from run.screen import Lines, Watch
from run.views import ForPerson, LatestOrder, Snapshot, Stopped, View, age

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
    assert "1 held" in text
    assert "create 3" in text
    [line] = [line for line in text.splitlines() if "10002" in line]
    assert "held" in line
    assert "phone missing" in line


def test_the_clock_of_a_screen_says_its_offset_once_or_where_they_differ_with_each_order():
    kyiv, utc = ZoneInfo("Europe/Kyiv"), ZoneInfo("UTC")

    def at(order_id, zone):
        return replace(order(order_id), changed_at=NOW.astimezone(zone))

    same = drawn(View(snapshot(at("1", kyiv), at("2", kyiv))), width=80)
    assert same.count("+02:00") == 1
    assert same.count("14:00:00  ") == 2
    other = drawn(View(snapshot(at("1", kyiv), at("2", utc))), width=80)
    assert (other.count("14:00:00 +02:00"), other.count("12:00:00 +00:00")) == (1, 1)
    [line] = Lines().new(snapshot(at("1", kyiv)), [])
    assert line.startswith("14:00:00 +02:00  order 1")


def for_person(number=1, state="held", reason="recipient phone missing"):
    name = f"order {number}" if state == "held" else f"update {number} of 10001"
    return ForPerson(name, state, reason, NOW - timedelta(seconds=number))


def stopped(number=1, *, paused=True):
    why = f"Writes to box{number} are paused by anna: the box moves."
    return Stopped(
        f"box{number}: writes", why, NOW - timedelta(minutes=3), "To go on: resume", paused
    )


PROGRAMS = [Status(name, 7, 0, None) for name in ("valkey", "shop", "crm", "create", "updates",
            "fetch and upkeep", "beat", "gateway", "flower")]  # fmt: skip


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("height", [16, 20, 24, 40, 60])
@pytest.mark.parametrize("needing", [0, 1, 30])
@pytest.mark.parametrize("stops", [0, 1, 5])
def test_the_screen_fits_the_terminal(height, width, needing, stops):
    seen = Snapshot(
        {"held": needing, "created": 50},
        [order(str(n), reason="r" * 300) for n in range(50)],
        NOW,
        for_people=[for_person(n, reason="r" * 300) for n in range(needing)],
        parked=needing,
        stopped=[stopped(n) for n in range(stops)],
        notices=["n" * 300],
    )
    text = drawn(View(seen, {"create": 0}), PROGRAMS, height=height, width=width)
    lines = text.splitlines()
    assert len(lines) <= max(height, FRAME_LINES + 13)
    assert len(lines) <= height or height < 24
    assert all(len(line.rstrip()) <= width for line in lines)


def test_what_needs_a_person_stands_above_what_is_new_whatever_is_newer():
    seen = Snapshot(
        {"held": 1, "created": 7_000},
        [order(str(n), seconds=n) for n in range(12)],
        NOW,
        for_people=[for_person(77), for_person(17, "parked", "update too old")],
        parked=1,
    )
    text = drawn(View(seen, {}), width=80)
    assert text.index("order 77") < text.index("update 17 of 10001") < text.index("CRM")
    [parked] = [line for line in text.splitlines() if "update 17" in line]
    assert "parked" in parked
    assert "update too old" in parked
    commands = (
        "`orderbridge orders list --state held`",
        "`orderbridge updates list --state parked`",
    )
    assert all(command in text.splitlines() for command in commands)
    assert "waits for a person   1 held   1 parked" in text


@pytest.mark.parametrize(
    ("kind", "shown", "not_shown"),
    [("held", "orders list --state held", "parked"), ("parked", "updates list", "orders list")],
)
def test_only_the_command_that_shows_something_is_named(kind, shown, not_shown):
    seen = Snapshot(
        {"held": int(kind == "held")},
        (),
        NOW,
        for_people=[for_person(1, kind)],
        parked=int(kind == "parked"),
    )
    text = drawn(View(seen, {}), width=80)
    assert shown in text
    assert not_shown not in text


def test_where_nothing_needs_a_person_nobody_is_called():
    text = drawn(View(snapshot(order(), created=7), {}))
    assert "person" not in text
    assert "parked" not in text


@pytest.mark.parametrize(("paused", "word"), [(True, "PAUSED"), (False, "DOWN")])
def test_a_stopped_connection_is_a_banner_with_its_reason_and_what_to_do(paused, word):
    seen = Snapshot({}, (), NOW, stopped=[stopped(1, paused=paused)])
    lines = drawn(View(seen, {}), width=80).splitlines()
    assert lines[1].startswith(f" {word}  Writes to box1 are paused by anna: the box moves.")
    assert lines[2].strip() == "3 min ago. To go on: resume"


def test_of_many_stopped_connections_some_are_shown_and_the_others_counted():
    seen = Snapshot({}, (), NOW, stopped=[stopped(n) for n in range(5)])
    assert "and 3 more: `orderbridge check`" in drawn(View(seen, {}), width=80)


def test_no_text_of_a_remote_steers_the_screen():
    hostile = "a\x1b[31m[red]b[/red]\n\u202ec"
    seen = Snapshot(
        {"held": 1},
        (),
        NOW,
        for_people=[ForPerson(hostile, "held", hostile, NOW)],
        stopped=[Stopped("x", hostile, NOW, "x", paused=False)],
        notices=[hostile],
    )
    text = drawn(View(seen, {}))
    assert text.count("a[31m[red]b[/red] c") == 4
    assert not {"\x1b", "\u202e"} & set(text)


def test_what_is_older_than_today_says_its_day():
    old = ForPerson("order 1", "held", "", NOW - timedelta(days=3))
    assert "18 Nov" in drawn(View(Snapshot({"held": 1}, (), NOW, for_people=[old]), {}))


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
    assert line.endswith("order 1  held  phone missing")
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


def test_lines_tell_of_parked_updates_and_of_stopped_connections_once():
    lines = Lines()
    seen = Snapshot(
        {},
        (),
        NOW,
        for_people=[for_person(1), for_person(17, "parked", "update too old")],
        stopped=[stopped(1)],
    )
    told = lines.new(seen, [])
    assert told[0] == "Writes to box1 are paused by anna: the box moves. To go on: resume"
    assert told[1].endswith("update 17 of 10001  parked  update too old")
    assert len(told) == 2
    assert lines.new(seen, []) == []
    assert lines.new(None, []) == []
    assert lines.new(snapshot(), []) == ["box1: writes go on"]
