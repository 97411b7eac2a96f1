"""What channels were told: one speaks at a time, what was told stays told, what fails waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ledger import telling
from ledger.telling import Told

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LEASE, GAP = timedelta(minutes=2), timedelta(minutes=5)
NAME = "1 tgram://…"


def told_of(ledger, *subjects, at=NOW):
    token = telling.claim(ledger, NAME, at, LEASE)
    telling.note(ledger, NAME, token, [Told(one, at, at) for one in subjects], at, GAP)


def test_of_many_at_once_one_may_speak(ledger, together):
    tokens = together(lambda _: telling.claim(ledger, NAME, NOW, LEASE), 8)
    assert len([token for token in tokens if token]) == 1


def test_another_may_speak_when_the_first_one_died(ledger):
    assert telling.claim(ledger, NAME, NOW, LEASE)
    assert telling.claim(ledger, NAME, NOW + LEASE - timedelta(seconds=1), LEASE) is None
    assert telling.claim(ledger, NAME, NOW + LEASE, LEASE)


def test_what_was_told_is_known_to_others_and_nothing_is_said_for_a_while(ledger):
    told_of(ledger, "held:shop:a", "stopped:shop:")
    assert set(telling.told(ledger, NAME)) == {"held:shop:a", "stopped:shop:"}
    assert telling.told(ledger, "2 json://…") == {}
    assert telling.claim(ledger, NAME, NOW + GAP - timedelta(seconds=1), LEASE) is None
    assert telling.claim(ledger, NAME, NOW + GAP, LEASE)


def test_what_is_over_is_noted_and_forgotten_after_a_week(ledger):
    told_of(ledger, "held:shop:a")
    later = NOW + GAP
    token = telling.claim(ledger, NAME, later, LEASE)
    telling.end_silently(ledger, NAME, token, [Told("held:shop:a", NOW, NOW, later)])
    assert telling.told(ledger, NAME)["held:shop:a"].ended_at == later
    told_of(ledger, "held:shop:b", at=later + telling.FORGOTTEN + GAP)
    assert set(telling.told(ledger, NAME)) == {"held:shop:b"}


def test_a_channel_that_fails_is_counted_since_when_and_is_fine_again_when_it_takes_one(ledger):
    for times in (1, 2):
        token = telling.claim(ledger, NAME, NOW, LEASE)
        telling.note_failure(ledger, NAME, token, "refused_401", NOW, timedelta(0))
        (fares,) = telling.channels(ledger, [NAME, "other"])
        assert (fares.failures, fares.failing_since, fares.error) == (times, NOW, "refused_401")
    told_of(ledger)
    (fares,) = telling.channels(ledger, [NAME])
    assert (fares.failures, fares.failing_since, fares.error, fares.told_at) == (0, None, "", NOW)


def test_who_lost_the_right_notes_what_it_said_and_takes_it_from_nobody(ledger):
    first = telling.claim(ledger, NAME, NOW, LEASE)
    second = telling.claim(ledger, NAME, NOW + LEASE, LEASE)
    telling.note(ledger, NAME, first, [Told("held:shop:a", NOW, NOW)], NOW, GAP)
    assert set(telling.told(ledger, NAME)) == {"held:shop:a"}
    assert telling.claim(ledger, NAME, NOW + LEASE, LEASE) is None
    telling.note_failure(ledger, NAME, first, "silent", NOW, GAP)
    (fares,) = telling.channels(ledger, [NAME])
    assert fares.failures == 0
    assert second


def test_a_start_tries_what_failed_at_once_and_forgets_other_channels(ledger):
    told_of(ledger, "held:shop:a")
    token = telling.claim(ledger, "2 json://h", NOW, LEASE)
    telling.note_failure(ledger, "2 json://h", token, "silent", NOW, timedelta(hours=6))
    telling.begin(ledger, ["2 json://h"], NOW)
    assert telling.told(ledger, NAME) == {}
    assert [one.name for one in telling.channels(ledger, [NAME, "2 json://h"])] == ["2 json://h"]
    assert telling.claim(ledger, "2 json://h", NOW, LEASE)


@pytest.mark.parametrize("failures", [0, 1])
def test_a_start_does_not_shorten_the_pause_between_messages(ledger, failures):
    told_of(ledger)
    telling.begin(ledger, [NAME], NOW)
    assert telling.claim(ledger, NAME, NOW, LEASE) is None
