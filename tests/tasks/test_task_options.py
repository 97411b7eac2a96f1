"""Every task states its options: a misspelt one passes in silence, so the outcome is looked at."""

from __future__ import annotations

import os

import pytest

from run.programs import LANES


@pytest.fixture(scope="module")
def app():
    # The app reads its settings once, and needs to know of a broker; it is not spoken to.
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("REDIS_URL", os.environ.get("REDIS_URL", "redis://127.0.0.1:1/0"))
        from tasks.app import app  # noqa: PLC0415  as above

        app.loader.import_default_modules()
        yield app


@pytest.fixture(scope="module")
def ours(app):
    return [task for name, task in app.tasks.items() if not name.startswith("celery.")]


def test_every_task_acknowledges_late_and_keeps_no_result(ours):
    wrong = [task.name for task in ours if not (task.acks_late and task.ignore_result)]
    assert len(ours) >= 5
    assert wrong == []


def test_every_task_has_a_lane_of_its_own_wherever_it_is_sent_from(app, ours):
    """By its name alone, so that a client without our code gets the same lane."""
    lanes = {task.name: app.amqp.router.route({}, task.name)["queue"].name for task in ours}
    assert lanes["orders.fetch"] == "fetch"
    assert lanes["orders.create"] == "create"
    assert {name: lane for name, lane in lanes.items() if not is_lane_of(lane, name)} == {}


def is_lane_of(lane, name):
    return name in {"orders.fetch", "orders.create"} or lane == name.partition(".")[0]


def test_every_scheduled_task_exists_and_expires(app):
    for name, entry in app.conf.beat_schedule.items():
        assert entry["task"] in app.tasks, name
        assert entry["options"]["expires"] > 0, name


def test_unknown_queues_are_refused(app):
    assert app.conf.task_create_missing_queues is False
    with pytest.raises(KeyError):
        app.amqp.queues["creat"]


def test_each_queue_is_served_by_one_lane(app):
    served = ",".join(queues for queues, _ in LANES.values()).split(",")
    assert sorted(served) == sorted(app.amqp.queues)
