"""Whether calls to one remote may go out now: the breaker, and the pause for a connection's fault.

In: how calls went. Out: `admit()` says open, probe or closed. The truth is a row of the ledger, so that
all workers agree and a lost Redis opens nothing; each process reads it at most once a second, and a
healthy connection costs no statement per order. Called by tasks/creating.
"""

from __future__ import annotations

import enum
import threading
import time
from datetime import UTC, datetime

import structlog

from ledger import connections
from ledger.connections import Direction, GateRow
from ledger.database import Ledger

# Source: design, "A task's life": the breaker, its probes, and those of a paused connection.
BREAKER_LIMIT = 20
# Half a second below, so that the pulse, which comes every 5 s and takes a moment, finds them due.
BREAKER_PROBE = 4.5
FAULT_PROBE = 14.5
PROBES = {"breaker": BREAKER_PROBE, "fault": FAULT_PROBE}
FRESH = 1.0

log = structlog.get_logger()


class Admission(enum.Enum):
    """What a caller may do."""

    OPEN = "open"
    PROBE = "probe"
    CLOSED = "closed"


class Gate:
    """One gate of one connection in one process; thread-safe."""

    def __init__(self, ledger: Ledger, connection: str, direction: Direction = "write") -> None:
        self._ledger = ledger
        self._connection = connection
        self._direction: Direction = direction
        self._row = GateRow(connection, direction)
        self._read_at = float("-inf")
        self._reading = threading.Lock()

    def row(self) -> GateRow:
        """How the gate stands, at most a second old."""
        if time.monotonic() - self._read_at > FRESH and self._reading.acquire(blocking=False):
            try:
                self._keep(connections.gate(self._ledger, self._connection, self._direction))
            finally:
                self._reading.release()
        return self._row

    def admit(self) -> Admission:
        """Whether the caller may call; PROBE is the one call that a closed gate lets through."""
        row = self.row()
        if row.closed_by is None:
            return Admission.OPEN
        now = datetime.now(UTC)
        if row.probe_at is None or row.probe_at > now:
            return Admission.CLOSED
        every = PROBES.get(row.closed_by, FAULT_PROBE)
        taken = connections.take_probe(self._ledger, self._connection, now, every, self._direction)
        self._read_at = float("-inf")
        return Admission.PROBE if taken else Admission.CLOSED

    def succeeded(self) -> bool:
        """A call went through. True when that opened a closed gate: what waited is due now."""
        if not self._row.failures and self._row.closed_by is None:
            return False
        opened = connections.open_gate(self._ledger, self._connection, self._direction)
        self._keep(GateRow(self._connection, self._direction))
        if opened:
            log.warning("connection_back", target=self._connection)
        return opened

    def failed(self, reason: str) -> None:
        """A call failed in a way that says the remote is unwell."""
        was = self._row.closed_by
        row = connections.count_failure(
            self._ledger,
            self._connection,
            datetime.now(UTC),
            BREAKER_LIMIT,
            BREAKER_PROBE,
            reason,
            self._direction,
        )
        self._keep(row)
        if was is None and row.closed_by is not None:
            log.error("connection_down", target=self._connection, failures=row.failures)

    def fault(self, reason: str) -> None:
        """The connection itself is refused: bad password, missing right, wrong stage."""
        was = self._row.closed_by
        self._keep(
            connections.close(
                self._ledger,
                self._connection,
                "fault",
                datetime.now(UTC),
                FAULT_PROBE,
                reason,
                self._direction,
            )
        )
        if was is None:
            log.error("connection_paused", target=self._connection)

    def _keep(self, row: GateRow) -> None:
        self._row = row
        self._read_at = time.monotonic()
