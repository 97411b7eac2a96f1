"""Whose order a box speaks of: by the prefix, by the number of the process, by the only one that has it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from mapped_as import mapped_as
from sqlalchemy import insert, update

from clients.errors import Unreachable
from ledger import orders, updates
from ledger.orders import Arrived
from ledger.tables import HOOKS, ORDERS
from tasks import accepting, creating, delivering, listening, upkeep
from tasks.accepting import UnknownConnection
from tasks.sender import says_nothing, whose

BOX = "onebox"


@pytest.fixture
def r(make):
    """Two shops that share a box: okliving (okl-) and second (2-)."""
    built = make()
    first = built.sources["okliving"]
    connection = replace(first.connection, name="second", prefix="2-")
    profile = built.profiles["okliving"]
    hook = replace(profile.updates.hook, prefix="2-")
    built.sources["second"] = replace(first, connection=connection)
    built.settings.connections["second"] = connection
    built.profiles["second"] = replace(
        profile, external_id_prefix="2-", updates=replace(profile.updates, hook=hook)
    )
    return built


def give(r, connection, order_id, target_id=None, target=BOX):
    external_id = r.profiles[connection].external_id(order_id)
    arrived = Arrived(order_id, external_id, "{}", "hash", None)
    (pk,) = orders.store(r.ledger, connection, target, [arrived], r.ledger.now(), mapped_as(str))
    made = update(ORDERS).where(ORDERS.c.id == pk).values(target_id=target_id)
    r.ledger.write(lambda db: db.execute(made))
    return pk


def test_prefix_of_the_external_id_says_whose_order_it_is(r):
    for external_id, source in (("okl-7", "okliving"), ("2-7", "second")):
        name, said = whose(r, BOX, {"externalid": external_id, "orderid": "900"})
        assert (name, said.order_id) == (source, "7")
    name, said = whose(r, BOX, {"externalid": "x-7"})
    assert (name, said.nothing_to_do) == (None, "not_ours")


def test_number_of_a_process_is_looked_up_in_its_own_box(r):
    give(r, "second", "7", target_id="900")
    give(r, "okliving", "8", target_id="900", target="another")
    name, said = whose(r, BOX, {"orderid": "900"})
    assert (name, said.order_id) == ("second", "7")
    assert whose(r, "another", {"orderid": "900"})[0] == "okliving"
    assert whose(r, "elsewhere", {"orderid": "900"})[0] is None


def test_order_number_alone_means_the_only_shop_that_has_it_there(r):
    fields = {"order_id": "7", "ttn": "20450000000000"}
    assert whose(r, BOX, fields)[0] is None
    give(r, "second", "7")
    assert whose(r, BOX, fields)[0] == "second"
    give(r, "okliving", "7")
    assert whose(r, BOX, fields)[0] is None


def test_call_that_nobody_could_act_on_says_nothing(r):
    assert says_nothing(r, {"externalid": "x-7"})
    assert says_nothing(r, {"ttn": "20450000000000"})
    assert not says_nothing(r, {"orderid": "900"})
    assert not says_nothing(r, {"externalid": "2-7", "ttn": "20450000000000"})


def test_call_that_an_earlier_version_kept_under_the_shops_name_is_worked_off(r, monkeypatch):
    monkeypatch.setattr(listening, "ring_updates", lambda _: True)
    r.targets[BOX].connector.client.get_orders = lambda *_: []
    now = r.ledger.now()
    kept = {
        "connection": "okliving",
        "process": "2-7",
        "fields": {"externalid": "2-7", "ttn": "20450000000000"},
        "received_at": now,
        "next_try_at": now,
    }
    (hook_id,) = r.ledger.write(
        lambda db: db.execute(insert(HOOKS).values(kept)).inserted_primary_key
    )
    assert listening.act(r, hook_id) is None
    (row,) = updates.listing(r.ledger)
    assert (row.connection, row.order_id) == ("second", "7")


# --- several shops at the doors and in the lanes --------------------------------------------------------


def test_update_without_a_connection_means_the_default_pairs_shop(r, monkeypatch):
    monkeypatch.setattr(accepting, "ring_updates", lambda _: True)
    row = accepting.accept_flat(r, {"order_id": "1", "note": "x"}, origin="celery")
    assert row.connection == "okliving"


def test_update_that_must_say_its_shop_is_refused_with_the_choices(r):
    third = replace(r.settings.connections["second"], name="third")
    del r.settings.connections["okliving"]
    r.settings.connections["third"] = third
    request, _ = accepting.read(r, {"order_id": "1", "note": "x"}, flat=True)
    with pytest.raises(UnknownConnection, match="second, third"):
        accepting.accept(r, request, origin="cli")
    assert accepting.accept_flat(r, {"order_id": "1", "note": "x"}, origin="celery") is None
    (row,) = updates.listing(r.ledger)
    assert (row.state, row.connection, row.fates[0]["field"]) == ("refused", "", "connection")


def test_connection_that_this_process_does_not_know_is_left_alone(r):
    pk = give(r, "second", "7")
    del r.sources["second"]
    assert creating.create(r, pk, "second") == creating.Step()
    assert delivering.deliver(r, updates.Due("second", "7")) == delivering.Step()
    assert orders.listing(r.ledger, r.ledger.now())[0].state == "received"


def test_shadow_of_one_shop_is_not_the_others(r, monkeypatch):
    second = r.sources["second"]
    shadow = replace(second.connection, mode="shadow")
    r.sources["second"] = replace(second, connection=shadow)
    assert (r.is_live("okliving", BOX), r.is_live("second", BOX)) == (True, False)
    r.targets[BOX].connector.client.script["set_order"] = [Unreachable("must not be called")]
    pk = give(r, "second", "7")
    creating.create(r, pk, "second", "task-1")
    assert r.targets[BOX].connector.client.calls == []
    assert upkeep._live(r.sources) == ["okliving"]
