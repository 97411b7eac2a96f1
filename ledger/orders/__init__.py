"""What one may do to orders in the ledger: store a page, claim one, record how it went, list, mend.

In: plain values and aware UTC times. Out: small frozen rows. Every rule about who may work on an order is
a conditional UPDATE; three statements at most are run for an order that goes through (claim, outcome,
attempt). Called by tasks, gateway and cli; raises `LedgerUnavailable` when the database cannot be reached.
"""

from ledger.orders.claiming import begin_again, certain, claim, give_back, is_let_through
from ledger.orders.listing import (
    by_process,
    content,
    held,
    is_in,
    listing,
    newest_sources,
    overview,
    snapshot,
    source,
)
from ledger.orders.mending import ignore, let_through, release, retry, take_back
from ledger.orders.recording import doubled, doubled_problem, record
from ledger.orders.rows import (
    NO_LOOKUP,
    NO_TROUBLE,
    OPEN,
    STATES,
    UNKNOWN,
    Arrived,
    Claim,
    Content,
    Due,
    NotPossible,
    Outcome,
    Overview,
    Row,
    Trouble,
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
    "NO_LOOKUP",
    "NO_TROUBLE",
    "OPEN",
    "STATES",
    "UNKNOWN",
    "Arrived",
    "Claim",
    "Content",
    "Due",
    "NotPossible",
    "Outcome",
    "Overview",
    "Row",
    "Trouble",
    "are_coming",
    "astray",
    "begin_again",
    "by_process",
    "certain",
    "claim",
    "content",
    "doubled",
    "doubled_problem",
    "due",
    "give_back",
    "held",
    "ignore",
    "is_in",
    "is_let_through",
    "keep_aside",
    "leave_shadow",
    "let_through",
    "listing",
    "newest_sources",
    "oldest_due_at",
    "overview",
    "probe",
    "record",
    "release",
    "retry",
    "snapshot",
    "source",
    "store",
    "take_back",
    "wait_again",
    "wake",
]
