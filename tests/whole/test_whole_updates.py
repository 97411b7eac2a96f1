"""The way back, with real processes: updates reach the shop in order, once."""

from __future__ import annotations

import json

import pytest
from whole.system import System

pytestmark = [pytest.mark.whole, pytest.mark.timeout(300)]


def test_the_example_of_the_source_text_to_the_letter(tmp_path, database_url):
    """`orderbridge update ... ` sends the very body of the owner's text."""
    with System(tmp_path, database_url) as system:
        system.give(1, start=300_167_757)
        system.worker()
        done = system.cli(
            "update", "300167757", "--ttn", "123456789012345", "--delivery", "ship",
            "--order", "process", "--note", "note", "--json",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {"id": "1", "order_id": "300167757", "state": "queued"}
        system.wait_until(lambda: len(system.shop.updates) == 1)
        sent = [r.body for r in system.shop.requests if r.path == system.shop.UPDATE_ORDER]
        order = {
            "id": "300167757",
            "tracking_number": "123456789012345",
            "statuses": {"delivery": "ship", "order": "process"},
            "note": "note",
        }
        assert json.dumps(sent) == json.dumps([{"args": {"order": order}}])
        listed = json.loads(system.cli("updates", "list", "--json").stdout)
        assert [row["state"] for row in listed] == ["sent"]
