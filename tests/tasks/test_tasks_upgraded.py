"""A ledger of the release before hashes goes on: rows in every state, none lost, none sent twice."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from alembic import command
from former_ledger import (
    ARRIVED,
    BOX,
    EDITED,
    FORMER,
    NOW,
    ORDER_ROWS,
    SENT_ANEW,
    SHOP,
    at,
    former,
    of_order,
    put,
    source,
)
from sqlalchemy import MetaData, Table, select

from ledger import attempts, hearing, hooks, measures, orders, purging, queues, updates
from ledger.database import open_ledger
from ledger.enqueueing import Asked
from ledger.hook_endings import Ending
from ledger.migrate import configuration, upgrade
from ledger.orders import Arrived
from ledger.tables import ORDERS
from ledger.transitions import Process, Stand
from ledger.updates import Due
from tasks import creating, storing

both = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def r(database_url, make, clock, tmp_path):
    """The pipeline on such a ledger, upgraded; the CRM has what arrived."""
    Path(tmp_path / "ledger.db").unlink(missing_ok=True)
    former(database_url)
    upgrade(database_url, sandbox=True)
    built = make(database_url=database_url)
    built.targets[BOX].connector.client.processes = {f"okl-{name}": f"9-{name}" for name in ARRIVED}
    return built


def rows(r):
    return {row.order_id: row for row in orders.listing(r.ledger, r.ledger.now())}


def arrive(r, order_id, content="b", **changes):
    """The shop tells of the order again."""
    text = source(order_id, **changes)
    arrived = Arrived(order_id, f"okl-{order_id}", text, content * 32, at(5))
    wanted = partial(storing._wanted, r, "okliving", "onebox")
    return orders.store(r.ledger, SHOP, BOX, [arrived], r.ledger.now(), wanted)


def carry_all(r, clock):
    for _ in range(40):
        for due in orders.due(r.ledger, BOX, clock.now, 100):
            creating.create(r, due.pk, SHOP, "task")
        clock.go(20)


def sent(r):
    return sorted(
        p["externalid"].removeprefix("okl-") for p in r.targets[BOX].connector.client.sent()
    )


@both
def test_every_order_goes_on_and_none_is_sent_twice(r, clock):
    before = {name: row.state for name, row in rows(r).items()}
    assert before == {n: row.get("state", "received") for n, (row, _) in ORDER_ROWS.items()}
    assert orders.leave_shadow(r.ledger, ["okliving"], ["onebox"], clock.now, 9) == 1
    carry_all(r, clock)
    after = rows(r)
    assert sent(r) == sorted(SENT_ANEW)
    states = {name: row.state for name, row in after.items()}
    assert states == dict.fromkeys(ORDER_ROWS, "created") | {"held": "held", "ignored": "ignored"}
    assert {n: after[n].target_id for n in ARRIVED} == {n: f"9-{n}" for n in ARRIVED}
    assert {name for name, row in after.items() if row.changed} == {"changed", "arrived, edited"}


@both
def test_order_of_the_former_release_is_compared_when_its_source_tells_of_it_again(r, clock):
    for name in ("created", "changed", "arrived", "leased"):
        arrive(r, name, status="in_progress")
    carry_all(r, clock)
    changed = {name for name, row in rows(r).items() if row.changed}
    assert changed == {"changed", "arrived, edited"}
    for name in ("created", "arrived", "leased"):
        arrive(r, name, "c", **EDITED)
    changed |= {"created", "arrived", "leased"}
    assert {name for name, row in rows(r).items() if row.changed} == changed
    for name in ("created", "arrived", "leased"):
        arrive(r, name, "d")
    changed = {name for name, row in rows(r).items() if row.changed}
    assert changed == {"changed", "arrived, edited"}
    assert len(arrive(r, "held")) == 1


@both
def test_edit_before_the_first_look_is_told_from_what_had_arrived(r, clock):
    for name in ("arrived", "leased", "nowhere"):
        arrive(r, name, **EDITED)
    carry_all(r, clock)
    found = rows(r)
    assert (found["arrived"].changed, found["leased"].changed) == (True, True)
    assert found["nowhere"].changed is False
    assert sorted(set(sent(r))) == sent(r)


@both
def test_what_people_do_goes_on(r, clock):
    pks = {name: row.pk for name, row in rows(r).items()}
    orders.release(r.ledger, pks["held"], clock.now, who="olena")
    orders.retry(r.ledger, pks["ignored"], clock.now, who="olena")
    orders.ignore(r.ledger, pks["shadow"], clock.now, who="olena")
    carry_all(r, clock)
    found = rows(r)
    assert [found[n].state for n in ("held", "ignored", "shadow")] == [
        "created",
        "created",
        "ignored",
    ]


@both
def test_attempts_of_both_kinds_are_one_table_in_the_order_in_which_they_were_made(r):
    for name, (_, outcomes) in ORDER_ROWS.items():
        tries = attempts.of_order(r.ledger, rows(r)[name].pk)
        assert [one.outcome for one in tries] == outcomes
    for row in updates.listing(r.ledger, state="queued"):
        (call,) = attempts.of_update(r.ledger, row.id)
        assert (call.kind, call.parts, call.excerpt) == ("update", "note", "down")
        assert call.started_at == at(-30)
    lanes = measures.measure(r.ledger, NOW).lanes
    tries = sum(len(outcomes) for _, outcomes in ORDER_ROWS.values())
    assert sum(lanes["orders"].outcomes.values()) == tries
    assert lanes["updates"].outcomes == {"failed": 3}
    over = sum(ORDER_ROWS[name][1] != [] for name in ("created", "changed", "ignored"))
    assert purging.attempts(r.ledger, at(1)) == over


@both
def test_queues_and_updates_go_on(r):
    found = queues.due(r.ledger, SHOP, NOW, 10)
    assert {due.order_id for due in found} == {"queued", "drained"}
    for due in found:
        _, (row,), left_behind = queues.claim(r.ledger, due, NOW, 70)
        assert (row.values, left_behind) == ({"note": "call first"}, due.order_id == "drained")
    (parked,) = updates.listing(r.ledger, state="parked")
    assert updates.retry(r.ledger, parked.id, NOW, who="olena") == Due(SHOP, "parked")


@both
def test_hook_calls_go_on(r):
    due = hooks.due(r.ledger, NOW, 10)
    tries = {}
    for hook_id in due:
        waiting = hooks.find(r.ledger, hook_id)
        claim = hooks.claim(r.ledger, waiting, NOW, 70)
        tries[waiting.process] = claim.tries
        assert hooks.finish(r.ledger, claim, dict.fromkeys(claim.ids, Ending("accepted")), NOW)
    assert tries == {"okl-1": 0, "okl-2": 2}


@both
def test_what_was_heard_before_is_heard_once(r):
    process = Process(SHOP, "created", "okl-created")
    asked = Asked(SHOP, "created", "x", "onebox", {"note": "n"})

    def hear(stage):
        stand = Stand(stage, None, asked, ("k",))
        return hearing.hear(r.ledger, process, [stand], NOW, through=frozenset(), read=True)

    assert [hear(stage).accepted for stage in ("B", "C", "C")] == [0, 1, 0]
    keys = {row.key for row in updates.listing(r.ledger, order_id="created")}
    assert keys == {"onebox:okl-created:heard:2", "onebox:okl-created:heard:3"}


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_ledger_with_one_external_id_twice_is_refused_and_stays_as_it_was(database_url):
    former(database_url)
    ledger = open_ledger(database_url)
    with ledger.engine.connect() as db:
        twin = of_order("twin") | {"connection": "other", "external_id": "okl-held"}
        put(db, MetaData(), "orders", twin)
        db.commit()
    with pytest.raises(RuntimeError, match="okl-held"):
        upgrade(database_url, sandbox=True)
    with ledger.engine.connect() as db:
        table = Table("orders", MetaData(), autoload_with=db)
        assert "sent_source" in table.c
    ledger.close()


@both
def test_going_back_keeps_orders_and_attempts(r, database_url):
    with r.ledger.engine.connect() as db:
        config = configuration()
        config.attributes["connection"] = db
        command.downgrade(config, FORMER)
        db.commit()
        found, tries, calls = (
            Table(name, MetaData(), autoload_with=db)
            for name in ("orders", "attempts", "update_attempts")
        )
        changed = db.execute(select(found.c.order_id).where(found.c.changed)).scalars()
        assert set(changed) == {"changed"}
        assert len(db.execute(select(tries)).all()) == sum(len(o) for _, o in ORDER_ROWS.values())
        assert len(db.execute(select(calls)).all()) == 3
    upgrade(database_url, sandbox=True)
    assert len(rows(r)) == len(ORDER_ROWS)
    with r.ledger.read() as db:
        assert db.execute(select(ORDERS.c.shadow).where(ORDERS.c.order_id == "shadow")).scalar()
