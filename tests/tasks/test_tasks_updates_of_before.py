"""A ledger from before updates had parts, with updates in every state: the drain goes on with each."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from alembic import command
from sqlalchemy import inspect, text

from clients.limits import Rate, Slots
from connectors import okliving
from ledger import attempts, updates
from ledger.database import open_ledger
from ledger.migrate import configuration, upgrade
from ledger.ours import brought
from ledger.updates import Due
from tasks import accepting, delivering
from tasks.gate import Gate

SHOP = "okliving"
NUMBER = "20450000000001"
BEFORE = "0003"
both = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)


class Shop:
    def __init__(self):
        self.sent = []

    def update_order(self, body):
        self.sent.append(body)


def sent(part):
    return {"part": part, "fate": "sent"}


def parked(part, code):
    return {"part": part, "fate": "parked", "code": code, "level": "held", "field": part}


# By order: how its queue and its updates stood.
QUEUES = {
    "known": {
        "order_state": "in_progress",
        "delivery_state": "open",
        "order_certain": True,
        "tracking_number": NUMBER,
        "known": True,
    },
    "doubt": {"settled": True},
    "blocked": {"open": False},
}
UPDATES = {
    "queued": [{"order_action": "process", "note": "n", "left": "order,note"}],
    "half": [
        {"tracking_number": NUMBER, "note": "n", "left": "note", "fates": [sent("tracking_number")]}
    ],
    "apart": [{"order_action": "process", "note": "n", "left": "order,note", "apart": True}],
    "doubt": [
        {"note": "first", "left": "note", "in_doubt": True},
        {"note": "second", "left": "note"},
    ],
    "retried": [{"note": "old", "left": "note", "reason": "update_retried", "hours": 49}],
    "aged": [{"note": "old", "left": "note", "hours": 49}],
    "blocked": [
        {
            "delivery_action": "ship",
            "note": "n",
            "state": "parked",
            "parked": "delivery",
            "reason": "update_illegal",
            "fates": [sent("note"), parked("delivery", "update_illegal")],
        },
        {"order_action": "process", "left": "order"},
    ],
    "withdrawn": [
        {
            "tracking_number": NUMBER,
            "state": "withdrawn",
            "fates": [{"part": "tracking_number", "fate": "withdrawn", "code": "update_replaced"}],
        }
    ],
    "cancelled": [
        {
            "order_action": "cancel",
            "note": "n",
            "state": "cancelled",
            "reason": "update_cancelled",
            "fates": [sent("order")],
        }
    ],
    "refused": [
        {
            "state": "refused",
            "reason": "update_invalid",
            "fates": [{"code": "update_invalid", "level": "held", "field": "note"}],
        }
    ],
    "sent": [{"note": None, "state": "sent", "fates": [sent("note")]}],
    "known": [{"order_action": "process", "left": "order"}],
    "number": [
        {
            "tracking_number": NUMBER,
            "replace": True,
            "state": "sent",
            "fates": [sent("tracking_number")],
        }
    ],
    "keyed": [{"note": "n", "left": "note", "key": "celery:k"}],
}


def fill(db, now):
    """All of it, in the columns of that time."""
    for order_id, rows in UPDATES.items():
        told = QUEUES.get(order_id, {})
        queue = {
            "connection": SHOP,
            "order_id": order_id,
            "last_seq": len(rows),
            "open": told.get("open", True),
            "next_try_at": now - timedelta(minutes=1),
            "tries": 0,
            "settled_at": now + timedelta(minutes=1) if "settled" in told else None,
            "order_state": told.get("order_state"),
            "delivery_state": told.get("delivery_state"),
            "order_certain": told.get("order_certain", False),
            "delivery_certain": False,
            "known_at": now - timedelta(minutes=5) if "known" in told else None,
            "tracking_number": told.get("tracking_number"),
        }
        insert(db, "update_queues", queue)
        for seq, given in enumerate(rows, 1):
            made = {
                "connection": SHOP,
                "order_id": order_id,
                "seq": seq,
                "digest": "of before",
                "origin": "test",
                "accepted_at": now - timedelta(hours=given.get("hours", 0)),
                "replace": False,
                "state": "queued",
                "reason": "",
                "left": "",
                "parked": "",
                "apart": False,
                "in_doubt": False,
                "state_at": now,
                **{name: value for name, value in given.items() if name not in {"hours", "fates"}},
            }
            insert(db, "updates", made | {"fates": json.dumps(given.get("fates"))})
            number = db.execute(text("SELECT max(id) FROM updates")).scalar_one()
            call = {
                "update_id": number,
                "parts": "note",
                "started_at": now,
                "duration_ms": 5,
                "outcome": "sent",
                "excerpt": "",
            }
            insert(db, "update_attempts", call)


def insert(db, table, values):
    sqlite = db.dialect.name == "sqlite"
    if sqlite:
        plain = {
            n: v.replace(tzinfo=None).isoformat(" ", "microseconds") if hasattr(v, "tzinfo") else v
            for n, v in values.items()
        }
    else:
        plain = values
    names = ", ".join(f'"{name}"' for name in plain)
    marks = ", ".join(
        "CAST(:fates AS JSON)" if n == "fates" and not sqlite else f":{n}" for n in plain
    )
    db.execute(text(f"INSERT INTO {table} ({names}) VALUES ({marks})"), plain)


def migrate(ledger, change, revision):
    with ledger.engine.connect() as db:
        config = configuration()
        config.attributes["connection"] = db
        change(config, revision)
        db.commit()


@pytest.fixture
def old_url(database_url):
    return database_url.replace("ledger.db", "before.db")


@pytest.fixture
def old_ledger(old_url, clock):
    """A ledger of that time, as it is now."""
    ledger = open_ledger(old_url)
    migrate(ledger, command.upgrade, BEFORE)
    with ledger.engine.begin() as db:
        fill(db, clock.now)
    yield ledger
    ledger.close()


@pytest.fixture
def r(make, old_ledger, old_url, store, monkeypatch):
    upgrade(old_url, sandbox=True)
    monkeypatch.setattr(accepting, "ring_updates", lambda _: 0)
    built = make(mode="live", uncertain_wait=120.0)
    client = Shop()
    source = replace(
        built.sources[SHOP],
        connector=okliving.join(client, built.profiles[SHOP].source, "okl-"),
        gate=Gate(old_ledger, SHOP),
        slots=Slots(store, SHOP, 2, 70.0),
        rate=Rate(store, SHOP, 0),
    )
    return replace(built, ledger=old_ledger, sources={SHOP: source})


def drain(r, order_id):
    """What the shop was told."""
    before = len(r.sources[SHOP].connector.client.sent)
    delivering.deliver(r, Due(SHOP, order_id), "t")
    told = r.sources[SHOP].connector.client.sent[before:]
    return [{name: value for name, value in body.items() if name != "id"} for body in told]


def stand(r, order_id):
    rows = reversed(updates.listing(r.ledger, order_id=order_id))
    return [(row.state, row.reason) for row in rows]


def states(r, order_id):
    (row, *_) = reversed(updates.listing(r.ledger, order_id=order_id))
    return {name: part.state for name, part in row.parts.items()}


@both
def test_the_drain_goes_on_with_each(r, clock):
    assert states(r, "half") == {"tracking_number": "sent", "note": "left"}
    assert states(r, "cancelled") == {"order": "sent", "note": "cancelled"}
    assert states(r, "withdrawn") == {"tracking_number": "withdrawn"}
    assert states(r, "sent") == {"note": "sent"}
    for over in ("withdrawn", "cancelled", "refused", "sent"):
        before = stand(r, over)
        assert (drain(r, over), stand(r, over)) == ([], before)

    assert drain(r, "queued") == [{"statuses": {"order": "process"}, "note": "n"}]
    assert drain(r, "half") == [{"note": "n"}]
    assert drain(r, "apart") == [{"statuses": {"order": "process"}}, {"note": "n"}]
    assert drain(r, "doubt") == [{"note": "first"}], "its own repeat, and nothing else before"
    assert drain(r, "retried") == [{"note": "old"}], "however old"
    assert (drain(r, "aged"), stand(r, "aged")) == ([], [("parked", "update_too_old")])
    assert drain(r, "known") == [], "what was taught is still known"
    assert stand(r, "known") == [("sent", "")]

    (parked, waits) = reversed(updates.listing(r.ledger, order_id="blocked"))
    assert (parked.blocks, parked.parts_parked, waits.state) == (True, ("delivery",), "queued")
    updates.retry(r.ledger, parked.id, clock.now, who="olena")
    assert drain(r, "blocked") == [
        {"statuses": {"delivery": "ship"}},
        {"statuses": {"order": "process"}},
    ]
    clock.go(200)
    assert drain(r, "doubt") == [{"note": "second"}]
    for order_id in ("queued", "half", "apart", "doubt", "retried", "blocked"):
        assert set(stand(r, order_id)) == {("sent", "")}, order_id
    assert attempts.of_update(r.ledger, parked.id)[0].outcome == "sent"


@both
def test_a_key_of_before_is_the_same_update(r):
    (first,) = updates.listing(r.ledger, order_id="keyed")
    fields = {"order_id": "keyed", "note": "n", "key": "k"}
    assert accepting.accept_flat(r, fields, origin="celery").id == first.id
    assert accepting.accept_flat(r, fields | {"note": "other"}, origin="celery") is None
    assert drain(r, "keyed") == [{"note": "n"}]


@both
def test_a_number_of_before_is_ours(r):
    assert brought(r.ledger, SHOP, "number")["tracking_number"] == [NUMBER]
    (row,) = updates.listing(r.ledger, order_id="number")
    assert row.options == {"replace": True}


@both
def test_it_goes_back_to_what_it_was(old_ledger, old_url):
    """Down again, for who must return to the release before."""
    with old_ledger.engine.connect() as db:
        before = read(db)
        columns = names(db)
    upgrade(old_url, sandbox=True)
    migrate(old_ledger, command.downgrade, BEFORE)
    with old_ledger.engine.connect() as db:
        assert names(db) == columns
        assert read(db) == before


def read(db):
    """What of each update and queue says how it stands."""
    update = '"left", parked, reason, state, note, order_action, delivery_action, "replace", apart'
    rows = [tuple(row) for row in db.execute(text(f"SELECT {update} FROM updates ORDER BY id"))]
    queue = "order_state, order_certain, delivery_certain, tracking_number"
    known = text(f"SELECT {queue} FROM update_queues WHERE known_at IS NOT NULL")
    return rows, [tuple(row) for row in db.execute(known)]


def names(db):
    return {
        table: {column["name"] for column in inspect(db).get_columns(table)}
        for table in ("updates", "update_queues")
    }
