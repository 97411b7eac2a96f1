"""What may be done to orders: stored once, claimed by one, recorded, woken, mended, purged."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, select

from ledger import orders
from ledger.orders import Arrived, NotPossible, Outcome, Try
from ledger.tables import ORDERS

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LEASE = 70.0


def at(seconds):
    return NOW + timedelta(seconds=seconds)


def order(order_id="1", content="a", updated=NOW, text="{}"):
    return Arrived(order_id, f"okl-{order_id}", text, content * 32, updated)


def store(ledger, *arrived, now=NOW, connection="okliving", differs=lambda *_: True):
    return orders.store(ledger, connection, "onebox", arrived or [order()], now, differs)


def row(ledger, order_id="1", now=NOW):
    (found,) = orders.listing(ledger, now, order_id=order_id)
    return found


def hash_of(ledger, pk):
    with ledger.read() as db:
        return db.execute(select(ORDERS.c.content_hash).where(ORDERS.c.id == pk)).scalar_one()


def tried(outcome="failed", excerpt="", kind="create"):
    return Try(kind, NOW, 12, outcome, 500, excerpt, "task")


def end(ledger, pk, outcome, attempt=None, now=NOW):
    """Claim and record."""
    claim = orders.claim(ledger, pk, now, LEASE)
    assert orders.record(ledger, claim, outcome, attempt, now)


CREATED = Outcome("created", target_id="77")
HELD = Outcome("held", "phone_missing", [{"code": "phone_missing"}])


def waiting(seconds=60, **more):
    return Outcome("waiting", "crm_unavailable", next_try_at=at(seconds), **more)


def put_in(ledger, pk, state):
    """Bring a received order into that state."""
    if state == "ignored":
        orders.ignore(ledger, pk, NOW)
    elif state != "received":
        end(ledger, pk, {"waiting": waiting(), "created": CREATED, "held": HELD}[state])


# --- store ------------------------------------------------------------------------------------------


def test_created_order_is_marked_as_changed_only_when_it_differs_to_the_crm(ledger):
    (pk,) = store(ledger, order(text="first"))
    put_in(ledger, pk, "created")
    compared = []

    def differs(before, now):
        compared.append((before, now))
        return now == "other goods"

    for minute, (text, marked) in enumerate(
        [("new status", False), ("other goods", True), ("new stamp", True)], start=1
    ):
        store(
            ledger, order(content=str(minute), text=text), order("2"), now=at(60), differs=differs
        )
        assert (row(ledger).changed, orders.source(ledger, pk)) == (marked, text)
    assert row(ledger, "2").changed is False
    assert compared == [
        ("first", "new status"),
        ("new status", "other goods"),
        ("other goods", "new stamp"),
    ]


def test_new_orders_are_rung_for_once(ledger):
    pks = store(ledger, order("1"), order("2"))
    assert len(set(pks)) == 2
    assert store(ledger, order("1"), order("2"), now=at(60)) == []
    assert {r.state for r in orders.listing(ledger, NOW)} == {"received"}
    assert row(ledger).received_at == NOW
    assert store(ledger, order("1"), connection="other shop") != []
    assert orders.store(ledger, "okliving", "onebox", [], NOW, lambda *_: True) == []


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


@pytest.mark.parametrize(("differs", "sends"), [(False, 7), (True, 0)])
def test_change_that_the_crm_would_not_see_does_not_excuse_what_an_order_met(
    ledger, differs, sends
):
    """A field of the shop that is another at each read would put off the day on which a person sees it."""
    (pk,) = store(ledger, order(text="before"))
    ledger.write(lambda db: db.execute(ORDERS.update().values(sends=7, troubled_since=NOW)))
    store(ledger, order(content="b", text="after"), order("2"), differs=lambda *_: differs)
    claimed = orders.claim(ledger, pk, NOW, 60)
    assert (claimed.trouble.sends, claimed.source) == (sends, "after")
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


def test_orders_are_compared_before_anyone_has_to_wait(ledger):
    """What a change means is mapped outside of the transaction."""
    (pk,) = store(ledger, order(text="before"))
    put_in(ledger, pk, "created")
    inside = []

    def differs(*_):
        inside.append(ledger._writing.locked())
        return True

    store(ledger, order(content="b", text="after"), differs=differs)
    assert (row(ledger).changed, inside) == (True, [False])


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


# --- claim ------------------------------------------------------------------------------------------


def test_only_one_of_many_claims_an_order(ledger, together):
    (pk,) = store(ledger)
    claims = together(lambda _: orders.claim(ledger, pk, NOW, LEASE), 16)
    (claim,) = [c for c in claims if c is not None]
    assert (claim.pk, claim.order_id, claim.external_id) == (pk, "1", "okl-1")
    assert (claim.lease_until, claim.tries, claim.uncertain_since) == (at(LEASE), 0, None)
    assert row(ledger).being_worked_on
    assert orders.attempts(ledger, pk) == []


@pytest.mark.parametrize("state", ["created", "held", "ignored"])
def test_finished_orders_are_not_claimed(ledger, state):
    (pk,) = store(ledger)
    put_in(ledger, pk, state)
    assert orders.claim(ledger, pk, at(10_000), LEASE) is None


def test_order_that_is_not_due_is_not_claimed_but_a_bell_may_ring_a_little_early(ledger):
    (pk,) = store(ledger)
    end(ledger, pk, waiting(60))
    assert orders.claim(ledger, pk, at(59.4), LEASE) is None
    assert orders.claim(ledger, pk, at(59.6), LEASE) is not None


def test_unknown_order_is_not_claimed(ledger):
    assert orders.claim(ledger, 4711, NOW, LEASE) is None


def test_expired_lease_is_an_uncertain_try_that_may_have_gone_on_until_it_was_found(ledger):
    (pk,) = store(ledger)
    orders.claim(ledger, pk, NOW, LEASE)
    assert orders.claim(ledger, pk, at(LEASE), LEASE) is None
    claim = orders.claim(ledger, pk, at(LEASE + 1), LEASE, "second")
    assert (claim.uncertain_since, claim.lookups) == (at(LEASE + 1), 0)
    (lost,) = orders.attempts(ledger, pk)
    assert (lost.kind, lost.outcome, lost.started_at) == ("create", "lost", at(1))
    assert (lost.duration_ms, lost.task_id) == (70_000, "second")


def test_lost_try_is_told_once_when_its_successor_gave_the_order_back(ledger):
    (pk,) = store(ledger)
    orders.claim(ledger, pk, NOW, LEASE)
    claim = orders.claim(ledger, pk, at(100), LEASE)
    orders.give_back(ledger, claim, at(105))
    again = orders.claim(ledger, pk, at(105), LEASE)
    assert again.uncertain_since == at(100)
    assert [t.outcome for t in orders.attempts(ledger, pk)] == ["lost"]


# --- record -----------------------------------------------------------------------------------------


def test_outcome_is_recorded_and_the_order_given_back(ledger):
    (pk,) = store(ledger)
    end(ledger, pk, waiting(60, uncertain_since=NOW, lookups=1), tried("uncertain", "hm"), at(3))
    found = row(ledger)
    assert (found.state, found.reason, found.tries) == ("waiting", "crm_unavailable", 1)
    assert (found.uncertain_since, found.next_try_at, found.state_at) == (NOW, at(60), at(3))
    assert not found.being_worked_on
    assert orders.attempts(ledger, pk) == [tried("uncertain", "hm")]
    assert orders.claim(ledger, pk, at(60), LEASE).lookups == 1


def test_tries_that_do_not_count_are_not_counted(ledger):
    (pk,) = store(ledger)
    end(ledger, pk, waiting(0, counts=False))
    assert row(ledger).tries == 0


def test_lost_lease_records_nothing_but_the_try(ledger):
    (pk,) = store(ledger)
    lost = orders.claim(ledger, pk, NOW, LEASE)
    taken = orders.claim(ledger, pk, at(100), LEASE)
    assert not orders.record(ledger, lost, HELD, tried(), at(101))
    orders.give_back(ledger, lost, at(500))
    found = row(ledger, now=at(101))
    assert (found.state, found.being_worked_on) == ("received", True)
    assert [t.outcome for t in orders.attempts(ledger, pk)] == ["lost", "failed"]
    assert orders.record(ledger, taken, CREATED, None, at(102))


def test_id_that_came_after_the_lease_was_lost_is_adopted(ledger):
    (pk,) = store(ledger)
    lost = orders.claim(ledger, pk, NOW, LEASE)
    taken = orders.claim(ledger, pk, at(100), LEASE)
    assert orders.record(ledger, lost, CREATED, tried("created"), at(101))
    found = row(ledger, now=at(101))
    assert (found.state, found.target_id, found.being_worked_on) == ("created", "77", False)
    assert found.uncertain_since is None
    assert not orders.record(ledger, taken, waiting(), None, at(102))
    assert row(ledger).state == "created"


def test_id_that_is_known_is_not_replaced_by_a_late_one(ledger):
    (pk,) = store(ledger)
    lost = orders.claim(ledger, pk, NOW, LEASE)
    taken = orders.claim(ledger, pk, at(100), LEASE)
    assert orders.record(ledger, taken, CREATED, None, at(101))
    assert not orders.record(ledger, lost, replace(CREATED, target_id="78"), None, at(102))
    assert row(ledger).target_id == "77"


@pytest.mark.parametrize(
    ("outcome", "state", "changed"),
    [(HELD, "waiting", False), (CREATED, "created", True), (waiting(), "waiting", False)],
)
def test_order_that_changed_while_it_was_worked_on(ledger, outcome, state, changed):
    """Held for its old content it is mapped anew; created with it, it is marked."""
    (pk,) = store(ledger)
    claim = orders.claim(ledger, pk, NOW, LEASE)
    assert store(ledger, order(content="b")) == [pk]
    assert orders.record(ledger, claim, outcome, None, NOW)
    assert (row(ledger).state, row(ledger).changed) == (state, changed)


def test_given_back_order_is_as_before(ledger):
    (pk,) = store(ledger)
    claim = orders.claim(ledger, pk, NOW, LEASE)
    orders.give_back(ledger, claim, at(5))
    found = row(ledger)
    assert (found.state, found.tries, found.next_try_at) == ("received", 0, at(5))
    assert not found.being_worked_on
    assert orders.claim(ledger, pk, at(5), LEASE).uncertain_since is None


def test_order_that_goes_through_costs_three_statements(ledger):
    (pk,) = store(ledger)
    statements = []
    event.listen(ledger.engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    end(ledger, pk, CREATED, tried("created"))
    # The tide is one for all that share the commit.
    of_orders = [s for s in statements if "BEGIN" not in s and "tides" not in s]
    assert [s.split()[0] for s in of_orders] == [
        "UPDATE",
        "UPDATE",
        "INSERT",
    ]


# --- due, wake, the connection's fault --------------------------------------------------------------


def due(ledger, now, most=100, **more):
    return [d.pk for d in orders.due(ledger, "onebox", now, most, **more)]


def test_due_is_what_nobody_works_on_the_longest_due_first(ledger):
    first, second, third, fourth, worked, held = store(ledger, *[order(str(n)) for n in range(6)])
    end(ledger, first, waiting(30))
    end(ledger, second, waiting(10))
    end(ledger, third, waiting(20))
    end(ledger, fourth, waiting(500))
    end(ledger, held, HELD)
    orders.claim(ledger, worked, NOW, LEASE)
    assert due(ledger, at(40)) == [second, third, first]
    assert due(ledger, at(40), most=2) == [second, third]
    assert due(ledger, at(40), grace=15) == [second, third]
    assert due(ledger, at(LEASE + 1)) == [worked, second, third, first]
    assert orders.due(ledger, "other box", at(40), 100) == []


def refuse(ledger, pks, texts):
    for pk, text in zip(pks, texts, strict=True):
        outcome = "created" if text == "created" else "refused"
        end(ledger, pk, waiting(0), tried(outcome, text))


def test_alike_are_the_last_refusals_of_different_orders(ledger):
    pks = store(ledger, *[order(str(n)) for n in range(5)])
    refuse(ledger, pks[:4], ["no"] * 4)
    assert orders.refused_alike(ledger, "onebox", "no", 5, NOW) == []
    refuse(ledger, pks[4:], ["no"])
    assert orders.refused_alike(ledger, "onebox", "no", 5, NOW) == sorted(pks)
    assert orders.refused_alike(ledger, "onebox", "other", 5, NOW) == []
    assert orders.refused_alike(ledger, "other box", "no", 5, NOW) == []


@pytest.mark.parametrize(
    ("of", "texts"),
    [
        ([0, 1, 2, 3, 0], ["no"] * 5),
        ([0, 1, 2, 3, 4], ["no", "no", "not", "no", "no"]),
        ([0, 1, 2, 3, 4], ["no", "no", "created", "no", "no"]),
    ],
)
def test_not_alike_are_one_order_again_another_text_and_a_success_between(ledger, of, texts):
    pks = store(ledger, *[order(str(n)) for n in range(5)])
    refuse(ledger, [pks[n] for n in of], texts)
    assert orders.refused_alike(ledger, "onebox", "no", 5, NOW) == []


def test_held_for_the_connections_fault_waits_again(ledger):
    held, ignored, made = store(ledger, order("1"), order("2"), order("3"))
    for pk, state in ((held, "held"), (ignored, "ignored"), (made, "created")):
        put_in(ledger, pk, state)
    orders.wait_again(ledger, [held, ignored, made], "connection_paused", at(1), 15)
    assert [row(ledger, n).state for n in "123"] == ["waiting", "ignored", "created"]
    assert (row(ledger).reason, row(ledger).next_try_at) == ("connection_paused", at(16))


# --- people -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mend", "after", "allowed"),
    [
        (orders.retry, "waiting", {"received", "waiting", "held", "ignored"}),
        (orders.release, "waiting", {"held"}),
        (orders.ignore, "ignored", {"received", "waiting", "held"}),
    ],
)
@pytest.mark.parametrize("state", orders.STATES)
def test_what_a_person_may_do(ledger, mend, after, allowed, state):
    (pk,) = store(ledger)
    put_in(ledger, pk, state)
    if state in allowed:
        mend(ledger, pk, at(9))
        assert (row(ledger).state, row(ledger).next_try_at) == (after, at(9))
    else:
        with pytest.raises(NotPossible, match=f"Order 1 is {state}"):
            mend(ledger, pk, at(9))
        assert row(ledger).state == state


@pytest.mark.parametrize("mend", [orders.retry, orders.ignore])
def test_order_that_is_being_sent_is_left_alone(ledger, mend):
    (pk,) = store(ledger)
    orders.claim(ledger, pk, NOW, LEASE)
    with pytest.raises(NotPossible, match="being worked on"):
        mend(ledger, pk, at(9))
    mend(ledger, pk, at(LEASE + 1))


@pytest.mark.parametrize(
    ("mend", "changed", "accepted"),
    [(orders.release, False, True), (orders.release, True, False), (orders.retry, False, False)],
)
def test_release_accepts_the_doubts_of_this_content_alone(ledger, mend, changed, accepted):
    (pk,) = store(ledger)
    end(ledger, pk, HELD)
    mend(ledger, pk, NOW)
    if changed:
        store(ledger, order(content="b"))
    assert orders.claim(ledger, pk, NOW, LEASE).accepted is accepted


def test_retried_uncertain_order_stays_uncertain(ledger):
    (pk,) = store(ledger)
    end(ledger, pk, waiting(600, uncertain_since=NOW, lookups=1))
    orders.retry(ledger, pk, at(9))
    claim = orders.claim(ledger, pk, at(9), LEASE)
    assert (claim.uncertain_since, claim.lookups) == (NOW, 1)


def test_listing_gives_the_newest_first(ledger):
    store(ledger, order("1"))
    store(ledger, order("2"), now=at(1))
    store(ledger, order("3"), now=at(2))
    end(ledger, row(ledger, "2").pk, HELD, now=at(3))
    listed = [r.order_id for r in orders.listing(ledger, NOW)]
    assert listed == ["3", "2", "1"]
    assert [r.order_id for r in orders.listing(ledger, NOW, limit=2)] == ["3", "2"]
    (held,) = orders.listing(ledger, NOW, state="held")
    assert (held.order_id, held.problems) == ("2", [{"code": "phone_missing"}])


def test_overview_counts_every_state_and_finds_the_oldest_due(ledger):
    empty = orders.overview(ledger, NOW)
    assert (empty.counts, empty.latest, empty.oldest_due_at) == (
        dict.fromkeys(orders.STATES, 0),
        [],
        None,
    )
    store(ledger, order("1"), order("2"))
    (late,) = store(ledger, order("3"), now=at(5))
    end(ledger, late, HELD, now=at(6))
    seen = orders.overview(ledger, at(10), latest=1)
    assert seen.counts == dict.fromkeys(orders.STATES, 0) | {"received": 2, "held": 1}
    assert [r.order_id for r in seen.latest] == ["3"]
    assert seen.oldest_due_at == NOW
