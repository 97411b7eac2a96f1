"""What a person may see and do, whichever door they come by: rows, or one of the desk's errors."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from types import SimpleNamespace

import pytest
from mapped_as import mapped_as

from connections_file import SettingsError
from connectors import okliving
from desk import orders as desk_orders
from desk import overview, previewing, reading
from desk import tables as tables_of
from desk import updates as desk_updates
from desk.errors import Absent, Failed, Impossible, KeyTaken, Wrong
from desk.ringing import Bells, bells
from ledger import connections, enqueueing, history, orders, updates
from ledger.attempts import Try
from ledger.database import open_ledger
from ledger.enqueueing import Asked
from ledger.migrate import upgrade
from ledger.orders import Arrived, Outcome
from ledger.tables import HISTORY, UPDATES
from mapping.profile import join as profile_of
from mapping.profile import load_source, load_target
from mapping.request import UpdateRequest
from settings import ROOT
from simulator.samples import reference_order
from tasks import backfilling, polling
from tasks.storing import Polled

SHOP = "okliving"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SILENT = bells(None)

# Of a system without flows.
NO_TABLES = tables_of.Tables(SimpleNamespace(source_names=(), connections={}))


@pytest.fixture
def ledger(tmp_path):
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    upgrade(url, sandbox=True)
    opened = open_ledger(url)
    yield opened
    opened.close()


def give(ledger, state=None, order_id="1", connection=SHOP):
    arrived = Arrived(order_id, f"{connection}-{order_id}", '{"id": "1"}', "a" * 32, NOW)
    (pk,) = orders.store(ledger, connection, "onebox", [arrived], NOW, mapped_as(str))
    if state is not None:
        claim = orders.claim(ledger, pk, NOW, 60)
        orders.record(ledger, claim, Outcome(state), Try("create", NOW, 5, "refused"), NOW)
    return pk


def ask(ledger, order_id="1"):
    asked = Asked(SHOP, order_id, digest="d", origin="t", parts={"note": "n"})
    return enqueueing.accept(ledger, asked, NOW)


def resources(ledger):
    def source(name):
        if name not in (None, SHOP):
            raise SettingsError(f"There is no connection called {name!r}.")
        return SHOP

    chosen = SimpleNamespace(source=source)
    connector = okliving.join(
        None, load_source(ROOT / "mapping" / "profiles" / "okliving.yaml"), "okl-"
    )
    sources = {SHOP: SimpleNamespace(connector=connector)}
    return SimpleNamespace(ledger=ledger, sources=sources, feeds=sources, settings=chosen)


# --- orders -----------------------------------------------------------------------------------------


def test_an_order_is_shown_with_its_tries_its_updates_and_what_people_did(ledger):
    give(ledger, "held")
    update = ask(ledger)
    desk_orders.release(ledger, "1", who="olena", bells=SILENT)
    shown = desk_orders.show(ledger, "1")
    assert (shown.order.state, [tried.outcome for tried in shown.attempts]) == (
        "waiting",
        ["refused"],
    )
    assert [row.id for row in shown.updates] == [update.id]
    assert [(act.who, act.what) for act in shown.history] == [("olena", "order_released")]


@pytest.mark.parametrize("heard", [True, False])
@pytest.mark.parametrize("act", [desk_orders.retry, desk_orders.release])
def test_a_mended_order_is_rung_for_and_a_broker_that_is_away_is_told(ledger, act, heard):
    pk = give(ledger, "held")
    rung = []

    def ring(due):
        rung.extend(due)
        return len(due) if heard else 0

    mended = act(ledger, "1", who="olena", bells=Bells(ring, ring, pytest.fail))
    assert (mended.order.state, mended.rung) == ("waiting", heard)
    assert rung == [orders.Due(pk, SHOP)]


def test_what_is_not_possible_is_said_and_nothing_rings(ledger):
    give(ledger, "created")
    silent = Bells(pytest.fail, pytest.fail, pytest.fail)
    for act in (desk_orders.retry, desk_orders.release):
        with pytest.raises(Impossible, match="Order 1 is created"):
            act(ledger, "1", who="olena", bells=silent)
    with pytest.raises(Impossible, match="Order 1 is created"):
        desk_orders.ignore(ledger, "1", who="olena")


def test_an_order_of_several_connections_must_be_named(ledger):
    give(ledger, connection="third"), give(ledger, connection="second")
    with pytest.raises(Wrong, match=r"second 1`.*third 1`"):
        desk_orders.ignore(ledger, "1", who="olena")
    assert desk_orders.ignore(ledger, "1", "second", who="olena").state == "ignored"
    assert desk_orders.find(ledger, "1", "third").state == "received"
    with pytest.raises(Absent, match="No order 2"):
        desk_orders.show(ledger, "2")


@pytest.mark.parametrize("order_id", ["a\0b", "x" * 65, "2"])
def test_what_cannot_be_in_the_ledger_is_absent(ledger, order_id):
    give(ledger)
    with pytest.raises(Absent):
        desk_orders.known(ledger, SHOP, order_id, 50)


def test_updates_may_be_known_without_their_order(ledger):
    ask(ledger, "7")
    connection, known = desk_orders.known(ledger, None, "7", 50)
    assert (connection, known.order, len(known.updates)) == (SHOP, None, 1)


# --- updates ----------------------------------------------------------------------------------------


def test_a_cancelled_update_rings_for_what_waits_behind_it(ledger):
    rung = []
    update = ask(ledger)
    heard = Bells(pytest.fail, lambda due: rung.extend(due) or 1, pytest.fail)
    assert desk_updates.cancel(ledger, update.id, who="olena", bells=heard).state == "cancelled"
    assert rung == [updates.Due(SHOP, "1")]
    with pytest.raises(Impossible, match="is cancelled"):
        desk_updates.retry(ledger, update.id, who="olena", bells=heard)
    with pytest.raises(Absent, match="No update 4711"):
        desk_updates.cancel(ledger, 4711, who="olena", bells=heard)


def test_what_is_sent_carries_who_sent_it_and_a_taken_key_is_said(ledger):
    send = {"who": "olena", "origin": "cli", "key": "k", "ring": lambda _: 1}
    request = UpdateRequest("1", {"note": "n"}, connection=SHOP)
    row = desk_updates.send(resources(ledger), request, **send)
    assert [act.who for act in history.of_order(ledger, SHOP, "1")] == ["olena"]
    assert desk_updates.send(resources(ledger), request, **send).id == row.id
    other = UpdateRequest("1", {"note": "other"}, connection=SHOP)
    with pytest.raises(KeyTaken):
        desk_updates.send(resources(ledger), other, **send)
    nobody = UpdateRequest("1", {"note": "n"}, connection="nobody")
    with pytest.raises(Wrong) as told:
        desk_updates.send(resources(ledger), nobody, **send)
    assert set(told.value.errors) == {"connection"}


def test_an_update_with_mistakes_names_them_by_field(ledger):
    with pytest.raises(Wrong, match=r"The update is refused\. --order: Must be one of") as told:
        desk_updates.asked(resources(ledger), {"order_id": "1", "order": "fly"})
    assert told.value.errors


def test_an_update_of_nothing_is_refused_in_words_alone(ledger):
    with pytest.raises(Wrong, match=r"The update is refused\. Nothing to do"):
        desk_updates.asked(resources(ledger), {"order_id": "1"})


# --- reading, the overview, previews ------------------------------------------------------------------


def acts(ledger):
    with ledger.read() as db:
        return [
            (row.who, row.what, row.connection, row.after) for row in db.execute(HISTORY.select())
        ]


def test_who_read_past_days_is_kept_also_when_the_shop_did_not_answer(ledger, monkeypatch):
    def fails(*_args, **_more):
        raise polling.PollFailed("okliving could not be read")

    monkeypatch.setattr(backfilling, "backfill", fails)
    day = date(2026, 11, 20)
    with pytest.raises(Failed, match="could not be read"):
        reading.backfill(resources(ledger), SHOP, day, day, who="petro", on_day=list)
    told = {"from": "2026-11-20", "to": "2026-11-20"}
    assert acts(ledger) == [("petro", "backfill_run", SHOP, told)]


def test_a_poll_by_hand_is_no_act_and_wants_a_known_connection(ledger, monkeypatch):
    monkeypatch.setattr(backfilling, "poll_after", lambda *_args, **_more: Polled(pages=1))
    assert reading.fetch(resources(ledger), SHOP).pages == 1
    with pytest.raises(Wrong, match="no shop called 'nobody'"):
        reading.fetch(resources(ledger), "nobody")
    assert acts(ledger) == []


def test_a_glance_has_the_counts_the_newest_and_the_oldest_due(ledger):
    give(ledger, "held", "1"), give(ledger, order_id="2")
    seen = overview.glance(ledger, [SHOP], NO_TABLES, latest=1, for_people=5)
    assert (seen.counts["held"], seen.counts["received"], len(seen.latest)) == (1, 1, 1)
    assert (seen.oldest_due_at, seen.polls) == (NOW, {})


def test_a_glance_shows_what_needs_a_person_before_what_is_new(ledger):
    """A held order is seen however many others have changed since."""
    give(ledger, "held", "1")
    for number in range(2, 20):
        give(ledger, order_id=str(number))
    ask(ledger)
    ledger.write(lambda db: db.execute(UPDATES.update().values(state="parked", state_at=NOW)))
    connections.pause(ledger, "onebox", ["write"], NOW, reason="they move", who="anna")
    connections.close(ledger, "no longer configured", "fault", NOW, 5, "403")
    seen = overview.glance(ledger, ["onebox", SHOP], NO_TABLES, latest=3, for_people=5)
    assert [row.order_id for row in seen.held] == ["1"]
    assert (len(seen.parked), seen.parked_count) == (1, 1)
    assert [(one.connection, one.who) for one in seen.closed] == [("onebox", "anna")]


def test_a_glance_tells_of_a_poll_that_failed_until_one_is_good_and_once(ledger):
    def told():
        seen = overview.glance(ledger, [SHOP], NO_TABLES, latest=1, for_people=1)
        return [(one.connection, one.by, one.said) for one in seen.closed]

    connections.fail_poll(
        ledger, connections.begin_poll(ledger, SHOP, NOW, 60), NOW, "login refused"
    )
    assert told() == [(SHOP, "poll", "login refused")]
    connections.close(ledger, SHOP, "fault", NOW, 5, "login refused", "read")
    assert [by for _, by, _ in told()] == ["fault"]
    connections.open_gate(ledger, SHOP, "read")
    connections.end_poll(ledger, connections.begin_poll(ledger, SHOP, NOW, 60), NOW, NOW)
    assert told() == []


def test_a_glance_tells_the_tables_that_orders_ask_in_vain_and_looks_once_a_minute(
    ledger, monkeypatch
):
    seconds = [0.0]
    monkeypatch.setattr(tables_of.time, "monotonic", lambda: seconds[0])
    profile = profile_of(
        load_source(ROOT / "mapping" / "profiles" / "okliving.yaml"),
        load_target(ROOT / "mapping" / "profiles" / "onebox.yaml"),
        "okl-",
    )
    monkeypatch.setattr(tables_of.registry, "joined", lambda *_: profile)
    one = SimpleNamespace(target="onebox")
    chosen = SimpleNamespace(source_names=(SHOP,), connections={SHOP: one, "onebox": one})
    tables = tables_of.Tables(chosen)
    assert overview.glance(ledger, [], tables, latest=1, for_people=1).unfilled == []
    text = json.dumps(reference_order(payment={"code": "cod"}))
    arrived = Arrived("1", "okl-1", text, "a" * 32, NOW)
    orders.store(ledger, SHOP, "onebox", [arrived], NOW, mapped_as())
    assert overview.glance(ledger, [], tables, latest=1, for_people=1).unfilled == []
    seconds[0] = tables_of.KEPT
    found = overview.glance(ledger, [], tables, latest=1, for_people=1).unfilled
    assert ("payment", ("cod",), 1) in {(one.name, one.codes, one.orders) for one in found}


def test_without_a_target_a_source_asks_no_table(ledger):
    chosen = SimpleNamespace(source_names=(SHOP,), connections={SHOP: SimpleNamespace(target=None)})
    assert (
        overview.glance(ledger, [], tables_of.Tables(chosen), latest=1, for_people=1).unfilled == []
    )


def test_a_file_that_is_no_order_is_wrong(tmp_path):
    (tmp_path / "order.json").write_text("{")
    with pytest.raises(Wrong, match="cannot be read as JSON"):
        previewing.read_file(str(tmp_path / "order.json"))
