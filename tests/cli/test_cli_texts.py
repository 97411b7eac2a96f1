"""The next step that a text names is a command that exists, ready to be pasted, the same in each language."""

from __future__ import annotations

import ast
import re
import shlex
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
from command_lines import parse

from desk.naming import as_called, named
from ledger import enqueueing, orders, queues
from ledger.enqueueing import Asked
from ledger.updates import Due, Told
from mapping.problems import LANGUAGES, Problem, codes, parts
from mapping.statuses import ACTIONS

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("cli", "clients", "connectors", "desk", "gateway", "ledger", "mapping", "run", "tasks")
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ALLOWED = ", ".join(f"{machine}.{action}" for machine in ACTIONS for action in ACTIONS[machine])
# Values as the ledger has them for codes whose sentences put one into a command.
FOUND = {
    "update_waits_behind": {"after": "12"},
    "update_connection_paused": {"before": "shop-2"},
    "update_not_configured": {"before": "shop-2"},
    "update_ttn_differs": {"before": "59000000000009", "after": "20450000000002"},
    "update_superseded": {"before": "order.complete", "after": "order.process"},
    "update_illegal": {"before": "order.complete", "detail": ALLOWED},
}


def commands(code, language, order_id="300167757", connection=None):
    problem = Problem(code, "held", "order", **FOUND.get(code, {}))
    params = {"order": order_id, "named": named(order_id, connection), "update": 17}
    return parts(problem, language, **params)[1::2]


@pytest.mark.parametrize("code", sorted(codes()))
def test_every_command_that_a_text_names_exists_and_both_languages_name_the_same(code):
    for order_id, connection in (("300167757", None), ("№ 5; ls", "shop-2"), ("-7", "shop-2")):
        of_each = [commands(code, language, order_id, connection) for language in LANGUAGES]
        assert of_each[0] == of_each[1]
        for command in of_each[0]:
            program, *words = shlex.split(command)
            assert program == "orderbridge"
            params = parse(words).params
            assert params.get("order_id") in (None, order_id)
            if "order_id" in params:
                assert params["connection"] == connection


@pytest.mark.parametrize("code", sorted(codes()))
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_command_whose_values_are_not_known_shows_where_they_belong(code, language):
    for command in parts(code, language)[1::2]:
        assert not set(command) & set("{}")
        words = ["5" if word == "NUMBER" else word for word in shlex.split(command)]
        parse([word.replace("ACTION", "process").replace("AFTER", "5") for word in words[1:]])


# What nobody need do anything about, or whose next step is no command: it is in the shop, in the CRM, with
# the buyer, or in a file.
ELSEWHERE = re.compile(
    r"in the shop|in the CRM|Nothing to do|nothing to do|automatically|by itself|buyer|[Cc]heck|goes"
    r"|[Cc]omplete the table|ORDERBRIDGE_MODE|workers|Ask for|comment|sent in spite|came from|left out|go on"
)


@pytest.mark.parametrize("code", sorted(codes()))
def test_a_text_says_what_to_do(code):
    said = "`".join(parts(code, "en"))
    assert "`" in said or ELSEWHERE.search(said)
    assert "retry the order" not in said
    assert "повторіть" not in "".join(parts(code, "uk")).lower()


def test_the_live_screen_calls_each_state_by_its_name():
    from run.views import ORDER_STATES, STYLES  # noqa: PLC0415  only this test needs it

    assert set(ORDER_STATES) == set(orders.STATES)
    assert set(STYLES) == {*orders.STATES, "parked"}


DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
# Other words for `held` and `parked`; what the two are stands in docs/architecture.md, "Words".
OTHERS = re.compile(
    r"\bneed(?:s|ing)? a person|person is needed|\bput on hold|\bstuck\b", re.IGNORECASE
)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_no_document_has_another_word_for_a_state(path):
    assert OTHERS.findall(path.read_text()) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_text_of_the_program_has_another_word_for_a_state(package):
    told = [text for path in (ROOT / package).rglob("*.py") for text in literals(path)]
    told += [path.read_text() for path in (ROOT / package).rglob("*.yaml")]
    assert [text for text in told if OTHERS.search(text)] == []


@pytest.mark.parametrize(
    ("called", "on_path", "program"),
    [
        (".venv/bin/orderbridge", None, ".venv/bin/orderbridge"),
        ("/opt/a b/orderbridge", None, "'/opt/a b/orderbridge'"),
        (".venv/bin/orderbridge", "/usr/local/bin/orderbridge", "orderbridge"),
        ("/code/cli/__main__.py", None, "orderbridge"),
    ],
)
def test_commands_are_shown_as_this_person_calls_us(monkeypatch, called, on_path, program):
    monkeypatch.setattr("sys.argv", [called])
    monkeypatch.setattr("shutil.which", lambda _: on_path)
    assert as_called("See `orderbridge updates list`.") == f"See `{program} updates list`."


def test_no_narrow_terminal_breaks_a_command(run, ledger, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    told = Told(part="order", fate="parked", code="update_illegal", before="order.complete")
    told["detail"] = ALLOWED
    asked = Asked("shop-2", "№ 5; ls", digest="d", origin="t", parts={"order": "complete"})
    row = enqueueing.accept(ledger, asked, NOW)
    queue, _, _ = queues.claim(ledger, Due("shop-2", row.order_id), NOW, 60)
    queues.record(ledger, queue, replace(row, state="parked", fates=[told]), NOW)
    lines = run("updates", "show", str(row.id))[1].splitlines()
    made = [line for line in lines if line.startswith("  orderbridge ")]
    assert [line.strip() for line in made] == commands_of(told, row)
    for line in made:
        parse(shlex.split(line)[1:])


def test_why_an_update_ended_is_told_where_it_is_shown(run, ledger):
    asked = Asked("okliving", "1", digest="d", origin="t", parts={"order": "complete"})
    row = enqueueing.accept(ledger, asked, NOW)
    assert "To send it after all" not in run("updates", "show", "1")[1]
    assert run("updates", "cancel", "1")[0] == 0
    said = run("updates", "show", "1")[1]
    assert said.count("a person cancelled the update") == 1
    assert f"  orderbridge updates show {row.id}\n" in said


def commands_of(told, row):
    problem = Problem(told["code"], "held", "", before=told["before"], detail=told["detail"])
    return parts(problem, "en", named=named(row.order_id, row.connection), update=row.id)[1::2]


def literals(path):
    """Every text of a file, what is put in shown as a word."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "5" for part in node.values
            )


def quoted():
    """(file, command) of every command between backticks in the texts of the program."""
    for path in sorted(p for name in PACKAGES for p in (ROOT / name).rglob("*.py")):
        for text in literals(path):
            for command in re.findall(r"`orderbridge ([^`]+)`", text):
                yield path.relative_to(ROOT).as_posix(), command


@pytest.mark.parametrize(("path", "command"), sorted(set(quoted())))
def test_every_command_that_the_program_names_exists(path, command):
    words = ["5" if word in ("NUMBER", "ID", "NAME", "...") else word for word in command.split()]
    try:
        parse(words)
    except click.MissingParameter:
        # A command that is only spoken of, without its words.
        assert len(words) <= 2


# A command of ours in a sentence: whoever prints it puts the name there by which this person calls us.
COMMAND = re.compile(
    r"(?<!`)\borderbridge (?:run|migrate|gateway|check|fetch|backfill|pause|resume|update|preview|orders"
    r"|updates|hooks|key|notify|sandbox)\b"
)
# Messages are read elsewhere than where the commands are called; `tell` has commands apart from its words.
BARE = {"mapping/telling.py", "cli/reviewing.py"}


@pytest.mark.parametrize("package", PACKAGES)
def test_each_command_in_a_sentence_is_quoted(package):
    paths = set((ROOT / package).rglob("*.py")) - {ROOT / name for name in BARE}
    assert [text for path in sorted(paths) for text in literals(path) if COMMAND.search(text)] == []
