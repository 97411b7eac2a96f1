"""`orders send-one` asks twice, names what goes where, and a slip sends nothing."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace

import pytest
from cli_orders import give

from desk import orders, sending
from desk.errors import Impossible
from tasks import resources

ORDER = "1001"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def sent(ledger, monkeypatch, process_environment):
    """The keys of the orders that were sent; `propose` and `send` are played."""
    process_environment["REDIS_URL"] = "redis://127.0.0.1:1/0"
    give(ledger, ORDER)
    row = orders.find(ledger, ORDER)
    found = []

    def propose(_, order_id, connection):
        if order_id != ORDER:
            raise Impossible(f"Order {order_id} is held.")
        return sending.Proposal(
            row, "https://box.example", "№7", "Київ [red]", Decimal("12.50"), "UAH", 3, "a" * 32
        )

    def send(_, proposal, *, who, bells, patience):
        found.append((proposal.order.order_id, who))
        return outcome.row

    outcome = SimpleNamespace(row=replace(row, state="created", target_id="501"))
    found_and = SimpleNamespace(orders=found, outcome=outcome, row=row)
    monkeypatch.setattr(resources, "build", lambda _: None)
    monkeypatch.setattr(sending, "propose", propose)
    monkeypatch.setattr(sending, "send", send)
    return found_and


@pytest.fixture
def types(monkeypatch):
    def types(text):
        monkeypatch.setattr(sys, "stdin", Terminal(text))

    return types


def test_two_right_answers_send_it_and_say_what_it_is_there(run, sent, types):
    types(f"y\n{ORDER}\n")
    code, said, asked = run("orders", "send-one", ORDER, "--as", "anna")
    assert (code, sent.orders) == (0, [(ORDER, "anna")])
    assert said.strip() == f"Order {ORDER} is created in onebox as 501."
    for named in (ORDER, "№7", "Київ [red]", "12.50 UAH", "3 lines", "onebox", "box.example"):
        assert named in asked


NO_CONSENT = [
    "",
    "\n\n",
    "n\n",
    "y\n",
    "y\n\n",
    "y\ny\n",
    "y\n100\n",
    "y\n10011\n",
    f"{ORDER}\n{ORDER}\n",
    f"{ORDER}\ny\n",
    "\x04",
]


def test_any_other_answer_sends_nothing(run, sent, types):
    for typed in NO_CONSENT:
        types(typed)
        code, said, _ = run("orders", "send-one", ORDER)
        assert (code != 0, sent.orders, said.strip()) == (True, [], ""), typed


NOT_SAID_AGAIN = [
    [],
    ["--json"],
    ["--yes-really"],
    ["--yes-really", ""],
    ["--yes-really", "1002"],
    ["--yes-really", "yes"],
    ["--yes-really", f"{ORDER} "],
]


def test_a_script_that_does_not_say_the_id_again_sends_nothing(run, sent, monkeypatch):
    """What is piped in is no answer: `yes | ...` asks for nothing."""
    for more in NOT_SAID_AGAIN:
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"y\n{ORDER}\n"))
        found, said, complained = run("orders", "send-one", ORDER, *more)
        assert (found, said, sent.orders) == (2, "", []), more
        assert "--yes-really" in complained


def test_a_script_that_says_the_id_again_sends_it(run, sent):
    code, said, _ = run("orders", "send-one", ORDER, "--yes-really", ORDER, "--json")
    assert (code, [order for order, _ in sent.orders]) == (0, [ORDER])
    assert json.loads(said)["target_id"] == "501"


def test_what_is_not_there_yet_is_no_success(run, sent):
    sent.outcome.row = replace(sent.row, state="waiting", reason="crm_unavailable")
    code, said, complained = run("orders", "send-one", ORDER, "--yes-really", ORDER)
    assert (code, said) == (1, "")
    assert f"orderbridge orders show {ORDER}" in complained


def test_what_cannot_be_sent_is_not_asked_for(run, sent, types):
    types(f"y\n{ORDER}\n")
    code, _, complained = run("orders", "send-one", "7")
    assert (code, complained) == (4, "orderbridge: Order 7 is held.")
