"""Nobody's name, phone, address or secret stands in anything that the system writes beside the ledger."""

from __future__ import annotations

import base64
import json
import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from whole.system import System

from ledger import updates
from ledger.tables import ATTEMPTS, INTAKE, ORDERS, UPDATES
from simulator.crm import Crm
from simulator.faults import Fault, everything
from simulator.samples import reference_order

pytestmark = pytest.mark.whole

# Each of these is in no order of another test, so that whatever is found has come from here.
PERSONAL = {
    "first_name": "Одарка",
    "last_name": "Хмаринська",
    "phone": "+380671928374",
    "email": "odarka.khmarynska@example.org",
}
OTHER = {"first_name": "Юхим", "last_name": "Небилиця", "phone": "0509182736", "is_other": True}
PLACE = {"city": "м. Вигадане", "warehouse": "Відділення №7: вул. Небувала, 3"}


def order(order_id, **changes):
    base = {
        "customer": PERSONAL,
        "recipient": OTHER,
        "shipping": PLACE,
        "note": "Секрет під килимком",
    }
    return reference_order(id=order_id, **{**base, **changes})


def put_orders(system):
    """Good ones, held ones of every origin, retried ones and what is no order."""
    crm, shop = system.crm, system.shop
    for number in range(20):
        shop.add(order(str(910_000_001 + number)))
    shop.add(order("920000001", recipient={**OTHER, "phone": "09182736"}))
    shop.add(order("920000002", total="7.00"))
    shop.add(order("920000003", shipping="м. Вигадане", items="Одарка"))
    shop.add({"name": "Одарка Хмаринська", "phone": "+380671928374"})
    refused = f"Клієнт {PERSONAL['email']} {PERSONAL['phone']}: відмовлено"
    crm.faults.add(Fault("refuse", Crm.ORDER_SET, body=refused, ids=("okl-910000003",)))
    crm.faults.add(everything(probability=0.3))
    shop.faults.add(everything(probability=0.2))


def written(system):
    """Every log line with its escapes undone, and every byte of Valkey's files with its bodies decoded."""
    texts = [system.logs()]
    texts.append(re.sub(r"\\u([0-9a-f]{4})", lambda m: chr(int(m[1], 16)), texts[0]))
    for path in system.valkey.folder.rglob("*"):
        if path.is_file():
            raw = path.read_bytes()
            texts.append(raw.decode("utf-8", "replace"))
            # Whole groups of four: what merely looks like base64 is decoded too, and does no harm.
            found = re.findall(rb"(?:[A-Za-z0-9+/]{4}){10,}", raw)
            texts.extend(base64.b64decode(part).decode("utf-8", "replace") for part in found)
    return "\n".join(texts)


def secrets_of(system):
    tokens = [*system.crm.tokens, *system.shop.tokens]
    return [system.crm.password, system.shop.client_secret, *tokens]


def test_no_personal_data_and_no_secret_is_written(tmp_path, database_url):
    with System(tmp_path, database_url, ONEBOX_TIMEOUT=1, OKLIVING_TIMEOUT=1) as system:
        put_orders(system)
        system.worker("-E", threads=5)
        system.ticks()
        system.wait_until(lambda: system.states().get("created", 0) >= 10)
        lock_the_ledger(system)
        # A locked ledger, a lost broker and refused logins write error texts, too.
        secrets = secrets_of(system)
        system.valkey.kill()
        system.valkey.start()
        system.crm.faults.reset()
        system.shop.faults.reset()
        refused = f"Клієнт {PERSONAL['email']} {PERSONAL['phone']}: відмовлено"
        system.crm.faults.add(Fault("refuse", Crm.ORDER_SET, body=refused, ids=("okl-910000003",)))
        system.crm.kill_tokens()
        system.shop.kill_tokens()
        system.give(3, start=930_000_001)
        system.wait_until(lambda: settled(system))
        assert system.states()["held"] >= 3
        secrets += secrets_of(system)
        everywhere = written(system)
    assert len(secrets) >= 5
    assert "orders.create" in everywhere, "the bodies of messages were not found"
    personal = [*PERSONAL.values(), *OTHER.values(), *PLACE.values(), "килимком", "671928374"]
    wanted = [text for text in (*personal, *secrets) if isinstance(text, str)]
    assert [text for text in wanted if text in everywhere] == []


def settled(system):
    states = system.states()
    return set(states) == {"created", "held"} and sum(states.values()) == 27


def lock_the_ledger(system):
    """Break the table that results are written to for a moment: the errors must name no values."""
    with closing(sqlite3.connect(system.folder / "ledger.db", timeout=20)) as other:
        other.execute("ALTER TABLE orders RENAME TO orders_away")
        other.commit()
        # The error of its INSERT would quote all of it.
        system.shop.add(order("940000001"))
        system.wait_until(lambda: "no such table" in system.logs())
        polls = system.shop.counts[system.shop.GET_ORDERS]
        system.wait_until(lambda: system.shop.counts[system.shop.GET_ORDERS] >= polls + 3)
        other.execute("ALTER TABLE orders_away RENAME TO orders")
        other.commit()


def test_purge_blanks_what_was_finished_long_ago(tmp_path, database_url):
    with System(tmp_path, database_url, ORDERBRIDGE_RETENTION_DAYS=1) as system:
        for number in range(3):
            system.shop.add(order(str(910_000_001 + number)))
        system.shop.add({"name": "Одарка Хмаринська"})
        system.shop.add(order("920000001", recipient={**OTHER, "phone": "09182736"}))
        system.worker()
        beat = system.beat()
        system.wait_created(3)
        system.wait_until(lambda: system.states().get("held") == 1)
        # What is no order is kept again by every poll that lists it; so no poll now.
        system.kill(beat)
        system.wait_until(lambda: system.valkey.client.llen("fetch") == 0)
        system.wait_until(lambda: system.shop.in_flight == 0)
        two_days = datetime.now(UTC) - timedelta(days=2)
        changes = [
            ORDERS.update().values(state_at=two_days),
            INTAKE.update().values(received_at=two_days),
            ATTEMPTS.update().values(excerpt="Одарка"),
        ]
        system.ledger.write(lambda db: [db.execute(change) for change in changes] and None)
        system.send("upkeep.purge", "upkeep")
        system.wait_until(lambda: contents(system)[0].count("") == 3)
        sources, excerpts, intake = contents(system)
        assert [json.loads(source)["id"] for source in sources if source] == ["920000001"]
        assert sorted(excerpts) == ["", "", "", "Одарка"]
        assert intake == []
        assert {row.state for row in system.rows()} == {"created", "held"}
        assert all(row.target_id for row in system.rows() if row.state == "created")
        # The shop's answer still lists them: purged ones must neither come back nor be sent again.
        assert system.cli("fetch", "--json").returncode == 0
        assert contents(system)[0].count("") == 3
        assert len(system.crm.processes) == 3


def test_after_the_purge_no_file_says_what_was_purged(tmp_path):
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with System(tmp_path, url, ORDERBRIDGE_RETENTION_DAYS=1) as system:
        plain = {
            "recipient": {"first_name": "Odarka", "last_name": "Khmarynska"},
            "note": "doormat",
        }
        for number in range(30):
            system.shop.add(order(str(910_000_001 + number), **plain))
        system.worker()
        assert system.cli("fetch", "--json").returncode == 0
        system.wait_created(30)
        system.send("updates.enqueue", "updates", order_id="910000001", note="Call Khmarynska")
        system.wait_until(lambda: [one.state for one in updates.listing(system.ledger)] == ["sent"])
        assert marked_files(system) >= {"ledger.db-wal", "appendonly.aof.1.incr.aof"}
        two_days = datetime.now(UTC) - timedelta(days=2)
        changes = [table.update().values(state_at=two_days) for table in (ORDERS, UPDATES)]
        system.ledger.write(lambda db: [db.execute(change) for change in changes] and None)
        system.send("upkeep.purge", "upkeep")
        system.wait_until(lambda: '"purged"' in system.logs())
        system.wait_until(lambda: marked_files(system) == set())
        assert "_kept" not in system.logs()
        assert len(system.rows()) == 30


def marked_files(system):
    """Those below the data folder in which the name stands."""
    files = [path for path in system.folder.rglob("*") if path.is_file()]
    texts = {}
    for path in files:
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            continue  # Valkey has just put another in its place
        found = re.findall(rb"(?:[A-Za-z0-9+/]{4}){10,}", raw)
        texts[path.name] = raw + b"".join(base64.b64decode(part) for part in found)
    return {name for name, text in texts.items() if b"Khmarynska" in text}


def contents(system):
    with system.ledger.read() as db:
        return [
            db.execute(select(column)).scalars().all()
            for column in (ORDERS.c.source, ATTEMPTS.c.excerpt, INTAKE.c.raw)
        ]
