"""Calls of a hook as people see them: listed, found, and opened again by a person's wish."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ledger import history, hook_intake, hook_listing, hooks
from ledger.hook_endings import Ending
from ledger.orders import NotPossible
from ledger.tables import HOOKS

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
BOX, SHOP = "onebox", "okliving"


def at(seconds):
    return NOW + timedelta(seconds=seconds)


def keep(ledger, process="okl-1", connection=BOX, **fields):
    return hook_intake.keep(ledger, connection, process, fields or {"a": "1"}, NOW)[0]


def end(ledger, hook_id, ending=None, now=NOW):
    claim = hooks.claim(ledger, hooks.find(ledger, hook_id), now, 60)
    given = ending or Ending("accepted", [{"code": "hook_update"}], SHOP, "1", [7], heard=3)
    assert hooks.finish(ledger, claim, dict.fromkeys(claim.ids, given), now)


def ids(ledger, **asked):
    return [row.id for row in hook_listing.listing(ledger, **{"limit": 50} | asked)]


def test_calls_are_listed_newest_first_by_box_and_by_outcome(ledger):
    first, second, third = keep(ledger), keep(ledger, "okl-2"), keep(ledger, "okl-3", "other")
    end(ledger, second, Ending("unfilled"))
    refused = hook_intake.keep_ended(ledger, BOX, {"a": "{a}"}, Ending("unfilled"), NOW)
    assert ids(ledger) == [refused, third, second, first]
    assert ids(ledger, limit=2) == [refused, third]
    assert ids(ledger, connection="other") == [third]
    assert ids(ledger, outcome="unfilled") == [refused, second]
    assert ids(ledger, outcome="waiting") == [third, first]
    assert ids(ledger, outcome="failed") == []


def test_a_call_has_its_fields_and_what_it_became(ledger):
    hook_id = keep(ledger)
    assert (hook_listing.find(ledger, hook_id).outcome, hook_listing.find(ledger, 99)) == (
        "waiting",
        None,
    )
    end(ledger, hook_id)
    row = hook_listing.find(ledger, hook_id)
    assert (row.fields, row.outcome, row.source, row.order_id, row.updates) == (
        {"a": "1"},
        "accepted",
        SHOP,
        "1",
        [7],
    )
    assert row.told == [{"code": "hook_update"}]


def test_a_replayed_call_is_due_at_once_under_its_own_number_and_remembers_what_it_was(ledger):
    hook_id = keep(ledger)
    end(ledger, hook_id)
    hook_listing.replay(ledger, hook_id, at(900), who="olena")
    assert hook_listing.find(ledger, hook_id).outcome == "waiting"
    assert hooks.due(ledger, at(900), 10) == [hook_id]
    claim = hooks.claim(ledger, hooks.find(ledger, hook_id), at(900), 60)
    (call,) = claim.calls
    assert (call.id, call.heard, call.again, call.since) == (hook_id, 3, at(900), at(900))
    assert (call.received_at, call.repeats) == (NOW, None)


def test_who_replayed_stands_in_the_history_of_the_order_or_of_the_box(ledger):
    of_order, of_nobody = keep(ledger), keep(ledger, "")
    end(ledger, of_order)
    end(ledger, of_nobody, Ending("no_order"))
    for hook_id, who in ((of_order, "olena"), (of_nobody, "petro")):
        hook_listing.replay(ledger, hook_id, at(9), who=who)
        row = hook_listing.find(ledger, hook_id)
        assert [act.who for act in hook_listing.replays(ledger, row)] == [who]
    (act,) = history.of_order(ledger, SHOP, "1")
    assert (act.what, act.after) == ("hook_replayed", {"call": of_order, "from": "accepted"})


def test_what_cannot_be_replayed_is_said_and_stays(ledger):
    waiting, blanked = keep(ledger), keep(ledger, "okl-2")
    end(ledger, blanked)
    ledger.write(
        lambda db: db.execute(HOOKS.update().where(HOOKS.c.id == blanked).values(fields={}))
    )
    for hook_id, why in ((waiting, "by itself"), (blanked, "earlier version"), (99, "not kept")):
        with pytest.raises(NotPossible, match=why):
            hook_listing.replay(ledger, hook_id, at(9), who="olena")
    assert hook_listing.find(ledger, blanked).outcome == "accepted"
    assert history.of_order(ledger, SHOP, "1") == []


def test_of_many_who_replay_at_once_one_does(ledger, together):
    hook_id = keep(ledger)
    end(ledger, hook_id)

    def replay(_):
        try:
            return bool(hook_listing.replay(ledger, hook_id, at(9), who="olena"))
        except NotPossible:
            return False

    assert sum(together(replay, 8)) == 1
    assert len(history.of_order(ledger, SHOP, "1")) == 1
