"""Placing an order: by which connection, what it is found by, and who is rung for."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
from sqlalchemy import select, update
from structlog.testing import capture_logs
from tenant_calls import NAME, NOW, add_account, add_tenant, asked, everything, line, text_of

from connectors.ports import Connector
from desk import placing
from ledger.database import Ledger, open_ledger
from ledger.orders import Due
from ledger.tables import ORDERS, TENANTS
from ledger.tenants import Placed, Refused, Repeated
from mapping.order import Person
from mapping.recipient import Prepared

OLENA = Person(first="Олена", last="Бондар", phone="380501234567")


class Source:
    """Reads one person out of each order."""

    prefix = "co-"
    broken = False

    def __init__(self):
        self.texts = []

    def read(self, text):
        self.texts.append(json.loads(text))
        if self.broken:
            raise RuntimeError
        found = self.texts[-1]
        order = SimpleNamespace(
            id=found["id"],
            number=found["number"],
            shipping=SimpleNamespace(tracking_number=""),
            recipient=OLENA,
            buyer=OLENA,
        )
        prepared = Prepared(OLENA)
        return SimpleNamespace(order=order, recipient=prepared, buyer=prepared)


def remote(*, has_tenants=True):
    source = Source()
    connector = Connector(client=None, source=source, has_tenants=has_tenants)
    return SimpleNamespace(connector=connector)


@pytest.fixture
def r(tmp_path, migrated_file):
    """Resources with one connection whose orders tenants place, beside a shop."""
    path = shutil.copy(migrated_file, tmp_path / "ledger.db")
    ledger = open_ledger(f"sqlite:///{path}")
    sources = {"shop": remote(has_tenants=False), "inbox": remote()}
    yield SimpleNamespace(
        ledger=ledger,
        sources=sources,
        target_name=lambda name: f"crm of {name}",
        external_id=lambda name, order_id: sources[name].connector.source.prefix + order_id,
    )
    ledger.close()


@pytest.fixture
def tenant(r):
    pk = add_tenant(r.ledger, last_account=1, last_address=1)
    add_account(r.ledger, pk, 1, "NewClient_1", addresses=[1])
    return pk


WISH = asked(account_id=1, positions=(line(),), key="k")


@pytest.fixture
def place(r):
    def place(wish=WISH, text=text_of, admit=lambda _tenant: None):
        rung = []
        return placing.place(r, wish, text, now=NOW, ring=rung.extend, admit=admit), rung

    return place


def orders_of(r):
    with r.ledger.read() as db:
        return db.execute(select(ORDERS)).mappings().all()


def test_placed_order_is_found_by_its_person_and_its_number_and_is_rung_for(r, tenant, place):
    placed, rung = place()
    assert isinstance(placed, Placed)
    (row,) = orders_of(r)
    assert (row["phone"], row["name"], row["number"]) == ("765432105083", "bondar olena", "1")
    assert (row["connection"], row["target"]) == ("inbox", "crm of inbox")
    assert row["external_id"] == f"co-{NAME}-1"
    assert rung == [Due(row["id"], "inbox", "crm of inbox")]


def test_nothing_is_read_within_the_transaction(r, tenant, place, monkeypatch):
    source = r.sources["inbox"].connector.source
    real, inside = Ledger.write, []

    def write(ledger, unit, **more):
        before = len(source.texts)
        result = real(ledger, unit, **more)
        inside.append(len(source.texts) - before)
        return result

    monkeypatch.setattr(Ledger, "write", write)
    place()
    assert inside == [0]
    assert [text["number"] for text in source.texts] == ["0"], "made with a provisional number"


def test_what_is_refused_or_repeated_does_not_take_the_writers_turn(r, tenant, place, monkeypatch):
    placed, _ = place()
    monkeypatch.setattr(Ledger, "write", lambda *_: pytest.fail("the writer's turn"))
    found, rung = place(asked(account_id=77))
    assert (found, rung) == (Refused("account_not_found", {"account_id": "77"}), [])
    assert place() == (Repeated(text_of(placed)), [])
    assert place(replace(WISH, digest="other")) == (Refused("key_reused"), [])


@pytest.mark.parametrize(
    "wish", [WISH, asked(account_id=77), asked(account_id=1, account_address_id=5)]
)
@pytest.mark.parametrize("names", [("inbox",), ()])
def test_who_is_not_admitted_is_told_nothing_of_the_tenant(r, tenant, place, names, wish):
    """Neither which accounts it has nor whether its orders go anywhere."""

    class NotYours(Exception):  # noqa: N818  as the callers' own
        pass

    def admit(tenant):
        assert tenant.name == NAME
        raise NotYours

    r.sources = {name: r.sources[name] for name in names}
    before = everything(r.ledger)
    with pytest.raises(NotYours):
        place(wish, admit=admit)
    assert everything(r.ledger) == before


def test_what_changes_meanwhile_is_refused_by_the_writer(r, tenant, place):
    """The account goes between the look and the turn."""

    def gone(placed):
        r.ledger.write(lambda db: db.execute(update(TENANTS).values(name_key="gone")))
        return text_of(placed)

    before = orders_of(r)
    found, rung = place(text=gone)
    assert (found, rung) == (Refused("tenant_unknown", {"tenant": NAME}), [])
    assert orders_of(r) == before


def test_order_that_cannot_be_read_is_placed_all_the_same(r, tenant, place):
    r.sources["inbox"].connector.source.broken = True
    with capture_logs() as said:
        placed, rung = place()
    assert isinstance(placed, Placed)
    assert len(rung) == 1
    assert [line["event"] for line in said] == ["order_not_mapped"]
    (row,) = orders_of(r)
    assert (row["number"], row["phone"]) == ("1", None)


def test_tenant_that_is_not_delivered_is_not_rung_for(r, tenant, place):
    r.ledger.write(lambda db: db.execute(update(TENANTS).values(is_delivered=False)))
    placed, rung = place()
    assert isinstance(placed, Placed)
    assert rung == []


ROUTES = {
    "the only one": (None, ("inbox",), "inbox"),
    "its own of two": ("second", ("inbox", "second"), "second"),
    "none of two is guessed": (None, ("inbox", "second"), None),
    "one that is configured no more": ("gone", ("inbox",), None),
    "one of another kind": ("shop", ("inbox",), None),
    "none at all": (None, (), None),
}


@pytest.mark.parametrize(("own", "there", "taken"), ROUTES.values(), ids=ROUTES)
def test_orders_come_by_the_tenants_own_connection_or_the_only_one(
    r, tenant, place, own, there, taken
):
    del r.sources["inbox"]
    r.sources.update({name: remote() for name in there})
    r.ledger.write(lambda db: db.execute(update(TENANTS).values(connection=own)))
    before = everything(r.ledger)
    found, _ = place()
    if taken is None:
        assert found == Refused("tenant_not_routed", {"tenant": NAME})
        assert everything(r.ledger) == before
    else:
        assert [row["connection"] for row in orders_of(r)] == [taken]
