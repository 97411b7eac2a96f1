"""What one may do to orders in the ledger: store a page, claim one, record how it went, list, mend.

In: plain values and aware UTC times. Out: small frozen rows. Every rule about who may work on an order is
a conditional UPDATE; three statements at most are run for an order that goes through (claim, outcome,
attempt). Called by tasks, gateway and cli; raises `LedgerUnavailable` when the database cannot be reached.
"""

from ledger.orders.claiming import begin_again, certain, claim, give_back
from ledger.orders.finding import Match, Typed, search
from ledger.orders.listing import (
    before_change,
    by_process,
    is_in,
    listing,
    overview,
    snapshot,
    source,
)
from ledger.orders.mending import acknowledge, ignore, release, retry
from ledger.orders.recording import doubled, doubled_problem, record
from ledger.orders.rows import (
    NO_KEYS,
    NO_LOOKUP,
    NO_TROUBLE,
    OPEN,
    STATES,
    UNKNOWN,
    Arrived,
    Claim,
    Due,
    Keys,
    Known,
    NotPossible,
    Outcome,
    Overview,
    Row,
    Trouble,
    Wanted,
)
from ledger.orders.storing import keep_aside, store
from ledger.orders.waiting import (
    are_coming,
    astray,
    due,
    leave_shadow,
    oldest_due_at,
    probe,
    wait_again,
    wake,
)

__all__ = [
    "NO_KEYS",
    "NO_LOOKUP",
    "NO_TROUBLE",
    "OPEN",
    "STATES",
    "UNKNOWN",
    "Arrived",
    "Claim",
    "Due",
    "Keys",
    "Known",
    "Match",
    "NotPossible",
    "Outcome",
    "Overview",
    "Row",
    "Trouble",
    "Typed",
    "Wanted",
    "acknowledge",
    "are_coming",
    "astray",
    "before_change",
    "begin_again",
    "by_process",
    "certain",
    "claim",
    "doubled",
    "doubled_problem",
    "due",
    "give_back",
    "ignore",
    "is_in",
    "keep_aside",
    "leave_shadow",
    "listing",
    "oldest_due_at",
    "overview",
    "probe",
    "record",
    "release",
    "retry",
    "search",
    "snapshot",
    "source",
    "store",
    "wait_again",
    "wake",
]
