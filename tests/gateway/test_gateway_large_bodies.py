"""Large bodies of many callers: together they take no more than there is, and who holds most goes first."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import large_bodies
from gateway.large_bodies import FREE, MOST, LargeBodies


@dataclass(eq=False)
class Holder:
    address: str
    waits: bool = True
    gone: list = field(default_factory=list)


def test_what_most_requests_have_is_not_counted():
    bodies = LargeBodies()
    assert all(bodies.hold(Holder("a"), FREE) is None for _ in range(3000))


def test_the_address_that_holds_most_gives_up_its_largest_one():
    bodies = LargeBodies()
    small, large = Holder("crowd"), Holder("crowd")
    assert bodies.hold(small, MOST // 4) is None
    assert bodies.hold(large, MOST // 2) is None
    assert bodies.hold(Holder("alone"), MOST // 2) is large


def test_where_all_of_them_are_being_served_the_newcomer_goes():
    bodies = LargeBodies()
    bodies.hold(Holder("crowd", waits=False), MOST)
    newcomer = Holder("alone")
    assert bodies.hold(newcomer, FREE + 2 * 1024 * 1024) is newcomer


def test_what_is_let_go_is_free_again():
    bodies = LargeBodies()
    one, other = Holder("a"), Holder("b")
    assert bodies.hold(one, MOST) is None
    assert bodies.hold(one, 0) is None
    assert bodies.hold(other, MOST) is None
    assert bodies.hold(one, 10) is None


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 300)), max_size=60))
def test_together_they_never_hold_more(steps):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_bodies, "FREE", 10)
        patch.setattr(large_bodies, "MOST", 500)
        bodies = LargeBodies()
        holders = [Holder(f"{n % 3}", waits=n % 2 == 0) for n in range(10)]
        held = dict.fromkeys(holders, 0)
        for number, size in steps:
            one = holders[number]
            held[one] = size
            goes = bodies.hold(one, size)
            if goes is not None:
                held[goes] = 0
                assert bodies.hold(goes, 0) is None
            counted = [max(0, size - 10) for size in held.values()]
            assert sum(counted) <= 500
