"""A memory and a backup of a ledger, and short ways to store orders, in tests of a ledger that went back."""

from __future__ import annotations

from datetime import timedelta

from mapped_as import mapped_as
from sqlalchemy import select

from ledger import orders, tides
from ledger.orders import Arrived
from ledger.tables import CURSORS, IDENTITY, ORDERS, QUEUES, TIDES, UPDATES
from ledger.tides import Bounds

LEASE = 30.0
BOUNDS = Bounds(("shop",), call=timedelta(seconds=70), effect=timedelta(seconds=120))


class Memory:
    """Remembers at once and for ever, unless it is told to be away."""

    def __init__(self):
        self.kept = {}
        self.away = False

    def heights(self, epoch):
        return None if self.away else dict(self.kept.get(epoch, {}))

    def keep(self, epoch, writer, height):
        if not self.away:
            self.kept.setdefault(epoch, {})[writer] = height

    def newest_epoch(self):
        return None if self.away else max(self.kept, default="")

    def forget(self, epoch, writers):
        for writer in writers:
            self.kept.get(epoch, {}).pop(writer, None)


def arrived(order_id, stamp=None):
    return Arrived(order_id, f"shop-{order_id}", "{}", f"hash {order_id}", stamp)


def store(ledger, *order_ids, stamp=None):
    some = [arrived(order_id, stamp) for order_id in order_ids]
    now = ledger.now()
    return orders.store(ledger, "shop", "crm", some, now, mapped_as())


def row(ledger, order_id):
    (found,) = orders.listing(ledger, ledger.now(), order_id=order_id)
    return found


class Backup:
    """All rows of a ledger, to be put back while others have it open."""

    def __init__(self, ledger):
        self.ledger = ledger
        with ledger.read() as db:
            self.rows = {t: db.execute(select(t)).mappings().all() for t in TABLES}

    def put_back(self):
        """By a process of its own, which raises no tide."""
        with self.ledger.engine.connect() as db:
            if db.dialect.name == "sqlite":
                db.exec_driver_sql("BEGIN IMMEDIATE")
            for table in reversed(TABLES):
                db.execute(table.delete())
            for table in TABLES:
                if self.rows[table]:
                    db.execute(table.insert(), [dict(r) for r in self.rows[table]])
            db.commit()


TABLES = [
    ORDERS,
    QUEUES,
    UPDATES,
    CURSORS,
    IDENTITY,
    TIDES,
]


def standing(ledger):
    with ledger.read() as db:
        return tides.standing(db)


def claim(ledger, pk):
    return orders.claim(ledger, pk, ledger.now(), LEASE)
