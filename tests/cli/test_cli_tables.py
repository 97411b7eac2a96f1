"""Tables: nothing is cut at any width, a row of a pipe is one line, and what is hostile is only text."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from cli.console import TextConsole
from cli.tables import LEAST_NAME, Table
from simulator.hostile import SHOWN

ROOT = Path(__file__).resolve().parents[2]
WIDTHS = (60, 80, 120)
NUMBERS = ("20450000000001", "20450000000002")
LONG = ("a" * 63 + "1", "a" * 63 + "2")
TIME = "2026-11-21 14:00:00+02:00"
REASON = (
    "Замовлення 300167757: OneBox відмовив: немає складу. Усуньте причину й повторіть замовлення."
)
HEADS = ("update", "order", "state", "accepted", "what", "why")


def drawn(table, width=None):
    """On a terminal of this width; without one, in a pipe."""
    file = io.StringIO()
    TextConsole(file=file, width=width, force_terminal=width is not None, color_system=None).print(
        table
    )
    return file.getvalue()


def updates(*ids, why=REASON):
    table = Table(*HEADS, texts={"what", "why"})
    for place, order_id in enumerate(ids):
        number = NUMBERS[place % 2]
        table.add_row(str(place), order_id, Text("parked", "red"), TIME, f"TTN {number}", why)
    return table


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("ids", [("300167757", "300167758"), LONG])
def test_what_names_a_thing_stands_whole_and_texts_wrap(width, ids):
    text = drawn(updates(*ids), width)
    lines = text.splitlines()
    assert all(cell_len(line) <= width for line in lines)
    assert "…" not in text
    assert all(any(number in line for line in lines) for number in NUMBERS)
    assert text.count(TIME) == text.count("parked") == 2
    assert " ".join(text.split()).count("відмовив") == 2
    assert not any(line.endswith(" ") for line in lines)


@pytest.mark.parametrize("width", WIDTHS)
def test_names_that_differ_in_their_last_letter_differ_where_they_are_folded(width):
    text = drawn(updates(*LONG), width)
    assert "".join(text.split()).count("a") >= 2 * 63
    assert {word[-1] for word in text.split() if set(word[:-1]) == {"a"}} >= {"1", "2"}


def test_a_text_stands_beside_its_row_where_there_is_room_and_below_it_else():
    assert len(drawn(updates("1", why="held"), 120).splitlines()) == 2
    assert "why" not in drawn(updates("1", "2"), 80).splitlines()[0]
    assert drawn(updates("300167757"), 80).splitlines()[2] == f"  what: TTN {NUMBERS[0]}"


def test_a_row_without_a_text_leaves_no_line_for_it():
    table = Table("order", "received", "why", texts={"why"})
    table.add_row("1", TIME, REASON)
    table.add_row("2", TIME, "")
    assert [line[:2] for line in drawn(table, 60).splitlines()] == ["or", "1 ", "  ", "  ", "2 "]


def test_where_not_even_the_names_fit_each_is_told_by_its_head():
    first, *_ = drawn(updates(LONG[0]), 40).splitlines()
    assert first == "update    0"
    assert f"accepted  {TIME}" in drawn(updates(LONG[0]), 40).splitlines()


@pytest.mark.parametrize("trick", SHOWN)
@pytest.mark.parametrize("width", [None, *WIDTHS])
def test_a_hostile_text_is_a_text_of_its_cell(trick, width):
    table = Table("order", "state", "why", texts={"why"})
    table.add_row(f"a\tb\n{SHOWN[trick]}", "held", f"x\t\n{SHOWN[trick]}")
    text = drawn(table, width)
    assert not [c for c in text if not c.isprintable() and c not in "\n\t"]
    if width is None:
        assert [line.count("\t") for line in text.splitlines()] == [2, 2]
    else:
        assert all(cell_len(line) <= width for line in text.splitlines())


@pytest.mark.parametrize("width", [1, 2, 5, 10])
def test_a_terminal_too_narrow_for_anything_still_shows_it_all(width):
    assert (
        "".join(drawn(updates("300167757"), width).split()).count("300167757") == 2
    )  # itself, and in its reason


@given(
    rows=st.lists(st.tuples(*[st.text("aб中 1-", max_size=90)] * 4), min_size=1, max_size=4),
    width=st.integers(20, 200),
)
def test_no_letter_of_any_cell_is_lost_and_no_line_is_wider_than_the_terminal(rows, width):
    table = Table("a", "b", "c", "d", texts={"c", "d"})
    for row in rows:
        table.add_row(*row)
    text = drawn(table, width)
    asked = Counter("".join(cell for row in rows for cell in row))
    there = Counter(text)
    assert all(there[letter] >= asked[letter] for letter in "aб中1-")
    assert all(cell_len(line) <= width for line in text.splitlines())
    for row in rows:
        for name in row[:2]:
            if cell_len(name) <= min(LEAST_NAME, width - 3):
                assert any(" ".join(name.split()) in line for line in text.splitlines())


@pytest.mark.parametrize("columns", ["40", "80", "4000"])
def test_a_row_of_a_pipe_is_one_line_of_cells_divided_by_tabs(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    heads, first, second = drawn(updates(*LONG)).splitlines()
    assert heads.split("\t") == list(HEADS)
    assert first.split("\t") == ["0", LONG[0], "parked", TIME, f"TTN {NUMBERS[0]}", REASON]
    assert second.split("\t")[1] == LONG[1]


def test_a_sentence_of_a_pipe_is_one_line(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert drawn(REASON * 20).count("\n") == 1


@pytest.mark.parametrize("no_color", [False, True])
def test_no_color_is_respected(monkeypatch, no_color):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    file = io.StringIO()
    TextConsole(file=file, width=80, force_terminal=True).print(updates("1"))
    assert ("\x1b[31m" in file.getvalue()) is not no_color


def test_every_table_of_the_command_line_is_one_of_these():
    drawn_by_rich = [
        path.name for path in (ROOT / "cli").glob("*.py") if "rich.table" in path.read_text("utf-8")
    ]
    assert drawn_by_rich == []
