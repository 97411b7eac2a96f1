"""Flower beside a real worker and a real Valkey: each of its pages and routes shows what it should."""

from __future__ import annotations

import re

import httpx
import pytest
from flower.urls import handlers
from whole.system import System, free_port

from lanes import QUEUES

ORDERS = 3
# What waits in a queue that the worker does not serve.
WAITING = 2
# What can change something is switched off, and so is what a result backend would be needed for.
SWITCHED_OFF = {
    **dict.fromkeys(
        (
            "/api/worker/shutdown/(.+)",
            "/api/worker/pool/restart/(.+)",
            "/api/worker/pool/grow/(.+)",
            "/api/worker/pool/shrink/(.+)",
            "/api/worker/pool/autoscale/(.+)",
            "/api/worker/queue/add-consumer/(.+)",
            "/api/worker/queue/cancel-consumer/(.+)",
            "/api/task/apply/(.+)",
            "/api/task/async-apply/(.+)",
            "/api/task/send-task/(.+)",
            "/api/task/abort/(.+)",
            "/api/task/timeout/(.+)",
            "/api/task/rate-limit/(.+)",
            "/api/task/revoke/(.+)",
        ),
        ("POST", 403),
    ),
    "/api/task/result/(.+)": ("GET", 503),
}
# Signing in is by the password of the request; files of its own and the page for no page.
NOT_PAGES = {"/static/(.*)", "/login/?", "/logout", ".*"}


@pytest.fixture
def flower(tmp_path):
    """A client of a Flower that has heard of all orders, and the system beside it."""
    with System(tmp_path, f"sqlite:///{tmp_path / 'ledger.db'}", FETCH_INTERVAL="1") as system:
        port = free_port()
        system.extra |= {"FLOWER_PORT": port, "FLOWER_BASIC_AUTH": "user:password"}
        system.celery("flower", "--conf=flowerconfig.py", log="flower")
        system.worker("-Q", "fetch,create,upkeep")
        base = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=base, auth=("user", "password"), timeout=20) as client:
            system.wait_until(lambda: _answers(client))
            system.ticks()
            # It asks workers to tell of their tasks every few seconds.
            system.wait_until(lambda: _tasks(client, "orders.fetch", "SUCCESS"))
            system.give(ORDERS)
            system.wait_created(ORDERS)
            system.wait_until(lambda: len(_tasks(client, "orders.create", "SUCCESS")) == ORDERS)
            # What it knows of a worker comes by its own asking.
            system.wait_until(
                lambda: all(
                    "active_queues" in w and "stats" in w
                    for w in client.get("/api/workers?refresh=1").json().values()
                )
            )
            yield client, system


def _answers(client):
    try:
        return client.get("/healthcheck").is_success
    except httpx.TransportError:
        return False


def _tasks(client, name, state):
    return client.get("/api/tasks", params={"taskname": name, "state": state}).json()


@pytest.mark.whole
@pytest.mark.long
def test_every_page_and_route_shows_what_it_should(flower):
    client, system = flower
    (worker,) = client.get("/api/workers").json()
    uuid = next(iter(_tasks(client, "orders.create", "SUCCESS")))

    def page(path, *words):
        answer = client.get(path)
        assert answer.status_code == 200, (path, answer.text[:500])
        missing = [word for word in words if word not in answer.text]
        assert missing == [], path

    def rows_of_tasks():
        asked = {"draw": 1, "start": 0, "length": 10, "search[value]": "", "order[0][column]": 0}
        asked |= {"order[0][dir]": "asc", "columns[0][data]": "name"}
        found = client.get("/tasks/datatable", params=asked).json()
        assert found["recordsTotal"] >= ORDERS
        assert {"orders.create"} <= {row["name"] for row in found["data"]}

    def queue_lengths():
        told = client.get("/api/queues/length").json()["active_queues"]
        assert {one["name"] for one in told} == set(QUEUES)

    looked_at = {
        "/": lambda: page("/", worker),
        "/workers": lambda: page("/workers", worker, "Online"),
        "/worker/(.+)": lambda: page(f"/worker/{worker}", worker, "create", "orders.create"),
        "/task/(.+)": lambda: page(f"/task/{uuid}", uuid, "orders.create", "SUCCESS"),
        "/tasks": lambda: page("/tasks", "Runtime"),
        "/tasks/datatable": rows_of_tasks,
        "/broker": lambda: page(
            "/broker", f"127.0.0.1:{system.valkey.port}", *(f"<td>{name}</td>" for name in QUEUES)
        ),
        "/api/workers": lambda: page("/api/workers", worker, "active_queues"),
        "/api/tasks": lambda: page("/api/tasks", uuid, "orders.fetch"),
        "/api/task/types": lambda: page("/api/task/types", "orders.create", "orders.fetch"),
        "/api/queues/length": queue_lengths,
        "/api/task/info/(.*)": lambda: page(f"/api/task/info/{uuid}", uuid, "order_pk"),
        "/metrics": lambda: page("/metrics", 'flower_events_total{task="orders.create"'),
        "/healthcheck": lambda: page("/healthcheck", "OK"),
    }
    patterns = {(getattr(one, "regex", None) and one.regex.pattern) or one[0] for one in handlers}
    known = {pattern.removesuffix("$") for pattern in patterns}
    assert known == looked_at.keys() | SWITCHED_OFF.keys() | NOT_PAGES
    for look in looked_at.values():
        look()
    for pattern, (method, status) in SWITCHED_OFF.items():
        path = re.sub(r"\(.+\)", uuid if "/task/" in pattern else worker, pattern)
        assert client.request(method, path).status_code == status, path
    assert "Unable to get queues" not in system.logs()


@pytest.mark.whole
@pytest.mark.long
def test_without_a_worker_all_queues_are_shown_with_what_waits_in_them(tmp_path):
    with System(tmp_path, f"sqlite:///{tmp_path / 'ledger.db'}") as system:
        port = free_port()
        system.extra |= {"FLOWER_PORT": port, "FLOWER_BASIC_AUTH": "user:password"}
        system.celery("flower", "--conf=flowerconfig.py", log="flower")
        for _ in range(WAITING):
            system.send("updates.enqueue", "updates", order_id="1", note="x")
        base = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=base, auth=("user", "password"), timeout=20) as client:
            system.wait_until(lambda: _answers(client))
            told = client.get("/api/queues/length").json()["active_queues"]
            shown = client.get("/broker").text
    assert {one["name"]: one["messages"] for one in told} == {
        name: WAITING if name == "updates" else 0 for name in QUEUES
    }
    assert "No queue data" not in shown
    assert all(f"<td>{name}</td>" in shown for name in QUEUES)
