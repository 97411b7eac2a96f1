"""Flower's settings: a password always, whatever the environment says."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from run.private import kept_secret

SHOW = """
import json, flowerconfig as f
print(json.dumps([f.address, f.port, f.basic_auth, f.read_only, f.persistent, f.cookie_secret]))
"""

# Named, and never called.
BROKER = "redis://127.0.0.1:1/0"

SEEN = """
import json, flowerconfig
from flower.events import EventsState
state = EventsState()
told = {"hostname": "sender", "timestamp": 1.0, "local_received": 1.0, "clock": 1, "pid": 1, "uuid": "1"}
said = {"args": "()", "kwargs": "{'note': 'Одарка'}"}
for name, events in [("updates.enqueue", ["sent", "received", "succeeded"]), ("orders.unknown", ["sent"])]:
    for clock, kind in enumerate(events):
        state.event(told | said | {"type": f"task-{kind}", "name": name, "uuid": name, "clock": clock})
ids = {"args": "()", "kwargs": "{'order_pk': 5}"}
state.event(told | ids | {"type": "task-received", "name": "orders.create", "uuid": "orders.create"})
print(json.dumps({n: [t.as_dict()["args"], t.as_dict()["kwargs"], t.state] for n, t in state.tasks.items()}))
"""


@pytest.fixture
def start(tmp_path):
    def read(code=SHOW, **env):
        plain = {k: v for k, v in os.environ.items() if not k.startswith(("FLOWER_", "ONEBOX_"))}
        return subprocess.run(
            [sys.executable, "-c", code],
            env=plain | {"ORDERBRIDGE_DATA": str(tmp_path), "REDIS_URL": BROKER} | env,
            capture_output=True,
            text=True,
            check=False,
        )

    return read


def test_without_a_password_it_does_not_start_and_says_what_to_set(start):
    refused = start()
    assert refused.returncode == 1
    assert "set FLOWER_BASIC_AUTH to user:password" in refused.stderr


@pytest.mark.parametrize("given", ["user", "user:", ":password"])
def test_half_a_password_is_none(start, given):
    assert start(FLOWER_BASIC_AUTH=given).returncode == 1


def test_the_password_of_the_data_folder_is_taken(start, tmp_path):
    password = kept_secret(tmp_path / "sandbox" / "flower-password")
    address, port, users, read_only, persistent, _ = json.loads(start().stdout)
    assert (address, port, users) == ("127.0.0.1", 5555, [f"orderbridge:{password}"])
    assert read_only is True
    assert persistent is False


def test_a_given_password_wins_and_may_hold_any_sign(start, tmp_path):
    kept_secret(tmp_path / "sandbox" / "flower-password")
    given = "anna:a,b:c"
    shown = json.loads(start(FLOWER_BASIC_AUTH=given, FLOWER_PORT="6000").stdout)
    assert (shown[1], shown[2]) == (6000, [given])


def test_nothing_in_the_environment_makes_it_writable(start):
    shown = json.loads(start(FLOWER_BASIC_AUTH="a:b", FLOWER_READ_ONLY="false").stdout)
    assert shown[3] is True


def test_its_cookie_secret_stays_the_same(start):
    first, second = (json.loads(start(FLOWER_BASIC_AUTH="a:b").stdout)[5] for _ in range(2))
    assert first == second


def test_it_keeps_arguments_of_our_own_doorbells_alone_whoever_told_them(start):
    seen = json.loads(start(SEEN, FLOWER_BASIC_AUTH="a:b").stdout)
    assert seen == {
        "updates.enqueue": ["(not shown)", "(not shown)", "SUCCESS"],
        "orders.unknown": ["(not shown)", "(not shown)", "PENDING"],
        "orders.create": ["()", "{'order_pk': 5}", "RECEIVED"],
    }
