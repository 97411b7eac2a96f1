"""POST and GET of updates and orders: what is taken in, what is refused, what is shown."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from gateway.conftest import KEY, OTHER_KEY  # noqa: F401  pytest finds the folder on its path

from ledger import orders, updates
from ledger.database import LedgerUnavailable
from tasks import accepting

GOOD = {"order_id": "300167757", "tracking_number": "20450000000000"}
URL = "/api/v1/updates"


def count(made):
    return len(updates.listing(made.ledger))
