"""A page of orders in the ledger: stored once, the newer copy kept, changes told by their hash."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from mapped_as import mapped_as
from order_calls import CREATED, LEASE, NOW, at, end, hash_of, order, put_in, row, store, waiting
from sqlalchemy import event, select
from sqlalchemy.exc import IntegrityError

from ledger import orders
from ledger.tables import ORDERS
from mapping.digest import body_hash


def body(text):
    """The text up to a dash is all that the target sees of an order."""
    return body_hash(text.partition("-")[0])


def test_created_order_is_changed_while_its_body_is_another_than_was_sent(ledger):
    (pk,) = store(ledger, order(text="first"), wanted=body)
    put_in(ledger, pk, "created")
    for minute, (text, changed) in enumerate(
        [("first-status", False), ("goods", True), ("goods-stamp", True), ("first-back", False)],
        start=1,
    ):
        store(ledger, order(content=str(minute), text=text), order("2"), now=at(60), wanted=body)
        assert (row(ledger).changed, orders.source(ledger, pk)) == (changed, text)
    assert row(ledger, "2").changed is False


def test_only_what_is_new_or_changed_is_mapped(ledger):
    mapped = []

    def wanted(text):
        mapped.append(text)
        return text

    for content in "aab":
        store(ledger, order(content=content), order("2", content="c"), wanted=wanted)
    assert sorted(mapped) == ["a", "b", "c"]


def test_what_cannot_be_mapped_is_stored_and_counts_as_another(ledger):
    (pk,) = store(ledger, wanted=lambda _: None)
    put_in(ledger, pk, "created")
    assert row(ledger).changed is False
    store(ledger, order(content="b"), wanted=lambda _: None)
    assert row(ledger).changed is True


def hashes(ledger, pk):
    columns = ORDERS.c.wanted_hash, ORDERS.c.sent_hash
    with ledger.read() as db:
        return tuple(db.execute(select(*columns).where(ORDERS.c.id == pk)).one())


def forget_hashes(ledger):
    """As an order stands that an older release stored."""
    none = {"wanted_hash": None, "sent_hash": None}
    ledger.write(lambda db: db.execute(ORDERS.update().values(none)))


@pytest.mark.parametrize("state", ["created", "leased", "uncertain"])
@pytest.mark.parametrize(("text", "changed"), [("first-status", False), ("goods", True)])
def test_order_without_hashes_is_compared_with_what_is_kept_of_it(ledger, state, text, changed):
    (pk,) = store(ledger, order(text="first"), wanted=body)
    claim = orders.claim(ledger, pk, NOW, LEASE)
    if state != "leased":
        sent = CREATED if state == "created" else waiting(0, uncertain_since=NOW)
        orders.record(ledger, claim, sent, None, NOW)
    forget_hashes(ledger)
    assert row(ledger).changed is False
    store(ledger, order(content="b", text=text), wanted=body)
    assert hashes(ledger, pk) == (body(text), body("first"))
    if state != "created":
        end(ledger, pk, CREATED, now=at(LEASE + 1))
    assert row(ledger).changed is changed


def test_purged_order_without_hashes_counts_as_changed_by_whatever_comes(ledger):
    (pk,) = store(ledger)
    put_in(ledger, pk, "created")
    forget_hashes(ledger)
    ledger.write(lambda db: db.execute(ORDERS.update().values(source="")))
    assert row(ledger).changed is False
    store(ledger, order(content="b"))
    assert row(ledger).changed is True


def test_external_id_of_another_source_is_refused(ledger):
    """Two rows with one external id would be one process in their target."""
    store(ledger)
    with pytest.raises(IntegrityError):
        store(ledger, connection="other shop")


def test_new_orders_are_rung_for_once(ledger):
    pks = store(ledger, order("1"), order("2"))
    assert len(set(pks)) == 2
    assert store(ledger, order("1"), order("2"), now=at(60)) == []
    assert {r.state for r in orders.listing(ledger, NOW)} == {"received"}
    assert row(ledger).received_at == NOW
    assert store(ledger, order("1", prefix="oth-"), connection="other shop") != []
    assert orders.store(ledger, "okliving", "onebox", [], NOW, mapped_as(str)) == []


@pytest.mark.parametrize(
    ("state", "rung", "after", "changed"),
    [
        ("received", True, "received", False),
        ("waiting", True, "waiting", False),
        ("held", True, "waiting", False),
        ("created", False, "created", True),
        ("ignored", False, "ignored", False),
    ],
)
def test_changed_order(ledger, state, rung, after, changed):
    (pk,) = store(ledger)
    put_in(ledger, pk, state)
    assert bool(store(ledger, order(content="b", text="new"), now=at(5))) is rung
    found = row(ledger)
    assert (found.state, found.changed) == (after, changed)
    assert orders.source(ledger, pk) == "new"
    if state == "held":
        assert (found.reason, found.next_try_at) == ("", at(5))
    if state == "waiting":
        assert found.next_try_at == at(60)


# 25 October 2026: at 01:00 UTC the clocks of Kyiv went from 04:00 back to 03:00.
FOLD = datetime(2026, 10, 25, tzinfo=UTC)


def folded(minute, content, latest):
    """A copy stamped so many minutes after 03:00 in the hour that repeats; `latest` is what it may mean."""
    early = FOLD + timedelta(minutes=minute)
    return replace(order(content=content, updated=early), latest=early + latest)


SECOND = timedelta(hours=1)


@pytest.mark.parametrize(
    ("known", "arriving", "taken"),
    [
        (folded(50, "a", SECOND), folded(10, "b", SECOND), True),
        (folded(50, "a", timedelta()), folded(10, "b", SECOND), True),
        # Read before the clocks went back, it can only mean the first of the two hours.
        (folded(50, "a", timedelta()), folded(10, "b", timedelta()), False),
        # Newer than the repeated hour is newer than both.
        (order(content="a", updated=FOLD + timedelta(minutes=130)), folded(50, "b", SECOND), False),
        (folded(50, "a", SECOND), order(content="b", updated=FOLD - timedelta(minutes=1)), False),
    ],
)
def test_change_stamped_in_the_repeated_hour_is_taken_where_it_may_be_the_newer(
    ledger, known, arriving, taken
):
    (pk,) = store(ledger, known)
    assert store(ledger, arriving) == ([pk] if taken else [])
    assert hash_of(ledger, pk) == ("b" if taken else "a") * 32


def test_copy_read_before_the_change_in_the_repeated_hour_does_not_come_back(ledger):
    (pk,) = store(ledger, folded(50, "a", timedelta()))
    store(ledger, folded(10, "b", SECOND))
    assert store(ledger, folded(50, "c", timedelta())) == []
    store(ledger, folded(20, "d", SECOND))
    assert hash_of(ledger, pk) == "d" * 32


@pytest.mark.parametrize(("text", "sends"), [("before-stamp", 7), ("after", 0)])
@pytest.mark.parametrize("forgotten", [False, True])
def test_change_that_the_target_would_not_see_does_not_excuse_what_an_order_met(
    ledger, text, sends, forgotten
):
    """A field of the shop that is another at each read would put off the day on which a person sees it."""
    (pk,) = store(ledger, order(text="before"), wanted=body)
    ledger.write(lambda db: db.execute(ORDERS.update().values(sends=7, troubled_since=NOW)))
    if forgotten:
        forget_hashes(ledger)
    store(ledger, order(content="b", text=text), order("2"), wanted=body)
    claimed = orders.claim(ledger, pk, NOW, 60)
    assert (claimed.trouble.sends, claimed.source) == (sends, text)
    assert row(ledger, "2").state == "received"


def test_page_of_known_orders_and_scraps_holds_up_no_writer(ledger):
    page = [order(str(n)) for n in range(100)]
    scraps = [("e" * 32, "17")]
    assert len(store(ledger, *page)) == 100
    assert orders.keep_aside(ledger, "okliving", scraps, NOW) == 1
    said = []
    event.listen(ledger.engine, "before_cursor_execute", lambda *call: said.append(call[2]))
    assert store(ledger, *page) == []
    assert orders.keep_aside(ledger, "okliving", scraps, NOW) == 0
    assert {statement.split()[0] for statement in said} == {"SELECT"}
    assert len(said) == 2


def test_orders_are_mapped_before_anyone_has_to_wait(ledger):
    """What a change means is mapped outside of the transaction."""
    (pk,) = store(ledger, order(text="before"))
    put_in(ledger, pk, "created")
    inside = []

    def wanted(text):
        inside.append((ledger._group.turn.locked(), ledger.engine.pool.checkedout()))
        return body_hash(text)

    kept = ledger.engine.pool.checkedout()  # the writer's own connection
    store(ledger, order(content="b", text="after"), wanted=wanted)
    assert (row(ledger).changed, inside) == (True, [(False, kept)])


@pytest.mark.parametrize(
    ("known", "arriving", "taken"),
    [
        (at(0), at(-1), False),
        (at(0), at(0), True),
        (at(0), at(1), True),
        (at(0), None, True),
        (None, at(0), True),
    ],
)
def test_older_copy_never_replaces_a_newer_one(ledger, known, arriving, taken):
    (pk,) = store(ledger, order(updated=known))
    assert store(ledger, order(content="b", updated=arriving)) == ([pk] if taken else [])
    assert hash_of(ledger, pk) == ("b" if taken else "a") * 32


@pytest.mark.parametrize("turned", [False, True])
def test_of_two_copies_on_one_page_the_newer_is_kept(ledger, turned):
    copies = [order(content="a", updated=at(-9)), order(content="b", updated=at(0))]
    (pk,) = store(ledger, *(reversed(copies) if turned else copies))
    assert hash_of(ledger, pk) == "b" * 32


def test_pages_of_many_orders_stored_at_once_by_many_make_each_once(ledger, together):
    page = [order(str(n)) for n in range(100)]
    pks = together(lambda _: store(ledger, *page), 8)
    assert sorted(map(len, pks)) == [0] * 7 + [100]


def test_what_is_no_order_is_kept_once(ledger):
    items = [("a" * 32, "null"), ("b" * 32, "17"), ("a" * 32, "null")]
    assert orders.keep_aside(ledger, "okliving", items, NOW) == 2
    assert orders.keep_aside(ledger, "okliving", [*items, ("c" * 32, "[]")], NOW) == 1
    assert orders.keep_aside(ledger, "okliving", [], NOW) == 0
