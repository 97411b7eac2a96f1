"""A page of orders comes in: what is new is inserted, what changed is taken over, what is no order is kept.
And one order that was placed with us.

In: orders as read, and what maps one to the hash of the body that its target should have and to what it is
found by. Out: the keys of those to ring for. What is known is looked up in a read and mapping is done after
it, before the transaction: a page of known orders holds up no writer, and nobody waits for a mapping.
Raises `LedgerUnavailable`. Called, by its package, by tasks/storing and ledger/tenants/placing. Source:
docs/architecture.md, "States of an order".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, func, insert, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from ledger import tides
from ledger.columns import FOUND_BY
from ledger.database import Ledger
from ledger.orders.rows import BEFORE_START, OPEN, UNKNOWN, Arrived, Keys, Known, Mapper
from ledger.tables import INTAKE, ORDERS


def store(
    ledger: Ledger,
    connection: str,
    target: str,
    orders: Sequence[Arrived],
    now: datetime,
    wanted: Mapper,
) -> list[int]:
    """Insert new orders and take over changed ones; return the keys of those to ring for.

    A changed order that is not yet created is mapped anew, also when it was held; one already created is
    changed to its target while the hash differs from that of what was sent. An older copy never replaces a
    newer one. One that does not count is ignored, until it comes again as one that does, such as in a
    back-fill that begins earlier.
    """
    fresh, before = _look(ledger, connection, orders)
    if not fresh:
        return []
    kept = {order_id: _kept_hash(row, wanted) for order_id, row in before.items()}
    mapped = {
        o.order_id: wanted(
            o.order_id, o.source, _known(before.get(o.order_id), kept.get(o.order_id))
        )
        for o in fresh
    }

    # A key that no order of the page has is none of the statement's columns: each costs time.
    found_by = [
        name for name in FOUND_BY if any(getattr(one.keys, name) for one in mapped.values())
    ]

    def unit(db: Connection) -> list[int]:
        doubts = tides.doubts(db)
        values = [
            {
                **_row(o, connection, target, now, "" if o.counts else BEFORE_START),
                "wanted_hash": mapped[o.order_id].hash
                if o.counts or o.order_id in before
                else None,
                "sent_hash": kept.get(o.order_id),
                **{name: getattr(mapped[o.order_id].keys, name) for name in found_by},
                **_doubt(doubts, ledger, o),
            }
            for o in fresh
        ]
        stored = db.execute(_UPSERT[db.dialect.name], values)
        return [row.id for row in stored if row.state in OPEN]

    return ledger.write(unit)


def insert_new(
    db: Connection,
    ledger: Ledger,
    connection: str,
    target: str,
    order: Arrived,
    keys: Keys,
    now: datetime,
    *,
    ignored: str = "",
) -> int:
    """Insert one order that nobody can know yet, in a running transaction; its key. What it maps to is found
    out when its turn comes. `ignored`: why it is not sent, if it is not.
    """
    values = {
        **_row(order, connection, target, now, ignored),
        **asdict(keys),
        **_doubt(tides.doubts(db), ledger, order),
    }
    return int(db.execute(_INSERT, values).scalar_one())


def _kept_hash(row: Any, wanted: Mapper) -> str:
    """The hash of an order as it is kept; where the ledger does not have it, mapped now from what is kept."""
    if row.wanted_hash is not None:
        return str(row.wanted_hash)
    return (wanted(row.order_id, row.source, None).hash if row.source else None) or UNKNOWN


def _known(row: Any, kept_hash: str | None) -> Known | None:
    """What its target may have of an order, None where nothing is known to have been sent."""
    if row is None or not row.may_have_been_sent:
        return None
    text = row.source if row.is_unchanged else ""
    known_hash = kept_hash if row.known_hash is None else row.known_hash
    return Known(text if row.known_source is None else row.known_source, known_hash)


def _look(
    ledger: Ledger, connection: str, orders: Sequence[Arrived]
) -> tuple[list[Arrived], dict[str, Any]]:
    """Those of the orders that are new or other than the ledger has them, and how it has them."""
    newest = {o.order_id: o for o in sorted(orders, key=_age)}
    if not newest:
        return [], {}
    with ledger.read() as db:
        of = {"of_connection": connection, "of_orders": list(newest)}
        kept = {row.order_id: row for row in db.execute(_KEPT, of)}
    fresh = [o for o in newest.values() if _is_fresh(o, kept.get(o.order_id))]
    changed = [o.order_id for o in fresh if o.order_id in kept]
    if not changed:
        return fresh, {}
    with ledger.read() as db:
        of = {"of_connection": connection, "of_orders": changed}
        before = {row.order_id: row for row in db.execute(_BEFORE, of)}
    fresh = [
        _dated(o, before[o.order_id].shop_updated_at) if o.order_id in before else o for o in fresh
    ]
    return fresh, before


def _is_fresh(arrived: Arrived, kept: Any) -> bool:
    if kept is None or kept.content_hash != arrived.content_hash:
        return True
    return bool(arrived.counts and kept.state == "ignored" and kept.reason == BEFORE_START)


def _dated(arrived: Arrived, before: datetime | None) -> Arrived:
    """The order with the later of the two moments that its stamp may mean, where only that one makes it as
    new as what is kept. It was read later, so where the stamps leave it open, it is the newer.
    """
    stamp, latest = arrived.shop_updated_at, arrived.latest
    if before is None or stamp is None or latest is None or not stamp < before <= latest:
        return arrived
    return replace(arrived, shop_updated_at=latest)


def _age(arrived: Arrived) -> tuple[bool, datetime | None]:
    """Of two copies on one page the newer one counts; one without a stamp counts as the oldest."""
    return arrived.shop_updated_at is not None, arrived.shop_updated_at


_MAY_HAVE_BEEN_SENT = or_(
    ORDERS.c.state == "created",
    ORDERS.c.uncertain_since.is_not(None),
    ORDERS.c.lease_until.is_not(None),
)
_KNOWN_HASH = func.coalesce(ORDERS.c.noted_hash, ORDERS.c.sent_hash)
# So too where neither is known: then what is kept of it is what was sent.
_IS_UNCHANGED = func.coalesce(ORDERS.c.wanted_hash, "-") == func.coalesce(_KNOWN_HASH, "-")


def _upsert(dialect: Any) -> Any:
    """Of an order that is known `sent_hash` brings the hash of what is kept, should the ledger lack it."""
    new = dialect.insert(ORDERS)
    brought = new.excluded
    was_held = ORDERS.c.state == "held"
    counts_now = and_(
        ORDERS.c.state == "ignored",
        ORDERS.c.reason == BEFORE_START,
        brought.state == "received",
    )
    goes_anew = or_(was_held, counts_now)
    # Another body is not to blame for what the old one met.
    is_alike = brought.wanted_hash == func.coalesce(ORDERS.c.wanted_hash, brought.sent_hash)
    absolved: dict[str, Any] = {"blamed_at": None, "strikes": 0, "sends": 0, "troubled_since": None}
    return new.on_conflict_do_update(
        index_elements=[ORDERS.c.connection, ORDERS.c.order_id],
        set_={
            "source": brought.source,
            "content_hash": brought.content_hash,
            "shop_updated_at": brought.shop_updated_at,
            "state": case((goes_anew, "waiting"), else_=ORDERS.c.state),
            "reason": case((goes_anew, ""), else_=ORDERS.c.reason),
            "state_at": case((goes_anew, brought.state_at), else_=ORDERS.c.state_at),
            "next_try_at": case((goes_anew, brought.next_try_at), else_=ORDERS.c.next_try_at),
            "wanted_hash": brought.wanted_hash,
            "sent_hash": case(
                (
                    and_(ORDERS.c.sent_hash.is_(None), _MAY_HAVE_BEEN_SENT),
                    func.coalesce(brought.sent_hash, UNKNOWN),
                ),
                else_=ORDERS.c.sent_hash,
            ),
            # Kept no longer than the order is another one than its target's.
            "known_source": case(
                (~_MAY_HAVE_BEEN_SENT, None),
                (brought.wanted_hash == func.coalesce(_KNOWN_HASH, brought.sent_hash), None),
                (ORDERS.c.known_source.is_not(None), ORDERS.c.known_source),
                (_IS_UNCHANGED, ORDERS.c.source),
                else_="",
            ),
            **{name: brought[name] for name in FOUND_BY},
            **{
                name: case((is_alike, ORDERS.c[name]), else_=value)
                for name, value in absolved.items()
            },
        },
        where=and_(
            or_(ORDERS.c.content_hash != brought.content_hash, counts_now),
            or_(
                ORDERS.c.shop_updated_at.is_(None),
                brought.shop_updated_at.is_(None),
                ORDERS.c.shop_updated_at <= brought.shop_updated_at,
            ),
        ),
    ).returning(ORDERS.c.id, ORDERS.c.state)


_INSERT = insert(ORDERS).returning(ORDERS.c.id)


def _row(o: Arrived, connection: str, target: str, now: datetime, ignored: str) -> dict[str, Any]:
    """What stands in the row of an order that came in now; `ignored` is why it is not sent, if it is not."""
    return {
        "connection": connection,
        "order_id": o.order_id,
        "target": target,
        "external_id": o.external_id,
        "source": o.source,
        "content_hash": o.content_hash,
        "shop_updated_at": o.shop_updated_at,
        "received_at": now,
        "state": "ignored" if ignored else "received",
        "reason": ignored,
        "state_at": now,
        "next_try_at": now,
    }


def _doubt(standing: tides.Standing | None, ledger: Ledger, o: Arrived) -> dict[str, Any]:
    """What a ledger that went back must doubt of it."""
    return {} if standing is None else standing.doubt(o.shop_updated_at, ledger.longest_call)


_THESE = and_(
    ORDERS.c.connection == bindparam("of_connection"),
    ORDERS.c.order_id.in_(bindparam("of_orders", expanding=True)),
)
_KEPT = select(ORDERS.c.order_id, ORDERS.c.content_hash, ORDERS.c.state, ORDERS.c.reason).where(
    _THESE
)
_BEFORE = select(
    ORDERS.c.order_id,
    ORDERS.c.shop_updated_at,
    ORDERS.c.wanted_hash,
    ORDERS.c.source,
    ORDERS.c.known_source,
    _KNOWN_HASH.label("known_hash"),
    _MAY_HAVE_BEEN_SENT.label("may_have_been_sent"),
    _IS_UNCHANGED.label("is_unchanged"),
).where(_THESE)
_UPSERT = {"sqlite": _upsert(sqlite), "postgresql": _upsert(postgresql)}


def keep_aside(
    ledger: Ledger, connection: str, items: Sequence[tuple[str, str]], now: datetime
) -> int:
    """Keep (hash, raw text) of what is no order; return how many were not kept before."""
    wanted = dict(items)
    if not wanted:
        return 0
    with ledger.read() as db:
        known = set(db.execute(_KEPT_ASIDE, {"of": connection, "hashes": list(wanted)}).scalars())
    values = [
        {"connection": connection, "content_hash": digest, "raw": raw, "received_at": now}
        for digest, raw in wanted.items()
        if digest not in known
    ]

    def unit(db: Connection) -> int:
        new = (sqlite if db.dialect.name == "sqlite" else postgresql).insert(INTAKE)
        statement = new.on_conflict_do_nothing().returning(INTAKE.c.id)
        return len(db.execute(statement, values).all())

    return ledger.write(unit) if values else 0


_KEPT_ASIDE = select(INTAKE.c.content_hash).where(
    INTAKE.c.connection == bindparam("of"),
    INTAKE.c.content_hash.in_(bindparam("hashes", expanding=True)),
)
