"""An order's whole way, with real processes: from the shop into the CRM, once."""

from __future__ import annotations

import pytest
from whole.system import System

pytestmark = pytest.mark.whole


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_every_order_arrives_once(tmp_path, database_url):
    with System(tmp_path, database_url) as system:
        given = system.give(30)
        system.worker()
        system.beat()
        system.wait_created(30)
        system.assert_each_once(given)
