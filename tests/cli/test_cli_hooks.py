"""The commands `hooks ...`: what they print, how they end, and that what a box sent is only text."""

from __future__ import annotations

import json
import unicodedata

import pytest
from cli_orders import NOW, give
from pair_of_nowhere import PAIR

import settings
from cli import answers
from ledger import history, hook_intake, hook_listing, hooks
from ledger.hook_endings import Ending
from simulator.hostile import SHOWN

UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
CONFIGURED = PAIR | {"ONEBOX_HOOK_SECRETS": "hook-secret-0001"}
UNKNOWN_STAGE = {"code": "hook_unknown_stage", "before": "Packed", "detail": "In work, Shipped"}


@pytest.fixture
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "4000")
    for console in (answers.out, answers.err):
        console.cache_clear()
    yield
    for console in (answers.out, answers.err):
        console.cache_clear()


@pytest.fixture
def configured(ledger, process_environment, monkeypatch):
    process_environment.update(CONFIGURED)
    url = f"sqlite:///{ledger.engine.url.database}"
    process_environment["DATABASE_URL"] = url
    settings.current.cache_clear()
    yield
    settings.current.cache_clear()


def keep(ledger, ending=None, **fields):
    hook_id, _ = hook_intake.keep(ledger, "onebox", "okl-1", fields, NOW)
    if ending is not None:
        claim = hooks.claim(ledger, hooks.find(ledger, hook_id), NOW, 60)
        hooks.finish(ledger, claim, {hook_id: ending}, NOW)
    return hook_id


def unknown_stage(ledger):
    fields = {"externalid": "okl-1", "statusname": "Packed", "comment": "Олена, 0501234567"}
    return keep(ledger, Ending("unknown_stage", [UNKNOWN_STAGE], "okliving", "1"), **fields)


def test_a_list_says_what_each_call_became_in_words(run, ledger):
    hook_id = unknown_stage(ledger)
    keep(ledger, None, externalid="okl-1", statusname="Done")
    code, out, _ = run("hooks", "list")
    assert code == 0
    told = " ".join(out.split())
    assert f"{hook_id} " in told
    assert "unknown_stage" in told
    assert "In work," in told
    assert "waiting" in told


def test_times_of_calls_are_those_of_the_shop_whose_orders_the_box_receives(
    run, configured, ledger
):
    hook_id = unknown_stage(ledger)
    for command in (("list",), ("show", str(hook_id))):
        assert "+02:00" in run("hooks", *command)[1]


def test_a_list_is_filtered_and_says_when_it_is_empty(run, ledger):
    hook_id = unknown_stage(ledger)
    assert json.loads(run("hooks", "list", "--outcome", "unfilled", "--json")[1]) == []
    (row,) = json.loads(run("hooks", "list", "--outcome", "unknown_stage", "--json")[1])
    assert (row["id"], row["outcome"], row["order_id"]) == (hook_id, "unknown_stage", "1")
    assert "Packed" in row["words"][0]
    assert run("hooks", "list", "--connection", "other")[1].strip() == "No calls."
    code, _, err = run("hooks", "list", "--outcome", "x")
    assert (code, "waiting, accepted" in err) == (2, True)


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_personal_data_is_masked_wherever_a_call_is_shown(run, ledger, wide, more):
    hook_id = str(unknown_stage(ledger))
    for command in (("list",), ("show", hook_id), ("replay", hook_id)):
        code, out, _ = run("hooks", *command, *more)
        assert code == 0
        assert "Олена" not in out
        assert "0501234567" not in out
    assert "(17 characters)" in run("hooks", "show", hook_id, *more)[1]


def test_a_call_is_replayed_by_somebody_once_and_shown_with_it(run, ledger, wide):
    hook_id = str(unknown_stage(ledger))
    code, out, _ = run("hooks", "replay", hook_id, "--as", "olena")
    assert (code, f"orderbridge hooks show {hook_id}" in out) == (0, True)
    assert [(act.who, act.what) for act in history.of_order(ledger, "okliving", "1")] == [
        ("olena", "hook_replayed")
    ]
    assert "olena hook replayed" in run("hooks", "show", hook_id)[1]
    code, _, err = run("hooks", "replay", hook_id)
    assert (code, "by itself" in err) == (4, True)
    assert hook_listing.find(ledger, int(hook_id)).outcome == "waiting"


@pytest.mark.parametrize("command", ["show", "replay"])
def test_a_call_that_there_is_not_is_absent(run, ledger, command):
    code, _, err = run("hooks", command, "4711")
    assert (code, "No call 4711" in err) == (3, True)


@pytest.mark.parametrize("trick", SHOWN)
def test_what_a_box_sent_is_only_text(run, ledger, wide, trick):
    text = SHOWN[trick]
    told = {"code": "hook_unknown_stage", "field": text, "before": text, "detail": text}
    fields = {text: text, "externalid": text, "statusname": text, "ttn": text, "comment": text}
    hook_id = str(keep(ledger, Ending("unknown_stage", [told], "okliving", text), **fields))
    for command in (("list",), ("show", hook_id)):
        for more in ((), ("--json",)):
            code, out, err = run("hooks", *command, *more)
            assert (code, err) == (0, "")
            assert {
                c for c in out if unicodedata.category(c) in UNSEEN and c not in "\n\t"
            } == set()
    assert len(run("hooks", "list")[1].splitlines()) == 2


# --- trials -------------------------------------------------------------------------------------------


def test_a_trial_says_what_a_call_would_become(run, configured, ledger, wide):
    give(ledger, "1")
    fields = ("externalid=okl-1", "statusname=Shipped", "ttn=20450000000000")
    code, out, _ = run("hooks", "test", *fields)
    assert code == 0
    assert "it would become an update: tracking number 20450000000000, delivery ship" in out
    told = json.loads(run("hooks", "test", *fields, "--json")[1])
    assert told["would_become"] == {"tracking_number": "20450000000000", "delivery": "ship"}
    assert hook_listing.listing(ledger, limit=9) == []


@pytest.mark.parametrize(
    ("given", "code", "word"),
    [
        (("externalid=okl-1", "ttn={ttn}"), 1, "placeholder “{ttn}”"),
        (("externalid=abc-1", "ttn=2045"), 1, "ours begin with okl- (okliving)"),
        (("externalid=okl-1", "status=Packed"), 1, "In work, Shipped, Done, Refused"),
        (("externalid=okl-1", "statusid=73"), 0, "a worker asks the CRM"),
        (("externalid=okl-1", "ttn"), 2, "FIELD=VALUE"),
        (("externalid=okl-1", "=x"), 2, "FIELD=VALUE"),
        (("externalid=okl-1", "--connection", "okliving"), 2, "'okliving' has no hook"),
        (
            ("externalid=okl-1", "ttn=1", "--address", "https://g/hooks/onebox/another-secret-1"),
            1,
            "none of ONEBOX_HOOK_SECRETS",
        ),
    ],
)
def test_a_trial_names_what_is_wrong(run, configured, ledger, wide, given, code, word):
    got, out, err = run("hooks", "test", *given)
    assert (got, word in out + err) == (code, True)
    assert "another-secret-1" not in out + err
