"""The commands: what they print for people and for machines, and with which code they end."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from cli_orders import NOW, end, give
from sqlalchemy import select
from whole.system import Valkey

import default_pair
import settings
from ledger import orders, purging
from ledger.database import open_ledger
from ledger.migrate import upgrade
from ledger.tables import HISTORY
from simulator.crm import Crm
from simulator.samples import many, reference_order
from simulator.server import start
from simulator.shop import Shop

NO_BROKER = "redis://127.0.0.1:1/0"


# --- the ledger -------------------------------------------------------------------------------------


def test_migrate_makes_the_ledger(run, folder):
    assert run("migrate") == (0, "The ledger is at this version.\n", "")
    assert (folder / "sandbox" / "ledger.db").is_file()
    code, out, _ = run("migrate", "--json")
    assert (code, json.loads(out)) == (0, {"migrated": True})


def test_ledger_that_is_not_migrated_names_the_command(run, folder):
    (folder / "sandbox").mkdir()
    (folder / "sandbox" / "ledger.db").touch(mode=0o600)
    assert run("orders") == (
        2,
        "",
        "orderbridge: The ledger is not at this version. Run `orderbridge migrate`.",
    )


@pytest.mark.parametrize("made", [False, True])
@pytest.mark.parametrize(
    "command", [("orders",), ("orders", "show", "1"), ("updates", "list"), ("orders", "retry", "1")]
)
def test_before_the_first_run_commands_say_how_to_start(run, folder, command, made):
    """And leave no empty ledger behind, whether the data folder is there or not."""
    if made:
        (folder / "sandbox").mkdir()
    code, out, err = run(*command)
    assert (code, out) == (2, "")
    assert "nothing has run here. Start with `make run`" in err
    assert "sqlite3" not in err
    assert not (folder / "sandbox" / "ledger.db").exists()


def test_ledger_that_cannot_be_opened_is_one_sentence(run, folder):
    (folder / "sandbox" / "ledger.db").mkdir(parents=True)
    code, out, err = run("orders", "list")
    assert (code, out) == (1, "")
    assert err.startswith(
        "orderbridge: The ledger could not be read: unable to open database file."
    )


# --- orders -----------------------------------------------------------------------------------------


def test_no_orders_yet(run, ledger):
    assert run("orders") == (0, "No orders yet.\n", "")
    assert run("orders", "list", "--state", "held") == (0, "No orders are held.\n", "")
    assert json.loads(run("orders", "list", "--json")[1]) == []


def test_list_for_people_and_machines(run, ledger):
    give(ledger, "111")
    end(ledger, give(ledger, "222"), "held", "немає складу", "crm_refused")
    code, out, err = run("orders", "list")
    assert (code, err) == (0, "")
    assert all(word in out for word in ("111", "222", "received", "held", "складу"))
    listed = json.loads(run("orders", "list", "--json")[1])
    assert [(o["order_id"], o["state"], o["reason"]) for o in listed] == [
        ("222", "held", "crm_refused"),
        ("111", "received", ""),
    ]
    assert "pk" not in listed[0]
    assert datetime.fromisoformat(listed[0]["received_at"]) == NOW
    assert len(json.loads(run("orders", "list", "--json", "--state", "held")[1])) == 1
    assert len(json.loads(run("orders", "list", "--json", "--limit", "1")[1])) == 1


def test_show_tells_every_try(run, ledger):
    end(ledger, give(ledger), "held", "немає складу", "crm_refused")
    code, out, _ = run("orders", "show", "1")
    assert code == 0
    assert all(word in out for word in ("Order 1 of okliving", "refused", "складу", "200"))
    shown = json.loads(run("orders", "show", "1", "--json")[1])
    assert (shown["order_id"], shown["state"]) == ("1", "held")
    assert [(t["kind"], t["outcome"], t["excerpt"]) for t in shown["attempts"]] == [
        ("create", "refused", "немає складу")
    ]


def test_a_refusal_is_told_once_and_later_tries_point_to_it(run, ledger):
    pk = give(ledger)
    for _ in range(2):
        end(ledger, pk, "held", "немає складу", "crm_refused")
        orders.retry(ledger, pk, NOW, who="olena")
    end(ledger, pk, "held", "немає складу", "crm_refused")
    out = run("orders", "show", "1")[1]
    assert (out.count("немає складу"), out.count("as above")) == (1, 3)
    assert "{" not in out
    tries = json.loads(run("orders", "show", "1", "--json")[1])["attempts"]
    assert [tried["excerpt"] for tried in tries] == ["немає складу"] * 3


def test_another_answer_than_the_reason_is_told_where_it_came_first(run, ledger):
    pk = give(ledger)
    end(ledger, pk, "held", "немає складу", "crm_refused")
    orders.retry(ledger, pk, NOW, who="olena")
    end(ledger, pk, "held", "etap 17", "crm_refused")
    out = run("orders", "show", "1")[1]
    assert (out.count("немає складу"), out.count("etap 17"), out.count("as above")) == (1, 1, 1)


def test_what_a_remote_says_is_never_taken_for_markup(run, ledger):
    end(ledger, give(ledger, "[/red]"), "held", "no [bold] such [/stage]", "crm_refused")
    for command in (("orders",), ("orders", "show", "[/red]")):
        code, out, err = run(*command)
        assert (code, err) == (0, "")
        assert "[/red]" in out
        assert "[/stage]" in out
    assert run("orders", "retry", "[/red]")[0] == 0
    assert "[/nothing]" in run("orders", "show", "[/nothing]")[2]


MENDED = [
    ("retry", "held", "waiting", 0),
    ("retry", "received", "waiting", 0),
    ("retry", "created", "created", 4),
    ("release", "held", "waiting", 0),
    ("release", "received", "received", 4),
    ("ignore", "held", "ignored", 0),
    ("ignore", "created", "created", 4),
]


@pytest.mark.parametrize("machine", [False, True])
@pytest.mark.parametrize(("command", "state", "after", "code"), MENDED)
def test_mending(run, ledger, command, state, after, code, machine):
    pk = give(ledger)
    if state != "received":
        end(ledger, pk, state)
    got, out, err = run("orders", command, "1", *(["--json"] if machine else []))
    assert got == code
    (row,) = orders.listing(ledger, NOW)
    assert row.state == after
    if code:
        seen = "How it stands: `orderbridge orders show 1`."
        assert (out, err) == ("", f"orderbridge: Order 1 is {state}. {seen}")
        return
    # Nothing runs here: nobody is promised a try, and how to start is said beside the answer.
    assert ("does not run: this waits until it does. Start it with `make run`" in err) is (
        command != "ignore"
    )
    if machine:
        assert json.loads(out)["state"] == after
    else:
        assert out.startswith("Order 1 ")
        assert not any(word in out for word in (" now", "minute"))


@pytest.mark.parametrize("command", ["show", "retry", "release", "ignore"])
def test_unknown_order_is_said_so(run, ledger, command):
    assert run("orders", command, "4711", "--json") == (
        3,
        "",
        "orderbridge: No order 4711 is in the ledger. Those that are: `orderbridge orders list`.",
    )


def test_order_id_of_two_shops_must_name_the_shop(run, ledger):
    give(ledger, connection="third"), give(ledger, connection="second")
    code, _, err = run("orders", "show", "1")
    assert code == 2
    advised = re.findall("`orderbridge ([^`]+)`", err)
    assert advised == [f"orders show --connection {name} 1" for name in ("second", "third")]
    assert all(run(*words.split())[0] == 0 for words in advised)
    assert run("orders", "show", "1", "--connection", "second")[0] == 0
    assert "No order 1" in run("orders", "show", "1", "--connection", "fourth")[2]


def test_order_id_of_two_shops_means_the_default_pairs_where_none_is_named(run, ledger):
    give(ledger), give(ledger, connection="second")
    assert json.loads(run("orders", "show", "1", "--json")[1])["connection"] == "okliving"


def test_lists_may_be_of_one_connection(run, ledger):
    give(ledger), give(ledger, connection="second")
    assert len(json.loads(run("orders", "list", "--json")[1])) == 2
    (only,) = json.loads(run("orders", "list", "--connection", "second", "--json")[1])
    assert only["connection"] == "second"


# --- wrong calls and settings -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ordres",), "No such command"),
        (("orders", "lsit"), "No such command"),
        (("orders", "list", "--state", "odd"), "--state must be one of received"),
        (("orders", "list", "--limit", "0"), "--limit"),
        (("orders", "show"), "Missing argument"),
        (("fetch", "--odd"), "No such option"),
        (("backfill", "--from", "yesterday", "--to", "2026-11-21"), "--from"),
    ],
)
def test_wrong_call_is_told_and_ends_with_2(run, ledger, arguments, said):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert said in err


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        (
            {"OKLIVING_URL": "https://shop.example.com"},
            "OKLIVING_CLIENT_ID, OKLIVING_CLIENT_SECRET",
        ),
        (
            dict.fromkeys(default_pair.VARIABLES, "x"),
            "OKLIVING_URL must be a URL",
        ),
        ({"FETCH_INTERVAL": "often"}, "FETCH_INTERVAL"),
    ],
)
@pytest.mark.parametrize("command", ["migrate", "orders", "fetch", "check", "update 1"])
def test_wrong_setting_is_named_in_one_sentence(run, environment, said, command):
    os.environ.update(environment)
    code, out, err = run(*command.split())
    assert (code, out) == (2, "")
    assert said in err


# --- preview ----------------------------------------------------------------------------------------


def preview(run, folder, text, *more):
    (folder / "order.json").write_text(text)
    return run("preview", str(folder / "order.json"), *more)


def test_preview_of_a_good_order(run, folder):
    code, out, err = preview(run, folder, json.dumps(reference_order()))
    assert (code, err) == (0, "")
    assert out.endswith("It would be sent.\n")
    report = json.loads(preview(run, folder, json.dumps(reference_order()), "--json")[1])
    assert (report["held"], report["external_id"]) == (False, "okl-300167757")
    assert report["target"]["externalid"] == "okl-300167757"
    assert report["recipient"]["after"]["phone"] == "+380501234567"
    assert report["source"] == reference_order()


def test_preview_names_the_tables_that_are_empty_while_the_order_carries_codes(run, folder):
    code, out, _ = preview(run, folder, json.dumps(reference_order()))
    assert code == 0
    said = " ".join(out.split())
    assert "paymentid: Order 300167757: the profile's table payment is empty, so “cod” goes" in said
    report = json.loads(preview(run, folder, json.dumps(reference_order()), "--json")[1])
    told = {p["detail"] for p in report["problems"] if p["code"] == "lookup_table_empty"}
    assert told == {"payment", "delivery", "currency"}


@pytest.mark.parametrize(
    "order", [reference_order(recipient={"phone": "none"}), {"id": "6"}, {}, [], None, 17, "text"]
)
def test_preview_of_what_would_be_held(run, folder, order):
    code, out, _ = preview(run, folder, json.dumps(order))
    assert code == 0
    assert out.endswith("It would be held.\n")
    report = json.loads(preview(run, folder, json.dumps(order), "--json")[1])
    assert report["held"]
    assert report["reasons"]


@pytest.mark.parametrize("text", ["", "{", "no JSON", "[" * 200_000])
def test_preview_of_what_is_no_json(run, folder, text):
    code, out, err = preview(run, folder, text)
    assert (code, out) == (2, "")
    assert "cannot be read as JSON" in err


def test_preview_of_bytes_that_are_no_text(run, folder):
    (folder / "order.json").write_bytes(b"\xff\xfe{}")
    assert run("preview", str(folder / "order.json"))[0] == 2


def test_preview_prints_what_unicode_has_no_bytes_for(run, folder):
    text = json.dumps(reference_order(note="x\ud800y"))
    assert preview(run, folder, text)[0] == 0
    code, out, _ = preview(run, folder, text, "--json")
    assert code == 0
    assert json.loads(out)["source"]["note"] == "x\ud800y"


def test_preview_of_an_order_in_the_ledger_and_of_a_purged_one(run, ledger):
    pk = give(ledger)
    code, out, _ = run("preview", "1", "--json")
    assert (code, json.loads(out)["order_id"]) == (0, "1")
    orders.ignore(ledger, pk, NOW, who="olena")
    purging.orders(ledger, datetime(2030, 1, 1, tzinfo=UTC))
    code, _, err = run("preview", "1")
    assert (code, "purged" in err) == (3, True)
    assert run("preview", "4711")[0] == 3


# --- with remotes: in a process of its own, since the tasks read their settings once ----------------


def in_process_of_its_own(*arguments, **environment):
    done = subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        cwd=settings.ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def remotes(tmp_path_factory):
    """A shop with 150 orders, a CRM and a broker, and the environment that names them."""
    folder = tmp_path_factory.mktemp("remotes")
    shop, crm = Shop(client_secret="of-this-test"), Crm(password="of-this-test")
    shop.orders_in(many(150))
    with contextlib.ExitStack() as stack:
        valkey = Valkey(folder / "valkey").start()
        stack.callback(valkey.stop)
        environment = {
            "ORDERBRIDGE_SANDBOX": "1",
            "ORDERBRIDGE_DATA": str(folder),
            "REDIS_URL": valkey.url,
            "OKLIVING_URL": stack.enter_context(start(shop)).url,
            "OKLIVING_CLIENT_ID": shop.client_id,
            "OKLIVING_CLIENT_SECRET": shop.client_secret,
            "ONEBOX_URL": stack.enter_context(start(crm)).url,
            "ONEBOX_LOGIN": crm.login,
            "ONEBOX_PASSWORD": crm.password,
            "ONEBOX_WORKFLOW_ID": crm.workflow_id,
            "ONEBOX_STATUS_ID": crm.status_id,
        }
        code, out, err = in_process_of_its_own("migrate", "--json", **environment)
        assert (code, json.loads(out)) == (0, {"migrated": True}), err
        yield environment, valkey


def test_fetch_stores_and_rings_and_a_second_one_finds_nothing_new(remotes):
    environment, valkey = remotes
    code, out, err = in_process_of_its_own("fetch", "--json", **environment)
    assert (code, json.loads(out)) == (
        0,
        {"pages": 2, "orders": 150, "stored": 150, "known": 0, "not_orders": 0},
    ), err
    assert valkey.client.llen("create") == 150
    assert err == ""
    code, out, err = in_process_of_its_own("fetch", **environment)
    assert (code, err) == (0, "")
    assert "0 new or changed" in " ".join(out.split())
    assert valkey.client.llen("create") == 150


def test_who_sends_an_update_and_reads_past_days_stands_in_the_history(remotes):
    environment, _ = remotes
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    in_process_of_its_own("fetch", "--json", **environment)
    days = ("--from", day, "--to", day)
    code, out, err = in_process_of_its_own(
        "backfill", *days, "--as", "petro", "--json", **environment
    )
    assert code == 0, err
    assert set(json.loads(out)) == {"pages", "orders", "stored", "known", "not_orders"}
    (order,) = json.loads(
        in_process_of_its_own("orders", "list", "--limit", "1", "--json", **environment)[1]
    )
    sent = ("update", order["order_id"], "--note", "On its way", "--as", "olena", "--json")
    code, out, err = in_process_of_its_own(*sent, **environment)
    assert code == 0, err
    number = int(json.loads(out)["id"])
    code, out, _ = in_process_of_its_own(
        "orders", "show", order["order_id"], "--json", **environment
    )
    (act,) = json.loads(out)["history"]
    assert (act["who"], act["what"], act["update_id"]) == ("olena", "update_accepted", number)
    assert "On its way" not in json.dumps(act)
    opened = open_ledger(f"sqlite:///{environment['ORDERBRIDGE_DATA']}/sandbox/ledger.db")
    with opened.read() as db:
        acts = db.execute(select(HISTORY.c.who, HISTORY.c.what, HISTORY.c.after)).all()
    opened.close()
    assert ("petro", "backfill_run", {"from": day, "to": day}) in acts


def test_fetch_that_fails_ends_with_1_and_says_why(remotes):
    environment = {**remotes[0], "OKLIVING_CLIENT_SECRET": "wrong"}
    remotes[1].client.delete(*remotes[1].client.keys("ob:*token*") or ["none"])
    code, out, err = in_process_of_its_own("fetch", "--json", **environment)
    assert (code, out) == (1, "")
    assert "could not be read" in err
    assert "Traceback" not in err


def test_check_with_the_right_and_the_wrong_password(remotes):
    environment, _ = remotes
    code, out, err = in_process_of_its_own("check", "--json", **environment)
    assert code == 0, err
    assert {(line["connection"], line["good"]) for line in json.loads(out)} == {
        ("ledger", True),
        ("okliving", True),
        ("onebox", True),
        ("createorder", True),
    }
    wrong = {**environment, "ONEBOX_PASSWORD": "wrong"}
    code, out, _ = in_process_of_its_own("check", "--json", **wrong)
    assert code == 1
    bad = next(line for line in json.loads(out) if not line["good"])
    assert (bad["connection"], bad["what"]) == ("onebox", "log in")
    assert "password" in bad["mend"]


def test_mending_without_a_broker_keeps_stdout_for_the_json_and_logs_on_stderr(remotes, tmp_path):
    environment = {**remotes[0], "REDIS_URL": NO_BROKER, "ORDERBRIDGE_DATA": str(tmp_path)}
    url = f"sqlite:///{tmp_path / 'sandbox' / 'ledger.db'}"
    upgrade(url, sandbox=True)
    opened = open_ledger(url)
    give(opened)
    opened.close()
    code, out, err = in_process_of_its_own("orders", "retry", "1", "--json", **environment)
    assert (code, json.loads(out)["state"]) == (0, "waiting")
    assert json.loads(err.splitlines()[0])["event"] == "ring_failed"
    assert "Redis does not answer (REDIS_URL): this waits until it does" in err


@pytest.mark.parametrize(
    "command", ["fetch", "check", "backfill --from 2026-11-01 --to 2026-11-02", "update 1 --note x"]
)
def test_without_a_broker_the_command_to_start_one_is_named(run, command):
    code, out, err = run(*command.split())
    assert (code, out) == (2, "")
    assert "Start one with `make run`, or set REDIS_URL." in err
