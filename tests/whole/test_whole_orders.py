"""An order's whole way, with real processes: from the shop into the CRM, once."""

from __future__ import annotations

import pytest
from simulator.samples import many
from whole.system import System, wait_until

pytestmark = pytest.mark.whole


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_every_order_arrives_once(tmp_path, database_url):
    with System(tmp_path, database_url) as system:
        for order in many(30):
            system.shop.add(order)
        system.worker()
        system.beat()
        wait_until(lambda: system.all_created(30), 40, system.logs)
        assert len(system.crm.processes) == 30
        assert system.crm.doubled() == []
