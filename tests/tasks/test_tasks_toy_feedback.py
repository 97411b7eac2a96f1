"""A source of quite another kind, with one part, is drained by the same code: it names no part."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from clients import errors
from connectors.feedback import Ends, PartRule, Send
from connectors.ports import Connector
from ledger import updates
from ledger.updates import Due
from mapping.request import UpdateRequest
from tasks import accepting, delivering

TOY = "toy"
DUE = Due(TOY, "1")


class ToyFeedback:
    """Takes a number that only ever grows, by `take(order_id, level)`, which may raise as a client does."""

    def __init__(self, take):
        self.take = take
        hour, code = timedelta(hours=1), "update_note_maybe_doubled"
        self.parts = {"level": PartRule("level", hour, ordered=True, maybe_doubled=code)}

    def validate(self, raw, *, flat=False):
        given = dict(raw)
        request = UpdateRequest(
            str(given.pop("order_id", "")),
            {"level": given.pop("level", None)},
            connection=given.pop("connection", None),
            key=given.pop("key", None) if flat else None,
        )
        errors = {name: ["Unknown field."] for name in given}
        if not isinstance(request.parts["level"], int):
            errors["level"] = ["Not a number."]
        return (None, errors) if errors else (request, {})

    def shown(self, part, value):
        return f"{part} {value}"

    def takes_over(self, newer, older, part):
        return "update_replaced" if newer.values[part] == older.values[part] else None

    def first_known(self, stored, stored_at, seen, now):
        return (stored or {}).get("level", 0)

    def kept(self, known):
        return {"level": known}

    def plan(self, asks, sendable, known, *, trust, ours):
        level = asks.values["level"]
        if trust and level <= known:
            return Ends("level", "parked", "update_illegal", detail=f"more than {known}")
        return Send({"level": level}, sendable)

    def send(self, order_id, send):
        self.take(order_id, send.values["level"])

    def learned(self, known, send):
        return send.values["level"]

    def doubted(self, known, send=None):
        return 0

    def judged(self, refused, asks, send, known, later=()):
        return None


class Shelf:
    """Where the toy's numbers arrive, until a call fails by script."""

    def __init__(self):
        self.taken = []
        self.script = []

    def take(self, order_id, level):
        self.taken.append((order_id, level))
        if self.script:
            raise self.script.pop(0)


@pytest.fixture
def toy():
    return Shelf()


@pytest.fixture
def r(make, clock, toy, monkeypatch):
    monkeypatch.setattr(accepting, "ring_updates", lambda _: 0)
    built = make(mode="live", uncertain_wait=120.0)
    found = built.sources["okliving"]
    source = replace(
        found,
        connection=replace(found.connection, name=TOY),
        connector=Connector(client=None, feedback=ToyFeedback(toy.take)),
    )
    known = replace(built.settings, connections={TOY: source.connection})
    return replace(built, settings=known, sources={TOY: source}, profiles={})


def ask(r, level, **more):
    return accepting.accept_flat(r, {"order_id": "1", "level": level, **more}, origin="celery").id


def drain(r):
    return delivering.deliver(r, DUE, "task-1")


def stands(r, update_id):
    row = updates.find(r.ledger, update_id)
    return row.state, row.reason


def test_its_updates_are_read_sent_in_order_and_learned_from(r, toy):
    ids = [ask(r, level) for level in (1, 2, 5)]
    assert drain(r).wait is None
    assert toy.taken == [("1", 1), ("1", 2), ("1", 5)]
    assert {stands(r, i) for i in ids} == {("sent", "")}
    late = ask(r, 3)
    drain(r)
    assert stands(r, late) == ("parked", "update_illegal")
    assert updates.find(r.ledger, late).fates[0]["before"] == "level 3"
    behind = ask(r, 9)
    drain(r)
    assert stands(r, behind) == ("queued", ""), "its one part is ordered"


def test_what_its_rules_refuse_is_seen(r):
    fields = {"order_id": "1", "note": "n"}
    assert accepting.accept_flat(r, fields, origin="celery") is None
    (row,) = updates.listing(r.ledger)
    assert (row.connection, row.state) == (TOY, "refused")
    assert {told["field"] for told in row.fates} == {"note", "level"}


def test_a_lost_answer_and_a_later_update_that_takes_over(r, toy, clock):
    first = ask(r, 4)
    toy.script = [errors.TimedOut("no answer")]
    clock.go(drain(r).wait)
    drain(r)
    assert toy.taken == [("1", 4), ("1", 4)]
    assert updates.find(r.ledger, first).fates[0]["code"] == "update_note_maybe_doubled"
    clock.go(200)
    old, new = ask(r, 7), ask(r, 7)
    drain(r)
    assert (stands(r, old), stands(r, new)) == (("withdrawn", ""), ("sent", ""))


@pytest.mark.parametrize("refused", [errors.Rejected("no"), errors.NotFound("who")])
def test_a_refusal_that_teaches_nothing_parks_the_part(r, toy, clock, refused):
    update_id = ask(r, 4)
    toy.script = [refused]
    drain(r)
    assert stands(r, update_id) == ("parked", "update_refused")
    updates.retry(r.ledger, update_id, clock.now, who="olena")
    drain(r)
    assert stands(r, update_id) == ("sent", "")


def test_what_is_too_old_by_its_own_rule_waits_for_a_person(r, toy, clock):
    update_id = ask(r, 4)
    clock.go(3601)
    drain(r)
    assert (toy.taken, stands(r, update_id)) == ([], ("parked", "update_too_old"))
