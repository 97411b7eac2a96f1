"""What people do is kept with who did it, what it was before and after, in the transaction that does it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from mapped_as import mapped_as
from sqlalchemy.exc import DBAPIError

from ledger import enqueueing, history, orders, queues, updates
from ledger.attempts import Try
from ledger.enqueueing import Asked
from ledger.faults import LedgerUnavailable
from ledger.orders import Arrived, NotPossible, Outcome
from ledger.tables import HISTORY
from ledger.updates import Due, moved

SHOP = "okliving"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
LEASE = 70.0


@pytest.fixture
def held(ledger):
    """An order that is held for its total, which a person may doubt."""
    arrived = Arrived("1", "okl-1", '{"phone": "0501234567"}', "a" * 32, NOW)
    (pk,) = orders.store(ledger, SHOP, "onebox", [arrived], NOW, mapped_as(str))
    claim = orders.claim(ledger, pk, NOW, LEASE)
    outcome = Outcome("held", "total_mismatch")
    orders.record(ledger, claim, outcome, Try("map", NOW, 5, "held"), NOW)
    return pk


def acts(ledger):
    return history.of_order(ledger, SHOP, "1")


@pytest.mark.parametrize(
    ("mend", "what", "after"),
    [
        (orders.retry, "order_retried", {"state": "waiting", "reason": "released"}),
        (orders.release, "order_released", {"state": "waiting", "reason": "released"}),
        (orders.ignore, "order_ignored", {"state": "ignored", "reason": "ignored"}),
    ],
)
def test_an_act_on_an_order_is_kept_with_who_and_what_it_changed(ledger, held, mend, what, after):
    mend(ledger, held, LATER, who="olena")
    before = {"state": "held", "reason": "total_mismatch"}
    assert acts(ledger) == [
        history.Act(LATER, "olena", what, "order", SHOP, "1", None, before, after)
    ]


def test_what_was_not_possible_is_not_kept(ledger, held):
    orders.ignore(ledger, held, NOW, who="olena")
    with pytest.raises(NotPossible):
        orders.ignore(ledger, held, LATER, who="petro")
    assert [act.who for act in acts(ledger)] == ["olena"]


def test_an_act_that_cannot_be_kept_is_not_done(ledger, held):
    ledger.write(HISTORY.drop)
    with pytest.raises((DBAPIError, LedgerUnavailable)):
        orders.ignore(ledger, held, NOW, who="olena")
    (row,) = orders.listing(ledger, NOW)
    assert row.state == "held"


def ask(ledger, note="text", who=None, **more):
    asked = Asked(SHOP, "1", digest="d", origin="t", parts={"note": note}, who=who, **more)
    return enqueueing.accept(ledger, asked, NOW)


def test_an_update_is_kept_as_accepted_once_and_without_what_it_says(ledger):
    first, again = (ask(ledger, "call 0501234567", who="olena", key="k") for _ in range(2))
    assert first == again
    (act,) = acts(ledger)
    assert (act.what, act.about, act.who, act.update_id) == (
        "update_accepted",
        "update",
        "olena",
        first.id,
    )
    assert (act.before, act.after) == (None, {"state": "queued", "left": ["note"]})


def test_what_a_machine_asks_for_is_no_act(ledger):
    ask(ledger)
    assert acts(ledger) == []


def test_acts_on_an_update_stand_with_its_order(ledger):
    row = ask(ledger)
    queue, (row,), _ = queues.claim(ledger, Due(SHOP, "1"), NOW, LEASE)
    parts = moved(row.parts, ("note",), "parked")
    after = replace(row, parts=parts, state="parked", reason="update_too_old")
    queues.record(ledger, queue, after, NOW)
    queues.rest(ledger, queue, NOW)
    updates.retry(ledger, row.id, LATER, who="olena")
    updates.cancel(ledger, row.id, LATER, who="petro")
    retried, cancelled = acts(ledger)
    assert (retried.what, retried.who, retried.update_id) == ("update_retried", "olena", row.id)
    assert retried.before == {"state": "parked", "reason": "update_too_old", "parked": ["note"]}
    assert retried.after == {"state": "queued", "reason": "update_retried", "left": ["note"]}
    assert (cancelled.what, cancelled.who, cancelled.before) == (
        "update_cancelled",
        "petro",
        retried.after,
    )
    assert cancelled.after == {"state": "cancelled", "reason": "update_cancelled"}


@pytest.mark.parametrize(
    ("who", "kept"), [("оленка", "оленка"), ("a\0b\ud800", "ab"), ("x" * 99, "x" * 64)]
)
def test_any_name_is_kept_as_far_as_the_ledger_takes_it(ledger, held, who, kept):
    orders.ignore(ledger, held, NOW, who=who)
    assert [act.who for act in acts(ledger)] == [kept]
