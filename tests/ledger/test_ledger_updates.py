"""The queues of updates in the ledger: places, keys, leases, and what people change; on both databases."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ledger import attempts, enqueueing, queues, updates
from ledger.attempts import Try
from ledger.database import open_ledger
from ledger.enqueueing import Asked, KeyReused
from ledger.orders import NotPossible
from ledger.ours import asked_in, brought
from ledger.updates import Due, first_blocking, moved

SHOP = "okliving"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DUE = Due(SHOP, "1")
LEASE = 70.0
ORDERED = frozenset({"order", "delivery"})


def after(seconds):
    return NOW + timedelta(seconds=seconds)


def ask(ledger, *, order_id="1", key=None, digest="d", now=NOW, **parts):
    parts = parts or {"note": "n"}
    asked = Asked(SHOP, order_id, digest=digest, origin="test", parts=parts, key=key)
    return enqueueing.accept(ledger, asked, now)


def ended(row):
    return replace(row, state="sent", parts=moved(row.parts, row.parts_left, "sent"))


def parked(row, *parts, left=()):
    told = [{"part": part, "fate": "parked", "code": "update_refused"} for part in parts]
    there = moved(moved(row.parts, row.parts, "sent"), parts, "parked")
    return replace(
        row,
        state="queued" if left else "parked",
        reason="update_refused",
        parts=moved(there, left, "left"),
        fates=[{"part": "x", "fate": "sent"}, *told],
        blocks=bool(ORDERED & set(parts)),
    )


def claim(ledger, now=NOW):
    return queues.claim(ledger, DUE, now, LEASE)


def call(outcome="sent", excerpt=""):
    return Try("update", NOW, 5, outcome, 200, excerpt, "task", parts="note")


@pytest.fixture
def two_processes(ledger_url):
    """The ledger twice, as two processes open it, each with its own connections."""
    opened = [open_ledger(ledger_url) for _ in range(2)]
    yield opened
    for ledger in opened:
        ledger.close()


# --- accepting --------------------------------------------------------------------------------------


def test_many_at_once_get_one_place_each_without_gaps(two_processes, together):
    rows = together(lambda n: ask(two_processes[n % 2], note=str(n)), 16)
    assert sorted(row.seq for row in rows) == list(range(1, 17))
    _, waiting, _ = claim(two_processes[0])
    assert [row.seq for row in waiting] == list(range(1, 17))


def test_each_order_has_its_own_places(ledger):
    assert [ask(ledger, order_id=o).seq for o in "1213"] == [1, 1, 2, 1]


def test_many_orders_at_once_in_any_sequence(two_processes, together):
    """Batches that take the same queues in different sequence must not stand in each other's way."""
    orders = [str(n) for n in range(12)]

    def one(number):
        mine = orders[number % 12 :] + orders[: number % 12]
        return [ask(two_processes[number % 2], order_id=o).seq for o in mine[:: (-1) ** number]]

    results = together(one, 12)
    assert [r for r in results if isinstance(r, Exception)] == []
    assert sorted(seq for r in results for seq in r) == sorted([*range(1, 13)] * 12)


def test_the_same_key_and_content_is_one_update(ledger):
    first = ask(ledger, key="k")
    again = ask(ledger, key="k", now=after(60))
    assert again == first
    assert len(updates.listing(ledger)) == 1
    assert ask(ledger).seq == 2


def test_the_same_key_for_something_else_is_refused_and_changes_nothing(ledger):
    ask(ledger, key="k")
    with pytest.raises(KeyReused):
        ask(ledger, key="k", digest="other")
    with pytest.raises(KeyReused):
        ask(ledger, order_id="2", key="k", digest="other")
    assert len(updates.listing(ledger)) == 1
    assert ask(ledger).seq == 2


def test_the_same_key_at_once_is_one_update_without_a_gap(two_processes, together):
    rows = together(lambda n: ask(two_processes[n % 2], key="k"), 16)
    assert {row.id for row in rows} == {rows[0].id}
    assert ask(two_processes[0]).seq == 2


def test_a_refused_one_is_seen_and_never_due(ledger):
    refused = Asked(SHOP, "1", digest="", origin="celery")
    told = [{"code": "update_invalid", "level": "held", "field": "note", "detail": "too long"}]
    update_id = enqueueing.refuse(ledger, enqueueing.Refusal(refused, "update_invalid", told), NOW)
    row = updates.find(ledger, update_id)
    assert (row.state, row.reason, row.fates) == ("refused", "update_invalid", told)
    assert queues.due(ledger, SHOP, after(60), 10) == []


# --- draining ---------------------------------------------------------------------------------------


def test_one_claims_a_queue(two_processes, together):
    ask(two_processes[0])
    claimed = together(lambda n: claim(two_processes[n % 2]), 16)
    assert sum(found is not None for found in claimed) == 1


def test_a_queue_that_was_given_back_was_not_left_behind(two_processes, together):
    """Whoever claims in the moment in which it is given back must not take the last one for dead."""
    ledger = two_processes[0]
    for number in range(10):
        ask(ledger)
        queue, _, left_behind = claim(ledger, after(number))
        assert not left_behind
        later = after(number + 0.5)
        steps = (
            lambda queue=queue, later=later: queues.rest(ledger, queue, later, next_try_at=later),
            lambda later=later: queues.claim(two_processes[1], DUE, later, LEASE),
        )
        _, other = together(lambda n, steps=steps: steps[n](), 2)
        if other is not None:
            assert not other[2]
            queues.rest(ledger, other[0], later, next_try_at=later)


def test_an_expired_lease_is_taken_over_and_told(ledger):
    ask(ledger)
    claim(ledger)
    assert claim(ledger, after(LEASE - 1)) is None
    _, _, left_behind = claim(ledger, after(LEASE + 1))
    assert left_behind


def test_a_lost_lease_notes_the_call_and_changes_nothing(ledger):
    ask(ledger)
    queue, (row,), _ = claim(ledger)
    other, _, _ = claim(ledger, after(LEASE + 1))
    known = {"states": {"order": "in_progress"}}
    assert not queues.record(
        ledger, queue, ended(row), after(80), lease=LEASE, call=call(), known=known
    )
    assert updates.find(ledger, row.id) == row
    assert [c.outcome for c in attempts.of_update(ledger, row.id)] == ["sent"]
    assert not queues.rest(ledger, queue, after(80))
    assert queues.record(ledger, other, ended(row), after(80), lease=LEASE, call=call())
    assert updates.find(ledger, row.id).state == "sent"


def test_what_is_recorded_is_what_the_next_claim_knows(ledger):
    ask(ledger)
    queue, (row,), _ = claim(ledger)
    known = {"states": {"order": "in_progress"}}
    queues.record(ledger, queue, ended(row), after(1), lease=LEASE, call=call(), known=known)
    queues.rest(ledger, queue, after(2))
    ask(ledger, now=after(3))
    found, _, _ = claim(ledger, after(3))
    assert (found.known, found.known_at, found.doubted) == (known, after(1), False)


def test_failed_tries_add_up_until_an_answer(ledger):
    ask(ledger)
    for tries in range(3):
        queue, (row,), _ = claim(ledger)
        assert queue.tries == tries
        queues.record(ledger, queue, row, NOW, call=call("failed"))
        queues.rest(ledger, queue, NOW, next_try_at=NOW, counted=True)
    queue, (row,), _ = claim(ledger)
    queues.record(ledger, queue, row, NOW, call=call("refused"))
    queues.rest(ledger, queue, NOW, next_try_at=NOW)
    assert claim(ledger)[0].tries == 0


@pytest.mark.parametrize("_round", range(8))
def test_an_update_accepted_while_a_drain_ends_is_in_an_open_queue(two_processes, together, _round):
    mine, theirs = two_processes
    ask(mine)
    queue, (row,), _ = claim(mine)
    queues.record(mine, queue, ended(row), NOW, lease=LEASE, call=call())
    steps = (lambda: queues.rest(mine, queue, NOW), lambda: ask(theirs))
    together(lambda n: steps[n](), 2)
    assert queues.due(mine, SHOP, NOW, 10) == [DUE]


def test_a_person_who_mends_while_a_drain_ends_opens_the_queue(two_processes, together):
    mine, theirs = two_processes
    bad, _later = ask(mine, order="process"), ask(mine, delivery="ship")
    queue, (row, _), _ = claim(mine)
    queues.record(mine, queue, parked(row, "order"), NOW)
    steps = (
        lambda: queues.rest(mine, queue, NOW, ordered=ORDERED),
        lambda: updates.cancel(theirs, bad.id, NOW, who="olena"),
    )
    together(lambda n: steps[n](), 2)
    assert queues.due(mine, SHOP, NOW, 10) == [DUE]


def test_what_an_answer_said_never_stops_the_ledger(ledger):
    ask(ledger)
    queue, (row,), _ = claim(ledger)
    queues.record(ledger, queue, ended(row), NOW, call=call(excerpt="half\0an answer"))
    assert [c.excerpt for c in attempts.of_update(ledger, row.id)] == ["halfan answer"]


# --- what is due --------------------------------------------------------------------------------------


def test_due_are_open_queues_that_nobody_drains_the_longest_due_first(ledger):
    for number, order_id in enumerate("4321"):
        ask(ledger, order_id=order_id, now=after(number))
    queues.claim(ledger, Due(SHOP, "3"), after(10), LEASE)
    found = [due.order_id for due in queues.due(ledger, SHOP, after(10), 10)]
    assert found == ["4", "2", "1"]
    assert [due.order_id for due in queues.due(ledger, SHOP, after(10), 10, grace=8.5)] == ["4"]
    assert queues.due(ledger, "other", after(10), 10) == []
    assert len(queues.due(ledger, SHOP, after(10), 2)) == 2


def test_waking_makes_the_next_one_due(ledger):
    for order_id in "12":
        ask(ledger, order_id=order_id)
        queue, _, _ = queues.claim(ledger, Due(SHOP, order_id), NOW, LEASE)
        queues.rest(ledger, queue, NOW, next_try_at=after(600 + int(order_id)))
    assert queues.due(ledger, SHOP, after(1), 10) == []
    assert queues.probe(ledger, SHOP, after(1)) == [Due(SHOP, "1")]
    assert len(queues.due(ledger, SHOP, after(1), 10)) == 1


def test_a_new_update_makes_no_waiting_queue_due_sooner(ledger):
    ask(ledger)
    queue, _, _ = claim(ledger)
    queues.rest(ledger, queue, NOW, next_try_at=after(600))
    ask(ledger, now=after(1))
    assert queues.due(ledger, SHOP, after(2), 10) == []


# --- people -------------------------------------------------------------------------------------------


def park(ledger, *parts, left=()):
    """An update of which these parts wait for a person."""
    row = ask(ledger, tracking_number="20450000000001", delivery="ship", note="n")
    queue, (*_, waiting), _ = claim(ledger)
    queues.record(ledger, queue, parked(waiting, *parts, left=left), NOW)
    queues.rest(ledger, queue, NOW, ordered=ORDERED)
    return row.id


def test_a_retried_update_is_due_with_what_was_parked(ledger):
    update_id = park(ledger, "note")
    assert queues.due(ledger, SHOP, after(1), 10) == []
    assert updates.retry(ledger, update_id, after(1), who="olena") == DUE
    row = updates.find(ledger, update_id)
    assert (row.state, row.parts_left, row.parts_parked) == ("queued", ("note",), ())
    assert row.retried
    assert (row.reason, row.fates) == (updates.RETRIED, [{"part": "x", "fate": "sent"}])
    assert queues.due(ledger, SHOP, after(1), 10) == [DUE]


def test_what_is_over_cannot_be_mended(ledger):
    update_id = park(ledger, "note")
    updates.cancel(ledger, update_id, NOW, who="olena")
    assert updates.find(ledger, update_id).parts["note"].state == "cancelled"
    for change in (updates.retry, updates.cancel):
        with pytest.raises(NotPossible, match="cancelled"):
            change(ledger, update_id, NOW, who="olena")


def blocking(ledger):
    ask(ledger, order_id="1")
    queue, rows, _ = claim(ledger)
    queues.rest(ledger, queue, NOW)
    return first_blocking([*rows, *queue.parked])


def test_an_ordered_part_that_is_parked_and_its_place(ledger):
    assert blocking(ledger) is None
    park(ledger, "tracking_number", "note")
    assert blocking(ledger) is None
    update_id = park(ledger, "delivery", left=("note",))
    place = updates.find(ledger, update_id).seq
    assert blocking(ledger) == place
    updates.cancel(ledger, update_id, NOW, who="olena")
    assert blocking(ledger) is None


def test_what_only_waits_behind_an_ordered_part_closes_its_queue(ledger):
    park(ledger, "delivery")
    ask(ledger, order="process")
    queue, _, _ = claim(ledger)
    assert not queues.rest(ledger, queue, NOW, ordered=ORDERED)
    assert queues.due(ledger, SHOP, NOW, 10) == []
    ask(ledger, note="n")
    assert queues.due(ledger, SHOP, NOW, 10) == [DUE]


def test_a_repeated_key_opens_no_queue_and_costs_no_place(ledger):
    first = ask(ledger, key="k")
    queue, (row,), _ = claim(ledger)
    queues.record(ledger, queue, ended(row), NOW)
    queues.rest(ledger, queue, NOW)
    assert ask(ledger, key="k", now=after(1)).id == first.id
    assert queues.due(ledger, SHOP, after(1), 10) == []


def test_what_updates_brought_for_a_part_is_found_but_for_what_was_cancelled_before_any_call(
    ledger,
):
    update_id = park(ledger, "note")
    updates.cancel(ledger, update_id, NOW, who="olena")
    ask(ledger, tracking_number="2", order_id="2")
    assert brought(ledger, SHOP, "1") == {
        "tracking_number": ["20450000000001"],
        "delivery": ["ship"],
    }
    with ledger.read() as db:
        assert asked_in(db, SHOP, "1")["note"] == ["n"]
    assert brought(ledger, SHOP, "3") == {}


@pytest.mark.parametrize(
    ("outcome", "parts", "ours"),
    [
        ("sent", "note", True),
        ("uncertain", "note", True),
        ("failed", "note", False),
        ("refused", "note", False),
        ("refused", "delivery,note", True),
        ("uncertain", "delivery", False),
    ],
)
def test_what_was_cancelled_is_ours_where_a_call_may_have_set_it(ledger, outcome, parts, ours):
    row = ask(ledger, note="n")
    queue, (waiting,), _ = claim(ledger)
    call = Try("update", NOW, 5, outcome, parts=parts)
    queues.record(ledger, queue, waiting, NOW, call=call)
    queues.rest(ledger, queue, NOW, ordered=ORDERED, next_try_at=NOW)
    updates.cancel(ledger, row.id, NOW, who="olena")
    assert brought(ledger, SHOP, "1") == ({"note": ["n"]} if ours else {})


def test_what_is_cancelled_after_its_sender_vanished_may_be_ours(ledger):
    row = ask(ledger, note="n")
    claim(ledger)
    updates.cancel(ledger, row.id, after(LEASE + 1), who="olena")
    assert brought(ledger, SHOP, "1") == {"note": ["n"]}


# --- time passes ----------------------------------------------------------------------------------


def test_accepting_and_draining_at_once_loses_nothing(two_processes):
    """Two drains and two doors at one order: each update is sent once, in its place."""
    doors, drains = two_processes
    sent, stop = [], threading.Event()

    def drain():
        while not stop.is_set():
            claimed = claim(drains)
            if claimed is None:
                continue
            queue, rows, _ = claimed
            for row in rows:
                sent.append(row.seq)
                queues.record(drains, queue, ended(row), NOW, lease=LEASE, call=call())
            queues.rest(drains, queue, NOW)

    workers = [threading.Thread(target=drain) for _ in range(2)]
    askers = [threading.Thread(target=lambda: [ask(doors) for _ in range(15)]) for _ in range(2)]
    for thread in (*workers, *askers):
        thread.start()
    for thread in askers:
        thread.join()
    deadline = threading.Event()
    while len(sent) < 30 and not deadline.wait(0.01):
        pass
    stop.set()
    for thread in workers:
        thread.join()
    assert sent == list(range(1, 31))
