"""A connection to PostgreSQL that does not wait for ever for an answer.

The server's own time-outs end nothing when the server is frozen, and the network's end nothing when a proxy
keeps the connection alive. Used by ledger/engines.py.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.pq import TransactionStatus


class Patient(psycopg.Connection[Any]):
    """Gives up an answer after `patience` seconds (None: never), and the connection with it, since the
    answer may come yet. Raises OperationalError.
    """

    patience: float | None = None

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return super().wait(gen, interval, self.patience if timeout is None else timeout)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.close()
            raise
