"""Which lanes are late: something has been due for long, nobody works on it, and nothing is in its way.

In: the names of targets and of sources that are written to, and now. Out: the lanes' names. One indexed look
a connection, however long the ledger. Raises `LedgerUnavailable`. Called by the gateway's readiness and by
the live screen.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from ledger import connections, hooks, orders, queues
from ledger.database import Ledger

# What has been due for so long is late: a backlog that is being worked off is that, too.
LATE = timedelta(minutes=15)


def late_lanes(
    ledger: Ledger, targets: Collection[str], sources: Collection[str], now: datetime
) -> list[str]:
    """The lanes that are late, each once."""
    gates = connections.gates(ledger)
    closed = {row.connection for row in gates if row.closed_by and row.direction == "write"}
    grace = LATE.total_seconds()
    late = []
    if any(orders.due(ledger, name, now, 1, grace) for name in targets if name not in closed):
        late.append("create")
    if hooks.due(ledger, now, 1, grace) or any(
        queues.due(ledger, name, now, 1, grace) for name in sources if name not in closed
    ):
        late.append("updates")
    return late
