"""After the purge no text of what ended stands anywhere: not in a row, not in a file, not in a log."""

from __future__ import annotations

import itertools
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace

import fakeredis
import pytest
import structlog
from sqlalchemy import JSON, String, insert, select

from ledger import history, orders, updates
from ledger.columns import FOUND_BY, Exact
from ledger.tables import METADATA, ORDERS, UPDATES

MARK = "Pelaheia Tyshkovets"
DAYS = {"retention_days": 180, "held_retention_days": 365, "answer_retention_days": 30}
# What stays for good, and why that can be no text about a person.
KEPT = {
    **dict.fromkeys(["connection", "target", "direction", "about"], "names of our configuration"),
    **dict.fromkeys(
        ["order_id", "external_id", "number", "target_id", "heard_number", "task_id", "failed"],
        "ids",
    ),
    **dict.fromkeys(
        [
            f"{name}_hash"
            for name in ("content", "wanted", "sent", "accepted", "noted", "let_through")
        ],
        "digests",
    ),
    **dict.fromkeys(["digest", "lease_token", "writer", "epoch", "identity.id"], "made by us"),
    **dict.fromkeys(
        ["state", "closed_by", "kind", "outcome", "what", "tallies.name"], "our own words"
    ),
    **dict.fromkeys(["orders.reason", "updates.reason", "attempts.parts"], "codes of ours"),
    **dict.fromkeys(["channels.error", "tellings.subject"], "codes and names of ours"),
    **dict.fromkeys(["channels.name", "channel"], "of an address its scheme and host"),
    "heard_stage": "the target's own name of a stage",
    "tenants.name": "the merchant's own name for itself",
    **dict.fromkeys(["name_key", "zone", "address_policy", "callback_url"], "a tenant's settings"),
    **dict.fromkeys(["external_customer_id", "request_key"], "ids that the caller made"),
    "request_digest": "made by us",
    **dict.fromkeys(
        [
            f"catalog_positions.{n}"
            for n in ("product_name", "position_type", "unit", "product_code")
        ],
        "the merchant's goods",
    ),
    "updates.key": "an id that the caller made; docs/http.md says to put no name in it",
    "updates.origin": "the name of a door or of a caller's key",
}


def is_text(column):
    return isinstance(column.type, String | JSON)


def is_amount(column):
    return isinstance(column.type, Exact)


def is_kept(column):
    return column.name in KEPT or f"{column.table.name}.{column.name}" in KEPT


def marked(column):
    """A value that says the name."""
    if isinstance(column.type, JSON):
        return {"deep": [{"said": MARK}]}
    return MARK[: column.type.length]


PARTS = {
    "note": {"value": MARK, "state": "sent", "personal": True},
    "order": {"value": "process", "state": "sent"},
}
FATES = [{"part": "note", "fate": "sent", "before": MARK, "after": MARK, "detail": MARK}]
PARKED = {**PARTS, "note": {"value": MARK, "state": "parked", "personal": True}}
OF_ORDER = {"order_pk": 1, "update_id": None}
OF_UPDATE = {"order_pk": None, "update_id": 1}
NOT_SAID = dict.fromkeys(("known_source", *FOUND_BY))
OF_PLACED = {"tenant": 1, "account_id": 1}
# What is meant by a row that is over, for each table; every other column is filled by its type.
OVER = {
    "orders": [
        {"state": "created"},
        {"state": "ignored"},
        {"state": "held"},
        {"state": "received", "source": "{}", "problems": None, **NOT_SAID},
    ],
    "updates": [{"state": state, "parts": PARTS, "fates": FATES} for state in ("sent", "withdrawn")]
    + [
        {"state": "cancelled", "parts": {}, "fates": None},
        {"state": "refused", "parts": {}, "fates": FATES, "order_id": MARK, "connection": MARK},
        {"state": "parked", "parts": PARKED, "fates": FATES},
    ],
    "attempts": [OF_ORDER, OF_UPDATE, {**OF_ORDER, "order_pk": 4}],
    "update_queues": [{"open": False, "order_id": str(n)} for n in (1, 2, 3, 5)],
    "gates": [
        {"direction": "write", "closed_by": "fault"},
        {"direction": "read", "closed_by": None, "closed_at": None, "reason": "", "who": ""},
    ],
    "hook_calls": [{"process": MARK}, {"process": MARK, "done_at": None}],
    "identity": [],
    "tides": [],
    "tallies": [],
    "tenants": [{"sealed_secret": None}],
    "accounts": [{"tenant": 1, "account_id": 1, "is_loaded": False}],
    "account_addresses": [{"tenant": 1, "account_address_id": 1, "account_id": 1}],
    "placed_orders": [OF_PLACED | {"order_id": n, "order_pk": n} for n in (1, 2, 3)],
    "placed_positions": [{"tenant": 1, "position_id": n, "order_id": n} for n in (1, 2, 3)],
}
# Columns that say how a row stands, filled alike in each.
PLAIN = {"lease_until": None, "personal": True, "uncertain_since": None, "check_at": None}
SHORT = {"connection": "okliving", "target": "onebox", "direction": "write"}


def filled(table, number, changes, at):
    row = {}
    for column in table.columns:
        if column.name in PLAIN:
            row[column.name] = PLAIN[column.name]
        elif is_amount(column):
            row[column.name] = Decimal(1)
        elif is_text(column):
            row[column.name] = (
                SHORT.get(column.name, str(number)) if is_kept(column) else marked(column)
            )
        elif column.name != "id" or table.name == "identity":
            row[column.name] = {"INTEGER": 0, "BIGINT": 0, "BOOLEAN": False}.get(
                str(column.type.compile()), at
            )
    return row | changes


def fill(ledger, at):
    for table in METADATA.sorted_tables:
        for number, changes in enumerate(OVER.get(table.name, [{}]), 1):
            row = filled(table, number, changes, at)
            ledger.write(lambda db, t=table, r=row: db.execute(insert(t).values(r)))


def holding(ledger):
    """The columns in which the name stands."""
    with ledger.read() as db:
        return [
            f"{column.table.name}.{column.name}"
            for column in itertools.chain(*(t.columns for t in METADATA.sorted_tables))
            if any(MARK in str(value) for value in db.execute(select(column)).scalars())
        ]


@pytest.fixture
def purge(ledger, monkeypatch):
    """The daily task on this ledger."""
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    from tasks import upkeep  # noqa: PLC0415  after the settings

    r = SimpleNamespace(
        ledger=ledger, settings=SimpleNamespace(**DAYS), redis=fakeredis.FakeStrictRedis()
    )
    monkeypatch.setattr(upkeep, "resources", lambda: r)
    return upkeep.purge


def texts():
    every = itertools.chain(*(table.columns for table in METADATA.sorted_tables))
    return {f"{c.table.name}.{c.name}" for c in every if is_text(c) and not is_kept(c)}


def test_every_column_that_can_hold_a_text_is_purged_or_named_as_one_that_holds_none(
    ledger, purge, tmp_path
):
    fill(ledger, ledger.now() - timedelta(days=400))
    assert texts() - set(holding(ledger)) == set(), "the test fills every such column"
    with structlog.testing.capture_logs() as lines:
        purge()
    assert holding(ledger) == []
    assert MARK not in str(lines)
    for path in tmp_path.glob("ledger.db*"):
        assert MARK.encode() not in path.read_bytes(), path
    assert [row.state for row in orders.listing(ledger, ledger.now())][::-1] == [
        "created", "ignored", "ignored", "received",
    ]  # fmt: skip


def test_what_is_younger_stays_whole(ledger, purge):
    fill(ledger, ledger.now() - timedelta(days=29))
    before = holding(ledger)
    purge()
    assert holding(ledger) == before


@pytest.mark.parametrize(
    ("days", "held", "excerpt"),
    [(29, "held", True), (31, "held", False), (364, "held", False), (366, "ignored", False)],
)
def test_held_orders_and_answers_have_a_time_of_their_own(ledger, purge, days, held, excerpt):
    fill(ledger, ledger.now() - timedelta(days=days))
    purge()
    (row,) = orders.listing(ledger, ledger.now(), order_id="3")
    assert row.state == held
    assert orders.source(ledger, row.pk) == (MARK if held == "held" else "")
    assert ("attempts.excerpt" in holding(ledger)) == excerpt
    (parked,) = updates.listing(ledger, order_id="5")
    assert (parked.state, parked.values["note"]) == (
        ("parked", MARK) if held == "held" else ("cancelled", None)
    )
    acts = [(act.who, act.what) for n in "35" for act in history.of_order(ledger, "okliving", n)]
    assert ("retention", "order_ignored") in acts or held == "held"
    assert ("retention", "update_cancelled") in acts or held == "held"


def test_of_an_update_that_is_purged_it_stays_known_what_became_of_it(ledger, purge):
    fill(ledger, ledger.now() - timedelta(days=200))
    purge()
    (sent,) = updates.listing(ledger, order_id="1")
    assert sent.state == "sent"
    assert sent.values == {"note": None, "order": "process"}
    assert sent.fates == [{"part": "note", "fate": "sent"}]
    assert not updates.listing(ledger, state="refused")


def test_order_that_a_person_releases_meanwhile_is_not_ended(ledger, purge, monkeypatch):
    fill(ledger, ledger.now() - timedelta(days=400))
    from ledger import expiring  # noqa: PLC0415  beside its use

    write = ledger.write

    def released_before(unit):
        monkeypatch.undo()
        orders.release(ledger, 3, ledger.now(), who="olena")
        return write(unit)

    monkeypatch.setattr(ledger, "write", released_before)
    assert expiring.held(ledger, ledger.now(), ledger.now()) == 0
    (row,) = orders.listing(ledger, ledger.now(), order_id="3")
    assert (row.state, orders.source(ledger, 3)) == ("waiting", MARK)


def test_what_was_learnt_of_an_order_lately_stays_known(ledger, purge):
    fill(ledger, ledger.now() - timedelta(days=200))
    values = {"known": {"state": MARK}, "known_at": ledger.now()}
    queue = METADATA.tables["update_queues"]
    ledger.write(
        lambda db: db.execute(queue.update().where(queue.c.order_id == "1").values(values))
    )
    purge()
    with ledger.read() as db:
        known = db.execute(select(queue.c.order_id, queue.c.known)).all()
    assert {order_id for order_id, found in known if found} == {"1", "5"}


def test_every_text_that_is_kept_is_in_a_table():
    names = {c.name for t in METADATA.sorted_tables for c in t.columns}
    full = {f"{t.name}.{c.name}" for t in METADATA.sorted_tables for c in t.columns}
    assert [name for name in KEPT if name not in names | full] == []
    assert {ORDERS.name, UPDATES.name} <= METADATA.tables.keys()
