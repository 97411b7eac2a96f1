"""`orders adopt`: a person says under which number an order is in its target already."""

from __future__ import annotations

import json

import pytest
from cli_orders import NOW, end, give

from ledger import history, orders


def only(ledger):
    (found,) = orders.listing(ledger, NOW)
    return found


@pytest.mark.parametrize("state", ["received", "held"])
def test_it_is_created_under_that_number(run, ledger, state):
    pk = give(ledger)
    if state == "held":
        end(ledger, pk, "held", reason="uncertain_no_lookup")
    code, out, err = run("orders", "adopt", "1", "--as", "4711", "--by", "Олена")
    assert (code, err) == (0, "")
    said = "Order 1 is 4711 in onebox, and is not sent any more."
    assert out == f"{said} How it stands: `orderbridge orders show 1`.\n"
    assert (only(ledger).state, only(ledger).target_id) == ("created", "4711")
    (act,) = history.of_order(ledger, "okliving", "1")
    assert (act.who, act.what) == ("Олена", "order_adopted")
    shown = " ".join(run("orders", "show", "1")[1].split())
    assert f"Олена order adopted {state}" in shown
    assert "created (target_id 4711)" in shown


def test_for_machines_it_is_the_order(run, ledger):
    give(ledger)
    code, out, _ = run("orders", "adopt", "1", "--as", "4711", "--json")
    assert (code, json.loads(out)["target_id"], json.loads(out)["state"]) == (0, "4711", "created")


@pytest.mark.parametrize("typed", ["№4711", " #4711 ", "№ 4711"])
def test_a_number_is_taken_as_people_write_it(run, ledger, typed):
    give(ledger)
    assert run("orders", "adopt", "1", "--as", typed)[0] == 0
    assert only(ledger).target_id == "4711"


@pytest.mark.parametrize("typed", ["", " ", "#", "x" * 65, "47\x0011", "47\x1b[2J11", "47\n11"])
def test_what_is_no_number_is_refused(run, ledger, typed):
    give(ledger)
    code, out, err = run("orders", "adopt", "1", "--as", typed)
    assert (code, out) == (2, "")
    assert "1 to 64 printable characters" in err
    assert only(ledger).state == "received"


def test_without_a_number_nothing_is_adopted(run, ledger):
    give(ledger)
    assert run("orders", "adopt", "1")[0] == 2
    assert only(ledger).state == "received"


def test_a_created_order_is_not_adopted(run, ledger):
    end(ledger, give(ledger), "created")
    code, _, err = run("orders", "adopt", "1", "--as", "4711")
    assert (code, "Order 1 is created." in err) == (4, True)
    assert only(ledger).target_id == "77"


def test_a_number_that_is_taken_names_its_order(run, ledger):
    end(ledger, give(ledger, "7"), "created")
    give(ledger, "8")
    code, _, err = run("orders", "adopt", "8", "--as", "77")
    assert code == 4
    assert "onebox 77 is order 7 of okliving already." in err


def test_an_order_that_is_not_there_is_not_adopted(run, ledger):
    assert run("orders", "adopt", "1", "--as", "4711")[0] == 3


def test_of_two_connections_the_one_that_is_named_is_meant(run, ledger):
    give(ledger)
    give(ledger, connection="second")
    assert run("orders", "adopt", "1", "--as", "4711", "--connection", "second")[0] == 0
    found = {row.connection: row.state for row in orders.listing(ledger, NOW)}
    assert found == {"okliving": "received", "second": "created"}


def test_the_text_of_an_order_that_nobody_can_ask_for_names_both_ways(run, ledger):
    end(ledger, give(ledger), "held", "no answer", "uncertain_no_lookup")
    out = run("orders", "show", "1")[1]
    assert "orderbridge orders adopt --as NUMBER 1\n" in out
    assert "orderbridge orders release 1\n" in out
