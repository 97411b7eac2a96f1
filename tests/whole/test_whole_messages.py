"""What other systems put into a queue shows nowhere but in the ledger, and ends no worker."""

from __future__ import annotations

import json
import threading
import uuid

import pytest
from celery import Celery
from kombu import Connection
from sqlalchemy import select
from whole.system import System

from ledger.tables import UPDATES

pytestmark = pytest.mark.whole

# A name and a phone that nothing else here says; the second as JSON escapes it.
NAME, PHONE = "Пелагея Тишковець", "+380639182736"
MARKS = [NAME, PHONE, json.dumps(NAME)[1:-1], repr(NAME.encode())[2:-1]]
SAID = f"{NAME} {PHONE}"


def headers(task="updates.enqueue", **more):
    return {
        "id": str(uuid.uuid4()),
        "task": task,
        "lang": "py",
        "argsrepr": repr([SAID]),
        "kwargsrepr": repr({"note": SAID}),
        **more,
    }


def without(name):
    return {key: value for key, value in headers().items() if key != name}


BODY = [[], {"order_id": "1", "note": SAID}, {}]
# (what is wrong, body, how it is written, headers)
BAD = {
    "an unknown task": (BODY, "json", headers("orders.make")),
    "an unknown task of the first protocol": (
        {"task": "orders.make", "id": "1", "args": [SAID], "kwargs": {}},
        "json",
        {},
    ),
    "no task": ({"note": SAID}, "json", {}),
    "a list": ([SAID], "json", {}),
    "pickle": (BODY, "pickle", headers()),
    "yaml": (BODY, "yaml", headers()),
    "pickle of an unknown task": (BODY, "pickle", headers("orders.make")),
    "pickle without a task": (BODY, "pickle", {}),
    "no JSON": (SAID.encode(), "no json", headers()),
    "no UTF-8": (b'"\xff' + SAID.encode(), "no json", headers()),
    "no UTF-8 without a task": (b'"\xff' + SAID.encode(), "no json", {}),
    "an unknown format": (SAID.encode(), "text/odd", headers()),
    "a bad time": (BODY, "json", headers(eta=SAID)),
    "a bad end": (BODY, "json", headers(expires=SAID)),
    "a time that is none": (BODY, "json", headers(eta={"at": SAID})),
    "no id": (BODY, "json", without("id")),
    "a body of another shape": ({"note": SAID}, "json", headers()),
    "a body that is a text": (SAID, "json", headers()),
    "names that are none": (BODY, "json", headers(f"{NAME} {PHONE}", id=SAID)),
    "a task that is no text": (BODY, "json", headers([SAID])),
    "arguments in a list": ([[SAID], {"note": SAID}, {}], "json", headers()),
    "arguments that are none": ([SAID, SAID, {}], "json", headers()),
    "arguments of another task": (BODY, "json", headers("updates.deliver")),
    "an id that is a text": (BODY, "json", headers(id=SAID)),
    "a field that is a text": ([[], {"order_id": "1", SAID: SAID}, {}], "json", headers()),
    "half a pair": ([[], {"order_id": "1", "note": SAID + "\ud800"}, {}], "json", headers()),
    "half a pair as a field": ([[], {"order_id": "1", SAID + "\ud800": 1}, {}], "json", headers()),
    "half a pair as a key": (
        [[], {"order_id": "1", "note": SAID, "key": SAID + "\ud800"}, {}],
        "json",
        headers(),
    ),
    "NUL": (
        [[], {"order_id": "1", "note": SAID + "\0", "key": SAID + "\0"}, {}],
        "json",
        headers(),
    ),
    "a shop that is a text": ([[], {"order_id": "1", "connection": SAID}, {}], "json", headers()),
    "a number that is a text": (
        [[], {"order_id": "1", "tracking_number": SAID}, {}],
        "json",
        headers(),
    ),
    "a status that is a text": (
        [[], {"order_id": "1", "order": SAID, "replace": SAID}, {}],
        "json",
        headers(),
    ),
    "a note that is none": (
        [[], {"order_id": [SAID], "note": {SAID: [SAID]}}, {}],
        "json",
        headers(),
    ),
    "a limit that is none": (BODY, "json", headers(timelimit=SAID)),
}


def put(system, body, how, given):
    """One message as it is, into a queue that a worker reads."""
    as_written = {
        "no json": {"content_type": "application/json", "content_encoding": "utf-8"},
        "text/odd": {"content_type": "text/odd", "content_encoding": "utf-8"},
    }.get(how, {"serializer": how})
    with Connection(system.valkey.url) as connection:
        producer = connection.Producer()
        producer.publish(body, exchange="", routing_key="updates", headers=given, **as_written)


def is_marked(text):
    return [mark for mark in MARKS if mark in text]


class Events:
    """Whatever workers and senders tell of tasks, as Flower hears it."""

    def __init__(self, system):
        self.app = Celery(broker=system.valkey.url)
        self.heard, self.stopped = [], False
        self.thread = threading.Thread(target=self._listen)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped = True
        self.thread.join()
        self.app.close()

    def _listen(self):
        with self.app.connection() as connection:
            receiver = self.app.events.Receiver(connection, handlers={"*": self.heard.append})
            for _ in receiver.consume(limit=None, timeout=0.2, wakeup=True, safety_interval=0):
                if self.stopped:
                    return

    def of(self, kind, task):
        return [e for e in list(self.heard) if e["type"] == kind and e.get("name") == task]


def notes(system):
    with system.ledger.read() as db:
        parts = db.execute(select(UPDATES.c.parts)).scalars().all()
    return [said["note"]["value"] for said in parts if "note" in said]


def test_no_message_shows_what_it_says_and_none_ends_a_worker(tmp_path):
    with System(tmp_path, f"sqlite:///{tmp_path / 'ledger.db'}") as system:
        worker = system.worker("-E", "-Q", "updates", threads=2)
        for body, how, given in BAD.values():
            put(system, body, how, given)
        # The good one, after all of them, by a worker that still lives.
        put(system, [[], {"order_id": "77", "note": SAID}, {}], "json", headers())
        system.wait_until(lambda: SAID in notes(system))
        system.wait_until(lambda: not system.valkey.client.llen("updates"))
        assert worker.poll() is None
        assert is_marked(system.logs()) == []
        assert system.logs().count("message_refused") >= 12
        refused = [
            json.loads(line) for line in system.logs().splitlines() if "message_refused" in line
        ]
        assert {(line["task"], len(line["id"])) for line in refused} >= {("orders.make", 36)}


def test_events_and_inspection_show_no_arguments_of_an_update(tmp_path):
    with (
        System(tmp_path, f"sqlite:///{tmp_path / 'ledger.db'}") as system,
        Events(system) as events,
    ):
        system.worker("-E", "-Q", "updates", threads=2)
        system.wait_until(lambda: [e for e in list(events.heard) if e["type"] == "worker-online"])
        later = headers(eta="2999-01-01T00:00:00+00:00")
        put(system, [[], {"order_id": "78", "note": SAID}, {}], "json", later)
        put(system, [[], {"order_id": "77", "note": SAID}, {}], "json", headers())
        system.wait_until(lambda: SAID in notes(system))
        system.wait_until(lambda: len(events.of("task-received", "updates.enqueue")) == 2)
        system.wait_until(lambda: events.of("task-received", "updates.deliver"))
        looked = events.app.control.inspect(timeout=10, limit=1)
        seen = [events.heard, looked.scheduled(), looked.reserved(), looked.query_task(later["id"])]
        assert later["id"] in json.dumps(seen)
        assert is_marked(json.dumps(seen, ensure_ascii=False)) == []
        # Those of our own doorbells are ids, which an engineer looks for.
        assert "77" in events.of("task-received", "updates.deliver")[0]["kwargs"]
