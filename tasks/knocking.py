"""Whether a target that is down may be tried with an order, where nobody can find out what became of one.

In: a call of the target that has no effect there. Out: what it fails with, and nothing where an order may
go. Such an order is lost to a person when the call that tries a closed gate with it gets no answer, and in a
long outage one would be at each probe. Called by tasks/creating.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from clients.errors import RemoteError, Transient, Uncertain

# Failures in a row after which such a target is taken for down: each of them is an order for a person.
FEW = 5
# A service may answer nothing but orders: after so many seconds without one, one is tried all the same.
LONGEST_SPARED = 600.0


class Knocking:
    """Of one target in one process; thread-safe. `call` is the one without effect."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self._lock = threading.Lock()
        self._spared_since: float | None = None

    def fault(self, make: Callable[[Callable[[], object]], object]) -> RemoteError | None:
        """Why no order is to try the target now; None: one may. `make` makes the call by the rules of all
        calls.
        """
        if self._is_over():
            return None
        try:
            make(self._call)
        except (Transient, Uncertain) as exc:
            with self._lock:
                if self._spared_since is None:
                    self._spared_since = time.monotonic()
            return exc
        except RemoteError:
            pass  # It answers, only not to this.
        with self._lock:
            self._spared_since = None
        return None

    def _is_over(self) -> bool:
        with self._lock:
            since = self._spared_since
            if since is None or time.monotonic() - since < LONGEST_SPARED:
                return False
            self._spared_since = None
            return True
