"""What one may do to orders in the ledger: store a page, claim one, record how it went, list, mend.

In: plain values and aware UTC times. Out: small frozen rows. Every rule about who may work on an order
stands here as a conditional UPDATE, so that it holds on SQLite and PostgreSQL alike. Statements are
built once; three at most are run for an order that goes through (claim, outcome, attempt).
Called by tasks, gateway and cli; raises `LedgerUnavailable` when the database cannot be reached.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise, takewhile
from typing import Any, cast

from sqlalchemy import (
    Connection,
    and_,
    bindparam,
    case,
    false,
    func,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from ledger import tallies, tides
from ledger.columns import UtcDateTime
from ledger.database import Ledger
from ledger.tables import ATTEMPTS, INTAKE, IS_OPEN, ORDERS

OPEN = ("received", "waiting")
STATES = tallies.ORDERS.states
# A doorbell may ring a little before its time: clocks and roundings differ by less than this.
EARLY = timedelta(seconds=0.5)
# How far back refusals with one text are looked at: more than all workers have in flight.
MOST_ALIKE = 500
# What the CRM says of a new process is read for the first time so long after it was made.
FIRST_CHECK = timedelta(minutes=10)


class NotPossible(Exception):  # noqa: N818  it says what is, as the errors of clients do
    """The order is not in a state in which this may be done; the message says what it is."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """One order as it came from a shop. `latest` is the last moment that its stamp may mean: later than
    `shop_updated_at` in the hour that the shop's clocks repeat.
    """

    order_id: str
    external_id: str
    source: str
    content_hash: str
    shop_updated_at: datetime | None
    latest: datetime | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """What an order has met that may be its own fault. `blamed_at`: when it last met what looks like the
    connection's; `strikes`: how often others went through all the same. `sends`: its calls that got no
    answer, since `troubled_since`.
    """

    blamed_at: datetime | None = None
    strikes: int = 0
    sends: int = 0
    troubled_since: datetime | None = None


NO_TROUBLE = Trouble()


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on one order until `lease_until`, held by `token`. `sent_source` is what a call of
    unknown fate carried, where that has changed since.
    """

    pk: int
    token: str
    lease_until: datetime
    connection: str
    target: str
    order_id: str
    external_id: str
    source: str
    content_hash: str
    accepted: bool
    tries: int
    uncertain_since: datetime | None
    lookups: int
    sent_source: str | None = None
    trouble: Trouble = NO_TROUBLE


@dataclass(frozen=True, slots=True)
class Try:
    """What one attempt was: `kind` is create, look-up or map, `excerpt` masked."""

    kind: str
    started_at: datetime
    duration_ms: int
    outcome: str
    status: int | None = None
    excerpt: str = ""
    task_id: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where an order stands after a try. `counts` is whether the try is one in its back-off; `changed`
    that the CRM has another content than the shop.
    """

    state: str
    reason: str = ""
    problems: list[dict[str, Any]] | None = None
    target_id: str | None = None
    next_try_at: datetime | None = None
    uncertain_since: datetime | None = None
    lookups: int = 0
    counts: bool = True
    changed: bool = False
    trouble: Trouble = NO_TROUBLE


@dataclass(frozen=True, slots=True)
class Due:
    """An order to ring for; without a target the one that its connection has today is meant."""

    pk: int
    connection: str
    target: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """An order as people and machines are shown it."""

    pk: int
    connection: str
    order_id: str
    external_id: str
    state: str
    reason: str
    problems: list[dict[str, Any]]
    target: str
    target_id: str | None
    changed: bool
    tries: int
    received_at: datetime
    state_at: datetime
    next_try_at: datetime
    uncertain_since: datetime | None
    being_worked_on: bool


@dataclass(frozen=True, slots=True)
class Overview:
    """The ledger at a glance: orders by state as of `counted_at`, the newest ones, age of the oldest that
    is due.
    """

    counts: dict[str, int] = field(default_factory=dict)
    counted_at: datetime | None = None
    latest: list[Row] = field(default_factory=list)
    oldest_due_at: datetime | None = None


# --- a page comes in ---------------------------------------------------------------------------


def store(
    ledger: Ledger,
    connection: str,
    target: str,
    orders: Sequence[Arrived],
    now: datetime,
    differs: Callable[[str, str], bool],
) -> list[int]:
    """Insert new orders and take over changed ones; return the keys of those to ring for.

    What is known is looked up in a read, so that a page of known orders holds up no writer. A changed
    order that is not yet created is mapped anew, also when it was held; one already created is marked
    when it `differs(before, now)` as the CRM sees it. An older copy never replaces a newer one.
    Source: design, "A task's life".
    """
    fresh, judged, alike = _look(ledger, connection, orders, differs)
    if not fresh:
        return []

    def unit(db: Connection) -> list[int]:
        of = {"of_connection": connection, "of_orders": [o.order_id for o in fresh]}
        created = {row.order_id: row.source for row in db.execute(_CREATED, of)}
        doubts = tides.doubts(db)
        values = [
            {
                "connection": connection,
                "order_id": o.order_id,
                "target": target,
                "external_id": o.external_id,
                "source": o.source,
                "content_hash": o.content_hash,
                "shop_updated_at": o.shop_updated_at,
                "received_at": now,
                "state": "received",
                "state_at": now,
                "next_try_at": now,
                "changed": o.order_id in created and judged(created[o.order_id], o.source),
                **({} if doubts is None else doubts.doubt(o.shop_updated_at, ledger.longest_call)),
            }
            for o in fresh
        ]
        pks = []
        for statements, keeps in ((_UPSERT, False), (_UPSERT_ALIKE, True)):
            some = [one for one in values if (one["order_id"] in alike) is keeps]
            if some:
                stored = db.execute(statements[db.dialect.name], some)
                pks += [row.id for row in stored if row.state in OPEN]
        return pks

    return ledger.write(unit)


def _look(
    ledger: Ledger,
    connection: str,
    orders: Sequence[Arrived],
    differs: Callable[[str, str], bool],
) -> tuple[list[Arrived], Callable[[str, str], bool], set[str]]:
    """Those of the orders that are new or other than the ledger has them; `differs`, with the answers for
    those found created or in trouble: it maps both, which need not be done while others wait to write; and
    those in trouble of which the CRM would get the same as before.
    """
    newest = {o.order_id: o for o in sorted(orders, key=_age)}
    if not newest:
        return [], differs, set()
    with ledger.read() as db:
        of = {"of_connection": connection, "of_orders": list(newest)}
        kept = {row.order_id: row.content_hash for row in db.execute(_KEPT, of)}
    fresh = [o for o in newest.values() if kept.get(o.order_id) != o.content_hash]
    changed = [o.order_id for o in fresh if o.order_id in kept]
    if not changed:
        return fresh, differs, set()
    with ledger.read() as db:
        of = {"of_connection": connection, "of_orders": changed}
        before = {row.order_id: row for row in db.execute(_BEFORE, of)}
    fresh = [
        _dated(o, before[o.order_id].shop_updated_at) if o.order_id in before else o for o in fresh
    ]
    answers = {
        (row.source, o.source): differs(row.source, o.source)
        for o in fresh
        if (row := before.get(o.order_id)) is not None and (row.state == "created" or row.troubled)
    }

    def judged(before: str, after: str) -> bool:
        known = answers.get((before, after))
        return differs(before, after) if known is None else known

    alike = {
        o.order_id
        for o in fresh
        if (row := before.get(o.order_id)) is not None
        and row.troubled
        and not answers[row.source, o.source]
    }
    return fresh, judged, alike


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


def _upsert(dialect: Any, *, alike: bool = False) -> Any:
    new = dialect.insert(ORDERS)
    # Another content is not to blame for what the old one met.
    absolved = {"blamed_at": None, "strikes": 0, "sends": 0, "troubled_since": None}
    was_held = ORDERS.c.state == "held"
    may_be_sent = or_(ORDERS.c.uncertain_since.is_not(None), ORDERS.c.lease_until.is_not(None))
    return new.on_conflict_do_update(
        index_elements=[ORDERS.c.connection, ORDERS.c.order_id],
        set_={
            "source": new.excluded.source,
            "content_hash": new.excluded.content_hash,
            "shop_updated_at": new.excluded.shop_updated_at,
            "state": case((was_held, "waiting"), else_=ORDERS.c.state),
            "reason": case((was_held, ""), else_=ORDERS.c.reason),
            "state_at": case((was_held, new.excluded.state_at), else_=ORDERS.c.state_at),
            "next_try_at": case((was_held, new.excluded.next_try_at), else_=ORDERS.c.next_try_at),
            "changed": or_(ORDERS.c.changed, new.excluded.changed),
            # What a call of unknown fate may have carried, to be compared with once that is known.
            "sent_source": case(
                (may_be_sent, func.coalesce(ORDERS.c.sent_source, ORDERS.c.source)),
                else_=ORDERS.c.sent_source,
            ),
            **({} if alike else absolved),
        },
        where=and_(
            ORDERS.c.content_hash != new.excluded.content_hash,
            or_(
                ORDERS.c.shop_updated_at.is_(None),
                new.excluded.shop_updated_at.is_(None),
                ORDERS.c.shop_updated_at <= new.excluded.shop_updated_at,
            ),
        ),
    ).returning(ORDERS.c.id, ORDERS.c.state)


_THESE = and_(
    ORDERS.c.connection == bindparam("of_connection"),
    ORDERS.c.order_id.in_(bindparam("of_orders", expanding=True)),
)
_KEPT = select(ORDERS.c.order_id, ORDERS.c.content_hash).where(_THESE)
_BEFORE = select(
    ORDERS.c.order_id,
    ORDERS.c.shop_updated_at,
    ORDERS.c.state,
    ORDERS.c.source,
    or_(ORDERS.c.sends > 0, ORDERS.c.strikes > 0, ORDERS.c.blamed_at.is_not(None)).label(
        "troubled"
    ),
).where(_THESE)
# Locked until the transaction ends: one that is being created must not slip between look and mark.
_CREATED = (
    select(ORDERS.c.order_id, ORDERS.c.source)
    .where(_THESE, ORDERS.c.state == "created")
    .order_by(ORDERS.c.id)
    .with_for_update()
)
_UPSERT = {"sqlite": _upsert(sqlite), "postgresql": _upsert(postgresql)}
_UPSERT_ALIKE = {
    "sqlite": _upsert(sqlite, alike=True),
    "postgresql": _upsert(postgresql, alike=True),
}


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


# --- a worker takes one, and tells how it went -----------------------------------------------------

_TAKEN_OVER = ORDERS.c.lease_until.is_not(None)
_IS_OPEN = or_(ORDERS.c.state == "received", ORDERS.c.state == "waiting")
_FREE = or_(ORDERS.c.lease_until.is_(None), ORDERS.c.lease_until < bindparam("now"))

_CLAIM = (
    update(ORDERS)
    .where(
        ORDERS.c.id == bindparam("pk"),
        _IS_OPEN,
        ORDERS.c.next_try_at <= bindparam("soon"),
        _FREE,
    )
    .values(
        lease_until=bindparam("until"),
        lease_token=bindparam("token"),
        claimed_at=bindparam("now"),
        # From now on, and not from the lease's end: a clock that leapt ahead ends leases in mid-call.
        uncertain_since=case((_TAKEN_OVER, bindparam("now")), else_=ORDERS.c.uncertain_since),
        lookups=case((_TAKEN_OVER, 0), else_=ORDERS.c.lookups),
        reason=case((_TAKEN_OVER, "lost_lease"), else_=ORDERS.c.reason),
    )
    .returning(
        ORDERS.c.connection,
        ORDERS.c.target,
        ORDERS.c.order_id,
        ORDERS.c.external_id,
        ORDERS.c.source,
        ORDERS.c.content_hash,
        func.coalesce(ORDERS.c.accepted_hash == ORDERS.c.content_hash, false()),
        ORDERS.c.tries,
        ORDERS.c.uncertain_since,
        ORDERS.c.lookups,
        ORDERS.c.sent_source,
        ORDERS.c.blamed_at,
        ORDERS.c.strikes,
        ORDERS.c.sends,
        ORDERS.c.troubled_since,
        ORDERS.c.reason,
    )
)


def claim(
    ledger: Ledger, pk: int, now: datetime, lease: float, task_id: str | None = None
) -> Claim | None:
    """Take the order for `lease` seconds, or None: someone else has it, or it is not due, or done.

    A lease that ran out counts as a try whose fate is unknown and which may have gone on until now.
    """
    token = secrets.token_hex(8)
    until = now + timedelta(seconds=lease)

    def unit(db: Connection) -> Claim | None:
        row: Any = db.execute(
            _CLAIM, {"pk": pk, "now": now, "soon": now + EARLY, "until": until, "token": token}
        ).first()
        if row is None:
            return None
        if row.reason == "lost_lease" and row.lookups == 0 and row.uncertain_since is not None:
            began = row.uncertain_since - timedelta(seconds=lease)
            lost = int((now - began).total_seconds() * 1000)
            _insert_attempt(
                ledger, pk, row.target, Try("create", began, lost, "lost", task_id=task_id)
            )
        found: tuple[Any, ...] = (pk, token, until, *row[:11], Trouble(*row[11:15]))
        return Claim(*found)

    return ledger.write(unit)


_RECORD = (
    update(ORDERS)
    .where(ORDERS.c.id == bindparam("pk"), ORDERS.c.lease_token == bindparam("token"))
    .values(
        # What changed while a worker held it back is mapped anew, not held for its old content.
        state=case(
            (
                and_(
                    ORDERS.c.content_hash != bindparam("claimed_hash"),
                    bindparam("new_state") == "held",
                ),
                "waiting",
            ),
            else_=bindparam("new_state"),
        ),
        changed=case(
            (
                and_(
                    ORDERS.c.content_hash != bindparam("claimed_hash"),
                    bindparam("new_state") == "created",
                ),
                True,
            ),
            else_=or_(ORDERS.c.changed, bindparam("new_changed")),
        ),
        # Without a call of unknown fate there is nothing to compare with: the next carries another content.
        sent_source=case(
            (bindparam("new_uncertain_since", type_=UtcDateTime()).is_(None), None),
            else_=ORDERS.c.sent_source,
        ),
        **{name: bindparam(f"new_{name}") for name in Trouble.__dataclass_fields__},
        reason=bindparam("new_reason"),
        problems=bindparam("new_problems"),
        target_id=func.coalesce(bindparam("new_target_id"), ORDERS.c.target_id),
        state_at=bindparam("now"),
        tries=ORDERS.c.tries + bindparam("counted"),
        next_try_at=bindparam("new_next_try_at"),
        uncertain_since=bindparam("new_uncertain_since"),
        lookups=bindparam("new_lookups"),
        lease_until=None,
        lease_token=None,
        check_at=case(
            (bindparam("new_state") == "created", bindparam("new_check_at", type_=UtcDateTime())),
            else_=ORDERS.c.check_at,
        ),
    )
)

# An id that the CRM gave is kept even when the lease was lost meanwhile: it is the truth.
_ADOPT_LATE = (
    update(ORDERS)
    .where(
        ORDERS.c.id == bindparam("pk"),
        # In a ledger that went back the key may belong to another order by now.
        ORDERS.c.external_id == bindparam("of_external_id"),
        ORDERS.c.target_id.is_(None),
    )
    .values(
        state="created",
        reason="",
        target_id=bindparam("new_target_id"),
        state_at=bindparam("now"),
        changed=or_(
            ORDERS.c.changed,
            bindparam("new_changed"),
            ORDERS.c.content_hash != bindparam("claimed_hash"),
        ),
        sent_source=None,
        lease_until=None,
        lease_token=None,
        uncertain_since=None,
        check_at=bindparam("new_check_at"),
    )
)


def record(
    ledger: Ledger, claim: Claim, outcome: Outcome, tried: Try | None, now: datetime
) -> bool:
    """Commit the outcome of a claim and give the order back; False when the lease was lost and the
    outcome was of no more use (someone else has gone on with the order).
    """

    def unit(db: Connection) -> bool:
        kept = bool(
            db.execute(
                _RECORD,
                {
                    "pk": claim.pk,
                    "token": claim.token,
                    "claimed_hash": claim.content_hash,
                    "new_state": outcome.state,
                    "new_reason": outcome.reason,
                    "new_problems": outcome.problems,
                    "new_target_id": outcome.target_id,
                    "new_next_try_at": outcome.next_try_at or now,
                    "new_uncertain_since": outcome.uncertain_since,
                    "new_lookups": outcome.lookups,
                    "new_changed": outcome.changed,
                    "new_blamed_at": outcome.trouble.blamed_at,
                    "new_strikes": outcome.trouble.strikes,
                    "new_sends": outcome.trouble.sends,
                    "new_troubled_since": outcome.trouble.troubled_since,
                    "counted": int(outcome.counts),
                    "new_check_at": now + FIRST_CHECK,
                    "now": now,
                },
            ).rowcount
        )
        if not kept and outcome.target_id is not None:
            values = {
                "pk": claim.pk,
                "of_external_id": claim.external_id,
                "new_target_id": outcome.target_id,
                "new_check_at": now + FIRST_CHECK,
                "new_changed": outcome.changed,
                "claimed_hash": claim.content_hash,
                "now": now,
            }
            kept = bool(db.execute(_ADOPT_LATE, values).rowcount)
        if tried is not None and (kept or _is_there(db, claim)):
            _insert_attempt(ledger, claim.pk, claim.target, tried)
        return kept

    return ledger.write(unit)


def _is_there(db: Connection, claim: Claim) -> bool:
    """Whether the row is still this order's: a ledger that went back may have none, or another one by its
    key.
    """
    found = select(ORDERS.c.external_id).where(ORDERS.c.id == claim.pk)
    return db.execute(found).scalar_one_or_none() == claim.external_id


def doubled(ledger: Ledger, claim: Claim, target_id: str) -> str | None:
    """The id that another holder recorded for this order, where it is not this one: the CRM has it twice. A
    person is told by a problem of the order.
    """

    def unit(db: Connection) -> str | None:
        row = db.execute(
            select(ORDERS.c.target_id, ORDERS.c.problems)
            # In a ledger that went back the key may belong to another order by now, or to none.
            .where(ORDERS.c.id == claim.pk, ORDERS.c.external_id == claim.external_id)
            .with_for_update()
        ).first()
        if row is None or row.target_id in {None, target_id}:
            return None
        problems = [*(row.problems or []), doubled_problem([row.target_id, target_id])]
        db.execute(update(ORDERS).where(ORDERS.c.id == claim.pk).values(problems=problems))
        return str(row.target_id)

    return ledger.write(unit)


def doubled_problem(target_ids: Sequence[str]) -> dict[str, Any]:
    """What a clerk is shown of an order that the CRM has more than once."""
    detail = ", ".join(target_ids)
    return {"code": "order_doubled", "level": "warning", "field": "", "detail": detail}


def begin_again(ledger: Ledger, claim: Claim, now: datetime) -> None:
    """Note that what was sent earlier is certain not to be there, and that a second call of this try begins
    only now.
    """
    statement = (
        update(ORDERS)
        .where(ORDERS.c.id == claim.pk, ORDERS.c.lease_token == claim.token)
        .values(claimed_at=now, sent_source=None)
    )
    ledger.write(lambda db: db.execute(statement))


def certain(claim: Claim) -> Claim:
    """The claim of an order of which it is certain by now that no earlier call took effect."""
    return replace(claim, uncertain_since=None, lookups=0, sent_source=None)


_GIVE_BACK = (
    update(ORDERS)
    .where(ORDERS.c.id == bindparam("pk"), ORDERS.c.lease_token == bindparam("token"))
    .values(
        lease_until=None,
        lease_token=None,
        next_try_at=bindparam("new_next_try_at"),
        sent_source=case((ORDERS.c.uncertain_since.is_(None), None), else_=ORDERS.c.sent_source),
        # The lost try has its attempt already; the next claim must not tell of it again.
        reason=case((ORDERS.c.reason == "lost_lease", "uncertain"), else_=ORDERS.c.reason),
    )
)


def give_back(ledger: Ledger, claim: Claim, next_try_at: datetime) -> None:
    """Let go of an order with which nothing was done: no try is counted, no state changes."""
    values = {"pk": claim.pk, "token": claim.token, "new_next_try_at": next_try_at}
    ledger.write(lambda db: db.execute(_GIVE_BACK, values))


_INSERT_ATTEMPT = insert(ATTEMPTS)


def _insert_attempt(ledger: Ledger, pk: int, target: str, tried: Try) -> None:
    ledger.insert_later(
        _INSERT_ATTEMPT,
        {
            "order_pk": pk,
            "kind": tried.kind,
            "target": target,
            "task_id": tried.task_id,
            "started_at": tried.started_at,
            "duration_ms": tried.duration_ms,
            "status": tried.status,
            "outcome": tried.outcome,
            "excerpt": tried.excerpt,
        },
    )


# --- what is due, and what makes it due -------------------------------------------------------------

_DUE = (
    select(ORDERS.c.id, ORDERS.c.connection, ORDERS.c.target)
    .where(
        text(IS_OPEN),  # as the partial index says it, which serves no other words
        ORDERS.c.target == bindparam("target"),
        ORDERS.c.next_try_at <= bindparam("before"),
        _FREE,
    )
    .order_by(ORDERS.c.next_try_at, ORDERS.c.id)
    .limit(bindparam("most"))
)


def due(ledger: Ledger, target: str, now: datetime, most: int, grace: float = 0.0) -> list[Due]:
    """Orders nobody works on whose time came `grace` seconds ago or more, the longest due first."""
    before = now - timedelta(seconds=grace)
    values = {"target": target, "before": before, "now": now, "most": most}
    with ledger.read() as db:
        return [Due(*row) for row in db.execute(_DUE, values)]


def probe(ledger: Ledger, target: str, now: datetime, *, unblamed_only: bool = False) -> list[Due]:
    """The order to try a closed gate with, made due: the newest of those that met nothing bad yet, since
    what is older stood there when the gate was closed. Without such a one the order whose time comes first;
    an uncertain one is only looked up before its time, never sent.
    """

    def unit(db: Connection) -> list[Due]:
        of = {"target": target, "now": now}
        pk = db.execute(_UNBLAMED, of).scalar_one_or_none()
        if pk is None and not unblamed_only:
            pk = db.execute(_FIRST, of).scalar_one_or_none()
        if pk is None:
            return []
        found = db.execute(select(ORDERS.c.next_try_at).where(ORDERS.c.id == pk)).scalar_one()
        made = (
            update(ORDERS)
            .where(ORDERS.c.id == pk)
            .values(next_try_at=min(found, now))
            .returning(ORDERS.c.id, ORDERS.c.connection, ORDERS.c.target)
        )
        return [Due(*row) for row in db.execute(made)]

    return ledger.write(unit)


# The condition as the partial indexes say it, which serve these two only by the same words.
_OPEN_AND_FREE = (ORDERS.c.target == bindparam("target"), text(IS_OPEN), _FREE)
_UNBLAMED = (
    select(ORDERS.c.id)
    .where(
        *_OPEN_AND_FREE,
        ORDERS.c.blamed_at.is_(None),
        ORDERS.c.troubled_since.is_(None),
        ORDERS.c.uncertain_since.is_(None),
    )
    .order_by(ORDERS.c.id.desc())
    .limit(1)
)
_FIRST = (
    select(ORDERS.c.id).where(*_OPEN_AND_FREE).order_by(ORDERS.c.next_try_at, ORDERS.c.id).limit(1)
)


def astray(ledger: Ledger, targets: Sequence[str], most: int) -> list[Due]:
    """Open orders whose target is none of these. Read by the gaps between the names, which an index serves
    however many orders are open.
    """
    names = ["", *sorted(targets), None]
    found: list[Due] = []
    with ledger.read() as db:
        for low, high in pairwise(names):
            above = (ORDERS.c.target < high,) if high is not None else ()
            query = (
                select(ORDERS.c.id, ORDERS.c.connection, ORDERS.c.target)
                .where(text(IS_OPEN), ORDERS.c.target > low, *above)
                .limit(most)
            )
            found += [Due(*row) for row in db.execute(query)]
    return found


def went_through_since(ledger: Ledger, target: str, pk: int, since: datetime | None) -> bool:
    """Whether this target took another order by a call that began after that moment."""
    if since is None:
        return False
    query = (
        select(ATTEMPTS.c.id)
        .where(
            ATTEMPTS.c.started_at > since,
            ATTEMPTS.c.outcome == "created",
            ATTEMPTS.c.target == target,
            ATTEMPTS.c.order_pk != pk,
        )
        .limit(1)
    )
    with ledger.read() as db:
        return db.execute(query).first() is not None


def last_sent_at(ledger: Ledger, pk: int) -> datetime | None:
    """When the last call that carried this order began, as far as its outcome is recorded."""
    query = select(func.max(ATTEMPTS.c.started_at)).where(
        ATTEMPTS.c.order_pk == pk, ATTEMPTS.c.kind == "create"
    )
    with ledger.read() as db:
        return cast("datetime | None", db.execute(query).scalar_one())


def refused_alike(
    ledger: Ledger, target: str, excerpt: str, count: int, since: datetime
) -> list[int]:
    """The orders of the latest answers of this target since then, as far back as all were refusals with this
    same text, if these are `count` different orders or more; else an empty list. More, since threads that
    refuse side by side see each other's. What was refused before while others went through does not
    count, nor what got no answer or was not judged: a poison order between them hides no wave.
    Source: contract onebox, Errors that matter.
    """
    with ledger.read() as db:
        rows = db.execute(
            select(ATTEMPTS.c.order_pk, ATTEMPTS.c.outcome, ATTEMPTS.c.excerpt)
            .join(ORDERS, ORDERS.c.id == ATTEMPTS.c.order_pk)
            .where(
                ATTEMPTS.c.target == target,
                ATTEMPTS.c.kind == "create",
                ATTEMPTS.c.started_at >= since,
                ATTEMPTS.c.outcome.in_(("created", "refused")),
                ORDERS.c.strikes == 0,
            )
            .order_by(ATTEMPTS.c.started_at.desc())
            .limit(MOST_ALIKE)
        ).all()
    alike = takewhile(lambda row: row.outcome == "refused" and row.excerpt == excerpt, rows)
    orders = {row.order_pk for row in alike}
    return sorted(orders) if len(orders) >= count else []


def wait_again(
    ledger: Ledger, pks: Sequence[int], reason: str, now: datetime, pause: float
) -> None:
    """Orders that were held for what seems to be the connection's fault go back to waiting, for `pause`
    seconds: others try first whether it is.
    """
    ledger.write(
        lambda db: db.execute(
            update(ORDERS)
            .where(ORDERS.c.id.in_(pks), ORDERS.c.state == "held")
            .values(
                state="waiting",
                reason=reason,
                state_at=now,
                next_try_at=now + timedelta(seconds=pause),
                blamed_at=now,
            )
        )
    )


# --- people look and mend ---------------------------------------------------------------------------


def listing(
    ledger: Ledger,
    now: datetime,
    *,
    state: str | None = None,
    order_id: str | None = None,
    limit: int | None = None,
) -> list[Row]:
    """Orders, the newest first."""
    query = select(ORDERS).order_by(ORDERS.c.id.desc())
    if state is not None:
        query = query.where(ORDERS.c.state == state)
    if order_id is not None:
        query = query.where(ORDERS.c.order_id == order_id)
    if limit is not None:
        query = query.limit(limit)
    with ledger.read() as db:
        return [_row(found, now) for found in db.execute(query)]


def attempts(ledger: Ledger, pk: int) -> list[Try]:
    """Every try at one order, the oldest first."""
    query = select(ATTEMPTS).where(ATTEMPTS.c.order_pk == pk).order_by(ATTEMPTS.c.id)
    with ledger.read() as db:
        return [
            Try(r.kind, r.started_at, r.duration_ms, r.outcome, r.status, r.excerpt, r.task_id)
            for r in db.execute(query)
        ]


def source(ledger: Ledger, pk: int) -> str:
    """The shop's JSON of one order, as text; empty when it was purged."""
    with ledger.read() as db:
        return str(db.execute(select(ORDERS.c.source).where(ORDERS.c.id == pk)).scalar_one())


def snapshot(ledger: Ledger, connection: str, order_id: str) -> tuple[str, datetime | None] | None:
    """The shop's JSON of one order as last read, and the shop's time of it; None: the ledger has none."""
    query = select(ORDERS.c.source, ORDERS.c.shop_updated_at).where(
        ORDERS.c.connection == connection, ORDERS.c.order_id == order_id, ORDERS.c.source != ""
    )
    with ledger.read() as db:
        row = db.execute(query).first()
    return None if row is None else (row.source, row.shop_updated_at)


def by_process(ledger: Ledger, target: str, target_id: str) -> str | None:
    """The shop's id of the order that this process of the target is, or None."""
    query = select(ORDERS.c.order_id).where(
        ORDERS.c.target == target, ORDERS.c.target_id == target_id
    )
    with ledger.read() as db:
        return cast("str | None", db.execute(query).scalars().first())


def are_coming(ledger: Ledger, target: str) -> bool:
    """Whether an order is on its way to this target, whose process there may be before we know of it."""
    with ledger.read() as db:
        return db.execute(_COMING, {"target": target}).first() is not None


_COMING = select(ORDERS.c.id).where(text(IS_OPEN), ORDERS.c.target == bindparam("target")).limit(1)


def overview(ledger: Ledger, now: datetime, latest: int = 12) -> Overview:
    """Counts by state, the newest orders and the oldest due one; the live screen asks each second."""
    counted = tallies.counts(ledger, tallies.ORDERS, now)
    newest = select(ORDERS).order_by(ORDERS.c.state_at.desc(), ORDERS.c.id.desc()).limit(latest)
    with ledger.read() as db:
        rows = [_row(found, now) for found in db.execute(newest)]
        oldest = oldest_due_at(db, now)
    return Overview(counted.rows, counted.at, rows, oldest)


def oldest_due_at(db: Connection, now: datetime, *, free: bool = False) -> datetime | None:
    """Since when the oldest open order has been due; `free`: the oldest that nobody works on."""
    found: list[datetime] = []
    target = db.execute(_NEXT_TARGET, {"after": ""}).scalar_one_or_none()
    while target is not None:
        values = {"target": target, "now": now}
        found += db.execute(_OLDEST_FREE if free else _OLDEST, values).scalars()
        target = db.execute(_NEXT_TARGET, {"after": target}).scalar_one_or_none()
    return min(found, default=None)


# By target, since the index of open orders begins with it.
_NEXT_TARGET = (
    select(ORDERS.c.target)
    .where(text(IS_OPEN), ORDERS.c.target > bindparam("after"))
    .order_by(ORDERS.c.target)
    .limit(1)
)
_OLDEST = (
    select(ORDERS.c.next_try_at)
    .where(
        text(IS_OPEN),
        ORDERS.c.target == bindparam("target"),
        ORDERS.c.next_try_at <= bindparam("now"),
    )
    .order_by(ORDERS.c.next_try_at)
    .limit(1)
)
_OLDEST_FREE = _OLDEST.where(_FREE)


def retry(ledger: Ledger, pk: int, now: datetime) -> None:
    """A person asks for a try now: held and ignored orders go back to work, waiting ones become due.

    An uncertain order keeps its wait: it is looked up now, and not sent before its time. Raises
    NotPossible for a created one.
    """
    _mend(
        ledger,
        pk,
        now,
        ("received", "waiting", "held", "ignored"),
        "waiting",
        "released",
        **asdict(NO_TROUBLE),
    )


def release(ledger: Ledger, pk: int, now: datetime) -> None:
    """A person accepts the doubts for which an order is held; what is missing stays missing, and holds it
    again. Raises NotPossible for any other state.
    """
    _mend(
        ledger,
        pk,
        now,
        ("held",),
        "waiting",
        "released",
        accepted_hash=ORDERS.c.content_hash,
        **asdict(NO_TROUBLE),
    )


def ignore(ledger: Ledger, pk: int, now: datetime) -> None:
    """A person decides that an order shall not be sent. Raises NotPossible when it is created or is
    being sent at this moment.
    """
    _mend(ledger, pk, now, ("received", "waiting", "held"), "ignored", "ignored")


def _mend(
    ledger: Ledger,
    pk: int,
    now: datetime,
    allowed: tuple[str, ...],
    state: str,
    reason: str,
    **more: Any,
) -> None:
    def unit(db: Connection) -> None:
        done = db.execute(
            update(ORDERS)
            .where(
                ORDERS.c.id == pk,
                ORDERS.c.state.in_(allowed),
                or_(ORDERS.c.lease_until.is_(None), ORDERS.c.lease_until < now),
            )
            .values(state=state, reason=reason, state_at=now, next_try_at=now, **more)
        ).rowcount
        if not done:
            found = db.execute(select(ORDERS).where(ORDERS.c.id == pk)).one()
            if found.lease_until is not None and found.lease_until >= now:
                raise NotPossible(
                    f"Order {found.order_id} is being worked on; try again in a minute."
                )
            raise NotPossible(f"Order {found.order_id} is {found.state}.")

    ledger.write(unit)


def _row(found: Any, now: datetime) -> Row:
    return Row(
        pk=found.id,
        connection=found.connection,
        order_id=found.order_id,
        external_id=found.external_id,
        state=found.state,
        reason=found.reason,
        problems=found.problems or [],
        target=found.target,
        target_id=found.target_id,
        changed=found.changed,
        tries=found.tries,
        received_at=found.received_at,
        state_at=found.state_at,
        next_try_at=found.next_try_at,
        uncertain_since=found.uncertain_since,
        being_worked_on=found.lease_until is not None and found.lease_until >= now,
    )
