"""Opens the ledger for a person's command, and refuses one of another version or of the other world.

In: the settings. Out: the open ledger, closed at the end. Fails with `WrongLedger` and `LedgerUnavailable`.
Called by cli.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ledger.database import Ledger, open_ledger
from ledger.identity import identify
from settings import Settings


@contextmanager
def opened(chosen: Settings) -> Iterator[Ledger]:
    """The ledger of the configured system."""
    ledger = open_ledger(chosen.database_url)
    try:
        identify(ledger, sandbox=chosen.sandbox)
        yield ledger
    finally:
        ledger.close()
