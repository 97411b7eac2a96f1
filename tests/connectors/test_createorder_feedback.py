"""What a tenant is told of its orders, whom, and what an answer means; without a drain."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from clients.errors import Rejected
from connection import PROFILES
from connections_file import SettingsError
from connectors.createorder_feedback import WORDS, CreateOrderFeedback, Known
from connectors.feedback import Asks, Ends, Later
from connectors.ports import Addressee
from mapping.source_profile import load_source
from mapping.statuses import ACTIONS

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ORDER = "orderingTenant885-5"
URL = "https://tenant.example.com/orders"
TENANT = Addressee("orderingTenant885", URL, "a-secret")


class Told:
    """Callbacks that keep what they are to tell, or refuse it."""

    def __init__(self):
        self.calls = []
        self.refusal = None
        self.is_free = True

    def has_place(self, name):
        return self.is_free

    def tell(self, name, url, secret, told):
        self.calls.append((name, url, secret, json.loads(json.dumps(told))))
        if self.refusal:
            raise self.refusal


@pytest.fixture(scope="module")
def rules():
    return load_source(PROFILES / "createorder.yaml").updates


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def make(rules, told):
    def make(addressee=TENANT, *, is_sandbox=False):
        asked = (lambda _: addressee) if isinstance(addressee, Addressee | None) else addressee
        return CreateOrderFeedback(told, rules, asked, is_sandbox=is_sandbox)

    return make


def asks(order_id=ORDER, update_id=7, **values):
    return Asks(values, tuple(values), order_id=order_id, update_id=update_id)


def plan(feedback, wanted, known=Known(5)):  # noqa: B008  a frozen value
    return feedback.plan(wanted, wanted.left, known, trust=True, ours=lambda _: ())


def test_its_parts_are_those_of_every_door_and_all_keep_their_order(make):
    parts = make().parts
    assert list(parts) == ["tracking_number", "order", "delivery", "note"]
    assert all(rule.ordered and rule.maybe_doubled is None for rule in parts.values())
    assert {rule.greatest_age for rule in parts.values()} == {timedelta(hours=48)}


def test_an_update_goes_in_one_call_in_words_for_its_tenant(make, told):
    wanted = asks(tracking_number="20450000000000", order="process", delivery="ship", note="n")
    send = plan(make(), wanted)
    assert send.completes == wanted.left
    make().send(ORDER, send)
    ((name, url, secret, body),) = told.calls
    assert (name, url, secret) == (TENANT.name, URL, "a-secret")
    assert datetime.fromisoformat(body.pop("sent_at")).tzinfo is not None
    assert body.pop("id") == send.id
    assert body == {
        "event": "order.updated",
        "tenant": "orderingTenant885",
        "order_id": 5,
        "order_num": 5,
        "order_status": "In Progress",
        "delivery_status": "Shipped",
        "tracking_number": "20450000000000",
        "note": "n",
    }


def test_what_is_no_news_is_left_out(make, told):
    make().send(ORDER, plan(make(), asks(order="cancel")))
    assert set(told.calls[0][3]) == {
        *("event", "id", "tenant", "order_id", "order_num", "order_status", "sent_at")
    }


def test_every_action_has_its_word():
    assert {name: set(words) for name, words in WORDS.items()} == {
        name: set(actions) for name, actions in ACTIONS.items()
    }


def test_a_tenant_with_dashes_and_digits_in_its_name_is_not_cut(make, told):
    tenant = Addressee("a-1.b-2", URL, "s")
    make(tenant).send("a-1.b-2-30", plan(make(tenant), asks("a-1.b-2-30", order="process")))
    assert (told.calls[0][3]["tenant"], told.calls[0][3]["order_id"]) == ("a-1.b-2", 30)


# --- the id -----------------------------------------------------------------------------------------


def test_a_repeat_of_a_telling_has_its_id_and_nothing_else_has_it(make):
    first = plan(make(), asks(order="process")).id
    assert plan(make(), asks(order="process")).id == first
    others = [
        asks(order="complete"),
        asks(order="process", note="n"),
        asks(order="process", update_id=8),
        asks("orderingTenant885-6", order="process"),
        asks(delivery="cancel"),
        asks(order="cancel"),
    ]
    ids = {plan(make(), one).id for one in others}
    assert len(ids | {first}) == len(others) + 1


# --- whom -------------------------------------------------------------------------------------------


def test_without_anyone_to_tell_each_part_ends_at_once_without_a_call(make, told):
    ends = plan(make(None), asks(order="process", note="n"))
    assert ends == Ends("order", "withdrawn", "update_nobody_to_tell")
    assert told.calls == []


def test_a_receiver_that_is_being_called_is_told_later(make, told):
    told.is_free = False
    assert plan(make(), asks(order="process")) == Later()


def test_who_is_told_is_asked_anew_for_each_call_and_by_the_orders_id(make):
    asked = []
    make(asked.append).plan(
        asks(order="process"), ("order",), Known(), trust=False, ours=lambda _: ()
    )
    assert asked == [ORDER]


@pytest.mark.parametrize(
    ("url", "is_sandbox", "said"),
    [
        ("http://tenant.example.com/", False, "must begin with https://"),
        ("http://127.0.0.1:8080/", False, "must begin with https://"),
        ("ftp://tenant.example.com/", False, "is no address"),
        ("tenant.example.com", False, "is no address"),
        ("https://tenant.example.com/a\nb", False, "is no address"),
        (URL, True, "This is a sandbox"),
        ("http://tenant.example.com/", True, "This is a sandbox"),
        ("https://127.0.0.1.example.com/", True, "This is a sandbox"),
    ],
)
def test_an_address_that_may_not_be_called_is_not(make, told, url, is_sandbox, said):
    feedback = make(Addressee("t", url, "s"), is_sandbox=is_sandbox)
    ends = plan(feedback, asks(order="process"))
    assert (ends.part, ends.fate, ends.code) == ("order", "parked", "update_cannot_be_told")
    assert said in ends.detail
    assert url not in ends.detail
    assert told.calls == []


def test_a_secret_that_cannot_be_read_is_for_a_person(make, told):
    def unreadable(_):
        raise SettingsError("It was sealed with another key.")

    ends = plan(make(unreadable), asks(order="process"))
    assert (ends.code, ends.detail) == ("update_cannot_be_told", "It was sealed with another key.")
    assert told.calls == []


def test_an_order_that_is_not_in_the_ledger_is_told_of_only_when_a_person_says_so(make):
    wanted = asks("orderingTenant885-999", order="process")
    assert plan(make(), wanted, Known()) == Ends("order", "parked", "update_unknown_order")
    again = make().plan(wanted, ("order",), Known(), trust=False, ours=lambda _: ())
    assert again.addressee == TENANT
    assert plan(make(None), wanted, Known()).code == "update_nobody_to_tell"


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/", "http://localhost:1/", "https://[::1]/"])
def test_a_sandbox_tells_whom_it_has_on_this_machine(make, told, url):
    feedback = make(Addressee("t", url, "s"), is_sandbox=True)
    feedback.send(ORDER, plan(feedback, asks(order="process")))
    assert told.calls


# --- what answers mean ------------------------------------------------------------------------------


def test_what_is_refused_is_parked_whole_and_never_tried_part_by_part(make):
    wanted = asks(order="process", note="n")
    send = plan(make(), wanted)
    judged = make().judged(Rejected("HTTP 410", excerpt="gone"), wanted, send, Known(5))
    assert [(one.part, one.fate, one.code, one.detail) for one in judged.ends] == [
        ("order", "parked", "update_receiver_refused", "gone"),
        ("note", "parked", "update_receiver_refused", "gone"),
    ]


def test_a_later_update_takes_no_earlier_ones_place(make):
    newer, older = (
        asks(tracking_number="2", delivery="cancel"),
        asks(tracking_number="1", delivery="ship"),
    )
    assert not [p for p in newer.values if make().takes_over(newer, older, p)]


def test_a_clerk_sees_what_is_asked_but_no_note(make):
    shown = make().shown
    assert shown("order", "process") == "order.process"
    assert shown("tracking_number", "20450000000000") == "20450000000000"
    assert shown("note", "private") is None


# --- what is known ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ('{"order": {"order_num": 12}}', 12),
        ('{"order": {"order_num": "12"}}', None),
        ('{"order": []}', None),
        ("[]", None),
        ("null", None),
    ],
)
def test_the_orders_number_is_read_from_its_text(make, text, number):
    assert make().first_known(None, None, (text, NOW), NOW) == Known(number)


def test_of_a_text_that_is_erased_nothing_is_known_and_nothing_is_kept(make):
    feedback = make()
    known = feedback.first_known({"old": 1}, NOW, None, NOW)
    assert known == Known()
    assert feedback.kept(known) == {}
    send = plan(feedback, asks(order="process"), known)
    assert feedback.learned(known, send) is known
    assert feedback.doubted(known, send) is known


def test_it_takes_updates_in_both_forms(make):
    request, errors = make().validate({"order_id": ORDER, "statuses": {"order": "process"}})
    assert (errors, request.parts) == ({}, {"order": "process"})
    flat, _ = make().validate({"order_id": ORDER, "order": "process"}, flat=True)
    assert flat.parts == request.parts
    assert make().validate({"order_id": ORDER})[0] is None
