"""The laws of the one retry policy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import retry

TRIES = st.integers(0, 10_000)
JITTER = st.floats(0, 1)


@given(TRIES, JITTER)
def test_wait_lies_within_a_quarter_below_its_full_length(tries, jitter):
    full = min(2.0 ** min(tries, 30), retry.LONGEST)
    assert 0.75 * full <= retry.wait(tries, jitter=jitter) <= full


@given(TRIES)
def test_drawn_wait_lies_there_too(tries):
    assert 0.75 <= retry.wait(tries) <= retry.LONGEST


@given(TRIES, JITTER)
def test_wait_never_grows_shorter_for_the_same_jitter(tries, jitter):
    assert retry.wait(tries, jitter=jitter) <= retry.wait(tries + 1, jitter=jitter)


@given(TRIES, st.floats(0, 1e6), JITTER)
def test_what_the_remote_asks_for_wins_up_to_the_ceiling(tries, asked, jitter):
    waited = retry.wait(tries, asked, jitter=jitter)
    assert min(asked, retry.RETRY_AFTER_CEILING) <= waited <= retry.RETRY_AFTER_CEILING + 1
    assert waited <= asked + 1


@pytest.mark.parametrize(
    ("tries", "asked", "seconds"),
    [
        (0, None, 1),
        (1, None, 2),
        (6, None, 64),
        (10, None, 900),
        (3, 7, 8),
        (3, -5, 1),
        (0, 999, 301),
    ],
)
def test_examples_with_full_jitter(tries, asked, seconds):
    assert retry.wait(tries, asked, jitter=1.0) == seconds


@given(st.floats(0, 3600))
def test_last_look_up_falls_just_behind_the_wait(uncertain_wait):
    elapsed, looked_up = 0.0, []
    while elapsed < uncertain_wait:
        pause = retry.look_up_wait(elapsed, uncertain_wait)
        assert pause > 0
        elapsed += pause
        looked_up.append(elapsed)
    if looked_up:
        assert uncertain_wait <= looked_up[-1] <= uncertain_wait + 0.2
        assert len(looked_up) <= 20


@given(st.floats(0, 3600), st.floats(0, 3600))
def test_look_ups_behind_the_wait_come_a_second_apart(more, uncertain_wait):
    assert retry.look_up_wait(uncertain_wait + more, uncertain_wait) == 1.0
