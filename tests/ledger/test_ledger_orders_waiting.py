"""What is due, and what the refusals of many say of the connection."""

from __future__ import annotations

import pytest
from order_calls import HELD, LEASE, NOW, at, end, order, put_in, row, store, tried, waiting

from ledger import attempts, orders


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
    assert attempts.refused_alike(ledger, "onebox", "no", 5, NOW) == []
    refuse(ledger, pks[4:], ["no"])
    assert attempts.refused_alike(ledger, "onebox", "no", 5, NOW) == sorted(pks)
    assert attempts.refused_alike(ledger, "onebox", "other", 5, NOW) == []
    assert attempts.refused_alike(ledger, "other box", "no", 5, NOW) == []


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
    assert attempts.refused_alike(ledger, "onebox", "no", 5, NOW) == []


def test_held_for_the_connections_fault_waits_again(ledger):
    held, ignored, made = store(ledger, order("1"), order("2"), order("3"))
    for pk, state in ((held, "held"), (ignored, "ignored"), (made, "created")):
        put_in(ledger, pk, state)
    orders.wait_again(ledger, [held, ignored, made], "connection_paused", at(1), 15)
    assert [row(ledger, n).state for n in "123"] == ["waiting", "ignored", "created"]
    assert (row(ledger).reason, row(ledger).next_try_at) == ("connection_paused", at(16))
