"""The test of connections: good, bad or not checked, by a login of its own that nobody else feels."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace

import pytest
from mapped_as import mapped_as
from task_remotes import with_client

from clients.cipher import cipher_for
from clients.okliving import OkLiving
from clients.onebox import OneBox
from connectors import okliving
from connectors.ports import Found, NotTold
from ledger import orders
from ledger.orders import Arrived
from simulator.crm import Crm
from simulator.faults import Fault
from simulator.samples import reference_order
from simulator.server import start
from simulator.shop import Shop
from tasks import checking

KEY = "a key of all processes"


class Remotes:
    """Both simulators, and resources whose clients speak to them as they are configured."""

    def __init__(self, r, store, profile, stack):
        self.r, self.store, self.profile, self.stack = r, store, profile, stack
        self.shop, self.crm = Shop(client_secret="right"), Crm(password="right")
        self.shop_url = stack.enter_context(start(self.shop)).url
        self.crm_url = stack.enter_context(start(self.crm)).url

    def shop_client(self, client_id=None, client_secret="right", url=None):
        url = url or self.shop_url
        cipher = cipher_for(KEY, client_secret, "okliving", url)
        made = OkLiving(
            url,
            client_id or self.shop.client_id,
            client_secret,
            redis=self.store,
            cipher=cipher,
            timeout=4,
        )
        self.stack.callback(made.close)
        return made

    def box_client(self, login=None, password="right", url=None):
        url = url or self.crm_url
        cipher = cipher_for(KEY, password, "onebox", url)
        made = OneBox(
            url, login or self.crm.login, password, redis=self.store, cipher=cipher, timeout=4
        )
        self.stack.callback(made.close)
        return made

    def check(self, shop=None, box=None, *, own=None, read_orders=False, **options):
        """The lines, by connection and what was tested; `own` are keys of the box's settings."""
        r = self.r
        joined = okliving.join(shop or self.shop_client(), self.profile.source, "okl-")
        sources = {"okliving": replace(r.sources["okliving"], connector=joined)}
        target = r.targets["onebox"]
        ids = {"workflow_id": self.crm.workflow_id, "status_id": self.crm.status_id}
        target = replace(target, settings=replace(target.settings, **{**ids, **(own or {})}))
        targets = {"onebox": with_client(target, box or self.box_client(), self.profile)}
        made = replace(r, sources=sources, targets=targets)
        return {
            (line.connection, line.what): line
            for line in checking.check(made, read_orders=read_orders, **options)
        }


@pytest.fixture
def remotes(r, store, profile):
    with contextlib.ExitStack() as stack:
        yield Remotes(r, store, profile, stack)


def answers(lines):
    return {f"{name} {what}": line.answer for (name, what), line in lines.items()}


GOOD = {
    "ledger clock": "good",
    "okliving log in": "good",
    "onebox log in": "good",
    "onebox workflow": "good",
    "onebox stage": "good",
}


def test_right_settings_are_good_and_say_what_the_ids_are_called(remotes):
    lines = remotes.check()
    assert answers(lines) == GOOD
    assert lines["onebox", "stage"].result == "Нове"
    assert lines["onebox", "workflow"].result == "Замовлення інтернет-магазину"


@pytest.mark.parametrize("wrong", ["client_id", "client_secret"])
def test_a_wrong_login_of_the_shop_is_bad_behind_a_cached_token(remotes, wrong):
    remotes.shop_client().get_orders({})  # the workers' token, in Redis
    lines = remotes.check(shop=remotes.shop_client(**{wrong: "wrong"}), read_orders=True)
    assert lines["okliving", "log in"].answer == "bad"
    assert "password or secret" in lines["okliving", "log in"].mend
    assert lines["okliving", "read orders"].answer == "unchecked"
    assert "log in" in lines["okliving", "read orders"].result


@pytest.mark.parametrize("wrong", ["login", "password"])
def test_a_wrong_login_of_the_box_is_bad_behind_a_cached_token(remotes, wrong):
    remotes.box_client().workflows()
    lines = remotes.check(box=remotes.box_client(**{wrong: "wrong"}))
    told = answers(lines)
    assert told == GOOD | {
        "onebox log in": "bad",
        "onebox workflow": "unchecked",
        "onebox stage": "unchecked",
    }


@pytest.mark.parametrize("secret", ["right", "wrong"])
def test_the_workers_share_what_they_shared_before_whatever_the_test_finds(remotes, store, secret):
    worker = remotes.shop_client(), remotes.box_client()
    worker[0].get_orders({})
    worker[1].workflows()
    before = {key: store.get(key) for key in store.keys("ob:*token*")}
    assert len(before) == 2
    remotes.check(remotes.shop_client(client_secret=secret), remotes.box_client(password=secret))
    assert {key: store.get(key) for key in store.keys("ob:*token*")} == before
    # A worker that starts now takes the shared token over.
    logins = len([one for one in remotes.crm.requests if one.path == Crm.TOKEN])
    remotes.box_client().workflows()
    assert len([one for one in remotes.crm.requests if one.path == Crm.TOKEN]) == logins


def test_where_a_login_ends_the_token_of_before_the_workers_log_in_once_and_go_on(remotes):
    worker = remotes.box_client()
    worker.workflows()
    remotes.crm.kill_tokens()  # as such a box does at a login
    assert answers(remotes.check()) == GOOD
    assert worker.workflows()


@pytest.mark.parametrize(
    ("own", "bad"),
    [
        ({"status_id": "999"}, "stage"),
        ({"status_id": "91"}, "stage"),  # of another business process
        ({"workflow_id": "8"}, "workflow"),
    ],
)
def test_an_id_that_nobody_has_is_bad_and_those_that_there_are_stand_beside(remotes, own, bad):
    lines = remotes.check(own=own)
    assert lines["onebox", bad].answer == "bad"
    assert next(iter(own.values())) in lines["onebox", bad].result
    known = "71" if bad == "stage" else "7"
    assert known in lines["onebox", bad].result.partition("none of")[2]


@pytest.mark.parametrize(
    ("listed", "unchecked"),
    [
        ([], {"workflow", "stage"}),
        ([{"name": "without an id"}], {"workflow", "stage"}),
        ([{"id": 7, "name": "Sales"}], {"stage"}),
        ([{"id": 7, "statuses": []}], {"stage"}),
        ([{"id": 7, "statuses": None}], {"stage"}),
        ([{"id": 7, "statuses": "Нове"}], {"stage"}),
        ([{"id": 7, "statuses": [{"name": "Нове"}]}], {"stage"}),
        ([{"workflowid": "7", "statuses": {"0": {"statusid": 71}}}], set()),
    ],
)
def test_what_the_box_does_not_list_is_not_checked_and_never_good(
    remotes, monkeypatch, listed, unchecked
):
    monkeypatch.setattr(OneBox, "workflows", lambda _: listed)
    told = answers(remotes.check())
    assert {what for what in ("workflow", "stage") if told[f"onebox {what}"] == "unchecked"} == (
        unchecked
    )
    assert "bad" not in told.values()


def test_who_is_down_is_bad_and_who_puts_it_off_is_not_checked(remotes):
    gone = remotes.shop_client(url="http://127.0.0.1:1")
    remotes.crm.faults.add(Fault("status", status=503, retry_after=5))
    lines = remotes.check(gone)
    assert lines["okliving", "log in"].answer == "bad"
    assert "network" in lines["okliving", "log in"].mend
    assert lines["onebox", "log in"].answer == "unchecked"
    assert lines["onebox", "log in"].result.startswith("because ")


class Inspector:
    def __init__(self, *works):
        self.works = works

    def tests(self, *, read_orders):
        yield from ((str(n), work) for n, work in enumerate(self.works))


def raising(exc):
    def work():
        raise exc

    return work


def test_a_test_rests_on_those_before_it_and_advice_stops_none(r):
    works = (
        lambda: Found("fine", "but look"),
        raising(NotTold("it does not say.")),
        Found,
    )
    remote = r.sources["okliving"]
    connector = replace(remote.connector, inspector=Inspector(*works))
    made = replace(r, sources={"okliving": replace(remote, connector=connector)}, targets={})
    lines = checking.check(made)[1:]
    assert [(line.answer, line.good) for line in lines] == [
        ("good", True),
        ("unchecked", None),
        ("unchecked", None),
    ]
    assert lines[0].mend == "but look"
    assert lines[1].result == "because it does not say."


def test_what_finds_no_place_is_not_checked(r, monkeypatch):
    monkeypatch.setattr(checking, "PATIENCE", 0.0)
    remote = r.sources["okliving"]
    for holder in "ab":
        assert remote.read_slots.acquire(holder)
    connector = replace(remote.connector, inspector=Inspector(Found))
    made = replace(r, sources={"okliving": replace(remote, connector=connector)}, targets={})
    (line,) = checking.check(made)[1:]
    assert (line.answer, line.result) == ("unchecked", "because all its calls are taken")


# --- look-up tables ---------------------------------------------------------------------------------


def give(r, now, *raws):
    arrived = [
        Arrived(raw["id"], f"okl-{raw['id']}", json.dumps(raw), "a" * 32, now) for raw in raws
    ]
    orders.store(r.ledger, "okliving", "onebox", arrived, now, mapped_as())


def test_tables_that_orders_ask_in_vain_are_said_and_are_not_bad(remotes, clock):
    give(
        remotes.r,
        clock(),
        reference_order(id="1", payment={"code": "cod"}),
        reference_order(id="2", payment={"code": "card"}),
        reference_order(id="3", payment={"code": "card"}),
        reference_order(id="4", payment={"code": ""}),
    )
    lines = remotes.check()
    line = lines["onebox", "table payment"]
    assert (line.answer, line.good) == ("good", True)
    assert line.result == "it is empty, while 3 of the newest 4 orders of okliving say card, cod"
    assert line.mend == "Fill it in onebox.yaml, or take paymentid out there."
    assert {what for name, what in lines if what.startswith("table")} == {
        "table payment",
        "table delivery",
        "table currency",
    }


def test_without_orders_nothing_is_said_of_tables(remotes):
    assert answers(remotes.check()) == GOOD


def test_the_test_of_one_connection_says_nothing_of_another(remotes, clock):
    give(remotes.r, clock(), reference_order(id="1"))
    lines = remotes.check(names=["okliving"])
    assert {name for name, _ in lines} == {"ledger", "okliving"}
