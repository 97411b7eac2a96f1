"""Whether calls to one remote may go out now: the breaker, and the pause for a connection's fault.

In: how calls went. Out: `admit()` says open, probe or closed. The truth is a row of the ledger, so that
all workers agree and a lost Redis opens nothing; each process reads it at most once a second, and a
healthy connection costs no statement per order. Called by tasks/calling and the flows.
"""

from __future__ import annotations

import enum
import threading
import time
from datetime import datetime, timedelta

import structlog

from ledger import connections
from ledger.connections import Direction, GateRow
from ledger.database import Ledger
from tasks import retry

# Source: docs/architecture.md, "Waits, leases and probes": the breaker, its probes, and those of a paused
# connection.
BREAKER_LIMIT = 20
# Half a second below, so that the pulse, which comes every 5 s and takes a moment, finds them due.
BREAKER_PROBE = 4.5
FAULT_PROBE = 14.5
PROBES = {"breaker": BREAKER_PROBE, "fault": FAULT_PROBE, "remote": BREAKER_PROBE}
# So many different orders that one after the other meet what may be the connection's fault show that it is,
# and so many where that turned out otherwise lately. A refused login is never an order's own.
SUSPECTS = (3, 10)
SUSPECTS_LOGIN = (1, 10)
FRESH = 1.0

log = structlog.get_logger()


class Admission(enum.Enum):
    """What a caller may do."""

    OPEN = "open"
    PROBE = "probe"
    CLOSED = "closed"


class Gate:
    """One gate of one connection in one process; thread-safe."""

    def __init__(
        self,
        ledger: Ledger,
        connection: str,
        direction: Direction = "write",
        limit: int = BREAKER_LIMIT,
    ) -> None:
        self._limit = limit
        self._ledger = ledger
        self._connection = connection
        self._direction: Direction = direction
        self._row = GateRow(connection, direction)
        self._read_at = float("-inf")
        self._reading = threading.Lock()

    def now(self) -> datetime:
        """The ledger's time, by which gates and leases go."""
        return self._ledger.now()

    def row(self) -> GateRow:
        """How the gate stands, at most a second old."""
        if time.monotonic() - self._read_at > FRESH and self._reading.acquire(blocking=False):
            try:
                self._keep(connections.gate(self._ledger, self._connection, self._direction))
            finally:
                self._reading.release()
        return self._row

    def is_paused(self) -> bool:
        """Whether a person has closed it, as of a second ago at most."""
        return self.row().is_paused

    def admit(self) -> Admission:
        """Whether the caller may call; PROBE is the one call that a closed gate lets through."""
        row = self.row()
        if row.closed_by is None:
            return Admission.OPEN
        now = self._ledger.now()
        if row.probe_at is None or row.probe_at > now:
            return Admission.CLOSED
        every = PROBES.get(row.closed_by, FAULT_PROBE)
        if row.suspects >= SUSPECTS[0]:
            every = BREAKER_PROBE  # it may be these orders' own, so others are not to wait for long
        taken = connections.take_probe(self._ledger, self._connection, now, every, self._direction)
        self._read_at = float("-inf")
        return Admission.PROBE if taken else Admission.CLOSED

    def give_back(self) -> None:
        """The probe that was admitted made no call: another one may go at once."""
        connections.give_probe_back(
            self._ledger, self._connection, self._ledger.now(), self._direction
        )
        self._read_at = float("-inf")

    def succeeded(self, *, sent: bool = True) -> bool:
        """A call went through. True when that opened a closed gate: what waited is due now. One that only
        asked, not `sent`, opens it too, but says nothing about what is sent while the gate is open.
        """
        row = self._row
        if row.closed_by is None and (not sent or not (row.failures or row.failed)):
            return False
        opened = connections.open_gate(self._ledger, self._connection, self._direction, clears=sent)
        if opened or row.closed_by is None:
            self._keep(GateRow(self._connection, self._direction))
        # One that a person has closed is to look open to nobody, not even until it is read anew.
        self._read_at = float("-inf")
        if opened:
            log.warning("connection_back", target=self._connection)
        return opened

    def failed(self, reason: str, who: str | None = None) -> None:
        """A call failed in a way that says the remote is unwell. Of `who`, an order, many count as one."""
        was = self._row.closed_by
        row = connections.count_failure(
            self._ledger,
            self._connection,
            self._ledger.now(),
            self._limit,
            BREAKER_PROBE,
            reason,
            self._direction,
            who,
        )
        self._keep(row)
        if was is None and row.closed_by is not None:
            log.error("connection_down", target=self._connection, failures=row.failures)

    def suspect(self, reason: str, who: str, *, login: bool = False) -> bool:
        """An order met what may be the connection's fault. True when that closed the gate just now: then it
        is to be tried at once, with another order.
        """
        was = self._row.closed_by
        row = connections.suspect(
            self._ledger,
            self._connection,
            self._ledger.now(),
            who,
            reason,
            SUSPECTS_LOGIN if login else SUSPECTS,
            self._direction,
        )
        self._keep(row)
        closed = was is None and row.closed_by == "fault"
        if closed:
            log.error("connection_paused", target=self._connection)
        return closed

    def fault(self, reason: str, probe_after: float = FAULT_PROBE) -> None:
        """The connection itself is refused: bad password, missing right, wrong stage."""
        was = self._row.closed_by
        self._keep(
            connections.close(
                self._ledger,
                self._connection,
                "fault",
                self._ledger.now(),
                probe_after,
                reason,
                self._direction,
            )
        )
        if was is None:
            log.error("connection_paused", target=self._connection)

    def asked_to_wait(self, seconds: float, reason: str) -> None:
        """The remote said for how long it wants no calls: that binds all calls, also those that only read."""
        now = self._ledger.now()
        until = now + timedelta(seconds=min(seconds, retry.RETRY_AFTER_CEILING))
        connections.ask_to_wait(self._ledger, self._connection, until, now, reason)
        self._read_at = float("-inf")
        log.warning("connection_asked_to_wait", target=self._connection, seconds=round(seconds, 1))

    def is_cleared(self, reason: str) -> bool:
        """Whether this reason turned out, a while ago, to be single orders' own."""
        return connections.is_cleared(self.row(), reason, self._ledger.now())

    def _keep(self, row: GateRow) -> None:
        self._row = row
        self._read_at = time.monotonic()
