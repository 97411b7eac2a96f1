"""What is news for a channel: a matter once, more of it after an hour, a reminder after a day, its end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.telling import Told
from mapping.telling import MOST, Concern, News
from tasks.concerns import AGAIN, REMINDED, Found, as_told, ended, news, quotable

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
LONG_AGO = NOW - timedelta(days=3)
HELD = Concern("held", "shop", LONG_AGO, LONG_AGO, code="phone", rows=40, ids=("1",), order_id="1")
OTHER = replace(HELD, code="total")
STOPPED = Concern("stopped", "box", LONG_AGO, LONG_AGO, code="breaker")


class Listener:
    """A channel that takes everything, and keeps what it was told."""

    def __init__(self):
        self.told = {}

    def hear(self, now, *concerns, cut=()):
        what = Found(concerns, frozenset(cut))
        said = news(what, self.told, now)
        for row in (*as_told(said, now), *ended(what, self.told, said, now)):
            self.told[row.subject] = row
        return said


@pytest.fixture
def listener():
    return Listener()


def test_a_matter_is_told_once_and_then_reminded_of_each_day(listener):
    assert listener.hear(NOW, HELD) == News(begun=(HELD,))
    assert not listener.hear(NOW + MINUTE, HELD)
    assert not listener.hear(NOW + REMINDED - SECOND, HELD)
    assert listener.hear(NOW + REMINDED, HELD) == News(still=(HELD,))
    assert not listener.hear(NOW + REMINDED + MINUTE, HELD)


def test_more_of_the_same_is_told_an_hour_later_at_the_soonest(listener):
    listener.hear(NOW, HELD)
    more = replace(HELD, rows=41, newest=NOW + MINUTE)
    assert not listener.hear(NOW + AGAIN - SECOND, more)
    assert listener.hear(NOW + AGAIN, more) == News(more=(more,))
    fewer = replace(HELD, rows=3)
    assert not listener.hear(NOW + 2 * AGAIN, fewer)


@pytest.mark.parametrize(
    ("kind", "seconds", "told"),
    [("held", 59, False), ("held", 60, True), ("stopped", 119, False), ("stopped", 120, True)],
)
def test_what_may_be_over_in_a_moment_is_not_told_yet(listener, kind, seconds, told):
    since = NOW - timedelta(seconds=seconds)
    concern = replace(HELD, kind=kind, since=since, newest=since)
    assert bool(listener.hear(NOW, concern)) is told


def test_the_end_is_told_of_each_connection_and_of_piles_when_none_is_left(listener):
    listener.hear(NOW, HELD, OTHER, STOPPED)
    assert listener.hear(NOW + MINUTE, HELD, OTHER) == News(over=(("stopped", "box"),))
    assert not listener.hear(NOW + 2 * MINUTE, HELD)
    assert listener.hear(NOW + 3 * MINUTE) == News(over=(("held", ""),))
    assert not listener.hear(NOW + 4 * MINUTE)


def test_the_end_of_what_nobody_was_told_of_is_not_told(listener):
    fresh = replace(STOPPED, since=NOW, newest=NOW)
    assert not listener.hear(NOW, fresh)
    assert not listener.hear(NOW + MINUTE)


def test_an_end_is_not_lost_when_a_pile_that_was_not_told_yet_is_the_last_to_go(listener):
    listener.hear(NOW, HELD)
    fresh = replace(OTHER, since=NOW, newest=NOW)
    assert not listener.hear(NOW + SECOND, fresh)
    assert listener.hear(NOW + 2 * SECOND) == News(over=(("held", ""),))


def test_what_comes_back_at_once_is_told_an_hour_after_it_was_told(listener):
    listener.hear(NOW, STOPPED)
    assert listener.hear(NOW + MINUTE).over
    back = replace(STOPPED, since=NOW + 2 * MINUTE, newest=NOW + 2 * MINUTE)
    assert not listener.hear(NOW + 10 * MINUTE, back)
    assert listener.hear(NOW + AGAIN, back) == News(begun=(back,))


def test_what_does_not_fit_a_message_comes_with_the_next(listener):
    many = [replace(HELD, code=f"c{n}") for n in range(2 * MOST + 1)]
    said = [listener.hear(NOW + n * MINUTE, *many).begun for n in range(4)]
    assert [len(one) for one in said] == [MOST, MOST, 1, 0]
    assert {one.code for begun in said for one in begun} == {one.code for one in many}


def test_no_pile_is_called_empty_that_was_not_looked_at(listener):
    listener.hear(NOW, HELD)
    assert not listener.hear(NOW + MINUTE, cut={"held"})
    assert listener.hear(NOW + 2 * MINUTE).over


@given(
    st.lists(
        st.tuples(st.integers(1, 90), st.sets(st.sampled_from([HELD, OTHER, STOPPED]))), max_size=40
    )
)
def test_nobody_hears_the_same_twice_within_an_hour_and_of_every_lasting_matter(steps):
    """Whatever comes and goes: by subject, two tellings are an hour apart; what lasts that long is told; and
    what was told and is gone is told as over.
    """
    listener, now, said_at, present_since = Listener(), NOW, {}, {}
    for minutes, concerns in steps:
        now += timedelta(minutes=minutes)
        present_since = {one: present_since.get(one, now) for one in concerns}
        said = listener.hear(now, *concerns)
        for one in (*said.begun, *said.more, *said.still):
            assert now - said_at.get(one.subject, LONG_AGO) >= AGAIN
            said_at[one.subject] = now
        for one, since in present_since.items():
            assert one.subject in said_at, "told when first looked at"
            row = listener.told[one.subject]
            assert row.ended_at is None or now - since < AGAIN
    assert listener.hear(now).over or all(r.ended_at for r in listener.told.values())
    assert all(row.ended_at for row in listener.told.values())


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("OneBox refused: see https://evil.ua/x", "OneBox refused: see https:evil.ua/x"),
        ("@everyone <!channel> `x` [a](b)", "everyone !channel x a (b)"),
        ("call 050 123 45 67, a@b.ua", "call ***, ***"),
        ("two\nlines \x1b[31m", "two lines 31m"),
        ("x" * 500, "x" * 119 + "…"),
    ],
)
def test_a_reason_is_quoted_in_bounds_and_steers_no_messenger(text, quoted):
    assert quotable(text) == quoted


def test_a_subject_fits_its_column_whatever_the_code_is():
    assert len(replace(HELD, code="x" * 1000).subject) == 200
    assert Told(HELD.subject, NOW, NOW).subject == "held:shop:phone"
