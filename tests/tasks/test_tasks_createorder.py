"""Orders that are placed with us, from their row to OneBox, and back to the tenant's own receiver."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from mapped_as import mapped_as
from task_remotes import with_client
from webhook import webhook

from clients.callback import Callbacks
from clients.limits import Rate, Slots
from connectors.createorder_feedback import CreateOrderFeedback
from connectors.ports import Addressee
from ledger import attempts, connections, orders, updates
from ledger.orders import Arrived, Outcome
from ledger.updates import Due
from tasks import accepting, creating, delivering, listening, reconciling
from tasks.sender import whose

INBOX = "createorder"
GOLDEN = Path(__file__).parents[1] / "mapping" / "golden"
PLACED = json.loads((GOLDEN / "createorder-order.json").read_text(encoding="utf-8"))
TENANT, OTHER = "orderingTenant885", "another"
STAGES = {"72": "In work", "73": "Shipped", "74": "Done", "75": "Refused"}


class Box:
    """OneBox, as far as it is read: `rows` by external id."""

    def __init__(self):
        self.rows = {}

    def get_orders(self, external_ids, _fields):
        return [{"externalid": i, **self.rows[i]} for i in external_ids if i in self.rows]

    def workflows(self):
        named = [{"id": number, "name": name} for number, name in STAGES.items()]
        return [{"id": "2", "name": "Sales", "statuses": named}]


@pytest.fixture(autouse=True)
def rung(monkeypatch):
    """What was rung for."""
    rings = []
    for module in (listening, accepting):
        monkeypatch.setattr(module, "ring_updates", rings.extend)
        monkeypatch.setattr(module, "ring_hook", rings.append)
    for module in (listening, reconciling):
        monkeypatch.setattr(module, "ring_waiting_reads", rings.extend)
    return rings


@pytest.fixture
def receivers():
    """Where each tenant is told; a tenant that is not here is not told."""
    return {}


@pytest.fixture
def receiver(receivers):
    with webhook() as hook:
        receivers[TENANT] = hook.url("http")
        yield hook


@pytest.fixture
def r(make, clock, receivers):
    built = make(names=("okliving", INBOX), mode="live", uncertain_wait=120.0)
    source = built.sources[INBOX]

    def addressee(order_id):
        name = order_id.rpartition("-")[0]
        return Addressee(name, receivers[name], f"secret of {name}") if name in receivers else None

    told = CreateOrderFeedback(
        Callbacks(timeout=1.0, share=Slots(built.redis, "slow", 1, 60.0)),
        source.connector.profile.updates,
        addressee,
        is_sandbox=True,
    )
    source = replace(source, connector=replace(source.connector, feedback=told))
    return replace(built, sources={**built.sources, INBOX: source})


@pytest.fixture
def box(r):
    found = Box()
    r.targets["onebox"] = with_client(r.targets["onebox"], found, r.profiles["okliving"])
    return found


def place(r, tenant=TENANT, number=5, *, is_created=True):
    """A row as a placed order has it; its id."""
    order_id, now = f"{tenant}-{number}", r.ledger.now()
    order = PLACED["order"] | {"order_id": number, "order_num": number}
    text = json.dumps(PLACED | {"id": order_id, "tenant": tenant, "order": order})
    arrived = [Arrived(order_id, f"co-{order_id}", text, "h", now)]
    (pk,) = orders.store(r.ledger, INBOX, "onebox", arrived, now, mapped_as())
    if is_created:
        claim = orders.claim(r.ledger, pk, now, 60)
        orders.record(r.ledger, claim, Outcome("created", target_id=f"9{pk}"), None, now)
    return order_id


def ask(r, order_id, **parts):
    fields = {"order_id": order_id, "connection": INBOX, **parts}
    return accepting.accept_flat(r, fields, origin="celery").id


def drain(r, order_id):
    return delivering.deliver(r, Due(INBOX, order_id), "task-1")


def stands(r, update_id):
    row = updates.find(r.ledger, update_id)
    return row.state, row.reason


def bodies(receiver):
    return [json.loads(body) for _, _, body in receiver.calls]


def test_a_placed_order_is_created_in_its_target_by_its_own_profile(r):
    order_id = place(r, is_created=False)
    (row,) = orders.listing(r.ledger, r.ledger.now(), order_id=order_id)
    creating.create(r, row.pk, INBOX, "task-1")
    (row,) = orders.listing(r.ledger, r.ledger.now(), order_id=order_id)
    assert (row.state, row.connection, row.reason) == ("created", INBOX, "")
    (sent,) = r.targets["onebox"].connector.client.sent()
    assert sent["externalid"] == f"co-{order_id}"
    assert sent["clientname"] == "NewClient_1"


def test_what_the_hook_says_of_it_is_told_to_its_tenant(r, box, receiver):
    order_id = place(r)
    box.rows[f"co-{order_id}"] = {"statusid": "73", "customorder_ttn": "20450000000000"}
    fields = {"externalid": f"co-{order_id}", "status": "Shipped"}
    listening.act(r, accepting.take_hook(r, "onebox", fields))
    (update,) = updates.listing(r.ledger)
    assert (update.connection, update.order_id) == (INBOX, order_id)
    drain(r, order_id)
    assert stands(r, update.id) == ("sent", "")
    (body,) = bodies(receiver)
    assert (body["tenant"], body["order_id"], body["order_num"]) == (TENANT, 5, 5)
    assert (body["delivery_status"], body["tracking_number"]) == ("Shipped", "20450000000000")


def test_what_a_lost_hook_did_not_say_the_reconcile_finds(r, box, clock, receiver):
    order_id = place(r)
    box.rows[f"co-{order_id}"] = {"statusid": "72"}
    listening.act(r, accepting.take_hook(r, "onebox", {"externalid": f"co-{order_id}"}))
    box.rows[f"co-{order_id}"] = {"statusid": "74"}
    clock.go(3600)
    assert reconciling.reconcile(r) == 1
    drain(r, order_id)
    assert [body["order_status"] for body in bodies(receiver)] == ["In Progress", "Completed"]


def test_a_failure_that_passes_is_repeated_under_the_same_id_before_what_came_later(
    r, clock, receiver
):
    order_id = place(r)
    first, second = ask(r, order_id, order="process"), ask(r, order_id, order="complete")
    receiver.answer = 503
    step = drain(r, order_id)
    assert stands(r, first) == ("queued", "")
    receiver.answer = 200
    clock.go(step.wait)
    drain(r, order_id)
    assert [stands(r, one) for one in (first, second)] == [("sent", ""), ("sent", "")]
    told = bodies(receiver)
    assert [one["order_status"] for one in told] == ["In Progress", "In Progress", "Completed"]
    assert told[0]["id"] == told[1]["id"] != told[2]["id"]


def test_a_lost_answer_is_repeated_without_waiting_for_what_it_may_still_do(r, clock, receiver):
    order_id = place(r)
    first = ask(r, order_id, order="process")
    receiver.answer = "hang"
    step = drain(r, order_id)
    assert step.wait < 10  # not UNCERTAIN_WAIT
    receiver.answer = 200
    clock.go(step.wait)
    drain(r, order_id)
    assert stands(r, first) == ("sent", "")
    assert updates.find(r.ledger, first).fates[0]["fate"] == "sent"


def test_the_broken_receiver_of_one_tenant_stops_no_other(r, clock, receivers, receiver):
    receivers[OTHER] = "http://127.0.0.1:1/"
    for number in range(1, 31):
        order_id = place(r, OTHER, number)
        ask(r, order_id, order="process")
        drain(r, order_id)
    assert connections.gate(r.ledger, INBOX).closed_by is None
    good = place(r)
    update = ask(r, good, order="process")
    drain(r, good)
    assert stands(r, update) == ("sent", "")


def test_what_waits_for_a_receiver_that_is_being_called_takes_no_turn_and_notes_no_call(
    r, receivers, receiver
):
    """However many orders wait for one that hangs: what the others need of the connection stays free."""
    receivers[OTHER] = receiver.url("http")
    receiver.answer = "hang"
    waits = [place(r, number=number) for number in range(1, 4)]
    asked = [ask(r, order_id, order="process") for order_id in waits]
    source = r.sources[INBOX]
    rate = Rate(r.redis, "counted", 0.02)
    counted = replace(r, sources={**r.sources, INBOX: replace(source, rate=rate)})
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(drain, r, waits[0])
        assert receiver.arrived.wait(10)
        steps = [drain(counted, order_id) for order_id in waits[1:]]
        assert all(0 < step.wait < 2 for step in steps)
        assert rate.wait_time() == 0.0
        assert first.result(10).wait > 0
    assert [len(attempts.of_update(r.ledger, one)) for one in asked] == [1, 0, 0]
    assert {stands(r, one) for one in asked} == {("queued", "")}


@pytest.mark.parametrize("status", [401, 403, 404, 410, 422])
def test_a_refusal_parks_what_it_is_about_and_closes_nothing(r, clock, receiver, status):
    receiver.answer = status
    refused = []
    for number in range(1, 6):
        order_id = place(r, TENANT, number)
        refused.append(ask(r, order_id, order="process", note="n"))
        drain(r, order_id)
    assert {stands(r, one) for one in refused} == {("parked", "update_receiver_refused")}
    assert connections.gate(r.ledger, INBOX).closed_by is None
    behind = ask(r, order_id, tracking_number="20450000000000")
    drain(r, order_id)
    assert stands(r, behind) == ("queued", "")
    receiver.answer = 200
    calls = len(receiver.calls)
    updates.retry(r.ledger, refused[-1], r.ledger.now(), who="olena")
    drain(r, order_id)
    assert stands(r, refused[-1]) == stands(r, behind) == ("sent", "")
    assert [sorted(one) for one in bodies(receiver)[calls:]] == [
        sorted(
            ["event", "id", "tenant", "order_id", "order_num", "order_status", "note", "sent_at"]
        ),
        sorted(["event", "id", "tenant", "order_id", "order_num", "tracking_number", "sent_at"]),
    ]


def test_a_receiver_that_asks_to_wait_binds_its_own_order_alone(r, clock, receiver):
    receiver.answer = 429
    first = place(r)
    ask(r, first, order="process")
    drain(r, first)
    assert connections.gate(r.ledger, INBOX).closed_by is None
    receiver.answer = 200
    second = place(r, number=6)
    update = ask(r, second, order="process")
    drain(r, second)
    assert stands(r, update) == ("sent", "")


def test_without_anyone_to_tell_an_update_ends_at_once_and_no_call_is_noted(r, clock):
    order_id = place(r)
    update = ask(r, order_id, order="process", note="n")
    assert drain(r, order_id).wait is None
    assert stands(r, update) == ("withdrawn", "")
    fates = updates.find(r.ledger, update).fates
    assert Counter(told["code"] for told in fates) == {"update_nobody_to_tell": 2}
    assert attempts.of_update(r.ledger, update) == []


def test_what_is_told_too_late_waits_for_a_person(r, clock, receiver):
    order_id = place(r)
    update = ask(r, order_id, order="process")
    clock.go(49 * 3600)
    drain(r, order_id)
    assert stands(r, update) == ("parked", "update_too_old")
    assert not receiver.calls


def test_a_number_alone_that_nobody_knows_means_the_shop_that_is_read(r):
    place(r)
    assert whose(r, "onebox", {"order_id": "300167757", "status": "Shipped"})[0] == "okliving"
    assert whose(r, "onebox", {"order_id": f"{TENANT}-5", "status": "Shipped"})[0] == INBOX


def test_an_update_that_names_no_connection_means_the_shop(r):
    update = accepting.accept_flat(r, {"order_id": "1", "order": "process"}, origin="celery")
    assert update.connection == "okliving"
