"""What we wrote into the shop ourselves never marks an order as changed there; what others changed does.

The shop is the simulator's, behind a client without a wire, and shows all that it is told in its orders.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from connectors import okliving
from ledger import orders, updates
from ledger.updates import Due
from mapping.request import UpdateRequest
from mapping.target import Context, compile_form
from simulator.samples import reference_order, shop_time
from simulator.shop import Shop, checked_update
from tasks import accepting, creating, delivering, polling

SHOP, BOX, ID = "okliving", "onebox", "300167757"
NUMBER, OTHER = "20450000000001", "20450000000002"
# A box that is also told the order's states.
TOLD = {"customorder_status": {"template": "{order.status}/{order.delivery_status}"}}


class WiredShop:
    """The simulator behind the client's methods; `shows_notes`: comments appear in the order, as in some."""

    def __init__(self, clock):
        self.shop = Shop()
        self.shop.clock = lambda: clock().timestamp()
        self.shows_notes = False

    def get_orders(self, _body):
        return {"orders": list(self.shop.orders.values())}

    def update_order(self, body):
        order = checked_update(body)
        self.shop._apply(order, self.shop.orders[order["id"]])
        if self.shows_notes and "note" in order:
            before = self.shop.orders[order["id"]]["note"]
            self.shop.edit(order["id"], note=f"{before}\n\n{order['note']}".strip())


@pytest.fixture
def r(r, clock, monkeypatch):
    source = r.sources[SHOP]
    client = WiredShop(clock)
    made = okliving.join(client, source.connector.profile, "okl-")
    target = r.targets[BOX]
    profile = target.connector.target.profile
    told = compile_form({"fields": TOLD}, "target", Context({}, {}))
    form = lambda seen, problems: profile.form(seen, problems) | told(seen, problems)  # noqa: E731  two at once
    composing = replace(target.connector.target, profile=replace(profile, form=form))
    client.shop.add(order_at(clock))
    return replace(
        r,
        sources={SHOP: replace(source, connector=made)},
        targets={BOX: replace(target, connector=replace(target.connector, target=composing))},
    )


def order_at(clock, **changes):
    at = shop_time(clock.now)
    return reference_order(id=ID, created_at=at, updated_at=at, **changes)


def shop(r):
    return r.sources[SHOP].connector.client


def poll(r, clock):
    """A minute later the shop is read."""
    clock.go(60)
    polling.poll(r, SHOP, lambda _: None)


def carried(r, clock):
    """The order as it is created in the CRM."""
    poll(r, clock)
    creating.create(r, row(r).pk, SHOP, "task")
    assert row(r).state == "created"


def row(r):
    (found,) = orders.listing(r.ledger, r.ledger.now(), order_id=ID)
    return found


def say(r, **parts):
    """An update goes to the shop."""
    options = {"replace": True} if parts.pop("replace", None) else {}
    asked = UpdateRequest(ID, parts, options, connection=SHOP)
    accepting.accept(r, asked, origin="cli", ring=lambda _: None)
    delivering.deliver(r, Due(SHOP, ID), "task")


OURS = [
    {"tracking_number": NUMBER},
    {"order": "process"},
    {"delivery": "ship"},
    {"note": "Ваше замовлення відправлено"},
    {"tracking_number": NUMBER, "order": "process", "delivery": "ship", "note": "ТТН у дорозі"},
]


@pytest.mark.parametrize("shows_notes", [False, True])
@pytest.mark.parametrize("parts", OURS, ids=" ".join)
def test_what_we_wrote_is_no_change(r, clock, parts, shows_notes):
    shop(r).shows_notes = shows_notes
    carried(r, clock)
    say(r, **parts)
    before = json.loads(orders.source(r.ledger, row(r).pk))
    poll(r, clock)
    assert json.loads(orders.source(r.ledger, row(r).pk)) != before, "the poll saw it"
    assert row(r).changed is False


@pytest.mark.parametrize(
    ("buyers", "ours"),
    [
        ("Зателефонуйте", ["Зателефонуйте"]),
        ("ok please book", ["ok"]),
        ("a b a", ["a", "a", "b a"]),
        ("Call  me\nlate", ["me", "late"]),
        ("Call at 1", ["1"]),
    ],
)
def test_a_comment_of_ours_in_words_that_the_buyer_used_is_no_change(r, clock, buyers, ours):
    shop(r).shows_notes = True
    edit_in_shop(r, {"note": buyers})
    carried(r, clock)
    for said in ours:
        say(r, note=said)
        poll(r, clock)
        assert row(r).changed is False
    edit_in_shop(r, {"note": f"{buyers}{ours[0]} {' '.join(ours)}"})
    poll(r, clock)
    assert row(r).changed is True


def test_a_number_in_place_of_ours_and_states_one_after_the_other_are_no_change(r, clock):
    carried(r, clock)
    for parts in (
        {"tracking_number": NUMBER, "order": "process"},
        {"tracking_number": OTHER, "replace": True, "order": "complete"},
        {"order": "reopen"},
        {"delivery": "ship", "order": "process"},
        {"delivery": "retour"},
    ):
        say(r, **parts)
        poll(r, clock)
        assert row(r).changed is False, parts


@pytest.mark.parametrize(
    "edit",
    [
        {"shipping": {"city": "Одеса"}},
        {"shipping": {"tracking_number": OTHER}},
        {"status": "cancelled"},
        {"note": "Зателефонуйте"},
        {"customer": {"phone": "+380671112233"}},
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_what_somebody_else_changed_is_a_change_whatever_we_wrote(r, clock, edit, first):
    shop(r).shows_notes = True
    carried(r, clock)
    if first == "ours":
        say(r, tracking_number=NUMBER, order="process", note="Відправлено")
        poll(r, clock)
        assert row(r).changed is False
    edit_in_shop(r, edit)
    poll(r, clock)
    assert row(r).changed is True
    if first == "theirs" and "status" not in edit:
        say(r, order="process", note="Відправлено")
        poll(r, clock)
        assert row(r).changed is True


def edit_in_shop(r, edit):
    stored = shop(r).shop.orders[ID]
    merged = {
        name: stored[name] | value if isinstance(value, dict) else value
        for name, value in edit.items()
    }
    shop(r).shop.edit(ID, **merged)


def test_what_a_person_kept_from_being_sent_is_a_change_when_the_shop_does_it(r, clock):
    """The clerk withdraws the cancelling that the CRM asked for; then the buyer cancels."""
    carried(r, clock)
    asked = UpdateRequest(ID, {"order": "cancel"}, {}, connection=SHOP)
    one = accepting.accept(r, asked, origin="cli", ring=lambda _: None)
    updates.cancel(r.ledger, one.id, clock.now, who="olena")
    edit_in_shop(r, {"status": "cancelled"})
    poll(r, clock)
    assert row(r).changed is True


def test_an_edit_that_is_taken_back_is_no_change_beside_what_we_wrote(r, clock):
    carried(r, clock)
    edit_in_shop(r, {"shipping": {"city": "Одеса"}})
    poll(r, clock)
    say(r, tracking_number=NUMBER)
    edit_in_shop(r, {"shipping": {"city": "м. Київ"}})
    poll(r, clock)
    assert row(r).changed is False


def test_our_number_that_is_deleted_in_the_shop_is_a_change(r, clock):
    carried(r, clock)
    say(r, tracking_number=NUMBER)
    poll(r, clock)
    edit_in_shop(r, {"shipping": {"tracking_number": None}})
    poll(r, clock)
    assert row(r).changed is True


def test_what_we_wrote_before_it_was_certain_that_the_order_is_there_is_no_change(r, clock):
    """The CRM took the order and did not answer, shipped it at once, and is found to have it."""
    from clients.errors import TimedOut  # noqa: PLC0415  beside its use

    poll(r, clock)
    box = r.targets[BOX].connector.client
    box.script["set_order"] = [TimedOut("late")]
    creating.create(r, row(r).pk, SHOP, "task")
    box.processes[f"okl-{ID}"] = "77"
    say(r, tracking_number=NUMBER, order="process")
    poll(r, clock)
    assert row(r).uncertain_since is not None
    creating.create(r, row(r).pk, SHOP, "task")
    assert (row(r).state, row(r).target_id, row(r).changed) == ("created", "77", False)
    edit_in_shop(r, {"shipping": {"city": "Одеса"}})
    poll(r, clock)
    assert row(r).changed is True


def test_a_mapping_that_is_edited_changes_no_order_in_the_shop(r, clock):
    carried(r, clock)
    target = r.targets[BOX]
    composing = target.connector.target
    more = compile_form({"fields": {"new": {"constant": "x"}}}, "target", Context({}, {}))
    form = composing.profile.form
    both = lambda seen, problems: form(seen, problems) | more(seen, problems)  # noqa: E731  as above
    composing = replace(composing, profile=replace(composing.profile, form=both))
    connector = replace(target.connector, target=composing)
    r = replace(r, targets={BOX: replace(target, connector=connector)})
    say(r, tracking_number=NUMBER)
    poll(r, clock)
    assert row(r).changed is False
    edit_in_shop(r, {"note": "дзвінок"})
    poll(r, clock)
    assert row(r).changed is True


def test_a_purged_order_is_not_marked_by_what_we_wrote(r, clock):
    from ledger import purging  # noqa: PLC0415  beside its use

    carried(r, clock)
    say(r, tracking_number=NUMBER, order="process")
    purging.orders(r.ledger, clock.now + timedelta(days=1))
    poll(r, clock)
    assert row(r).changed is False
    assert orders.source(r.ledger, row(r).pk) != ""


def test_acknowledged_order_is_changed_again_once_it_is_another_one(r, clock):
    carried(r, clock)
    edit_in_shop(r, {"shipping": {"city": "Одеса"}})
    poll(r, clock)
    orders.acknowledge(r.ledger, row(r).pk, clock.now, who="olena")
    assert row(r).changed is False
    say(r, tracking_number=NUMBER)
    poll(r, clock)
    assert row(r).changed is False
    with pytest.raises(orders.NotPossible):
        orders.acknowledge(r.ledger, row(r).pk, clock.now, who="olena")
    edit_in_shop(r, {"shipping": {"city": "м. Київ"}})
    poll(r, clock)
    assert row(r).changed is True, "who noted the new town has to hear of the old one"


def test_an_order_that_is_not_created_yet_keeps_nothing_of_before(r, clock):
    poll(r, clock)
    edit_in_shop(r, {"note": "інше"})
    poll(r, clock)
    assert orders.before_change(r.ledger, row(r).pk) is None


def test_what_changes_while_it_is_looked_at_is_not_noted_unseen(r, clock, monkeypatch):
    from desk import reviewing  # noqa: PLC0415  beside its use
    from desk.errors import Impossible  # noqa: PLC0415  as above

    carried(r, clock)
    edit_in_shop(r, {"shipping": {"city": "Одеса"}})
    poll(r, clock)
    review = reviewing.review

    def review_and_poll(*given):
        seen = review(*given)
        edit_in_shop(r, {"customer": {"phone": "+380671112233"}})
        poll(r, clock)
        return seen

    monkeypatch.setattr(reviewing, "review", review_and_poll)
    with pytest.raises(Impossible, match="look at it again"):
        reviewing.acknowledge(r.settings, r.ledger, ID, who="olena")
    assert row(r).changed is True
