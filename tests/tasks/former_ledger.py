"""A ledger as the release before hashes left it, with rows in every state, made by SQL at its revision."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import partial

from alembic import command
from sqlalchemy import MetaData, Table, insert

from ledger.database import open_ledger
from ledger.migrate import configuration
from simulator.samples import reference_order

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SHOP, BOX = "okliving", "onebox"
FORMER = "0003"


def at(seconds):
    return NOW + timedelta(seconds=seconds)


def source(order_id, **changes):
    return json.dumps(reference_order(id=order_id, **changes))


EDITED = {"note": "another address"}
# Each order by its id: what its row says beside what all say, and the outcomes of its tries.
ORDER_ROWS = {
    "received": ({}, []),
    "waiting": ({"state": "waiting", "reason": "crm_unavailable", "tries": 2}, ["failed"] * 2),
    "created": ({"state": "created", "target_id": "p1", "heard": 2, "heard_stage": "B"}, ["created"]),
    "changed": ({"state": "created", "target_id": "p2", "changed": True}, ["created"]),
    "held": ({"state": "held", "reason": "crm_refused"}, ["refused"]),
    "ignored": ({"state": "ignored", "reason": "ignored"}, []),
    "shadow": ({"state": "waiting", "reason": "shadow", "next_try_at": at(600)}, []),
    "arrived": ({"state": "waiting", "reason": "uncertain", "uncertain_since": at(-10)}, ["uncertain"]),
    "nowhere": ({"state": "waiting", "reason": "uncertain", "uncertain_since": at(-10)}, ["uncertain"]),
    "arrived, edited": (
        {
            "state": "waiting",
            "reason": "uncertain",
            "uncertain_since": at(-10),
            "source": source("arrived, edited", **EDITED),
            "sent_source": source("arrived, edited"),
        },
        ["uncertain"],
    ),
    "nowhere, edited": (
        {
            "state": "waiting",
            "reason": "uncertain",
            "uncertain_since": at(-10),
            "source": source("nowhere, edited", **EDITED),
            "sent_source": source("nowhere, edited"),
        },
        ["uncertain"],
    ),
    "leased": ({"lease_until": at(-1), "lease_token": "gone", "claimed_at": at(-71)}, []),
    "leased again": (
        {
            "reason": "lost_lease",
            "uncertain_since": at(-80),
            "lease_until": at(-1),
            "lease_token": "gone",
            "claimed_at": at(-71),
        },
        ["lost"],
    ),
}  # fmt: skip
ARRIVED = {"arrived", "arrived, edited", "leased"}
SENT_ANEW = {"received", "waiting", "shadow", "nowhere", "nowhere, edited", "leased again"}


def former(url):
    """A ledger at the former revision, with rows in every state, made by SQL."""
    ledger = open_ledger(url)
    with ledger.engine.connect() as db:
        config = configuration()
        config.attributes["connection"] = db
        command.upgrade(config, FORMER)
        db.commit()
        fill = partial(put, db, MetaData())
        for order_id, (row, outcomes) in ORDER_ROWS.items():
            pk = fill("orders", of_order(order_id) | row)
            for number, outcome in enumerate(outcomes):
                started_at = at(-10 - len(outcomes) + number)
                call = {"kind": "create", "target": BOX, "started_at": started_at, "duration_ms": 5}
                fill("attempts", call | {"order_pk": pk, "outcome": outcome, "excerpt": "no"})
        for order_id, more in (
            ("queued", {}),
            ("drained", {"lease_until": at(-1), "lease_token": "gone"}),
            ("parked", {"open": False}),
        ):
            fill("update_queues", of_queue(order_id) | more, key=None)
            is_parked = order_id == "parked"
            state = {"state": "parked", "left": "", "parked": "note"} if is_parked else {}
            number = fill("updates", of_update(order_id) | state)
            call = {"parts": "note", "started_at": at(-30), "duration_ms": 5, "outcome": "failed"}
            fill("update_attempts", call | {"update_id": number, "excerpt": "down"})
        heard = {"key": "onebox:okl-created:heard:2", "state": "sent", "left": ""}
        fill("updates", of_update("created") | heard)
        for process, more in (
            ("okl-1", {}),
            ("okl-2", {"lease_until": at(-1), "lease_token": "gone", "tries": 1}),
            ("okl-3", {"done_at": at(-100), "outcome": "accepted"}),
        ):
            fill("hook_calls", of_hook(process) | more)
        db.commit()
    ledger.close()


def put(db, metadata, table, row, key="id"):
    """Insert a row as the former revision has it."""
    known = Table(table, metadata, autoload_with=db)
    if db.dialect.name == "sqlite":
        moments = {n: v.replace(tzinfo=None) for n, v in row.items() if isinstance(v, datetime)}
        row = row | moments
    statement = insert(known).values(row)
    if key is None:
        return db.execute(statement)
    return db.execute(statement.returning(known.c[key])).scalar_one()


def of_order(order_id):
    return {
        "connection": SHOP,
        "order_id": order_id,
        "target": BOX,
        "external_id": f"okl-{order_id}",
        "source": source(order_id),
        "content_hash": "a" * 32,
        "shop_updated_at": at(-600),
        "received_at": at(-600),
        "state": "received",
        "reason": "",
        "changed": False,
        "state_at": at(-300),
        "tries": 0,
        "next_try_at": at(-60),
        "lookups": 0,
    }


def of_queue(order_id):
    certain = {"order_certain": False, "delivery_certain": False}
    row = {"connection": SHOP, "order_id": order_id, "last_seq": 1, "open": True, "tries": 1}
    return row | certain | {"next_try_at": at(-60)}


def of_update(order_id):
    return {
        "connection": SHOP,
        "order_id": order_id,
        "seq": 1,
        "digest": "d",
        "origin": "http",
        "accepted_at": at(-60),
        "note": "call first",
        "replace": False,
        "state": "queued",
        "reason": "",
        "left": "note",
        "parked": "",
        "apart": False,
        "in_doubt": False,
        "state_at": at(-60),
    }


def of_hook(process):
    received = {"received_at": at(-60), "next_try_at": at(-60)}
    return {"connection": SHOP, "process": process, "fields": {}, "outcome": ""} | received
