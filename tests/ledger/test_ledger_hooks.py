"""Hook calls in the ledger: kept in order, claimed by process, given back, ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from ledger import hook_intake, hooks
from ledger.hook_endings import Ending
from ledger.hook_intake import MOST_OPEN, Crowded
from ledger.hooks import MOST_TOGETHER
from ledger.tables import HOOKS

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SHOP = "okliving"
LEASE = 70.0


def at(seconds):
    return NOW + timedelta(seconds=seconds)


def keep(ledger, process="okl-1", now=NOW, **fields):
    return hook_intake.keep(ledger, SHOP, process, fields, now)[0]


def claim(ledger, hook_id, now=NOW):
    found = hooks.find(ledger, hook_id)
    return None if found is None else hooks.claim(ledger, found, now, LEASE)


def finish(ledger, claimed, outcome="accepted", now=NOW):
    return hooks.finish(ledger, claimed, dict.fromkeys(claimed.ids, Ending(outcome)), now)


def test_the_calls_of_one_process_are_claimed_together_and_in_order(ledger):
    first, other, second = keep(ledger, a=1), keep(ledger, "okl-2"), keep(ledger, a=2)
    claimed = claim(ledger, second)
    assert claimed.ids == [first, second]
    assert [call.fields for call in claimed.calls] == [{"a": 1}, {"a": 2}]
    assert claim(ledger, first) is None
    assert claim(ledger, other).ids == [other]


def test_only_one_of_many_gets_the_calls_of_a_process(ledger, together):
    hook_id = keep(ledger)
    claims = together(lambda _: claim(ledger, hook_id), 8)
    assert len([found for found in claims if found is not None]) == 1


def test_a_call_that_comes_in_meanwhile_waits_and_does_not_overtake(ledger):
    first = keep(ledger)
    claimed = claim(ledger, first)
    later, rings = hook_intake.keep(ledger, SHOP, "okl-1", {}, at(1))
    assert not rings
    assert claim(ledger, later, at(1)) is None
    finish(ledger, claimed)
    assert hooks.next_of(ledger, claimed) == later
    assert claim(ledger, later, at(2)).ids == [later]


def test_calls_that_wait_are_due_again_together(ledger):
    first = keep(ledger)
    hooks.give_back(ledger, claim(ledger, first), at(60), counted=True)
    later = keep(ledger, now=at(1), a=1)
    assert hooks.due(ledger, at(59), 10) == []
    assert claim(ledger, later, at(59)) is None
    assert hooks.due(ledger, at(60), 10) == [first]
    claimed = claim(ledger, later, at(60))
    assert (claimed.ids, claimed.tries) == ([first, later], 1)


def test_a_lease_that_ran_out_is_a_try_and_its_holder_can_end_nothing(ledger):
    hook_id = keep(ledger)
    lost = claim(ledger, hook_id)
    assert hooks.due(ledger, at(LEASE - 1), 10) == []
    assert hooks.due(ledger, at(LEASE + 1), 10) == [hook_id]
    taken_over = claim(ledger, hook_id, at(LEASE + 1))
    assert taken_over.tries == 1
    assert not finish(ledger, lost)
    assert finish(ledger, taken_over)


def test_what_is_done_is_kept_until_it_is_purged_and_is_not_due(ledger):
    hook_id = keep(ledger, comment="hello")
    finish(ledger, claim(ledger, hook_id))
    with ledger.read() as db:
        row = db.execute(select(HOOKS).where(HOOKS.c.id == hook_id)).one()
    assert (row.fields, row.outcome, row.done_at) == ({"comment": "hello"}, "accepted", NOW)
    assert claim(ledger, hook_id) is None
    assert hooks.due(ledger, at(1000), 10) == []


def test_a_call_repeats_the_one_before_it_for_five_minutes(ledger):
    def repeats(**fields):
        claimed = claim(ledger, keep(ledger, **fields), at(10_000))
        finish(ledger, claimed)
        return [call.repeats is not None for call in claimed.calls]

    assert repeats(a=1) == [False]
    assert repeats(a=1, now=at(299)) == [True]
    assert repeats(a=2, now=at(300)) == [False]
    assert repeats(a=1, now=at(301)) == [False]
    assert repeats(a=1, now=at(602)) == [False]
    keep(ledger, a=3, now=at(603))
    keep(ledger, a=4, now=at(604))
    assert repeats(a=3, now=at(605)) == [False, False, False]


def test_a_call_that_repeats_one_which_waits_is_that_one(ledger):
    first = keep(ledger, a=1)
    assert hook_intake.keep(ledger, SHOP, "okl-1", {"a": 1}, at(1)) == (first, False)
    assert keep(ledger, a=1, now=at(301)) != first
    claimed = claim(ledger, first, at(302))
    assert len(claimed.ids) == 2
    # Who is at work may have read before this one was said.
    assert keep(ledger, a=1, now=at(303)) not in claimed.ids


def test_of_one_process_only_so_many_calls_wait(ledger):
    ids = [keep(ledger, a=number) for number in range(MOST_OPEN)]
    with pytest.raises(Crowded, match="200 calls of this process wait"):
        keep(ledger, a="more")
    assert keep(ledger, "okl-2", a="more")
    assert keep(ledger, a=MOST_OPEN - 1) == ids[-1]
    finish(ledger, claim(ledger, ids[0]))
    assert keep(ledger, a="more") not in ids


def test_calls_of_nobody_stand_alone(ledger):
    """Each may turn out to be of another order: none waits for another, repeats it or goes along with it."""
    ids = [keep(ledger, ""), keep(ledger, "")]
    hooks.give_back(ledger, claim(ledger, ids[0]), at(60))
    assert hooks.due(ledger, at(0), 10) == ids[1:]
    claimed = claim(ledger, ids[1])
    assert (claimed.ids, [call.repeats for call in claimed.calls]) == (ids[1:], [None])
    third, rings = hook_intake.keep(ledger, SHOP, "", {}, at(1))
    assert rings
    assert claim(ledger, third, at(1)).ids == [third]


def test_the_due_are_one_for_each_process_and_no_more_than_asked(ledger):
    ids = [keep(ledger, f"okl-{n % 5}", at(n)) for n in range(20)]
    assert hooks.due(ledger, at(100), 100) == ids[:5]
    assert hooks.due(ledger, at(100), 3) == ids[:3]
    assert hooks.due(ledger, at(3), 100, grace=2) == ids[:2]


def test_a_flood_for_one_process_is_worked_off_in_parts(ledger):
    ids = [keep(ledger, a=number) for number in range(MOST_TOGETHER + 1)]
    claimed = claim(ledger, ids[-1])
    assert claimed.ids == ids[:-1]
    assert claim(ledger, ids[-1]) is None
    finish(ledger, claimed)
    assert hooks.next_of(ledger, claimed) == ids[-1]


def test_calls_by_an_older_name_of_the_process_go_before_the_newer_ones(ledger):
    first = keep(ledger, "#91")
    claimed = claim(ledger, first)
    hooks.give_back(ledger, claimed, at(60))
    last, rings = hook_intake.keep(ledger, SHOP, "okl-1", {"a": 1}, at(1), once_called="#91")
    assert rings
    assert claim(ledger, last, at(1)).ids == [first, last]


def test_calls_are_given_back_at_once_under_a_new_name(ledger):
    first = keep(ledger, "#91")
    claimed = claim(ledger, first)
    second, last = keep(ledger, "#91"), keep(ledger)
    assert hooks.rename(ledger, claimed, "okl-1", at(1)) == first
    assert claim(ledger, first, at(1)).ids == [first, second, last]
