"""A person finds an order by what they have, sees whose it is and what was changed, and takes note of it."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from cli_orders import NOW

import settings
from desk import reviewing
from desk.previewing import profile_of
from ledger import enqueueing, orders, purging
from ledger.attempts import Try
from ledger.enqueueing import Asked
from ledger.orders import Arrived, Outcome
from ledger.tables import UPDATES
from mapping.profile import ProfileError
from mapping.source import from_text
from simulator.samples import reference_order
from tasks import wanting
from tasks.resources import Flow

ID, NUMBER = "300167757", "20450000000001"


@pytest.fixture
def give(folder, ledger):
    """Store an order as a poll does, mapped by the shipped profiles."""
    profile = profile_of(settings.load(folder / "no .env"), None)

    class Reads:
        prefix = "okl-"
        without_ours = staticmethod(profile.source.without_ours)

        @staticmethod
        def read(text):
            return profile.source.read(from_text(text))

    class OfFlows:
        def __init__(self):
            self.ledger = ledger

        def flow(self, *_):
            return Flow(Reads(), profile.target)

    def give(order_id=ID, now=NOW, **changes):
        raw = reference_order(id=order_id, **changes)
        text = json.dumps(raw)
        arrived = Arrived(order_id, f"okl-{order_id}", text, profile.content_hash(raw), now)
        orders.store(
            ledger,
            "okliving",
            "onebox",
            [arrived],
            now,
            lambda *given: wanting.wanted(OfFlows(), "okliving", "onebox", *given),
        )
        (row,) = orders.listing(ledger, now, order_id=order_id)
        return row

    return give


def create(ledger, row, **more):
    claim = orders.claim(ledger, row.pk, NOW, 60)
    outcome = Outcome("created", target_id="5001", **more)
    orders.record(ledger, claim, outcome, Try("create", NOW, 5, "created", 200), NOW)


def send(ledger, **parts):
    asked = Asked("okliving", ID, "d", "t", parts, frozenset({"note"}))
    return enqueueing.accept(ledger, asked, NOW)


FOUND_BY = [
    "300167757",
    "okl-300167757",
    "5001",
    "#300167757",
    "№ 300167757",
    NUMBER,
    "+38 (050) 123-45-67",
    "050 123 45 67",
    "0671234567",
    "34567",
    "Дяченко",
    "д'яченко",
    "DIACHENKO",
    "Іван Дьяченко",
    "Shevchenko",
    "Шевч",
    "Олена Шевченко",
    " Шевченко\N{NO-BREAK SPACE}Олена ",
]


@pytest.mark.parametrize("typed", FOUND_BY)
def test_an_order_is_found_and_shown_by_whatever_a_person_has(run, ledger, give, typed):
    give(
        "400",
        recipient={"phone": "0931112233", "last_name": "Мороз"},
        customer={"last_name": "Кіт", "phone": "0939998877"},
    )
    create(ledger, give(shipping={"tracking_number": NUMBER}))
    code, out, err = run("orders", "find", typed)
    assert (code, err) == (0, "")
    assert ID in out
    assert " 400 " not in out
    (found,) = json.loads(run("orders", "find", typed, "--json")[1])
    assert (found["order_id"], "found_by" in found) == (ID, True)
    code, out, err = run("orders", "show", typed)
    assert (code, err) == (0, "")
    assert out.startswith(f"Order {ID} of okliving: created")


def test_several_words_need_no_quotes(run, ledger, give):
    give()
    assert run("orders", "find", "050", "123", "45", "67")[0] == 0


def test_where_several_fit_they_are_listed_and_none_is_shown(run, ledger, give):
    give("1"), give("2")
    code, out, err = run("orders", "show", "Шевченко")
    assert code == 2
    assert "Several orders fit “Шевченко”" in err
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["2", "1"]
    assert run("orders", "show", "Шевченко", "--json")[:2] == (2, "")


def test_a_whole_fit_comes_before_one_in_part(run, ledger, give):
    give("1", customer={"last_name": "Шевченкова"}), give("2")
    assert run("orders", "show", "Шевченко Олена")[1].startswith("Order 2 ")


def test_an_id_is_never_taken_for_another_orders_phone(run, ledger, give):
    give("1234567"), give("2")
    assert run("orders", "show", "1234567")[1].startswith("Order 1234567 ")


@pytest.mark.parametrize(
    "typed", ["4711", "Невідомий", "", "\x1b[2J", "%", "_", "х" * 5000, "0" * 100]
)
def test_what_fits_nothing_is_said_so(run, ledger, give, typed):
    give()
    code, out, err = run("orders", "find", typed)
    assert (code, out) == (3, "")
    assert "No order fits" in err
    assert "\x1b" not in err
    assert run("orders", "show", typed or " ")[0] == 3


def test_only_orders_of_the_connection_asked_for_are_found(run, ledger, give):
    give()
    assert run("orders", "find", ID, "--connection", "okliving")[0] == 0
    assert run("orders", "find", ID, "--connection", "other")[0] == 3


def test_people_and_comments_are_shown_to_who_runs_the_command(run, ledger, give):
    row = give(note="Дзвоніть після 18")
    create(ledger, row)
    send(ledger, note="Ваше замовлення відправлено", order="process")
    out = run("orders", "show", ID)[1]
    assert "Recipient: Д'яченко Іван, +380501234567" in out
    assert "Buyer: Шевченко Олена, +380671234567, o@ukr.net" in out
    assert "Comment: Дзвоніть після 18" in out
    assert "Ваше замовлення відправлено" in out
    shown = json.loads(run("orders", "show", ID, "--json")[1])
    assert shown["recipient"] == {"name": "Д'яченко Іван", "phone": "+380501234567", "email": ""}
    assert (shown["buyer"]["name"], shown["comment"]) == ("Шевченко Олена", "Дзвоніть після 18")
    listed = run("orders", "list", "--json")[1] + run("orders", "find", ID, "--json")[1]
    assert "Шевченко" not in listed


def test_a_phone_that_cannot_be_used_is_shown_and_found_as_it_was_typed(run, ledger, give):
    give(recipient={"phone": "12-34-56", "last_name": "", "first_name": "Оля"})
    out = run("orders", "show", "123456")[1]
    assert "Recipient: Оля, 12-34-56" in out


def test_nothing_is_shown_of_a_purged_order_and_nothing_finds_it(run, ledger, give):
    create(ledger, give())
    purging.orders(ledger, NOW + timedelta(days=1))
    out = run("orders", "show", ID)[1]
    assert "Recipient" not in out
    assert run("orders", "find", "Шевченко")[0] == 3


def test_a_change_is_shown_field_by_field_and_noted(run, ledger, give):
    create(ledger, give())
    send(ledger, tracking_number=NUMBER)
    give(now=NOW + timedelta(minutes=1), shipping={"tracking_number": NUMBER})
    assert run("orders", "list", "--changed")[1] == (
        "No order was changed in the shop since it was created.\n"
    )
    give(
        now=NOW + timedelta(minutes=2),
        shipping={"tracking_number": NUMBER, "city": "Одеса"},
        recipient={"phone": "0931112233"},
    )
    assert ID in run("orders", "list", "--changed")[1]
    out = run("orders", "show", ID)[1]
    assert "(changed in the shop since)" in out
    lines = {line.split()[0]: line for line in out.splitlines() if line}
    assert lines["customorder_city"].split()[1:] == ["м.", "Київ", "Одеса"]
    assert lines["clientphone"].split()[1:] == ["+380501234567", "+380931112233"]
    assert "customorder_ttn" not in lines
    assert f"orderbridge orders acknowledge {ID}" in out
    shown = json.loads(run("orders", "show", ID, "--json")[1])
    assert {"field": "customorder_city", "before": "м. Київ", "after": "Одеса"} in shown["changes"]

    code, out, _ = run("orders", "acknowledge", ID, "--as", "olena")
    assert code == 0
    assert "Noted: order 300167757" in out
    assert "customorder_city" in out
    assert "(changed in" not in run("orders", "show", ID)[1]
    assert json.loads(run("orders", "list", "--changed", "--json")[1]) == []
    (act,) = json.loads(run("orders", "show", ID, "--json")[1])["history"]
    assert (act["who"], act["what"]) == ("olena", "order_acknowledged")
    assert "customorder_city" in act["after"]["changed"]
    assert "Одеса" not in json.dumps(act, ensure_ascii=False)
    code, out, err = run("orders", "acknowledge", ID)
    assert (code, out) == (4, "")
    assert "has not changed" in err

    give(now=NOW + timedelta(minutes=3), shipping={"tracking_number": NUMBER, "city": "Львів"})
    lines = run("orders", "show", ID)[1].splitlines()
    (town,) = [line for line in lines if "customorder_city" in line and "Львів" in line]
    assert town.split() == ["customorder_city", "Одеса", "Львів"], "before is what was noted"


def test_an_order_that_is_not_created_cannot_be_noted(run, ledger, give):
    give()
    assert run("orders", "acknowledge", ID)[0] == 4
    assert run("orders", "acknowledge", "4711")[0] == 3


def test_a_profile_that_cannot_be_read_hides_the_people_and_nothing_else(
    run, ledger, give, monkeypatch
):
    def broken(*_):
        raise ProfileError("okliving.yaml: order: at: no path")

    give()
    monkeypatch.setattr(reviewing, "profile_of", broken)
    code, out, err = run("orders", "show", ID)
    assert (code, out.startswith(f"Order {ID}"), "Recipient" in out) == (0, True, False)
    assert "cannot be shown. okliving.yaml: order: at: no path" in err


# --- what is over pleads for nothing --------------------------------------------------------------------

DOUBT = [
    {"code": "total_mismatch", "level": "held", "field": "total", "before": "1", "after": "2"},
    {
        "code": "name_split",
        "level": "warning",
        "field": "recipient.name",
        "before": "a",
        "after": "b",
    },
]
PLEA = "release the order"


def hold(ledger, row):
    claim = orders.claim(ledger, row.pk, NOW, 60)
    tried = Try("map", NOW, 5, "held")
    orders.record(ledger, claim, Outcome("held", "total_mismatch", DOUBT), tried, NOW)


def after_hold(ledger, row, state):
    if state == "ignored":
        orders.ignore(ledger, row.pk, NOW, who="olena")
    elif state != "held":
        orders.release(ledger, row.pk, NOW, who="olena")
    if state == "created":
        create(ledger, row, problems=DOUBT)


@pytest.mark.parametrize("state", ["held", "waiting", "created", "ignored"])
def test_only_a_held_order_asks_a_person_for_something(run, ledger, give, state):
    row = give()
    hold(ledger, row)
    after_hold(ledger, row, state)
    out = " ".join(run("orders", "show", ID)[1].split())
    assert f"Order {ID} of okliving: {state}" in out
    assert ("total: Order" in out) is (state == "held")
    assert ("was held for: total mismatch (1 → 2)" in out) is (state != "held")
    assert "warning recipient.name" in out


def test_a_cancelled_update_asks_for_nothing(run, ledger, give):
    give()
    update = send(ledger, order="complete")
    fates = [
        {
            "part": "order",
            "fate": "parked",
            "code": "update_refused",
            "level": "held",
            "field": "order",
        }
    ]
    ledger.write(
        lambda db: db.execute(
            UPDATES.update().values(
                state="parked",
                reason="update_refused",
                fates=fates,
                parts={"order": {"value": "complete", "state": "parked"}},
            )
        )
    )
    before = " ".join(run("updates", "show", str(update.id))[1].split())
    assert "Remove the cause" in before
    assert run("updates", "cancel", str(update.id))[0] == 0
    out = " ".join(run("updates", "show", str(update.id))[1].split())
    assert "Remove the cause" not in out
    assert "a person cancelled the update" in out


@pytest.mark.parametrize("is_uncertain", [True, False])
def test_who_ignores_an_order_hears_that_it_may_be_in_the_crm(run, ledger, give, is_uncertain):
    row = give()
    claim = orders.claim(ledger, row.pk, NOW, 60)
    since = NOW if is_uncertain else None
    outcome = Outcome("held", "crm_keeps_failing", None, uncertain_since=since, sent_hash="x")
    orders.record(ledger, claim, outcome, Try("create", NOW, 5, "uncertain"), NOW)
    for command in ("ignore", "show"):
        out = " ".join(run("orders", command, ID)[1].split())
        assert ("may be in onebox already" in out) is is_uncertain
        assert (f"external id okl-{ID}, and" in out) is is_uncertain


def test_help_says_what_release_and_retry_do(run):
    released, retried = (
        " ".join(run("orders", one, "--help")[1].split()) for one in ("release", "retry")
    )
    assert "as it is" in released
    assert "put right use `orders retry`" in released
    assert "checked anew" in retried


def test_a_buyer_who_is_the_recipient_is_shown_once(run, ledger, give):
    same = {
        "first_name": "Олена",
        "last_name": "Шевченко",
        "phone": "0671234567",
        "is_other": False,
    }
    give(recipient=same)
    out = run("orders", "show", ID)[1]
    assert "Buyer and recipient: Шевченко Олена, +380671234567, o@ukr.net" in out
    assert "Recipient:" not in out
