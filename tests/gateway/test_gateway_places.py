"""Places for connections: who merely waits makes room, and nobody who is being served does."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.addresses import counted_as, is_loopback
from gateway.places import Places


@dataclass(eq=False)
class Caller:
    address: str
    waits: bool = True
    served: bool = False
    dropped: bool = False

    def drop(self):
        self.dropped = True

    def expire(self, now):
        """Not of interest here."""

    def wind_up(self, *, patient):
        """Nor this."""


def entered(places, *callers):
    for caller in callers:
        assert places.enter(caller)
    return callers


def test_the_longest_silent_of_an_address_makes_room_for_its_next():
    places = Places(10, 2)
    first, second = entered(places, Caller("a"), Caller("a"))
    entered(places, Caller("a"), Caller("b"))
    assert (first.dropped, second.dropped, len(places)) == (True, False, 3)


def test_who_was_served_goes_after_who_never_asked():
    places = Places(10, 2)
    kept, silent = entered(places, Caller("a", served=True), Caller("a"))
    entered(places, Caller("a"))
    assert (kept.dropped, silent.dropped) == (False, True)


def test_who_is_being_served_keeps_his_place_and_the_newcomer_goes():
    places = Places(10, 2)
    entered(places, Caller("a", waits=False), Caller("a", waits=False))
    assert not places.enter(Caller("a"))
    assert places.enter(Caller("b"))


def test_the_address_that_holds_the_most_makes_room_when_all_places_are_taken():
    places = Places(4, 3)
    many = entered(places, Caller("many"), Caller("few"), Caller("many"), Caller("many"))
    entered(places, Caller("health"))
    assert [caller.dropped for caller in many] == [True, False, False, False]


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.booleans(), st.booleans(), st.booleans()), max_size=60
    )
)
def test_there_are_never_more_than_there_may_be(steps):
    places, inside = Places(7, 3), []
    for address, waits, served, leaves in steps:
        caller = Caller(address, waits, served)
        if places.enter(caller):
            inside.append(caller)
        inside = [one for one in inside if not one.dropped]
        if leaves and inside:
            gone = inside.pop(0)
            places.leave(gone)
            places.leave(gone)
        assert len(places) == len(inside) <= 7
        assert set(places) == set(inside)
        assert all(sum(one.address == a for one in inside) <= 3 for a in "abc")


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        (None, ""),
    ],
)
def test_a_network_that_one_caller_has_is_one_caller(address, name):
    assert counted_as(address) == name


@pytest.mark.parametrize("host", ["10.0.0.1", "example.com", "", None, "127.0.0.1.example.com"])
def test_only_this_machine_is_loopback(host):
    assert not is_loopback(host)
    assert is_loopback("127.8.8.8")
