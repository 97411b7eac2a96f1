"""A target that cannot be asked but knows a repeat by its key: what got no answer is sent again."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import select

from clients import errors
from ledger import attempts, orders
from ledger.orders import UNKNOWN, Arrived
from ledger.tables import ORDERS
from mapping.digest import body_hash
from simulator.samples import reference_order
from tasks import creating
from tasks.wanting import wanted

HELD = ("held", "uncertain_no_lookup")
UNANSWERED = [errors.TimedOut, errors.Dropped, errors.ServerError, errors.Garbled]


class Keyed:
    """A service that honours keys: one order for each, as its first call carried it. `lost` are answers that
    get lost after the order is made, `failed` calls that do not arrive. One that `conflicts` refuses another
    body under a key; else the key alone counts.
    """

    takes_repeats = True
    conflicts = True

    def __init__(self, profile):
        self.profile = profile
        self.keys = []
        self.made = {}
        self.lost = []
        self.failed = []

    def compose(self, read, prefix):
        return self.profile.compose(read, prefix)

    def put(self, external_id, body, next_turn):
        self.keys.append(external_id)
        if self.failed:
            raise self.failed.pop()
        number, first = self.made.setdefault(external_id, (str(100 + len(self.made)), dict(body)))
        if self.lost:
            raise self.lost.pop()
        if self.conflicts and first != dict(body):
            raise errors.Rejected("service: refused: key used before, for another request")
        return number


@pytest.fixture
def r(make):
    built = make()
    target = built.targets["onebox"]
    deaf = replace(target.connector, finder=None, target=Keyed(target.connector.profile))
    return replace(built, targets={"onebox": replace(target, connector=deaf)})


def keyed(r):
    return r.targets["onebox"].connector.target


def give(r, order_id="1", **changes):
    raw = reference_order(id=order_id, **changes)
    now = r.ledger.now()
    arrived = Arrived(order_id, f"okl-{order_id}", json.dumps(raw), body_hash(raw), now)
    mapper = partial(wanted, r, "okliving", "onebox")
    return orders.store(r.ledger, "okliving", "onebox", [arrived], now, mapper)[0]


def carry(r, pk):
    return creating.create(r, pk, "okliving", "task-1")


def row(r, order_id="1"):
    (found,) = orders.listing(r.ledger, r.ledger.now(), order_id=order_id)
    return found


def stands(r, order_id="1"):
    return row(r, order_id).state, row(r, order_id).reason


def lose(r, pk, error=errors.TimedOut, *, made=True):
    """Send it without an answer; whether it was made there."""
    (keyed(r).lost if made else keyed(r).failed).append(error("no answer"))
    return carry(r, pk)


def made_before(r):
    """A call of which the ledger knows nothing has made it."""
    body = r.map("okliving", "onebox", json.dumps(reference_order(id="1"))).target
    return keyed(r).put("okl-1", body, None)


def forget(r, pk):
    """As a ledger that went back leaves what it does not know as created."""
    since = r.ledger.now() + r.ledger.longest_call
    values = {"uncertain_since": since, "lookups": 1}
    r.ledger.write(lambda db: db.execute(ORDERS.update().where(ORDERS.c.id == pk).values(**values)))


def sent_hash(r, pk):
    with r.ledger.read() as db:
        return db.execute(select(ORDERS.c.sent_hash).where(ORDERS.c.id == pk)).scalar_one()


@pytest.mark.parametrize("made", [True, False])
@pytest.mark.parametrize("error", UNANSWERED)
def test_unanswered_create_is_sent_again_by_itself_with_the_same_key(r, clock, error, made):
    pk = give(r)
    step = lose(r, pk, error, made=made)
    assert stands(r) == ("waiting", "uncertain")
    assert 0 < step.wait <= 1
    clock.go(step.wait)
    carry(r, pk)
    assert stands(r) == ("created", "")
    assert keyed(r).keys == ["okl-1", "okl-1"]
    assert len(keyed(r).made) == 1
    assert not row(r).changed
    tries = [(t.kind, t.outcome) for t in attempts.of_order(r.ledger, pk)]
    assert tries == [("create", "uncertain"), ("create", "created")]


def test_the_waits_are_those_of_the_retry_policy_and_no_person_is_asked(r, clock):
    pk = give(r)
    waits = []
    for _ in range(12):
        waits.append(lose(r, pk).wait)
        assert stands(r) == ("waiting", "uncertain")
        clock.go(waits[-1])
    assert all(0.75 * 2**n <= min(w, 900) <= 2**n + 1 for n, w in enumerate(waits[:9]))
    assert max(waits) <= 900
    carry(r, pk)
    assert (stands(r), len(keyed(r).made)) == (("created", ""), 1)


def test_one_that_alone_gets_no_answer_binds_nobody_until_its_key_may_be_forgotten(r, clock):
    pk = give(r)
    for number in range(2, 14):
        clock.go(lose(r, pk).wait)
        carry(r, give(r, str(number)))
        assert stands(r, str(number)) == ("created", "")
    assert stands(r) == ("waiting", "uncertain")
    clock.go(86400)
    carry(r, pk)
    assert stands(r) == HELD
    orders.retry(r.ledger, pk, clock.now, who="olena")
    carry(r, pk)
    assert (stands(r), keyed(r).keys.count("okl-1")) == (HELD, 12)
    orders.release(r.ledger, pk, clock.now, who="olena")
    carry(r, pk)
    assert stands(r) == ("created", "")


# What a service may have forgotten is a second order to it.


@pytest.mark.parametrize(("hours", "state"), [(22, "created"), (24, "held")])
def test_a_long_outage_outlives_the_memory_of_the_service(r, clock, hours, state):
    pk = give(r)
    lose(r, pk)
    clock.go(hours * 3600)
    carry(r, pk)
    assert stands(r)[0] == state
    assert len(keyed(r).keys) == (2 if state == "created" else 1)


def test_no_try_in_between_makes_it_younger(r, clock):
    pk = give(r)
    for hour in range(30):
        lose(r, pk)
        clock.go(3600)
        assert (stands(r) == HELD) is (hour >= 23)
    assert len(keyed(r).keys) == 23


@pytest.mark.parametrize(("hours", "state"), [(22, "created"), (72, "held")])
def test_a_worker_that_died_and_left_nobody_behind_it_for_long(r, clock, hours, state):
    """A power cut on Friday: on Monday the lease has just been found expired."""
    pk = give(r)
    orders.claim(r.ledger, pk, clock.now, 60)
    made_before(r)
    clock.go(hours * 3600)
    carry(r, pk)
    assert stands(r)[0] == state
    carry(r, pk)
    assert stands(r)[0] == state
    assert len(keyed(r).made) == 1


@pytest.mark.parametrize(
    ("created_at", "state"),
    [("2026-11-21 10:15:00", "created"), ("2026-11-19 10:15:00", "held"), (None, "held")],
)
def test_of_a_call_that_the_ledger_has_forgotten_the_orders_age_counts(r, clock, created_at, state):
    pk = give(r, created_at=created_at)
    forget(r, pk)
    carry(r, pk)
    assert stands(r)[0] == state
    assert len(keyed(r).keys) == (state == "created")


def test_a_lost_lease_is_sent_again_and_adopts_what_was_made(r, clock):
    pk = give(r)
    orders.claim(r.ledger, pk, clock.now, 60)
    number = made_before(r)
    clock.go(61)
    carry(r, pk)
    assert (stands(r), row(r).target_id) == (("created", ""), number)
    assert len(keyed(r).made) == 1


def test_a_wait_that_is_certain_leaves_the_doubt(r, clock):
    """The repeat itself did not arrive: whether the first call did is as open as before."""
    pk = give(r)
    clock.go(lose(r, pk).wait)
    wait = lose(r, pk, errors.Unreachable, made=False).wait
    assert stands(r) == ("waiting", "crm_unavailable")
    assert row(r).uncertain_since is not None
    clock.go(wait)
    carry(r, pk)
    assert (stands(r), len(keyed(r).made)) == (("created", ""), 1)


# Edited in between


def edit(r, clock, wait, **changes):
    clock.go(wait)
    return give(r, **changes)


def test_a_key_that_stands_for_another_body_holds_the_order_and_doubles_nothing(r, clock):
    pk = give(r)
    edit(r, clock, lose(r, pk).wait, note="changed")
    carry(r, pk)
    assert stands(r) == ("held", "repeat_refused")
    assert "key used before" in row(r).problems[-1]["detail"]
    assert row(r).uncertain_since is not None
    orders.retry(r.ledger, pk, clock.now, who="olena")
    carry(r, pk)
    assert stands(r) == ("held", "repeat_refused")
    assert len(keyed(r).made) == 1


def test_who_adopts_it_then_sees_what_was_changed(r, clock):
    pk = give(r)
    edit(r, clock, lose(r, pk).wait, note="changed")
    carry(r, pk)
    orders.adopt(r.ledger, pk, clock.now, target_id="100", who="olena")
    assert (stands(r), row(r).target_id, row(r).changed) == (("created", ""), "100", True)


def test_edited_back_it_goes_through(r, clock):
    pk = give(r)
    edit(r, clock, lose(r, pk).wait, note="changed")
    carry(r, pk)
    edit(r, clock, 1)
    carry(r, pk)
    assert (stands(r), row(r).changed) == (("created", ""), False)


def test_a_service_that_answers_by_the_key_alone_leaves_it_open_what_it_has(r, clock):
    keyed(r).conflicts = False
    pk = give(r)
    edit(r, clock, lose(r, pk).wait, note="changed")
    carry(r, pk)
    assert (stands(r), sent_hash(r, pk)) == (("created", ""), UNKNOWN)
    assert row(r).changed


def test_two_bodies_of_unknown_fate_leave_it_open_too(r, clock):
    keyed(r).conflicts = False
    pk = give(r)
    edit(r, clock, lose(r, pk).wait, note="changed")
    clock.go(lose(r, pk).wait)
    carry(r, pk)
    assert (stands(r), sent_hash(r, pk)) == (("created", ""), UNKNOWN)


def test_a_plain_refusal_is_the_orders_own(r):
    keyed(r).failed.append(errors.Rejected("no"))
    carry(r, give(r))
    assert stands(r) == ("held", "crm_refused")


def test_one_that_may_not_go_any_more_is_held_for_that(r, clock):
    """What an earlier call may have made is not forgotten for it."""
    pk = give(r)
    edit(r, clock, lose(r, pk).wait, total="1.00")
    carry(r, pk)
    assert stands(r) == ("held", "total_mismatch")
    assert (row(r).uncertain_since is not None, len(keyed(r).keys)) == (True, 1)
    orders.release(r.ledger, pk, clock.now, who="olena")
    carry(r, pk)
    assert stands(r) == ("held", "repeat_refused")


# A ledger that went back


def test_what_the_ledger_has_forgotten_is_sent_again_and_adopted(r, clock):
    pk = give(r)
    number = made_before(r)
    forget(r, pk)
    carry(r, pk)
    assert (stands(r), row(r).target_id) == (("created", ""), number)
    assert len(keyed(r).made) == 1


# The setting is changed


def test_without_the_setting_it_is_held_and_with_it_a_person_lets_it_go_on(r, clock):
    keyed(r).takes_repeats = False
    pk = give(r)
    lose(r, pk)
    assert stands(r) == HELD
    keyed(r).takes_repeats = True
    orders.retry(r.ledger, pk, clock.now, who="olena")
    carry(r, pk)
    assert (stands(r), len(keyed(r).made)) == (("created", ""), 1)


def test_with_a_finder_it_is_looked_up_all_the_same(make, clock):
    r = make()
    target = r.targets["onebox"]
    both = replace(target.connector, target=replace(target.connector.target, takes_repeats=True))
    r = replace(r, targets={"onebox": replace(target, connector=both)})
    pk = give(r)
    box = target.connector.client
    box.script["set_order"] = [errors.TimedOut("no answer")]
    clock.go(carry(r, pk).wait)
    carry(r, pk)
    assert (len(box.sent()), len(box.looked_up())) == (1, 1)
