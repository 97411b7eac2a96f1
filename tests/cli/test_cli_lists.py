"""Lists: `list` may be left out, what a limit leaves out is said, times have the shop's offset."""

from __future__ import annotations

import json
import os
import time
from zoneinfo import ZoneInfo

import pytest
from cli_orders import NOW, end, give

import default_pair
from cli.answers import moment
from ledger import enqueueing, tallies
from ledger.enqueueing import Asked

GROUPS = ("orders", "updates")


@pytest.fixture
def three(ledger):
    """Three orders, one of them of another shop, and an update of each."""
    for order_id, connection in (("1", "okliving"), ("2", "second"), ("3", "okliving")):
        give(ledger, order_id, connection)
        asked = Asked(connection, order_id, digest=order_id, origin="t", parts={"note": "n"})
        enqueueing.accept(ledger, asked, NOW)


@pytest.fixture
def in_tokyo(monkeypatch, process_environment):
    process_environment["TZ"] = "Asia/Tokyo"
    time.tzset()
    yield
    os.environ.pop("TZ")
    time.tzset()


@pytest.fixture
def configured(process_environment):
    """The default pair, whose shop's profile says that it is in Kyiv."""
    process_environment.update(dict.fromkeys(default_pair.VARIABLES, "1"))
    process_environment.update(
        OKLIVING_URL="http://127.0.0.1:1", ONEBOX_URL="http://127.0.0.1:1", ORDERBRIDGE_SANDBOX="1"
    )


# --- the command that is meant where none is named --------------------------------------------------------


def test_without_a_command_the_options_are_those_of_list(run, three):
    for group in GROUPS:
        for options in ([], ["--json"], ["--limit", "1"], ["--connection", "second", "--json"]):
            told = run(group, *options)
            assert told == run(group, "list", *options)
            assert told[0] == 0


def test_options_of_list_before_another_command_are_refused(run, ledger):
    for group in GROUPS:
        code, out, err = run(group, "--json", "show", "1")
        assert (code, out) == (2, "")
        assert "show" in err


@pytest.mark.parametrize("group", GROUPS)
def test_help_of_the_group_names_its_commands(run, group):
    code, out, _ = run(group, "--help")
    assert code == 0
    assert all(command in out for command in ("list", "show", "retry"))
    assert "--state" in run(group, "list", "--help")[1]


def test_an_order_may_be_called_like_an_option(run, ledger):
    give(ledger, "--json")
    assert run("orders", "show", "--", "--json")[0] == 0


# --- what a limit leaves out --------------------------------------------------------------------------------


LIMITED = [
    (["--limit", "2"], "2 of 3 {}; --limit shows more."),
    (["--limit", "3"], ""),
    (["--limit", "4"], ""),
    (["--limit", "1", "--connection", "okliving"], "1 of 2 {}; --limit shows more."),
    (["--limit", "1", "--connection", "second"], ""),
    (["--limit", "1", "--connection", "nobody"], ""),
]


@pytest.mark.parametrize("machine", [False, True])
def test_what_is_left_out_is_said_beside_the_list(run, three, machine):
    for group in GROUPS:
        for options, said in LIMITED:
            code, out, err = run(group, *options, *(["--json"] if machine else []))
            assert (code, err) == (0, said.format(group)), options
            assert "--limit" not in out
            if machine:
                assert isinstance(json.loads(out), list)


def test_what_is_left_out_is_counted_in_the_state_and_the_order_asked_for(run, ledger, three):
    end(ledger, give(ledger, "4"), "held")
    end(ledger, give(ledger, "5"), "held")
    assert run("orders", "--state", "held", "--limit", "1")[2].startswith("1 of 2 orders")
    assert run("orders", "--state", "created", "--limit", "1")[2] == ""
    assert run("updates", "--order-id", "1", "--limit", "1")[2] == ""


def test_many_are_told_with_commas_and_how_sure_that_is(run, three, monkeypatch):
    monkeypatch.setattr(tallies, "MOST_LOOKED_AT", 2)
    limited = ("orders", "--limit", "1", "--connection", "okliving")
    assert run(*limited)[2] == ""  # of the two that were looked at one is of it
    monkeypatch.setattr(tallies, "counts", lambda *_: tallies.Counts({"received": 1_234_567}, NOW))
    assert run("orders", "--limit", "1")[2] == "1 of about 1,234,567 orders; --limit shows more."


# --- times ------------------------------------------------------------------------------------------


def test_a_shop_that_is_known_has_its_own_clock_and_another_the_machines(
    run, three, in_tokyo, configured
):
    for command in (("orders",), ("orders", "show", "1"), ("updates",), ("updates", "show", "1")):
        assert "2026-11-21 14:00:00+02:00" in run(*command)[1]
    assert "2026-11-21 21:00:00+09:00" in run("updates", "--connection", "second")[1]


def test_the_clock_goes_with_the_year():
    kyiv = ZoneInfo("Europe/Kyiv")
    assert moment(NOW, kyiv) == "2026-11-21 14:00:00+02:00"
    assert moment(NOW.replace(month=7), kyiv) == "2026-07-21 15:00:00+03:00"


def test_json_keeps_utc(run, three, in_tokyo):
    assert json.loads(run("orders", "--json")[1])[0]["received_at"] == NOW.isoformat()
