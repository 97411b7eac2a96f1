"""What a remote or a buyer wrote is text to commands and logs: no markup, no control, no line of its own."""

from __future__ import annotations

import json
import unicodedata

import pytest
import structlog
from cli_orders import NOW, end, give

import logs
from cli import answers
from clients.errors import masked
from desk.running import START
from ledger import enqueueing, history
from ledger.enqueueing import Asked
from ledger.tables import ATTEMPTS, HISTORY, ORDERS, UPDATES
from mapping.problems import shown
from simulator.hostile import LINES, MARKUP, SHOWN
from simulator.samples import reference_order

# Invisible to a person, or more than text to a terminal: none of these may be printed.
UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# What is read as something else than text, so that an order would only be no order.
OUGHT = ("created_at", "updated_at", "id", "total", "quantity", "price", "cost", "amount", "paid")
COMMANDS = (
    ("orders", "list"),
    ("orders", "show", "1"),
    ("updates", "list"),
    ("updates", "show", "1"),
    ("preview", "1"),
    ("orders", "retry", "1"),
    ("orders", "ignore", "1"),
    ("updates", "cancel", "1"),
)


def spoilt(value, text, key=""):
    """The order with this text in every field that a buyer or the shop writes freely."""
    if isinstance(value, dict):
        return {name: spoilt(inner, text, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [spoilt(inner, text, key) for inner in value]
    return value if key in OUGHT or isinstance(value, bool) else text


def unseen(printed, divided_by="\n\t"):
    """Tabs divide the cells of a table in a pipe; no text brings one."""
    return {c for c in printed if unicodedata.category(c) in UNSEEN and c not in divided_by}


def finding(text):
    kept = {"field": text, "before": text, "after": text, "detail": text, "level": "held"}
    return {"code": "crm_refused", **kept}


# What is said beside the answer of what waits for a worker.
NOTHING_RUNS = f"warning The system does not run: this waits until it does. {START}"


@pytest.fixture
def spoil(ledger, monkeypatch):
    """An order and an update with this text in each place that others write to, as it came: what an earlier
    version kept, too.
    """
    monkeypatch.setenv("COLUMNS", "4000")
    consoles = (answers.out, answers.err)
    for console in consoles:
        console.cache_clear()

    def spoil(text):
        changes = spoilt(reference_order(), text)
        del changes["id"]
        end(ledger, give(ledger, **changes), "held", "said", "crm_refused")
        asked = Asked("okliving", "1", digest="d", origin="t", parts={"note": "n"})
        enqueueing.accept(ledger, asked, NOW)
        history.write(ledger, history.Act(NOW, "x", "order_retried", "order", "okliving", "1"))
        part = {"value": text, "state": "queued", "personal": False}
        told = {"state": text, "reason": text}
        changes = (
            ORDERS.update().values(target_id=text[:64], reason=text, problems=[finding(text)]),
            ATTEMPTS.update().values(excerpt=text),
            HISTORY.update().values(who=text, before=told, after=told),
            UPDATES.update().values(parts={text: part}, fates=[{"part": text, "fate": text}]),
        )
        ledger.write(lambda db: [db.execute(change) for change in changes] and None)

    yield spoil
    for console in consoles:
        console.cache_clear()


@pytest.mark.parametrize("trick", SHOWN)
def test_no_command_shows_more_than_text(run, spoil, trick):
    spoil(SHOWN[trick])
    for command in COMMANDS:
        code, out, err = run(*command)
        assert (code, err in {"", NOTHING_RUNS}, unseen(out)) == (0, True, set()), command


def test_no_json_of_a_command_is_more_than_text_and_all_of_it_is_there(run, spoil):
    text = " ".join(SHOWN.values())
    spoil(text)
    assert json.loads(run("orders", "list", "--json")[1])[0]["reason"] == text
    for command in COMMANDS:
        code, out, err = run(*command, "--json")
        assert (code, err in {"", NOTHING_RUNS}, unseen(out)) == (0, True, set()), command
        assert json.loads(out)


@pytest.mark.parametrize("trick", MARKUP)
def test_markup_is_printed_as_it_stands(run, spoil, trick):
    spoil(MARKUP[trick])
    assert MARKUP[trick][:64] in run("orders", "list")[1]
    assert MARKUP[trick] in run("orders", "show", "1")[1]
    assert MARKUP[trick] in run("updates", "show", "1")[1]
    assert MARKUP[trick] in run("preview", "1")[1]
    assert MARKUP[trick] in run("orders", "retry", MARKUP[trick])[2]


@pytest.mark.parametrize("trick", LINES)
def test_no_text_makes_a_line_of_its_own(run, spoil, trick):
    spoil(LINES[trick])
    assert len(run("orders", "list")[1].splitlines()) == 2
    assert len(run("updates", "list")[1].splitlines()) == 2
    heading, target, why, *_ = run("orders", "show", "1")[1].splitlines()
    assert (heading.split()[0], target.split()[0]) == ("Order", "In")
    assert "order_created" not in heading + target[:3] + why[:3]


@pytest.mark.parametrize("trick", SHOWN)
def test_what_a_remote_said_is_text_where_it_is_taken_in(trick):
    said = masked(SHOWN[trick])
    assert unseen(said) == set()
    assert "\n" not in said
    assert unseen(shown(SHOWN[trick])) <= {"\t"}


@pytest.mark.parametrize("people", [False, True])
@pytest.mark.parametrize("trick", SHOWN)
def test_no_log_line_is_more_than_text(capsys, monkeypatch, trick, people):
    written = []
    monkeypatch.setattr("sys.stderr", _Stream(written, people=people))
    before = structlog.get_config()
    try:
        logs.configure()
        structlog.get_logger().warning("order_held", reason=SHOWN[trick], other=1)
    finally:
        structlog.configure(**before)
    (line,) = "".join(written).splitlines()
    if people:
        coloured = "".join(written)
        assert unseen(coloured.replace("\x1b[", "").replace("\x1b", "")) == set()
    else:
        assert unseen(line) == set()
        assert json.loads(line)["reason"] == SHOWN[trick]


class _Stream:
    def __init__(self, written, *, people):
        self.write = written.append
        self.isatty = lambda: people
        self.flush = lambda: None
