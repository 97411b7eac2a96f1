"""Orders that are placed with us, as the commands show them: nothing is read for them, nobody asks again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_orders import NOW, end
from mapped_as import mapped_as

import default_pair
from ledger import orders
from ledger.orders import Arrived

GOLDEN = Path(__file__).parents[1] / "mapping" / "golden" / "createorder-order.json"
PLACED = json.loads(GOLDEN.read_text(encoding="utf-8"))
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def configured(process_environment):
    """The pair of a sandbox; nobody answers at any address."""
    process_environment.update(dict.fromkeys(default_pair.VARIABLES, "1"))
    process_environment.update(
        OKLIVING_URL=NOWHERE, ONEBOX_URL=NOWHERE, ORDERBRIDGE_SANDBOX="1", COLUMNS="400"
    )


@pytest.fixture
def placed(ledger):
    """An order that was placed with us, by its id."""
    arrived = Arrived(PLACED["id"], f"co-{PLACED['id']}", json.dumps(PLACED), "a" * 32, NOW)
    (pk,) = orders.store(ledger, "createorder", "onebox", [arrived], NOW, mapped_as())
    end(ledger, pk, "held", reason="recipient_phone_unusable")
    return PLACED["id"]


@pytest.mark.parametrize("runs", [True, False])
def test_a_held_order_says_what_helps_where_nobody_asks_for_it_again(run, placed, request, runs):
    if runs:
        request.getfixturevalue("configured")
    code, shown, _ = run("orders", "show", placed)
    assert code == 0
    words = " ".join(shown.split())
    assert "poll" not in words
    assert f"orderbridge orders ignore --connection createorder {placed}" in words
    assert "poll" not in run("orders", "list")[1]


@pytest.mark.parametrize("runs", [True, False])
@pytest.mark.parametrize("by_id", [True, False])
def test_preview_shows_its_process(run, placed, request, runs, by_id):
    if runs:
        request.getfixturevalue("configured")
    what = [placed] if by_id else [str(GOLDEN), "--connection", "createorder"]
    code, out, _ = run("preview", *what, "--json")
    told = json.loads(out)
    assert (code, told["external_id"], told["held"]) == (0, f"co-{PLACED['id']}", False)
    assert told["target"]["clientname"] == "NewClient_1"


def test_what_would_read_its_orders_says_that_they_come_by_themselves(run, ledger, configured):
    said = "Nothing is read from createorder: its orders come by themselves."
    code, _, err = run("pause", "createorder", "--read", "--reason", "r")
    assert (code, said in err) == (2, True)


def test_callbacks_may_be_paused_like_any_calls(run, ledger, configured):
    code, out, _ = run("pause", "createorder", "--write", "--reason", "their receiver moves")
    assert code == 0
    assert out.startswith("Writes to createorder are paused by")


def test_no_simulator_stands_for_it_that_could_be_broken(run, ledger, configured):
    code, _, err = run("sandbox", "break", "createorder")
    assert code == 2
    assert "The sandbox has no system 'createorder'" in err
